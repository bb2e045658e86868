"""Who really started a run: CloudTrail's event of the `StartExecution` call names the caller, whatever the input says.

EventBridge hands the event over some minutes after the call, if the account has a trail.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.aws.failures import translate
from runbooks.aws.redaction import redact
from runbooks.frame.notify import count, publish
from runbooks.frame.step import Frame, frame, logger
from runbooks.policy import person
from runbooks.store.runs import Approval, Run, run_id_of

STATE = "Attribute"
"""The state that entries about the starter carry."""


def caller_of(identity: dict[str, Any]) -> str:
    """The ARN in CloudTrail's `userIdentity`; for a call that a service made by itself, the service."""
    return str(identity.get("arn") or identity.get("invokedBy") or identity.get("principalId") or identity.get("type"))


def contradictions(run: Run, approval: Approval | None, caller: str) -> list[str]:
    """What CloudTrail's caller contradicts, a sentence each: the name in the input, or that somebody else approved."""
    found = []
    if run.requested_by and person(run.requested_by) != person(caller):
        found.append(f"the input says that {run.requested_by} asks, and CloudTrail says that {caller} started the run")
    decided_by = approval.decided_by if approval else None
    if decided_by is not None and person(decided_by) == person(caller):
        found.append(f"{decided_by} decided on a run that {caller} started: nobody decides on their own run")
    return found


def attribute(frame: Frame, detail: dict[str, Any]) -> str:
    """Record who called StartExecution, and tell people of a contradiction. Twice is once. Returns what came of it."""
    answer = detail.get("responseElements") or {}
    if detail.get("errorCode") or "executionArn" not in answer:
        return "the call started nothing"
    execution = str(answer["executionArn"])
    run = _run_of(frame, execution)
    if run is None:
        logger.warning("somebody started an execution that has no run", extra={"execution": execution})
        return "no run"
    caller = caller_of(detail.get("userIdentity") or {})
    if run.attributed_to is not None:
        return "known"
    wrong = contradictions(run, frame.ledger.approval(run.run_id), caller)
    told = {
        "caller": caller,
        "claimed": run.requested_by,
        "contradictions": wrong,
        "event_id": detail.get("eventID"),
        "called_at": detail.get("eventTime"),
        "source_ip": detail.get("sourceIPAddress"),
        "user_agent": detail.get("userAgent"),
    }
    attributed = frame.ledger.attribute(run, caller, redact(told), state=STATE, now=clock.utc_now())
    if wrong:
        count("RequestersContradicted")
        late = "" if attributed.attributed_to else "\nThe run was sealed before; its trail does not say this."
        publish(
            frame,
            f"[{frame.settings.stage}] {run.runbook}: WHO ASKED IS CONTRADICTED",
            f"Run {run.run_id}\n" + "\n".join(wrong) + f"{late}\n\nThe trail: runbook audit show {run.run_id}\n",
        )
    return "attributed" if attributed.attributed_to else "too late"


def _run_of(frame: Frame, execution: str) -> Run | None:
    # The event has the start in seconds only, and a run's id is made of its milliseconds.
    client = frame.client("stepfunctions")
    try:
        described = client.describe_execution(executionArn=execution)
    except client.exceptions.ExecutionDoesNotExist:
        return None
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "states:DescribeExecution") from failure
    runbook = execution.split(":")[6].removeprefix(f"{frame.settings.system}-")
    return frame.ledger.find(run_id_of(runbook, execution, described["startDate"].astimezone(UTC)))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An EventBridge event `AWS API Call via CloudTrail` of StartExecution."""
    return {"outcome": attribute(frame(), event["detail"])}
