"""The HTTP endpoint: every AWS call arrives here, and goes to a fault, to a fake, or to moto."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, ClassVar, NamedTuple

from botocore.exceptions import UnknownServiceError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from workbench.embedded.calls import Call, Environ, Response, ServiceError, canonical, identify
from workbench.embedded.faults import Faults, Garbled, NoAnswer
from workbench.embedded.identities import identity

Fake = Callable[[Call], Any]
"""Answers a call with a dictionary in the shape of its output, a whole Response, or None to leave it to moto."""
Guard = Callable[[Call, Callable[[], Response]], Response]
Observer = Callable[[Call, bytes], None]
Gate = Callable[[Call], None]
"""Raises ServiceError for a call that is not let through."""


class SeenCall(NamedTuple):
    """A call that reached the endpoint: the operation as `ecs:UpdateService`, its caller, the HTTP status (0: lost)."""

    operation: str
    caller: str
    status: int


_NO_ID = re.compile(rb"<RequestId>(request-id|embedded)</RequestId>")


class Endpoint:
    """The server, its log of calls, and what stands before moto."""

    def __init__(self, faults: Faults) -> None:
        self.calls: list[SeenCall] = []
        self.defects: list[str] = []
        """Tracebacks of what the embedded AWS itself got wrong or does not do; a test run wants this empty."""
        self._faults = faults
        self._numbers = itertools.count(1)
        self._fakes: dict[str, Fake] = {}
        self._observers: dict[str, list[Observer]] = {}
        self._guards: dict[str, Guard] = {}
        self.gate: Gate | None = None
        """Asked first."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fake(self, operation: str, answer: Fake) -> None:
        """`answer` takes the operation over from moto; `ecs:*` takes over a whole service."""
        self._fakes[canonical(operation)] = answer

    def observe(self, operation: str, observer: Observer) -> None:
        """`observer(call, body)` is told of every call of the operation that moto or a fake answered with success."""
        self._observers.setdefault(canonical(operation), []).append(observer)

    def guard(self, service: str, guard: Guard) -> None:
        """`guard(call, answer)` answers every call of the service, with the help of `answer()`."""
        self._guards[service] = guard

    def reset(self) -> None:
        """Forgets the calls and defects that it has seen, and counts request ids from one again."""
        self.calls.clear()
        self.defects.clear()
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()
        Handler.hang_up()
        self._thread.join()

    # -- serving -------------------------------------------------------------------------------------------------------

    def _serve(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = b""
        if "chunked" not in environ.get("HTTP_TRANSFER_ENCODING", ""):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
        call = identify(environ, body)
        if call is None:
            status, headers, content = self._ask_moto(environ)
        else:
            status, headers, content = self._answer(call)
            self.calls.append(SeenCall(call.name, call.caller, status))
            request_id = identity("request", next(self._numbers))
            headers["x-amzn-RequestId"] = request_id
            # The query protocol has it in the body too, where the serializer knows none.
            content = _NO_ID.sub(b"<RequestId>%s</RequestId>" % request_id.encode(), content)
        headers = {**headers, "Content-Length": str(len(content))}
        if environ["REQUEST_METHOD"] == "HEAD":
            content = b""
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", list(headers.items()))
        return [content]

    def _answer(self, call: Call) -> Response:
        try:
            if self.gate is not None:
                self.gate(call)
            self._faults.run_hooks("before", call)
            fault = self._faults.of(call)
            if fault is not None:
                raise fault
            guard = self._guards.get(call.service)
            if guard is None:
                status, headers, content = self._fake_or_moto(call)
            else:
                status, headers, content = guard(call, functools.partial(self._fake_or_moto, call))
            if status < 400:
                for observer in self._observers.get(call.name, []):
                    observer(call, content)
            self._faults.run_hooks("after", call)
        except NoAnswer:
            return 0, {}, b""
        except Garbled:
            return 200, {"Content-Type": "text/html"}, b"<html>The proxy has a word to say"
        except ServiceError as error:
            return call.refuse(error)
        except Exception as error:  # noqa: BLE001  # moto raises anything; it is kept as a defect
            return self._defect(call, error)
        return status, headers, content

    def _fake_or_moto(self, call: Call) -> Response:
        fake = self._fakes.get(call.name) or self._fakes.get(f"{call.service}:*")
        if fake is not None:
            result = fake(call)
            if isinstance(result, tuple):
                return result
            if result is not None:
                return call.answer(result)
        call.environ["wsgi.input"] = BytesIO(call.body)
        return self._ask_moto(call.environ)

    def _ask_moto(self, environ: Environ) -> Response:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], None]:
            started.append((status, headers))
            return lambda _: None

        chunks = self._moto(environ, start)
        try:
            content = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = started[0]
        return int(status.split(" ", 1)[0]), dict(headers), content

    def _defect(self, call: Call, error: Exception) -> Response:
        """501, which no SDK retries: an AWS error here would be a lie that the code under test acts on."""
        self.defects.append(f"{call.name} from {call.caller}\n{traceback.format_exc()}")
        code = "NotImplemented" if isinstance(error, NotImplementedError) else "EmbeddedAwsDefect"
        text = f"the embedded AWS cannot answer {call.name}: {type(error).__name__}: {error}"
        try:
            return call.refuse(ServiceError(code, text, status=501))
        except (NotImplementedError, UnknownServiceError):
            return 501, {"Content-Type": "application/json"}, json.dumps({"__type": code, "message": text}).encode()


class Handler(MotoRequestHandler):
    """Keeps connections open, which halves the price of a call, and prints nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    connections: ClassVar[set[socket.socket]] = set()

    def setup(self) -> None:
        super().setup()
        self.connections.add(self.connection)

    def finish(self) -> None:
        self.connections.discard(self.connection)
        with contextlib.suppress(ConnectionError):  # who has hung up needs no more of the answer
            super().finish()

    def run_wsgi(self) -> None:
        """Answers one request. Werkzeug's own would wait for more of the body, and close the connection."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], None]:
            started.append((status, headers))
            return lambda _: None

        content = b"".join(self.server.app(self.make_environ(), start))
        status, headers = started[0]
        if status.startswith("0 "):
            self.close_connection = True
            return
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True  # nobody knows whether moto has read all of it
            headers = [*headers, ("Connection", "close")]
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        """Tells a client that asks first to send its body."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return bool(going_on)

    def log(self, *_: Any) -> None:
        """Says nothing; `EmbeddedAws.calls` has it all."""

    @classmethod
    def hang_up(cls) -> None:
        """Ends the connections that clients keep open."""
        for connection in list(cls.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
