"""The process that functions are forked from. Standard library only at the top; it runs as a script of its own.

Three generations: the *root* has the common libraries imported; a *function* is forked from it, gets the function's
environment and imports its handler; a *worker* is forked from that and serves one invocation at a time. So a worker
starts in milliseconds, with nothing in it that an earlier invocation left behind.

Each process serves one socket and ends when the other side closes it; frames are a length and a JSON object, and a
frame that forks carries the child's socket.
"""

from __future__ import annotations

import contextlib
import decimal
import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

PRELOADED = (
    "boto3",
    "botocore.httpsession",
    "boto3.dynamodb.types",
    "pydantic.main",
    "pydantic.types",
    "pydantic.json_schema",
    "rfc8785",
    "jmespath",
    "aws_lambda_powertools",
    "aws_lambda_powertools.metrics",
)
WARM_SERVICES = ("dynamodb", "ecr", "ecs", "lambda", "sns", "ssm", "stepfunctions", "sts")
"""Services whose models are read once for all workers; others are read by each worker that uses them."""
CLOCK = "runbooks.clock"
"""The module whose `utc_now` tells the handlers the time; it is made to tell the virtual one."""
SHUTDOWN_SECONDS = 10.0
HEADER = struct.Struct("!I")


# -- frames ------------------------------------------------------------------------------------------------------------


