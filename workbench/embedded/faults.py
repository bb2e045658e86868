"""Faults on demand: errors that AWS calls answer with, and hooks that run around them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.embedded.calls import Call, ServiceError, canonical

if TYPE_CHECKING:
    from workbench.embedded.aws import EmbeddedAws

Hook = Callable[["EmbeddedAws"], None]


class NoAnswer(Exception):
    """The call gets no answer."""


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


class Faults:
    """What goes wrong, and when. Operations are written as `ecs:UpdateService`, `*` as the operation means any."""

    def __init__(self, aws: EmbeddedAws) -> None:
        """`aws` is what the hooks are called with."""
        self._aws = aws
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._hooks: list[_Hooked] = []

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
        self._hook("after" if took_effect else "before", operation, _hang_up, times, only_from)

    def before(self, operation: str, run: Hook, *, times: int | None = None, only_from: str | None = None) -> None:
        """Calls `run(aws)` before the operation takes effect; a ServiceError that it raises is the answer."""
        self._hook("before", operation, run, times, only_from)

    def after(self, operation: str, run: Hook, *, times: int | None = None, only_from: str | None = None) -> None:
        """Calls `run(aws)` after the operation took effect and before the caller knows."""
        self._hook("after", operation, run, times, only_from)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._faults.clear()
            self._hooks.clear()

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
                if hook.left is not None:
                    hook.left -= 1
                due.append(hook.run)
        for run in due:
            run(self._aws)

    def _hook(self, when: str, operation: str, run: Hook, times: int | None, only_from: str | None) -> None:
        with self._lock:
            self._hooks.append(_Hooked(canonical(operation), run, when, times, only_from))


def _hang_up(aws: EmbeddedAws) -> None:
    raise NoAnswer


def _meant(operation: str, only_from: str | None, call: Call) -> bool:
    service, _, name = operation.partition(":")
    return service == call.service and name in ("*", call.operation) and (only_from is None or only_from in call.caller)
