"""`GET /openapi.json`: the routes, what they take and what they answer, as OpenAPI 3.1."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import Response
from pydantic import ConfigDict, Field, JsonValue

from runbooks.api.app import answers, app, caller
from runbooks.api.http import JSON
from runbooks.model import Model

SIGNED = "AWS_IAM"
"""The name of the security scheme, in the template as well."""

_SERVERS = [{"url": "https://{api}.execute-api.{region}.amazonaws.com", "description": "the stack's output ApiUrl"}]


class OpenApi(Model):
    """An OpenAPI document: these members, and whatever else OpenAPI 3.1 has."""

    model_config = ConfigDict(extra="allow")

    openapi: str = Field(pattern=r"^3\.1\.")
    info: dict[str, JsonValue]
    paths: dict[str, JsonValue]
    components: dict[str, JsonValue]


@app.get("/openapi.json", summary="Describe this API", responses=answers(OpenApi))
def openapi() -> Response[str]:
    """The OpenAPI document of these routes."""
    caller()
    return Response(200, JSON, text())


@cache
def text() -> str:
    """The document as it is served, and committed to docs/openapi.json."""
    return json.dumps(document(), indent=2, sort_keys=True) + "\n"


def document() -> dict[str, Any]:
    """The document, made of the routes' declarations."""
    found: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Step Functions Runbooks",
            version="1",
            description="Start runbooks, see what they found and plan, decide on their plans, and stop them."
            " Every request is signed with AWS Signature Version 4 for the service execute-api.",
        )
    )
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(name, None)
    for calls in found["paths"].values():
        for call in calls.values():
            # The event handler says 422 of its own accord; what does not fit is a 400 here.
            call["responses"].pop("422", None)
            if "requestBody" in call:
                # API Gateway takes 10 MB, and says so itself, as when it throttles.
                call["responses"]["413"] = call["responses"]["429"] | {"description": "Too large"}
            call["security"] = [{SIGNED: []}]
            for parameter in call.get("parameters", ()):
                parameter.get("schema", {}).pop("title", None)
    return found | {
        "servers": [_SERVERS[0] | {"variables": {"api": {"default": "api-id"}, "region": {"default": "eu-central-1"}}}],
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                SIGNED: {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }
