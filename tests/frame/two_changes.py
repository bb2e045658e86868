"""A step of a runbook with two changes in one phase, run in a process of its own that can be killed at any moment.

Usage: python two_changes.py STEP MINUTES_LATER MOMENT, with the environment of a function. MOMENT names an audit event
(`change.done:1`: after the first one is durable) or a call (`call:2`: after the second one has had its effect); the
process then dies as a killed one does, without a word. `never` lets it end.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from runbooks import catalogue, clock
from runbooks.arn import arn
from runbooks.aws.session import AwsSession
from runbooks.frame import act, diagnose, fail
from runbooks.model import (
    Change,
    Model,
    Phase,
    Proof,
    Risk,
    Runbook,
    RunInput,
    Undo,
    healthy,
    remediable,
    settled,
)
from runbooks.store.runs import Ledger

NAME, PHASE, TABLE, ITEMS = "two-changes", "Set both values", "toy", ("first", "second")
KILLED = 9
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:two-changes:x"
STARTED = "2026-11-21T03:00:00.000Z"


class Facts(Model):
    values: dict[str, str]


def gather(given: RunInput, aws: AwsSession, now: datetime) -> Facts:
    table = aws.client("dynamodb")
    read = {name: table.get_item(TableName=TABLE, Key={"id": {"S": name}}, ConsistentRead=True) for name in ITEMS}
    return Facts(values={name: answer["Item"]["value"]["S"] for name, answer in read.items()})


def decide(given: RunInput, facts: Facts, now: datetime) -> Any:
    stale = [name for name in ITEMS if facts.values[name] != "new"]
    return remediable("values are old", *(change(name) for name in stale)) if stale else healthy("both are new")


def change(name: str) -> Change:
    def write(value: str) -> dict[str, Any]:
        return {
            "TableName": TABLE,
            "Key": {"id": {"S": name}},
            "UpdateExpression": "SET #value = :value",
            "ExpressionAttributeNames": {"#value": "value"},
            "ExpressionAttributeValues": {":value": {"S": value}},
        }

    def shows(value: str) -> Proof:
        key = {"TableName": TABLE, "Key": {"id": {"S": name}}, "ConsistentRead": True}
        return Proof(operation="dynamodb:GetItem", parameters=key, path="Item.value.S", equals=value)

    return Change(
        phase=PHASE,
        operation="dynamodb:UpdateItem",
        parameters=write("new"),
        was=f"{name} old",
        becomes=f"{name} new",
        undo=Undo(operation="dynamodb:UpdateItem", parameters=write("old"), proof=shows("old")),
        proof=shows("new"),
    )


RUNBOOK = Runbook(
    name=NAME,
    title="Two changes in one phase",
    risk=Risk.REPAIRS,
    input=RunInput,
    facts=Facts,
    targets=lambda given, account, region: [arn("dynamodb", region, account, f"table/{TABLE}")],
    gather=gather,
    decide=decide,
    phases=(
        Phase(
            name=PHASE,
            question="Are both values set?",
            settled=lambda given, facts: settled("writes are durable"),
            rests_on=lambda facts: facts.model_dump(mode="json"),
            within=timedelta(minutes=1),
        ),
    ),
)


def event(step: str) -> dict[str, Any]:
    """What the machine's Task passes for this step."""
    execution = {"id": EXECUTION, "name": "x", "started": STARTED}
    document = {"error": {"Error": "NotVerified", "Cause": json.dumps({"errorMessage": "a test says so"})}}
    return {
        "execution": execution,
        "runbook": NAME,
        "state": step,
        "step": step,
        "phase": PHASE,
        "document": document if step in {"undo", "fail"} else {},
    }


def die_at(moment: str) -> None:
    """Kill this process right after the moment."""
    seen: dict[str, int] = {}

    def strike(name: str) -> None:
        seen[name] = seen.get(name, 0) + 1
        if f"{name}:{seen[name]}" == moment:
            os._exit(KILLED)

    record, send = Ledger.record, AwsSession.change

    def recorded(self: Ledger, run: Any, what: str, *rest: Any, **more: Any) -> Any:
        after = record(self, run, what, *rest, **more)
        strike(what)
        return after

    def sent(self: AwsSession, *rest: Any, **more: Any) -> Any:
        answer = send(self, *rest, **more)
        strike("call")
        return answer

    Ledger.record, AwsSession.change = recorded, sent


def main(step: str, minutes_later: str, moment: str) -> None:
    catalogue.load = lambda _: RUNBOOK
    now = datetime(2026, 11, 21, 3, 0, tzinfo=UTC) + timedelta(minutes=float(minutes_later))
    clock.utc_now = lambda: now
    die_at(moment)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    handlers = {"apply": act.handler, "undo": act.handler, "fail": fail.handler}
    answer = handlers.get(step, diagnose.handler)(event(step), context)
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
