"""Starting a run in somebody's name: the record of who asks first, then the execution. Twice is once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.arn import arn
from runbooks.aws.failures import translate
from runbooks.frame.step import Frame
from runbooks.model import canonical, digest
from runbooks.store.runs import run_id_of
from runbooks.store.starts import Start, Starts

LARGEST = 262_144
"""Bytes of input that StartExecution takes."""
_SURELY_DEAD = timedelta(minutes=1)
"""Whoever wrote a record this long ago and has not started its execution will not do so any more."""


class NameTaken(Exception):
    """The name stands for another request already; the message says which."""


class NotDeployed(Exception):
    """The stack has no state machine for the runbook."""


@dataclass(frozen=True)
class Begun:
    """A run that was started, now (`new`) or by the same request before."""

    run_id: str
    execution_arn: str
    new: bool


def start(frame: Frame, *, runbook: str, document: dict[str, Any], execution: str, requested_by: str) -> Begun:
    """Start the runbook on `document`, under the execution name that is this request's own.

    Raises:
        NameTaken: the name was used for another runbook or input.
        NotDeployed: there is no machine of that name.
        AwsThrottled, AwsUnavailable, LedgerUnavailable: try again, with the same name.
    """
    now = clock.utc_now()
    starts = Starts(frame.tables)
    wanted = Start(
        execution=execution,
        runbook=runbook,
        requested_by=requested_by,
        input_hash=digest(document),
        at=clock.iso(now),
    )
    record, new = starts.claim(wanted)
    if (record.runbook, record.input_hash, record.requested_by) != (runbook, wanted.input_hash, requested_by):
        raise NameTaken(f"it was used {record.at} to start {record.runbook} with another input")
    if record.run_id and record.execution_arn:
        return Begun(record.run_id, record.execution_arn, new=False)
    if now - clock.parse(record.at) > _SURELY_DEAD:
        record = starts.renew(record, now)
    execution_arn, started = _started(frame, runbook, execution, canonical(document).decode())
    run_id = run_id_of(runbook, execution_arn, started)
    starts.started(record, execution_arn, run_id)
    return Begun(run_id, execution_arn, new)


def _started(frame: Frame, runbook: str, execution: str, text: str) -> tuple[str, datetime]:
    """Starts the execution, or finds the one that has been started so: its ARN and when it started."""
    settings, client = frame.settings, frame.client("stepfunctions")
    name = f"{settings.system}-{runbook}"
    machine = arn("states", settings.region, settings.account, f"stateMachine:{name}")
    try:
        answer = client.start_execution(stateMachineArn=machine, name=execution, input=text)
    except client.exceptions.ExecutionAlreadyExists:
        # It has ended already, or it has another input.
        answer = _described(client, arn("states", settings.region, settings.account, f"execution:{name}:{execution}"))
        if json.loads(answer["input"]) != json.loads(text):
            raise NameTaken(f"an execution named {execution} was started with another input") from None
    except client.exceptions.StateMachineDoesNotExist:
        raise NotDeployed(f"{runbook} is not deployed in {settings.system}") from None
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "states:StartExecution") from failure
    return str(answer["executionArn"]), answer["startDate"].astimezone(UTC)


def _described(client: Any, execution_arn: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = client.describe_execution(executionArn=execution_arn)
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "states:DescribeExecution") from failure
    return answer
