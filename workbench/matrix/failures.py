"""How each failure comes about: at one state's function, while it serves that state, and at no other time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.embedded.calls import ServiceError
from workbench.embedded.faults import Garbled, NoAnswer
from workbench.embedded.functions import Invocation
from workbench.matrix.cells import Failure

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.embedded.calls import Call

WRITE = "dynamodb:TransactWriteItems"
NEWCOMER = "a-run-that-took-the-lock-when-the-lease-had-run-out"

_ANSWERS = {
    Failure.THROTTLED: ("ThrottlingException", "Rate exceeded", 400),
    Failure.THROTTLED_FOR_GOOD: ("ThrottlingException", "Rate exceeded", 400),
    Failure.DENIED: ("AccessDeniedException", "You are not authorized to perform this operation", 400),
    Failure.UNAVAILABLE: ("InternalServerError", "We are sorry", 500),
    Failure.UNAVAILABLE_FOR_GOOD: ("InternalServerError", "We are sorry", 500),
    Failure.AUDIT_UNAVAILABLE: ("InternalServerError", "We are sorry", 500),
}
_FOR_GOOD = {
    Failure.THROTTLED_FOR_GOOD,
    Failure.DENIED,
    Failure.UNAVAILABLE_FOR_GOOD,
    Failure.AUDIT_UNAVAILABLE,
}
"""These last as long as the state is retried; all others are over with the first delivery."""


class Target(NamedTuple):
    """A call that is hit: the operation, and whether it goes to the frame's own tables."""

    operation: str
    of_the_ledger: bool = False


@dataclass(frozen=True)
class Aim:
    """What a failure hits in a state: its first call that can be refused, and the one that has its effect."""

    call: Target
    effect: Target

    def at(self, failure: Failure) -> Target:
        if failure in {Failure.ANSWER_LOST, Failure.KILLED}:
            return self.effect
        if failure is Failure.AUDIT_UNAVAILABLE:
            return self.effect if self.effect.of_the_ledger else Target(WRITE, of_the_ledger=True)
        return self.call

    def describe(self, failure: Failure) -> str:
        """What happens, in one sentence."""
        operation = self.at(failure).operation
        match failure:
            case Failure.THROTTLED | Failure.UNAVAILABLE:
                return f"{operation} answers {_ANSWERS[failure][0]} during the first delivery"
            case Failure.THROTTLED_FOR_GOOD | Failure.UNAVAILABLE_FOR_GOOD | Failure.DENIED:
                return f"{operation} answers {_ANSWERS[failure][0]} every time"
            case Failure.AUDIT_UNAVAILABLE:
                return f"{operation} on the frame's own tables answers {_ANSWERS[failure][0]} every time"
            case Failure.ANSWER_LOST:
                return f"{operation} takes effect, and the connection ends without an answer in the first delivery"
            case Failure.KILLED:
                return f"the function's process is killed when {operation} has taken effect"
            case Failure.TIMEOUT:
                return "the function has done all its work, and is reported as Sandbox.Timedout at its deadline"
            case Failure.GARBLED:
                return f"{operation} takes effect and answers 200 with a page of HTML"
            case Failure.NO_DOCUMENT:
                return "the function has done all its work, and answers with a string instead of the run document"
            case Failure.TWICE:
                return "two instances of the function get the event at once, and an error of either is the answer"
            case Failure.WORLD_CHANGED:
                return "somebody else changes the target before the function starts"
            case Failure.LEASE_LOST:
                return "another run holds the lock, with a higher token, before the function starts"


class Stage:
    """One state of an execution, under one failure. `struck` says how often the failure has come about."""

    def __init__(
        self, aws: EmbeddedAws, state: str, function: str, failure: Failure, aim: Aim, before: Callable[[], None]
    ) -> None:
        """`before` is called once before the first delivery, for the failures that happen then."""
        self.aws = aws
        self.state = state
        self.function = next(spec for spec in aws.stack.functions if spec.name == function)
        self.failure = failure
        self.aim = aim
        self.before = before
        self.deliveries = 0
        self.struck = 0
        self._inside = 0
        self._hit: int | None = None
        """The delivery that makes the call that is meant, which need not be the first: an inverse may have to wait."""
        self._lock = threading.Lock()

    def arm(self) -> None:
        """From now on it happens."""
        faults, failure = self.aws.faults, self.failure
        faults.around(self.function.name, self._around)
        operation = self.aim.at(failure).operation
        if failure in _ANSWERS:
            faults.before(operation, self._raise(lambda: ServiceError(*_ANSWERS[failure])), where=self._is_meant)
        elif failure is Failure.ANSWER_LOST:
            faults.after(operation, self._raise(NoAnswer), where=self._is_meant)
        elif failure is Failure.GARBLED:
            faults.after(operation, self._raise(Garbled), where=self._is_meant)
        elif failure is Failure.KILLED:
            faults.after(operation, self._kill, times=1, where=self._is_meant)

    def _is_meant(self, call: Call) -> bool:
        own = [self.aws.outputs[name].encode() for name in ("StateTableName", "AuditTableName")]
        ours = (
            self._inside > 0
            and call.caller == self.function.name[-50:]
            and any(name in call.body for name in own) == self.aim.at(self.failure).of_the_ledger
        )
        if ours and self._hit is None:
            self._hit = self.deliveries
        return ours and (self._hit == self.deliveries or self.failure in _FOR_GOOD)

    def _raise(self, error: Callable[[], Exception]) -> Callable[[EmbeddedAws], None]:
        def strike(aws: EmbeddedAws) -> None:
            self.struck += 1
            raise error()

        return strike

    def _kill(self, aws: EmbeddedAws) -> None:
        self.struck += aws.kill(self.function.name)

    def _around(self, event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        if event.get("state") != self.state:
            return invoke()
        with self._lock:
            self.deliveries += 1
            self._inside += 1
            first = self.deliveries == 1
        try:
            return self._first(invoke) if first else invoke()
        finally:
            with self._lock:
                self._inside -= 1

    def _first(self, invoke: Callable[[], Invocation]) -> Invocation:
        match self.failure:
            case Failure.WORLD_CHANGED | Failure.LEASE_LOST:
                self.before()
                self.struck += 1
                return invoke()
            case Failure.TWICE:
                self.struck += 1
                with ThreadPoolExecutor(2) as threads:
                    both = [threads.submit(invoke) for _ in range(2)]
                # The machine may have lost the answer of the one that was faster, so the other's is what counts.
                return max((each.result() for each in both), key=lambda answer: answer.failed)
            case Failure.TIMEOUT:
                answer = invoke()
                self.struck += 1
                self.aws.clock.advance(timedelta(seconds=self.function.timeout))
                message = f"Error: Task timed out after {self.function.timeout:.2f} seconds"
                report = {"errorType": "Sandbox.Timedout", "errorMessage": message}
                return Invocation(answer.request_id, json.dumps(report), failed=True)
            case Failure.NO_DOCUMENT:
                answer = invoke()
                self.struck += 1
                return Invocation(answer.request_id, '"this is not a run document"', failed=False)
            case _:
                return invoke()
