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
    "InputInvalid": "mend the input and start it again",
    "LedgerUnavailable": "see that the tables can be written, then start it again",
    "PlanStale": "start it again, for a plan of the world as it is now",
    "PolicyInvalid": "mend the policy document in Parameter Store",
    "Refused": "read why; nothing was changed",
    "RemediationFailed": "the target is as it was; find another remedy, beginning with the first part of this",
    "TargetLocked": "follow that run",
    "UndoFailed": "act now: a human must look at what is named here",
}
"""One short sentence for each, without a period."""

_OTHERWISE = "look at what happened"


def with_next_step(name: str, cause: str, run_id: str) -> str:
    """The cause as a sentence, with what to do next, and where all that happened can be read."""
    if "Next: " in cause:
        return cause
    return f"{cause.rstrip('.')}. Next: {NEXT.get(name, _OTHERWISE)} (the trail: runbook audit show {run_id})."
