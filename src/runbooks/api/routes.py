"""The HTTP API's entry point. API Gateway has checked the caller's IAM permission for the route."""

from __future__ import annotations

from typing import Any

from runbooks.api import approvals, catalogue, document, runs, standing, starting, stopping, trail
from runbooks.api.app import app, refused
from runbooks.api.http import Problem, with_plain_body
from runbooks.frame.step import logger

__all__ = ["ROUTES", "document", "handler"]

ROUTES = (catalogue, starting, runs, trail, approvals, stopping, standing, document)
"""The modules whose routes there are; importing one declares its routes."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An API Gateway HTTP API event, payload version 2.0."""
    try:
        return app.resolve(with_plain_body(event), context)
    except Problem as problem:
        answer = refused(problem)
    except Exception:  # noqa: BLE001 - whatever it was, a caller gets a problem document, and the log has the rest
        logger.exception("the request could not be answered")
        request = event.get("requestContext", {}).get("requestId", "unknown")
        answer = refused(Problem(500, "Our fault", f"the log of the API has why, by the request {request}"))
    headers = {"Content-Type": answer.content_type}
    return {"statusCode": answer.status_code, "headers": headers, "body": answer.body, "isBase64Encoded": False}
