"""The HTTP server, without an AWS behind it."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

from werkzeug.serving import make_server

from workbench.embedded.server import Handler


def test_a_client_that_hangs_up_before_its_answer_is_no_problem(monkeypatch: Any) -> None:
    asked, gone, problems = threading.Event(), threading.Event(), []

    def slow(_: Any, start: Any) -> list[bytes]:
        asked.set()
        gone.wait(10)
        start("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    server = make_server("127.0.0.1", 0, slow, threaded=False, request_handler=Handler)
    monkeypatch.setattr(server, "handle_error", lambda *_: problems.append(1))
    serving = threading.Thread(target=server.handle_request)
    serving.start()
    client = socket.create_connection(server.server_address[:2], timeout=10)
    client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert asked.wait(10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    gone.set()
    serving.join(10)
    server.server_close()
    assert not serving.is_alive()
    assert problems == []
