"""What no state can catch: executions that were stopped, timed out, or died. Their runs are closed here.

EventBridge calls it on every ended execution, and a schedule every 15 minutes for the events that were lost.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.aws.redaction import redact
from runbooks.errors import RunbookError
from runbooks.frame.advice import with_next_step
from runbooks.frame.notify import count, tell_end
from runbooks.frame.outcome import after_verification, describe
from runbooks.frame.step import Frame, frame, logger
from runbooks.store.runs import ChangeStatus, Run, run_id_of

STATE = "Reap"
"""The state that audit entries of the reaper carry."""

_SETTLING = timedelta(minutes=2)
"""A run that began less than this ago may not have reached its first step yet."""

_STUCK = timedelta(hours=24)
"""An execution that still runs after this is reported."""

_ERRORS = {"ABORTED": "RunAborted", "TIMED_OUT": "RunTimedOut"}


def reap(frame: Frame, run: Run, status: str, error: str) -> Run:
    """Close the run of an execution that ended with this status without closing it.

    The lock stays until a function that may still be acting is surely over.
    """
    ledger, now = frame.ledger, clock.utc_now()
    seen = _inspect(frame, run)
    run = ledger.open_run(run.run_id)
    diagnosis = ledger.diagnosis(run.run_id)
    records = ledger.changes(run.run_id)
    plan = diagnosis.plan if diagnosis else None
    left = [describe(record, plan) for _, record in sorted(records.items()) if record.may_have_happened]
    detail = {"status": status, "error": error, "changes_left": left, "seen": seen}
    run = ledger.record(run, "run.reaped", redact(detail), state=STATE, now=now)
    happened = after_verification(run, diagnosis, records) or (
        f"left at the target: {'; '.join(left)}" if left else "nothing was changed"
    )
    following = f" The next run would: {'; '.join(seen['next'])}" if seen.get("next") else ""
    ended = f"the execution ended {status}{f' ({error})' if error else ''}"
    name = _ERRORS.get(status, "StepFailed")
    cause = with_next_step(name, f"{ended}; {happened}. Now: {seen['now']}{following}", run.run_id)
    unsettled = [r for r in records.values() if r.status in {ChangeStatus.INTENDED, ChangeStatus.UNDOING}]
    busy_until = max((clock.parse(record.deadline) for record in unsettled), default=None)
    run = ledger.close(
        run,
        outcome=status if status != "SUCCEEDED" else "FAILED",
        error_name=name,
        error_cause=redact(cause),
        detail={"seconds": round((now - clock.parse(run.started_at)).total_seconds())},
        state=STATE,
        now=now,
        busy_until=busy_until if busy_until and busy_until > now else None,
    )
    count("RunsFailed")
    return run


def _inspect(frame: Frame, run: Run) -> dict[str, Any]:
    """What the runbook's read-only function sees now. A function that cannot look is reported, not raised."""
    if run.given is None:
        return {"now": "the input was invalid, so there is nothing to look at"}
    event = {
        "execution": {"id": run.execution_arn, "name": run.execution_arn.rpartition(":")[2], "started": run.started_at},
        "runbook": run.runbook,
        "state": STATE,
        "step": "inspect",
    }
    try:
        answer = frame.client("lambda").invoke(
            FunctionName=f"{frame.settings.system}-{run.runbook}-diagnose", Payload=json.dumps(event).encode()
        )
    except (BotoCoreError, ClientError) as failure:
        return {"now": f"it could not be looked at: {failure}"}
    told: dict[str, Any] = json.load(answer["Payload"])
    if "FunctionError" in answer:
        return {"now": f"it could not be looked at: {told.get('errorType')}: {told.get('errorMessage')}"}
    return told


def on_event(frame: Frame, detail: dict[str, Any]) -> int:
    """An execution has ended: close its run if it is still open. Returns how many runs were closed."""
    runbook = detail["stateMachineArn"].rpartition(":")[2].removeprefix(f"{frame.settings.system}-")
    started = datetime.fromtimestamp(detail["startDate"] / 1000, UTC)
    run = frame.ledger.find(run_id_of(runbook, detail["executionArn"], started))
    if run is None:
        logger.info("the execution ended before its run was written", extra={"execution": detail["executionArn"]})
        return 0
    closed = 0
    if run.status == "open":
        run = reap(frame, run, detail["status"], str(detail.get("error") or ""))
        closed = 1
    tell_end(frame, run)
    return closed


def sweep(frame: Frame) -> int:
    """Close every run whose execution has ended, and tell every end that could not be told.

    One run that cannot be swept does not keep the others waiting; its error is raised at the end.
    """
    closed, failures = 0, []
    for listed in frame.ledger.unfinished():
        try:
            closed += _sweep_one(frame, listed.run_id)
        except (BotoCoreError, ClientError, RunbookError) as failure:
            logger.error("a run could not be swept", extra={"swept_run": listed.run_id, "cause": redact(str(failure))})
            failures.append(failure)
    if failures:
        raise failures[0]
    return closed


def _sweep_one(frame: Frame, run_id: str) -> int:
    run, now = frame.ledger.find(run_id), clock.utc_now()
    if run is None or now - clock.parse(run.started_at) < _SETTLING:
        return 0
    if run.status == "closed":
        tell_end(frame, run)
        return 0
    status, error = _execution(frame, run.execution_arn)
    if status == "RUNNING":
        if now - clock.parse(run.started_at) > _STUCK:
            logger.error("a run is stuck", extra={"stuck_run": run_id})
            count("RunsStuck")
        return 0
    tell_end(frame, reap(frame, run, status, error))
    return 1


def _execution(frame: Frame, arn: str) -> tuple[str, str]:
    """Status and error of an execution; Step Functions forgets executions 90 days after their end."""
    client = frame.client("stepfunctions")
    try:
        described = client.describe_execution(executionArn=arn)
    except client.exceptions.ExecutionDoesNotExist:
        return "FAILED", "Step Functions has forgotten the execution"
    return described["status"], str(described.get("error") or "")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An EventBridge event of an ended execution, or the schedule's."""
    if event.get("source") == "aws.states":
        return {"closed": on_event(frame(), event["detail"])}
    return {"closed": sweep(frame())}
