"""One runbook's standard incident, warm and without approval: how long it takes, and what it does."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from importlib import import_module
from importlib.util import find_spec
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from runbooks.model import Risk
from runbooks.store.audit import Entry
from runbooks.store.runs import run_id_of
from workbench import scenario
from workbench.bench import counting
from workbench.incident import start_input
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.embedded.calls import Call

TIMES = 5
POLL = 0.01
"""Real seconds between two looks at an execution."""
PATIENCE = 60.0
NO_APPROVAL = {"approval": {risk.value: False for risk in Risk}}


class NotMeasured(Exception):
    """There is nothing to measure; the message says why."""


@dataclass(frozen=True)
class Bare:
    """What the bare script needs for the same, from its first call."""

    seconds: float
    calls: int


@dataclass(frozen=True)
class Costs:
    """What one run costs. `seconds` is the median of several, from StartExecution to the end of the execution."""

    runbook: str
    seconds: float
    transitions: int
    calls: int
    bare: Bare | None
    """None: nobody has written a bare script."""
    write_units: int
    index_units: int


def measured(aws: EmbeddedAws, runbook: str) -> Costs:
    """Runs the runbook's standard incident: once to warm up, then to measure, then to count. Raises NotMeasured."""
    _run(aws, runbook)
    seconds = statistics.median(_run(aws, runbook)[0] for _ in range(TIMES))
    aws.reset()
    written = _watched(aws)
    _, execution, trail = _run(aws, runbook, reset=False)
    events = _history(aws, execution)
    return Costs(
        runbook=runbook,
        seconds=seconds,
        transitions=counting.transitions(events),
        calls=counting.target_calls(trail),
        bare=_bare(aws, runbook),
        write_units=written.tables,
        index_units=written.indexes,
    )


def trail(aws: EmbeddedAws, runbook: str) -> list[Entry]:
    """The audit trail of the runbook's standard incident. Raises NotMeasured."""
    return _run(aws, runbook)[2]


def _run(aws: EmbeddedAws, runbook: str, *, reset: bool = True) -> tuple[float, str, list[Entry]]:
    if reset:
        aws.reset()
    aws.policy(NO_APPROVAL)
    incident = _standard(runbook)
    incident.arrange(aws)
    client = aws.client("stepfunctions")
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{runbook}"
    text = start_input(runbook, incident.event)
    began = time.monotonic()
    started = client.start_execution(stateMachineArn=machine, name="bench", input=text)
    execution = started["executionArn"]
    while (status := client.describe_execution(executionArn=execution)["status"]) == "RUNNING":
        if time.monotonic() - began > PATIENCE:
            raise NotMeasured(f"{execution} does not end")
        time.sleep(POLL)
    took = time.monotonic() - began
    if status != "SUCCEEDED":
        raise NotMeasured(f"the standard incident of {runbook} ended {status}")
    aws.settle()
    run_id = run_id_of(runbook, execution, started["startDate"].astimezone(UTC))
    return took, execution, ledger_of(aws.outputs, aws.client("dynamodb")).trail(run_id)


def _standard(runbook: str) -> scenario.Scenario:
    for incident in scenario.of(runbook).values():
        return incident
    raise NotMeasured(f"{runbook} has no incident to run it on")


def _history(aws: EmbeddedAws, execution: str) -> list[dict[str, Any]]:
    pages = aws.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"]]


def _watched(aws: EmbeddedAws) -> counting.WriteUnits:
    """Write units of all transactions from now on."""
    dynamodb = aws.client("dynamodb")
    kept: dict[str, list[tuple[str, ...]]] = {}

    def read(table: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        item: Mapping[str, Any] | None = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return item

    def indexes_of(table: str) -> Iterable[tuple[str, ...]]:
        if table not in kept:
            indexes = dynamodb.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes", ())
            kept[table] = [tuple(part["AttributeName"] for part in index["KeySchema"]) for index in indexes]
        return kept[table]

    written, requests = counting.WriteUnits(read, indexes_of), SimpleQueue[Mapping[str, Any]]()

    def note(call: Call) -> bool:
        requests.put(call.params)
        return True

    aws.faults.after("dynamodb:TransactWriteItems", lambda _: written.add(requests.get()), where=note)
    return written


def _bare(aws: EmbeddedAws, runbook: str) -> Bare | None:
    module = f"workbench.bench.bare.{runbook.replace('-', '_')}"
    if find_spec(module) is None:
        return None
    script, incident = import_module(module), _standard(runbook)
    given = json.loads(start_input(runbook, incident.event))
    times, calls = [], 0
    for _ in range(TIMES):
        aws.reset()
        incident.arrange(aws)
        before, began = len(aws.calls), time.monotonic()
        script.main(aws.client, lambda seconds: aws.clock.advance(timedelta(seconds=seconds)), given)
        times.append(time.monotonic() - began)
        calls = len(aws.calls) - before
    return Bare(statistics.median(times), calls)
