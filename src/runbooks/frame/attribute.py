"""Who really started a run: CloudTrail's event of the `StartExecution` call names the caller, whatever the input says.

EventBridge hands the event over some minutes after the call, if the account has a trail. What the API, a trigger or a
schedule has started, a function of this stack has called for; it knows from IAM, or from the event, in whose name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.aws.failures import translate
from runbooks.aws.redaction import redact
from runbooks.frame.notify import count, publish
from runbooks.frame.step import Frame, frame, logger
from runbooks.policy import person
from runbooks.settings import Settings
from runbooks.store.runs import Approval, Run, run_id_of

STATE = "Attribute"
"""The state that entries about the starter carry."""


@dataclass(frozen=True)
class Starter:
    """Who made the call. `arn` is the caller that CloudTrail names."""

    arn: str
    on_behalf_of: str | None = None
    """In whose name a function of this stack made the call."""

    @property
    def who(self) -> str:
        """Whoever is behind the call, as far as anybody can know."""
        return self.on_behalf_of or self.arn


def caller_of(identity: dict[str, Any]) -> str:
    """The ARN in CloudTrail's `userIdentity`; for a call that a service made by itself, the service."""
    return str(identity.get("arn") or identity.get("invokedBy") or identity.get("principalId") or identity.get("type"))


def starter_of(run: Run, identity: dict[str, Any], settings: Settings) -> Starter:
    """Who CloudTrail says has started the run, and what this stack knows of that caller."""
    role = str(((identity.get("sessionContext") or {}).get("sessionIssuer") or {}).get("arn") or "")
    in_a_name = run.identity == "verified" and role in settings.starting_roles
    return Starter(
        arn=caller_of(identity),
        on_behalf_of=run.requested_by if in_a_name else None,
    )


def contradictions(run: Run, approval: Approval | None, starter: Starter) -> list[str]:
    """What CloudTrail's caller contradicts, a sentence each: the name in the input, or that somebody else approved."""
    found = []
    if not _is_as_claimed(run, starter):
        claim = "this stack started it in the name of" if run.identity == "verified" else "the input says that"
        asks = "" if run.identity == "verified" else " asks"
        found.append(f"{claim} {run.requested_by}{asks}, and CloudTrail says that {starter.arn} started the run")
    decided_by = approval.decided_by if approval else None
    if decided_by is not None and person(decided_by) == person(starter.who):
        found.append(f"{decided_by} decided on a run that {starter.who} started: nobody decides on their own run")
    return found


def _is_as_claimed(run: Run, starter: Starter) -> bool:
    if run.identity == "verified":
        # Whoever else starts it under this name and with this input has only pretended to be our function.
        return starter.on_behalf_of is not None
    return not run.requested_by or person(run.requested_by) == person(starter.arn)


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
    starter = starter_of(run, detail.get("userIdentity") or {}, frame.settings)
    if run.attributed_to is not None:
        return "known"
    wrong = contradictions(run, frame.ledger.approval(run.run_id), starter)
    told = {
        "caller": starter.arn,
        "on_behalf_of": starter.on_behalf_of,
        "claimed": run.requested_by,
        "contradictions": wrong,
        "event_id": detail.get("eventID"),
        "called_at": detail.get("eventTime"),
        "source_ip": detail.get("sourceIPAddress"),
        "user_agent": detail.get("userAgent"),
    }
    attributed = frame.ledger.attribute(run, starter.who, redact(told), state=STATE, now=clock.utc_now())
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
