"""Everything that the functions of the stack do, once, on one embedded AWS: what they were seen to need."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runbooks import catalogue, clock
from runbooks.model import Undo
from runbooks.store.runs import Run, run_id_of
from workbench import scenario
from workbench.embedded.calls import Call, Response
from workbench.embedded.functions import Invocation
from workbench.iam.actions import Need, Request, Unreviewed, needs_of
from workbench.iam.template import Function, functions_of, keys_of, translation_of
from workbench.incident import Incident, run_scenario, start_input
from workbench.ledger import ledger_of
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws


@dataclass
class Seen:
    """What the functions were seen to need. `unreviewed` has a sentence for each operation that the table lacks."""

    needed: dict[str, dict[str, set[Need]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """By the function's name and the operation that it called."""
    unreviewed: set[str] = field(default_factory=set)


def allowed(aws: EmbeddedAws) -> dict[str, Function]:
    """What the deployed stack allows its functions, by name."""
    return functions_of(aws.stack, translation_of(aws.stack))


@contextmanager
def watched(aws: EmbeddedAws) -> Iterator[Seen]:
    """Within the block, the calls of the stack's functions are seen, refused ones too: IAM is asked first."""
    seen, lock = Seen(), threading.Lock()
    keys = keys_of(aws.stack, translation_of(aws.stack))
    names = {function.name for function in aws.stack.functions}
    endpoint = aws._endpoint
    answer: Callable[[Call], Response] = endpoint._answer

    def note(call: Call) -> None:
        request = Request(call.name, call.params, call.region, aws.account_id, keys)
        try:
            needs = needs_of(request)
        except Unreviewed as unreviewed:
            with lock:
                seen.unreviewed.add(f"{call.caller} called an operation that nobody has reviewed: {unreviewed}.")
        else:
            with lock:
                seen.needed[call.caller][call.name] |= needs

    def answer_and_note(call: Call) -> Response:
        response = answer(call)
        if call.caller in names:
            note(call)
        return response

    endpoint._answer = answer_and_note  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        del endpoint._answer


def seen_in_all_flows(aws: EmbeddedAws, tell: Callable[[str], None] = lambda _: None) -> Seen:
    """Runs every scenario of every runbook, and what none has: undos that no run came to, and ends of runs.

    `tell` is told what comes next.

    Takes two or three seconds a scenario.
    """
    with watched(aws) as seen:
        for runbook in catalogue.names():
            ways_back: dict[str, Scenario] = {}
            for each in scenario.of(runbook).values():
                aws.reset()
                tell(f"{runbook}: {each.title}")
                ended = run_scenario(aws, runbook, each)
                if ended.status == "SUCCEEDED":
                    ways_back |= dict.fromkeys(_undos(ended), each)
            for operation, each in ways_back.items():
                if operation not in seen.needed[f"{aws.stack_name}-{runbook}-act"]:
                    aws.reset()
                    tell(f"{runbook}: {each.title}; it cannot be verified, so {operation} takes it back")
                    run_scenario(aws, runbook, _not_verified(runbook, each))
            aws.reset()
            tell(f"{runbook}: An execution is gone, and the sweep finds its run")
            _lost(aws, runbook)
        aws.reset()
        tell("A run cannot even begin")
        _cannot_begin(aws)
        tell("Somebody rewrites the audit trail")
        _tamper(aws)
    aws.reset()
    return seen


def _undos(ended: Incident) -> set[str]:
    """The operations that would have taken back what the run changed."""
    plan = ended.diagnosis.plan if ended.diagnosis else None
    applied = {change.number for change in ended.changes}
    changes = enumerate(plan.changes if plan else (), 1)
    return {change.undo.operation for number, change in changes if number in applied and isinstance(change.undo, Undo)}


def _not_verified(runbook: str, incident: Scenario) -> Scenario:
    """The same incident, in which the verification fails after the changes have settled."""

    def verify(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        if event["step"] != "verify":
            return invoke()
        report = {"errorType": "NotVerified", "errorMessage": "it is not verified, whatever it is"}
        return Invocation("not-verified", json.dumps(report), failed=True)

    def arrange(aws: EmbeddedAws) -> None:
        incident.arrange(aws)
        aws.faults.around(f"{aws.stack_name}-{runbook}-diagnose", verify)

    return replace(incident, arrange=arrange)


def _lost(aws: EmbeddedAws, runbook: str) -> None:
    """A run whose execution Step Functions has forgotten, so that the sweep has the runbook's function look."""
    standard = next(iter(scenario.of(runbook).values()), None)
    if standard is None:
        return
    standard.arrange(aws)
    given = json.loads(start_input(runbook, standard.event))
    execution = f"arn:aws:states:{aws.region}:{aws.account_id}:execution:{aws.stack_name}-{runbook}:forgotten"
    started = aws.clock.now() - timedelta(hours=1)
    run = Run(
        run_id=run_id_of(runbook, execution, started),
        runbook=runbook,
        execution_arn=execution,
        started_at=clock.iso(started),
        requested_by=given["requested_by"],
        reason=given["reason"],
        given=given,
    )
    ledger_of(aws.outputs, aws.client("dynamodb")).begin(run, state="Begin run", detail={}, now=aws.clock.now())
    aws.sweep()


def _cannot_begin(aws: EmbeddedAws) -> None:
    """The first function fails before it has written the run, so that the last one writes it."""
    runbook = catalogue.names()[0]
    standard = next(iter(scenario.of(runbook).values()))
    aws.faults.fail("dynamodb:TransactWriteItems", code="InternalServerError", status=500, only_from="-begin")
    run_scenario(aws, runbook, standard)


def _tamper(aws: EmbeddedAws) -> None:
    """An entry of the trail that the flow before has left is changed."""
    dynamodb, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    entry = dynamodb.scan(TableName=table, Limit=1)["Items"][0]
    dynamodb.put_item(TableName=table, Item=entry | {"actor": {"S": "somebody else"}})
    aws.settle()
