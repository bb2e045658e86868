"""`Record failure`: name what happened, free the target, close the trail, tell somebody."""

from __future__ import annotations

from typing import Any

from runbooks import clock
from runbooks.aws.redaction import redact
from runbooks.errors import TRANSIENT
from runbooks.frame.advice import with_next_step
from runbooks.frame.approval import said_no
from runbooks.frame.notify import count, tell_end
from runbooks.frame.outcome import ending, reported_error
from runbooks.frame.step import Step, step_handler
from runbooks.store.runs import ChangeStatus, Run


def fail(step: Step) -> dict[str, Any]:
    """Close the run with the error that the execution will fail with. Twice is once."""
    run = step.ledger.find(step.run_id) or _never_written(step)
    if run.status == "open":
        run = _close(step, run)
    tell_end(step.frame, run)
    name = run.error_name or "StepFailed"
    cause = with_next_step(name, run.error_cause or f"{run.run_id} ended {run.outcome}", run.run_id)
    return step.document(run, error_name=name, error_cause=cause)


def _close(step: Step, run: Run) -> Run:
    records = step.ledger.changes(run.run_id)
    error = reported_error(step.event.document)
    if error is not None and error[0] in {"ApprovalDenied", "LeaseLost"}:
        error = _revoked(step, run) or error
    if error is not None and error[0] not in _OF_ASKING and _is_undecided(step, run):
        told = f"the wait for approval was ended with {error[0]!r}, and not by a decision"
        error = "StepFailed", f"{told}; nothing was approved, and nothing was changed"
    name, cause = ending(run, step.ledger.diagnosis(run.run_id), records, error)
    unsettled = [r for r in records.values() if r.status in {ChangeStatus.INTENDED, ChangeStatus.UNDOING}]
    busy_until = max((clock.parse(record.deadline) for record in unsettled), default=None)
    now = clock.utc_now()
    run = step.ledger.close(
        run,
        outcome="FAILED",
        error_name=name,
        error_cause=redact(cause),
        detail={"seconds": round((now - step.started).total_seconds())},
        state=step.event.state,
        now=now,
        busy_until=busy_until if busy_until and busy_until > now else None,
    )
    count("RunsFailed")
    if name == "UndoFailed":
        count("UndosFailed")
    return run


_OF_ASKING = {each.__name__ for each in TRANSIENT} | {
    "AccessDenied",
    "AwsRejected",
    "PlanStale",
    "RunClosed",
    "StepFailed",
}
"""What asking for approval can fail with by itself. Whoever holds the task token may send any other name."""


def _is_undecided(step: Step, run: Run) -> bool:
    approval = step.ledger.approval(run.run_id)
    return approval is not None and approval.status == "pending"


def _revoked(step: Step, run: Run) -> tuple[str, str] | None:
    """Revoking takes the lock away too, so that whichever of the two a step misses, the run ends as denied."""
    approval = step.ledger.approval(run.run_id)
    if approval is None or approval.status != "revoked":
        return None
    return "ApprovalDenied", said_no(approval)


def _never_written(step: Step) -> Run:
    """The run of an execution that failed before `Begin run` could write it; it gets a trail all the same."""
    run = Run(
        run_id=step.run_id,
        runbook=step.event.runbook,
        execution_arn=step.event.execution.id,
        started_at=clock.iso(step.started),
    )
    detail = {"execution": step.event.execution.id, "note": "Begin run failed before it could write the run"}
    return step.ledger.begin(run, state=step.event.state, detail=detail, now=clock.utc_now())


handler = step_handler(fail)
