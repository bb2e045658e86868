"""What to do about a run that failed, by the name that it failed with: the end of the cause that an execution shows."""

from __future__ import annotations

_START_AGAIN = "start it again"
NEXT: dict[str, str] = {
    "AccessDenied": "have the permission granted, then start it again",
    "ApprovalDenied": "talk to whoever said no, then start it again",
    "ApprovalExpired": "find somebody who can decide, then start it again",
    "AwsRejected": "mend what AWS objects to, then start it again",
    "AwsThrottled": _START_AGAIN,
    "AwsUnavailable": _START_AGAIN,
    "ChangeFreeze": 'wait until it is over, or start it with "mode": "plan"',
    "ChangeUnsettled": "look at the target in a few minutes, when the attempt is surely over, then start it again",
    "CheckFailed": "mend what was found, or what the input asks for, then start it again",
    "DeadlineExceeded": "see what the target is waiting for, then start it again",
    "FailureNotRecorded": "wait 15 minutes for the sweep to close the run, then read in its trail what is left",
    "HandOff": "go on by hand from what is said here",
    "InputInvalid": "mend the input and start it again",
    "LeaseLost": "follow the run that has the target now",
    "LedgerUnavailable": "see that the tables can be written, then start it again",
    "MutationRefused": "report it as a fault of the runbook, whose call was not made",
    "NotVerified": "read in the findings what is still wrong",
    "PhaseFailed": "mend what the phase failed at, then start it again",
    "PlanStale": "start it again, for a plan of the world as it is now",
    "PlanUnsafe": "take what is secret out of what the plan would change, then start it again",
    "PolicyInvalid": "mend the policy document in Parameter Store",
    "Refused": "read why; nothing was changed",
    "RemediationFailed": "the target is as it was; find another remedy, beginning with the first part of this",
    "RunAborted": "look at the target, then start it again under another name; it goes on from what it finds",
    "RunClosed": "start it again under another name, as a redrive cannot go on",
    "RunTimedOut": "see in the trail what took so long, then start it again; it goes on from what it finds",
    "StepFailed": "look in the function's log at what happened, mend it and start it again",
    "TargetBusy": "wait until the target is at rest, then start it again",
    "TargetLocked": "follow that run",
    "UndoFailed": "act now: a human must look at what is named here",
}
"""One short sentence for every error that there is, without a period."""


def next_step(name: str, cause: str) -> str:
    """The cause as a sentence, with what to do next unless it says that itself. Without a period at its end."""
    if "Next: " in cause:
        return cause
    # A run that ended under an earlier release may have a name that is gone.
    return f"{cause.rstrip('.')}. Next: {NEXT.get(name, NEXT['StepFailed'])}"


def with_next_step(name: str, cause: str, run_id: str) -> str:
    """The same, and where all that happened can be read."""
    told = next_step(name, cause)
    return told if told == cause else f"{told} (the trail: runbook audit show {run_id})."