def send(channel: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """Sends one frame, with a file descriptor if there is one. Raises OSError when the other side is gone."""
    body = json.dumps(message).encode()
    header = HEADER.pack(len(body))
    if descriptor is None:
        channel.sendall(header)
    else:
        socket.send_fds(channel, [header], [descriptor])
    channel.sendall(body)


def receive(channel: socket.socket) -> tuple[dict[str, Any], int | None] | None:
    """One frame and the descriptor it carried; None when the other side has closed."""
    try:
        header, descriptors, _, _ = socket.recv_fds(channel, HEADER.size, 1)
        body = None if len(header) < HEADER.size else _exactly(channel, HEADER.unpack(header)[0])
    except ConnectionError:
        return None
    if body is None:
        return None
    return json.loads(body), (descriptors[0] if descriptors else None)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = channel.recv(min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# -- forking -----------------------------------------------------------------------------------------------------------

Work = Callable[[socket.socket], None]


def serve_forks(channel: socket.socket, child: Callable[[dict[str, Any]], Work]) -> None:
    """Forks a child for every frame, until the channel closes; then waits for the children to end."""
    children: set[int] = set()
    while (frame := receive(channel)) is not None:
        message, descriptor = frame
        if descriptor is None:
            raise RuntimeError("a frame that forks carries the child's socket")
        work = child(message)
        pid = os.fork()
        if pid == 0:
            channel.close()
            die_with_parent()
            work(socket.socket(fileno=descriptor))
            sys.stdout.flush()
            os._exit(0)  # at once: tearing the interpreter down takes longer than an invocation
        os.close(descriptor)
        children.add(pid)
        children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
    give_up = time.monotonic() + SHUTDOWN_SECONDS
    while children and time.monotonic() < give_up:
        children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
        time.sleep(0.002)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent dies; elsewhere the closed socket has to do."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


# -- a function --------------------------------------------------------------------------------------------------------


def _is_editable(finder: object) -> bool:
    return str(getattr(finder, "__module__", "")).startswith("__editable__")


class Function:
    """What a function's processes share: the imported handler, or why it could not be imported."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.message = message
        self.handler: Callable[[Any, Any], Any] | None = None
        self.failure: dict[str, Any] | None = None

    def serve(self, channel: socket.socket) -> None:
        """Becomes the function: its environment, its log, its handler; then forks workers."""
        redirect_output(self.message["log"])
        os.environ.clear()
        os.environ.update(self.message["environment"])
        time.tzset()
        sys.path[:] = [self.message["task_root"], *sys.path]
        # An editable installation makes the whole repository importable, and a deployed function has its code only.
        sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable(finder)]
        self._import()
        serve_forks(channel, lambda _: self.work)

    def _import(self) -> None:
        module, _, name = self.message["handler"].rpartition(".")
        try:
            self.handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        except ModuleNotFoundError as error:
            self.failure = failure("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}")
        except AttributeError:
            self.failure = failure("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'")
        except Exception as error:  # noqa: BLE001  # as Lambda, which reports whatever it is
            self.failure = described(error)
        if self.failure is not None:
            print(f"[ERROR] {self.failure['errorType']}: {self.failure['errorMessage']}", flush=True)

    def work(self, channel: socket.socket) -> None:
        """A worker's life: one invocation after the other."""
        send(channel, {"pid": os.getpid()})
        while (frame := receive(channel)) is not None:
            send(channel, self._invoke(frame[0]))

    def _invoke(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.failure is not None or self.handler is None:
            return {"failure": self.failure}
        set_clock(timedelta(seconds=message["offset"]))
        context = Context(message["context"])
        print(f"START RequestId: {context.aws_request_id} Version: $LATEST", flush=True)
        try:
            result = self.handler(json.loads(message["event"]), context)
        except Exception as error:  # noqa: BLE001
            outcome: dict[str, Any] = {"failure": described(error)}
        else:
            outcome = marshalled(result)
        if "failure" in outcome:
            problem = outcome["failure"] = {**outcome["failure"], "requestId": context.aws_request_id}
            print(f"[ERROR] {problem['errorType']}: {problem['errorMessage']}")
            print("".join(problem["stackTrace"]), end="")
        print(f"END RequestId: {context.aws_request_id}", flush=True)
        sys.stderr.flush()
        return outcome


class Context:
    """The `context` argument of a handler, as the Python runtime has it."""

    client_context = None
    identity = None

    def __init__(self, given: dict[str, Any]) -> None:
        self.function_name: str = given["function_name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn: str = given["invoked_function_arn"]
        self.memory_limit_in_mb = str(given["memory_limit_in_mb"])
        self.aws_request_id: str = given["aws_request_id"]
        self.log_group_name: str = given["log_group_name"]
        self.log_stream_name: str = given["log_stream_name"]
        self._deadline = time.monotonic() + float(given["timeout"])

    def get_remaining_time_in_millis(self) -> int:
        """Real milliseconds until the function is killed."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class _Encoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        return float(o) if isinstance(o, decimal.Decimal) else super().default(o)


def marshalled(result: Any) -> dict[str, Any]:
    """The handler's result as JSON text, or the runtime's error for what JSON cannot say."""
    try:
        return {"result": json.dumps(result, cls=_Encoder)}
    except (TypeError, ValueError) as error:
        return {"failure": failure("Runtime.MarshalError", f"Unable to marshal response: {error}")}


def described(error: BaseException) -> dict[str, Any]:
    """An exception as Lambda reports it; the frames of this module are left out."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return failure(type(error).__name__, str(error), traceback.format_list(frames))


def failure(kind: str, message: str, stack: list[str] | None = None) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": stack or []}


def set_clock(offset: timedelta) -> None:
    """Makes the handlers' clock tell the virtual time. Functions without that module keep the real one."""
    try:
        clock: Any = importlib.import_module(CLOCK)
    except ModuleNotFoundError:
        return
    clock.utc_now = lambda: datetime.now(UTC) + offset


def redirect_output(path: str) -> None:
    """Sends everything that this process and its children print to the function's log."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def warm_up() -> None:
    """Reads the SDK's data files before anything is forked: that is most of what a cold start costs."""
    for module in PRELOADED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    import boto3
    from botocore import endpoint
    from botocore.hooks import EventAliaser
    from botocore.loaders import JSONFileLoader, Loader

    owners: tuple[tuple[Any, str], ...] = (
        (JSONFileLoader, "load_file"),
        (Loader, "list_available_services"),
        (EventAliaser, "_alias_event_name"),
    )
    for owner, name in owners:
        setattr(owner, name, _once_for_all(getattr(owner, name)))
    # The SDK's pauses between its attempts are waits like any other: they cost no real time.
    endpoint.time = SimpleNamespace(sleep=lambda seconds: None)  # type: ignore[attr-defined]
    session = boto3.Session("warm", "up", region_name="eu-central-1")
    for service in WARM_SERVICES:
        session.client(service)  # type: ignore[call-overload]
    gc.collect()
    gc.freeze()


def _once_for_all(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method with its results kept for all objects of its class, by the other arguments."""
    kept: dict[Any, Any] = {}

    def remembered(self: Any, *arguments: Any, **named: Any) -> Any:
        key = (arguments, tuple(sorted(named.items())))
        if key not in kept:
            kept[key] = method(self, *arguments, **named)
        return kept[key]

    return remembered


def main() -> None:
    """Runs the root; its socket's descriptor is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the socket
    channel = socket.socket(fileno=int(sys.argv[1]))
    warm_up()
    serve_forks(channel, lambda message: Function(message).serve)


if __name__ == "__main__":
    main()
