"""Which AWS call an HTTP request is, and what its errors look like on the wire."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from workbench.embedded.clock import epoch_milliseconds

Environ = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

CLIENT = "client"
"""The caller of a request that no function and no state machine made."""
INTERPRETER = "states"
"""The caller of a request that a state machine's Task made."""

CLIENT_NAMES = {
    "airflow": "mwaa",
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "elasticmapreduce": "emr",
    "email": "ses",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
"""boto3's name of a service where it differs from the one that requests are signed for."""

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_APP = re.compile(r"\bapp/(\S+)")


class ServiceError(Exception):
    """An error that a fake answers with, in the service's own terms. `members` are the error's further fields."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def client_name(service: str) -> str:
    """boto3's name of the service, whichever of its names is given."""
    return CLIENT_NAMES.get(service, service)


def canonical(operation: str) -> str:
    """`service:Operation` with boto3's name of the service. Raises ValueError for anything else."""
    service, separator, name = operation.partition(":")
    if not (service and separator and name):
        raise ValueError(f"{operation!r} is no operation; write it as ecs:UpdateService")
    return f"{client_name(service)}:{name}"


@dataclass
class Call:
    """One request: `service` is boto3's name of it, `caller` a function's app id or one of the two above."""

    service: str
    operation: str
    caller: str
    region: str
    access_key: str
    environ: Environ
    body: bytes
    path_parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    @cached_property
    def params(self) -> dict[str, Any]:
        """The request's parameters, parsed by the service's model; missing ones are absent."""
        model = get_service_model(self.service)
        request = Request({**self.environ, "wsgi.input": BytesIO(self.body)})
        parser = PROTOCOL_PARSERS[self.protocol](model.operation_model(self.operation))
        parsed = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": self.body,
                "url_path": request.path,
                "url_params": self.path_parameters,
            }
        )
        return dict(parsed)

    @property
    def protocol(self) -> str:
        model = get_service_model(self.service)
        supported = [str(name) for name in model.metadata.get("protocols", [model.protocol])]
        content = str(self.environ.get("CONTENT_TYPE", ""))
        if "json" in supported and content.startswith("application/x-amz-json"):
            return "json"
        if content.startswith("application/x-www-form-urlencoded"):
            return "ec2" if "ec2" in supported else "query"
        return str(model.protocol)

    def answer(self, result: Any) -> Response:
        """The response that carries `result`, a dictionary in the shape of the operation's output."""
        if self.protocol == "json":
            content = json.dumps(result, default=_seconds_since_1970).encode()
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, content
        model = get_service_model(self.service)
        operation = model.operation_model(self.operation)
        serialized = get_serializer_class(self.service, self.protocol)(operation_model=operation).serialize(result)
        body = serialized["body"]
        content = body.encode() if isinstance(body, str) else body
        return serialized["status_code"], dict(serialized["headers"]), content

    def refuse(self, error: ServiceError) -> Response:
        """The response that makes boto3 raise a ClientError with that code, message and status."""
        protocol = self.protocol if self.service else "json"
        if protocol in ("json", "rest-json"):
            content = {"__type": error.code, "message": error.message, **error.members}
            headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": error.code}
            return error.status, headers, json.dumps(content, default=str).encode()
        detail = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        if protocol == "ec2":
            text = f"<Response><Errors><Error>{detail}</Error></Errors><RequestID>embedded</RequestID></Response>"
        elif self.service == "s3":
            text = f"<Error>{detail}<RequestId>embedded</RequestId></Error>"
        elif protocol in ("query", "rest-xml"):
            fault = "Sender" if error.status < 500 else "Receiver"
            text = (
                f"<ErrorResponse><Error><Type>{fault}</Type>{detail}</Error>"
                "<RequestId>embedded</RequestId></ErrorResponse>"
            )
        else:
            raise NotImplementedError(f"errors of {self.name} in protocol {protocol}")
        return error.status, {"Content-Type": "text/xml"}, text.encode()


def _seconds_since_1970(value: Any) -> float:
    """A time as the JSON protocols write it, in milliseconds' precision."""
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} has no form in JSON")
    return epoch_milliseconds(value) / 1000


def identify(environ: Environ, body: bytes) -> Call | None:
    """The AWS call that a request makes; None for what is not signed for a service."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        return None
    service = client_name(scope["service"])
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target.startswith("DynamoDBStreams"):
        service = "dynamodbstreams"
    if service == "sagemaker" and not target:
        service = "sagemaker-runtime"  # signed for the same name, but another API
    call = Call(
        service=service,
        operation=target.rsplit(".", 1)[-1],
        caller=_caller(environ, scope["key"]),
        region=scope["region"],
        access_key=scope["key"],
        environ=environ,
        body=body,
    )
    if not call.operation and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qs(body.decode())
        call.operation = form.get("Action", [""])[0]
    if not call.operation:
        matched = _route(service, environ)
        if matched is not None:
            call.operation, call.path_parameters = matched[0].name, matched[1]
    return call if call.operation else None


def _route(service: str, environ: Environ) -> tuple[OperationModel, dict[str, Any]] | None:
    try:
        operation, parameters = get_service_router(service).match(Request({**environ, "wsgi.input": BytesIO()}))
    except NotFound:
        return None
    return operation, dict(parameters)


def _caller(environ: Environ, access_key: str) -> str:
    if access_key == INTERPRETER:
        return INTERPRETER
    app = _APP.search(environ.get("HTTP_USER_AGENT", ""))
    return app[1] if app else CLIENT
