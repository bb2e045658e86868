"""Lambda's data plane: functions in processes of their own, each with its own environment, log and timeout."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.embedded import zygote
from workbench.embedded.clock import VirtualClock
from workbench.embedded.identities import identity

CONCURRENCY = 16
"""Workers per function; further invocations queue, as under a reserved concurrency with a patient caller."""
START_SECONDS = 60.0
"""How long a worker may take to import its handler."""
CLOSE_SECONDS = 15.0


@dataclass(frozen=True)
class FunctionSpec:
    """A function as the template declares it. `timeout` in seconds, `memory` in MB."""

    logical_id: str
    name: str
    arn: str
    handler: str
    timeout: int
    memory: int
    role: str
    log_group: str
    environment: Mapping[str, str] = field(default_factory=dict)
    task_root: str = "."


class EmbeddedFunctionError(Exception):
    """A function failed: `error_type` and `message` are what Lambda reports, `payload` is the whole report."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.payload = dict(payload)
        self.error_type = str(payload.get("errorType", ""))
        self.message = str(payload.get("errorMessage", ""))
        super().__init__(f"{self.error_type}: {self.message}")


@dataclass(frozen=True)
class Invocation:
    """How an invocation ended: its JSON payload, and whether that is an error report."""

    request_id: str
    payload: str
    failed: bool

    def result(self) -> Any:
        """What the handler returned. Raises EmbeddedFunctionError if it failed."""
        content = json.loads(self.payload)
        if self.failed:
            raise EmbeddedFunctionError(content)
        return content


