"""What every machine has in common: how long a task may take, what is retried, what can be substituted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbooks.errors import TRANSIENT, ChangeUnsettled, TargetBusy
from runbooks.frame.diagnose import VERIFY_AGAIN
from runbooks.model import Runbook

FRAME_TIMEOUT = 30
"""Seconds that `template.yaml` gives a frame function."""
RUNBOOK_TIMEOUT = 60
"""Seconds that `template.yaml` gives the function of a runbook that reads; the one that acts has `acting_within`."""
MARGIN = 15
"""Seconds that a task outlives its function, so that no function still runs when its task has been given up."""


@dataclass(frozen=True)
class Retrier:
    """One entry of a task's Retry. Intervals are in seconds, `attempts` are those after the first."""

    errors: tuple[str, ...]
    interval: int
    backoff: float
    attempts: int
    longest: int
    jitter: bool = False

    def as_asl(self) -> dict[str, Any]:
        """The entry as a definition writes it."""
        entry: dict[str, Any] = {
            "ErrorEquals": list(self.errors),
            "IntervalSeconds": self.interval,
            "BackoffRate": self.backoff,
            "MaxAttempts": self.attempts,
            "MaxDelaySeconds": self.longest,
        }
        return entry | ({"JitterStrategy": "FULL"} if self.jitter else {})

    def longest_wait(self) -> int:
        """The seconds that all its intervals last together, at most."""
        return sum(min(self.longest, round(self.interval * self.backoff**attempt)) for attempt in range(self.attempts))


TRANSIENT_ERRORS = Retrier(
    errors=(
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
        "Lambda.Unknown",
        "Sandbox.Timedout",
        "Runtime.ExitError",
        *(error.__name__ for error in TRANSIENT),
    ),
    interval=2,
    backoff=2.0,
    attempts=5,
    longest=30,
    jitter=True,
)
"""The standard Retry: named errors that pass by themselves, and nothing that a repeat would not mend."""

UNSETTLED = Retrier(
    errors=(ChangeUnsettled.__name__, TargetBusy.__name__), interval=15, backoff=1.5, attempts=8, longest=60
)
"""For the acting tasks: an earlier attempt, or somebody else, may still be at it, so look again a little later."""

AT_REST = Retrier(
    errors=(TargetBusy.__name__,), interval=int(VERIFY_AGAIN.total_seconds()), backoff=1.0, attempts=15, longest=60
)
"""For the verification: a target that is busy, e.g. with its maintenance, is verified when it has come to rest."""


@dataclass(frozen=True)
class Function:
    """A function that a machine calls: the name it is substituted under, and its task's deadline in seconds."""

    substitution: str
    timeout: int

    @property
    def arn(self) -> str:
        return "${" + self.substitution + "}"

    @property
    def task_timeout(self) -> int:
        return self.timeout + MARGIN


BEGIN = Function("BeginFunctionArn", FRAME_TIMEOUT)
LOCK = Function("LockFunctionArn", FRAME_TIMEOUT)
APPROVAL = Function("ApprovalFunctionArn", FRAME_TIMEOUT)
FINISH = Function("FinishFunctionArn", FRAME_TIMEOUT)
FAIL = Function("FailFunctionArn", FRAME_TIMEOUT)
DIAGNOSE = Function("DiagnoseFunctionArn", RUNBOOK_TIMEOUT)


def act_of(runbook: Runbook) -> Function:
    """The acting function of a runbook."""
    return Function("ActFunctionArn", int(runbook.acting_within.total_seconds()))


def functions_of(runbook: Runbook) -> tuple[Function, ...]:
    """All the functions that the machine of a runbook calls."""
    return (BEGIN, LOCK, APPROVAL, FINISH, FAIL, DIAGNOSE, act_of(runbook))
