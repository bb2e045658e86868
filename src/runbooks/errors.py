"""Every error that a run can raise or end with, and nothing else.

Step Functions matches the *name* that a function reports, and a Catch on a base class does not match a
subclass: so these are leaves, and only their names matter. `ENDINGS` can stand on a failed execution,
`TRANSIENT` are retried by every Task state, and the rest are causes that `Record failure` reports.
"""


class RunbookError(Exception):
    """Base of all of them; never raised itself and never named in a state machine."""


class InputInvalid(RunbookError):
    """The start input does not fit the runbook's model; the message names the field. Nothing was read."""


class TargetLocked(RunbookError):
    """Another run is working on the target; the message names it."""


class ChangeFreeze(RunbookError):
    """A freeze window or the kill switch forbids changes now."""


class Refused(RunbookError):
    """The runbook, or the policy, will not act on this target; the message says why."""


class HandOff(RunbookError):
    """A human must go on; the message ends with the exact command or page."""


class ApprovalDenied(RunbookError):
    """An approver said no."""


class ApprovalExpired(RunbookError):
    """Nobody decided in time. The request is void for good; start the run again."""


class PlanStale(RunbookError):
    """The world moved after the plan was made, so the approved plan was not applied."""


class RemediationFailed(RunbookError):
    """The fix did not take. Every change was undone and the target is as it was before."""


class UndoFailed(RunbookError):
    """The fix did not take and something is left; the message names it. A human is needed now."""


class PolicyInvalid(RunbookError):
    """The policy document in Parameter Store does not fit its model; nothing runs until it does."""


class PlanUnsafe(RunbookError):
    """A plan carries something that must not be stored in clear, so it cannot be recorded or approved."""


class MutationRefused(RunbookError):
    """A call that is not on the list of reviewed reads was made outside an open change."""


class NotVerified(RunbookError):
    """The changes were applied, but the diagnosis does not say healthy."""


class PhaseFailed(RunbookError):
    """A phase's own check says that it cannot succeed any more."""


class DeadlineExceeded(RunbookError):
    """A phase did not settle within its deadline."""


class AccessDenied(RunbookError):
    """AWS denied a call; the message names the operation."""


class AwsRejected(RunbookError):
    """AWS rejected a call for good (validation, not found, conflict); it had no effect."""


class TargetBusy(RunbookError):
    """The target is in a state in which AWS does not take the call yet; it had no effect."""


class CheckFailed(RunbookError):
    """A check that the input asks for does not hold; the message says what was found."""


class LeaseLost(RunbookError):
    """The lock on the target now belongs to another run; this one must not act any more."""


class RunClosed(RunbookError):
    """The run has ended and cannot go on; start it again instead of redriving it."""


class RunAborted(RunbookError):
    """Somebody stopped the execution; the message says what is left."""


class RunTimedOut(RunbookError):
    """The execution outlived the machine's timeout; the message says what is left."""


class StepFailed(RunbookError):
    """A step ended with an error that no rule names; the message quotes it."""


class FailureNotRecorded(RunbookError):
    """The run failed and the failure could not be recorded; the sweep closes the run later."""


class AwsThrottled(RunbookError):
    """AWS throttled a call; it had no effect."""


class AwsUnavailable(RunbookError):
    """AWS answered 5xx or not at all; whether a mutation took effect is unknown and must be looked at."""


class LedgerUnavailable(RunbookError):
    """State or audit could not be written; nothing was changed without it."""


class ChangeUnsettled(RunbookError):
    """An earlier attempt at a change may still be running; look again after its own deadline."""


TRANSIENT: tuple[type[RunbookError], ...] = (AwsThrottled, AwsUnavailable, LedgerUnavailable)
"""Retried by the standard Retry of every Task."""

NAMES: frozenset[str] = frozenset(
    name
    for name, value in globals().items()
    if isinstance(value, type) and issubclass(value, RunbookError) and value is not RunbookError
)
"""The names of all leaves: what a state machine may mention besides the `States.` and `Lambda.` names."""
