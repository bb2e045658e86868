"""Faults on demand: errors that AWS calls answer with, and hooks that run around them."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.embedded.calls import Call, ServiceError, canonical

if TYPE_CHECKING:
    from workbench.embedded.aws import EmbeddedAws
    from workbench.embedded.functions import FunctionSpec, Invocation

Hook = Callable[["EmbeddedAws"], None]
Wrapper = Callable[[Any, "Callable[[], Invocation]"], "Invocation"]
"""Gets the event of an invocation and what invokes the function with it; what it returns is the answer."""


class NoAnswer(Exception):
    """The call gets no answer. A hook may raise it."""


class Garbled(Exception):
    """The call gets an answer that is none: a success whose body no SDK can read. A hook may raise it."""


@dataclass
class _Fault:
    operation: str
    error: ServiceError
    left: int | None
    only_from: str | None
    skip: int


@dataclass
class _Hooked:
    operation: str
    run: Hook
    when: str
    left: int | None
    only_from: str | None
    where: Callable[[Call], bool] | None


class Faults:
    """What goes wrong, and when. Operations are written as `ecs:UpdateService`, `*` as the operation means any."""

    def __init__(self, aws: EmbeddedAws) -> None:
        """`aws` is what the hooks are called with."""
        self._aws = aws
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._hooks: list[_Hooked] = []
        self._wrappers: list[tuple[str, Wrapper]] = []

    def fail(
        self,
        operation: str,
        *,
        code: str,
        message: str = "A fault was injected.",
        status: int = 400,
        times: int | None = None,
        only_from: str | None = None,
        skip: int = 0,
    ) -> None:
        """The next `times` calls fail (None: all from now on), after `skip` that go through.

        `only_from`: a part of the calling function's name; calls of others are not touched.
        """
        fault = _Fault(canonical(operation), ServiceError(code, message, status), times, only_from, skip)
        with self._lock:
            self._faults.append(fault)

    def lose(self, operation: str, *, took_effect: bool, times: int | None = 1, only_from: str | None = None) -> None:
        """The next `times` calls get no answer, after or without having taken effect: the connection just ends."""
        self._hook("after" if took_effect else "before", operation, _hang_up, times, only_from, None)

    def before(
        self,
        operation: str,
        run: Hook,
        *,
        times: int | None = None,
        only_from: str | None = None,
        where: Callable[[Call], bool] | None = None,
    ) -> None:
        """Calls `run(aws)` before the operation takes effect; a ServiceError that it raises is the answer.

        `where` says of a call of the operation whether it is meant.
        """
        self._hook("before", operation, run, times, only_from, where)

    def after(
        self,
        operation: str,
        run: Hook,
        *,
        times: int | None = None,
        only_from: str | None = None,
        where: Callable[[Call], bool] | None = None,
    ) -> None:
        """Calls `run(aws)` after the operation took effect and before the caller knows."""
        self._hook("after", operation, run, times, only_from, where)

    def around(self, function: str, run: Wrapper) -> None:
        """Puts `run(event, invoke)` before the function (logical id, name, or `*`), whoever invokes it and waits.

        It may invoke the function or not, more than once, and answer with something else. `EmbeddedAws.invoke` goes
        past it.
        """
        with self._lock:
            self._wrappers.append((function, run))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._faults.clear()
            self._hooks.clear()
            self._wrappers.clear()

    def of(self, call: Call) -> ServiceError | None:
        """The error that this call must answer with, if any; counts it."""
        with self._lock:
            for fault in self._faults:
                if fault.left == 0 or not _meant(fault.operation, fault.only_from, call):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.left is not None:
                    fault.left -= 1
                return fault.error
        return None

    def run_hooks(self, when: str, call: Call) -> None:
        """Runs the hooks that are meant for this call; counts them."""
        due: list[Hook] = []
        with self._lock:
            for hook in self._hooks:
                if hook.when != when or hook.left == 0 or not _meant(hook.operation, hook.only_from, call):
                    continue
                if hook.where is not None and not hook.where(call):
                    continue
                if hook.left is not None:
                    hook.left -= 1
                due.append(hook.run)
        for run in due:
            run(self._aws)

    def invocation(self, function: FunctionSpec, event: str, invoke: Callable[[], Invocation]) -> Invocation:
        """The answer to an invocation, through whatever was put before the function."""
        with self._lock:
            wrappers = [run for name, run in self._wrappers if name in ("*", function.logical_id, function.name)]
        for run in wrappers:
            invoke = functools.partial(run, json.loads(event), invoke)
        return invoke()

    def _hook(
        self,
        when: str,
        operation: str,
        run: Hook,
        times: int | None,
        only_from: str | None,
        where: Callable[[Call], bool] | None,
    ) -> None:
        with self._lock:
            self._hooks.append(_Hooked(canonical(operation), run, when, times, only_from, where))


def _hang_up(aws: EmbeddedAws) -> None:
    raise NoAnswer


def _meant(operation: str, only_from: str | None, call: Call) -> bool:
    service, _, name = operation.partition(":")
    return service == call.service and name in ("*", call.operation) and (only_from is None or only_from in call.caller)