@dataclass
class _Worker:
    channel: socket.socket
    pid: int

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class _Pool:
    """The processes of one function."""

    def __init__(self, spec: FunctionSpec, fork: Callable[[], socket.socket]) -> None:
        self.spec = spec
        self._fork = fork
        self._forks: socket.socket | None = None
        self._idle: list[_Worker] = []
        self.busy: list[_Worker] = []
        self._starting = 0
        self._free = threading.Condition()
        self._spawning = threading.Lock()

    def acquire(self) -> _Worker:
        with self._free:
            while True:
                if self._idle:
                    worker = self._idle.pop()
                    self.busy.append(worker)
                    return worker
                if len(self.busy) + self._starting < CONCURRENCY:
                    self._starting += 1
                    break
                self._free.wait()
        try:
            worker = self._spawn()
        finally:
            with self._free:
                self._starting -= 1
                self._free.notify()
        with self._free:
            self.busy.append(worker)
        return worker

    def release(self, worker: _Worker, *, alive: bool) -> None:
        with self._free:
            ours = worker in self.busy
            if ours:
                self.busy.remove(worker)
                if alive:
                    self._idle.append(worker)
            self._free.notify()
        if not (alive and ours):
            worker.channel.close()

    def retire(self, *, idle_too: bool = True) -> None:
        """Kills the busy workers, and lets the idle ones end."""
        with self._free:
            idle: list[_Worker] = []
            if idle_too:
                idle, self._idle = self._idle, []
            # Not busy any more: one that has answered at this moment must not be taken for an idle one.
            busy, self.busy = self.busy, []
            for worker in busy:
                worker.kill()
            self._free.notify_all()
        for worker in idle:
            worker.channel.close()

    def close(self) -> None:
        self.retire()
        with self._spawning:
            if self._forks is not None:
                self._forks.close()
                self._forks = None

    def _spawn(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with self._spawning, theirs:
            if self._forks is None:
                self._forks = self._fork()
            zygote.send(self._forks, {}, theirs.fileno())
        ours.settimeout(START_SECONDS)
        hello = zygote.receive(ours)
        if hello is None:
            raise RuntimeError(f"the process of {self.spec.name} ended before it could serve")
        return _Worker(ours, hello[0]["pid"])


class Functions:
    """All functions of the stack. Invocations may come from any thread."""

    def __init__(self, clock: VirtualClock, common_environment: Mapping[str, str]) -> None:
        """`common_environment`: what every function sees besides its own variables (endpoint, credentials, region)."""
        self._clock = clock
        self._common = dict(common_environment)
        self._logs = Path(tempfile.mkdtemp(prefix="embedded-aws-"))
        self._pools: dict[str, _Pool] = {}
        self._numbers = itertools.count(1)
        self._root, theirs = socket.socketpair()
        self._root_lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", zygote.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def configure(self, common_environment: Mapping[str, str]) -> None:
        """Adds to what every function sees. Takes effect for functions that have not been started yet."""
        self._common.update(common_environment)

    def define(self, specs: Iterable[FunctionSpec]) -> None:
        """Makes the functions known; they start when they are first invoked. A known one that has not changed stays."""
        wanted = {spec.name: spec for spec in specs}
        for name, pool in list(self._pools.items()):
            if wanted.get(name) != pool.spec:
                self._pools.pop(name).close()
        for name, spec in wanted.items():
            if name not in self._pools:
                self._pools[name] = _Pool(spec, functools.partial(self._start, spec))

    @property
    def specs(self) -> list[FunctionSpec]:
        return [pool.spec for pool in self._pools.values()]

    def find(self, name: str) -> FunctionSpec | None:
        """The function of that logical id, name or ARN (a qualifier is ignored); None if there is none."""
        bare = name.rpartition(":function:")[2].split(":")[0]
        if bare in self._pools:
            return self._pools[bare].spec
        return next((spec for spec in self.specs if spec.logical_id == name), None)

    def invoke(self, name: str, event: str) -> Invocation:
        """Runs the handler with the JSON text `event` and waits for it. Raises KeyError for an unknown function."""
        spec = self.find(name)
        if spec is None:
            raise KeyError(f"{name} is not a function of the stack")
        pool = self._pools[spec.name]
        request_id = identity("invocation", next(self._numbers))
        worker = pool.acquire()
        alive = False
        try:
            worker.channel.settimeout(spec.timeout)
            zygote.send(
                worker.channel,
                {
                    "event": event,
                    "offset": self._clock.offset.total_seconds(),
                    "context": {
                        "function_name": spec.name,
                        "invoked_function_arn": spec.arn,
                        "memory_limit_in_mb": spec.memory,
                        "aws_request_id": request_id,
                        "log_group_name": spec.log_group,
                        "log_stream_name": f"{worker.pid}",
                        "timeout": spec.timeout,
                    },
                },
            )
            frame = zygote.receive(worker.channel)
            alive = frame is not None
        except TimeoutError:
            worker.kill()
            message = f"RequestId: {request_id} Error: Task timed out after {spec.timeout:.2f} seconds"
            return _failed(request_id, "Sandbox.Timedout", message)
        except OSError:
            frame = None
        finally:
            pool.release(worker, alive=alive)
        if frame is None:
            message = f"RequestId: {request_id} Error: Runtime exited without providing a reason"
            return _failed(request_id, "Runtime.ExitError", message)
        outcome = frame[0]
        if "failure" in outcome:
            return Invocation(request_id, json.dumps(outcome["failure"]), failed=True)
        return Invocation(request_id, outcome["result"], failed=False)

    def kill(self, name: str) -> int:
        """Kills the processes that are serving the function now, as a crashed sandbox would; returns how many."""
        spec = self.find(name)
        if spec is None:
            raise KeyError(f"{name} is not a function of the stack")
        workers = list(self._pools[spec.name].busy)
        for worker in workers:
            worker.kill()
        return len(workers)

    def log(self, name: str) -> str:
        """Everything that the function has printed."""
        spec = self.find(name)
        if spec is None:
            raise KeyError(f"{name} is not a function of the stack")
        path = self._log(spec)
        return path.read_text(errors="replace") if path.exists() else ""

    def retire(self, *, idle_too: bool = True) -> None:
        """Kills the busy workers, and ends the idle ones. Imported handlers stay, so that a new one starts fast."""
        for pool in self._pools.values():
            pool.retire(idle_too=idle_too)

    def reset(self) -> None:
        """Forgets logs and counts from one again."""
        self._numbers = itertools.count(1)
        for path in self._logs.iterdir():
            os.truncate(path, 0)

    def close(self) -> None:
        """Ends all processes and waits for them, so that what they measured (coverage) is on disk."""
        for pool in self._pools.values():
            pool.close()
        self._root.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._logs, ignore_errors=True)

    def _log(self, spec: FunctionSpec) -> Path:
        return self._logs / f"{spec.name}.log"

    def _start(self, spec: FunctionSpec) -> socket.socket:
        ours, theirs = socket.socketpair()
        measuring = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        message = {
            "handler": spec.handler,
            "task_root": spec.task_root,
            "log": str(self._log(spec)),
            "environment": {
                "PATH": os.environ.get("PATH", os.defpath),
                "LANG": "en_US.UTF-8",
                "TZ": ":UTC",
                **measuring,
                **self._common,
                "AWS_LAMBDA_FUNCTION_NAME": spec.name,
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
                "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
                "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
                "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
                "AWS_SDK_UA_APP_ID": app_id(spec),
                "LAMBDA_TASK_ROOT": spec.task_root,
                "_HANDLER": spec.handler,
                **spec.environment,
            },
        }
        with theirs, self._root_lock:
            zygote.send(self._root, message, theirs.fileno())
        return ours


def app_id(spec: FunctionSpec) -> str:
    """What the function's SDK says in its user agent, so that the server knows who calls (50 characters at most)."""
    return spec.name[-50:]


def _failed(request_id: str, kind: str, message: str) -> Invocation:
    return Invocation(request_id, json.dumps({"errorType": kind, "errorMessage": message}), failed=True)
