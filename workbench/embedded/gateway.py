"""API Gateway: the stack's HTTP API on a port of this machine, with IAM asked on every route.

It does what the routes of the template say: nothing is throttled, as nothing here lasts long enough.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from werkzeug.serving import make_server

from workbench.embedded.calls import Environ
from workbench.embedded.clock import VirtualClock
from workbench.embedded.functions import Invocation
from workbench.embedded.identities import identity
from workbench.embedded.people import Person, Unsigned, signer
from workbench.embedded.server import Handler

LARGEST = 10 * 1024 * 1024
"""Bytes that a request to an HTTP API may have."""
API_ID = "embedded"
_TEXT = ("application/json", "application/javascript", "application/xml", "text/")

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Route:
    """A route of the API: `path` as in `/runs/{run_id}`, and the function that answers."""

    method: str
    path: str
    function: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    def parameters(self, method: str, path: str) -> dict[str, str] | None:
        """The path's parameters if the request is for this route."""
        if method != self.method:
            return None
        wanted = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(wanted, path, re.DOTALL)
        return found.groupdict() if found else None


class Gateway:
    """The server. `routes` and `invoke` are asked at each request, so that a reset of the stack is seen."""

    def __init__(
        self,
        clock: VirtualClock,
        account: str,
        region: str,
        routes: Callable[[], list[Route]],
        invoke: Callable[[str, str], Invocation],
        port: int = 0,
    ) -> None:
        """Listens on 127.0.0.1. Raises OSError if the port is taken."""
        self.enforced = False
        """Whether IAM's policies are asked; who signs is asked always."""
        self._clock = clock
        self._account = account
        self._region = region
        self._routes = routes
        self._invoke = invoke
        self._number = 0
        with socket.create_server(("127.0.0.1", port)) as listening:
            # Werkzeug would end the process if the port were taken.
            self._server = make_server(
                "127.0.0.1", port, self._serve, threaded=True, request_handler=Handler, fd=listening.fileno()
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def reset(self) -> None:
        """Asks no policies any more, and counts requests from one again."""
        self.enforced = False
        self._number = 0

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > LARGEST:
            status, headers, content = _said(413, "Request Too Long")
        else:
            status, headers, content = self._answer(environ, environ["wsgi.input"].read(length))
        headers = {**headers, "Content-Length": str(len(content))}
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(headers.items()))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]

    def _answer(self, environ: Environ, body: bytes) -> Answer:
        method, target = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        headers = _headers(environ)
        path, _, query = target.partition("?")
        decoded = unquote(path)
        for route in sorted(self._routes(), key=lambda route: route.path.count("{")):
            parameters = route.parameters(method, decoded)
            if parameters is not None:
                break
        else:
            return _said(404, "Not Found")
        try:
            person = signer(
                self._account, "execute-api", method, f"http://{headers.get('host', '')}{target}", headers, body
            )
        except Unsigned:
            return _said(403, "Forbidden")
        stage = f"arn:aws:execute-api:{self._region}:{self._account}:{API_ID}/$default"
        if self.enforced and not person.may("execute-api:Invoke", f"{stage}/{method}{decoded}"):
            return _said(403, "Forbidden")
        event = self._event(route, parameters, person, environ, headers, (decoded, query), body)
        return _answered(self._invoke(route.function, json.dumps(event)))

    def _event(
        self,
        route: Route,
        parameters: Mapping[str, str],
        person: Person,
        environ: Environ,
        headers: Mapping[str, str],
        target: tuple[str, str],
        body: bytes,
    ) -> dict[str, Any]:
        """The event as payload version 2.0 has it. What is absent there is absent here."""
        self._number += 1
        path, query = target
        now = self._clock.now()
        queries: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            queries[name] = f"{queries[name]},{value}" if name in queries else value
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": route.key,
            "rawPath": path,
            "rawQueryString": query,
            "headers": {name: value for name, value in headers.items() if name != "cookie"},
            "requestContext": {
                "accountId": self._account,
                "apiId": API_ID,
                "authorizer": {
                    "iam": {
                        "accessKey": person.access_key,
                        "accountId": self._account,
                        "callerId": person.user_id,
                        "cognitoIdentity": None,
                        "principalOrgId": None,
                        "userArn": person.arn,
                        "userId": person.user_id,
                    }
                },
                "domainName": headers.get("host", ""),
                "domainPrefix": API_ID,
                "http": {
                    "method": route.method,
                    "path": path,
                    "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                    "sourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
                    "userAgent": headers.get("user-agent", ""),
                },
                "requestId": identity("api request", self._number),
                "routeKey": route.key,
                "stage": "$default",
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "timeEpoch": int(now.timestamp() * 1000),
            },
            "isBase64Encoded": False,
        }
        if parameters:
            event["pathParameters"] = dict(parameters)
        if queries:
            event["queryStringParameters"] = queries
        if "cookie" in headers:
            event["cookies"] = [cookie.strip() for cookie in headers["cookie"].split(";")]
        if body:
            text = _as_text(body, headers.get("content-type", ""))
            event["isBase64Encoded"] = text is None
            event["body"] = base64.b64encode(body).decode() if text is None else text
        return event


def _headers(environ: Environ) -> dict[str, str]:
    """Header names in lower case; a header that was sent twice has its values joined by a comma."""
    found = {
        name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found[name.replace("_", "-").lower()] = str(environ[name])
    return found


def _as_text(body: bytes, kind: str) -> str | None:
    """The body as text if its content type is one of texts; None for what is handed on in base64."""
    if kind and not kind.lower().startswith(_TEXT):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _said(status: int, message: str) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps({"message": message}).encode()


def _answered(invocation: Invocation) -> Answer:
    if invocation.failed:
        return _said(500, "Internal Server Error")
    answer = json.loads(invocation.payload)
    body = str(answer.get("body") or "")
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return int(answer["statusCode"]), {"Content-Type": "text/plain", **answer.get("headers", {})}, content
