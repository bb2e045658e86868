"""Everything that the functions of the stack do, once, on one embedded AWS: what they were seen to need."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from moto.iam.models import get_account_id_from

from runbooks import catalogue, clock
from runbooks.api.starting import execution_name
from runbooks.frame.schedule import Due
from runbooks.model import Undo, canonical
from runbooks.policy import Policy
from runbooks.store.runs import Run, run_id_of
from runbooks.triggers.reading import read
from runbooks.triggers.router import execution_name as trigger_name
from workbench import scenario
from workbench.embedded.calls import Call, Response
from workbench.embedded.functions import Invocation
from workbench.iam.actions import Need, Request, Unreviewed, needs_of
from workbench.iam.template import Function, functions_of, keys_of, translation_of
from workbench.incident import APPROVER, EVENTS, Incident, api_event, run_scenario, start_input
from workbench.ledger import ledger_of
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws


_PATIENCE = 60.0
"""Real seconds that a flow waits for a run to end."""


def _nothing() -> dict[str, dict[str, set[Need]]]:
    return defaultdict(_no_calls)


def _no_calls() -> dict[str, set[Need]]:
    return defaultdict(set)


@dataclass
class Seen:
    """What the functions were seen to need. `unreviewed` has a sentence for each operation that the table lacks."""

    needed: dict[str, dict[str, set[Need]]] = field(default_factory=_nothing)
    """By the function's name and the operation that it called."""
    unreviewed: set[str] = field(default_factory=set)

    def add(self, other: Seen) -> None:
        """What was seen another time as well."""
        for name, called in other.needed.items():
            for operation, needs in called.items():
                self.needed[name][operation] |= needs
        self.unreviewed |= other.unreviewed


def allowed(aws: EmbeddedAws) -> dict[str, Function]:
    """What the deployed stack allows its functions, by name."""
    return functions_of(aws.stack, translation_of(aws.stack))


@contextmanager
def watched(aws: EmbeddedAws, seen: Seen | None = None) -> Iterator[Seen]:
    """Within the block, the calls of the stack's functions are seen, refused ones too: IAM is asked first.

    They are added to what was `seen` before.
    """
    seen, lock = seen or Seen(), threading.Lock()
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
        # With keys of a role in another account it is that role which IAM asks.
        if call.caller in names and get_account_id_from(call.access_key) == aws.account_id:
            note(call)
        return response

    endpoint._answer = answer_and_note  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        del endpoint._answer


@dataclass(frozen=True)
class Watched:
    """One incident of a runbook, run to its end: what its functions needed, and what would take its changes back."""

    seen: Seen
    undos: frozenset[str]
    """Operations; none if the run did not succeed."""


def watch_incident(aws: EmbeddedAws, runbook: str, incident: Scenario) -> tuple[Incident, Watched]:
    """Runs the incident on an account that was reset."""
    with watched(aws) as seen:
        ended = run_scenario(aws, runbook, incident)
    undos = _undos(ended) if ended.status == "SUCCEEDED" else set()
    return ended, Watched(seen, frozenset(undos))


def seen_in_all_flows(
    aws: EmbeddedAws,
    tell: Callable[[str], None] = lambda _: None,
    known: Callable[[str, Scenario], Watched | None] = lambda _runbook, _incident: None,
) -> Seen:
    """Runs every scenario of every runbook, and what none has: undos that no run came to, and ends of runs.

    `tell` is told what comes next. An incident that is `known` is not run again.

    Takes two or three seconds a scenario.
    """
    seen = Seen()
    ways_back: dict[tuple[str, str], Scenario] = {}
    for runbook in catalogue.names():
        for each in scenario.of(runbook).values():
            found = known(runbook, each)
            if found is None:
                aws.reset()
                tell(f"{runbook}: {each.title}")
                _, found = watch_incident(aws, runbook, each)
            seen.add(found.seen)
            ways_back |= {(runbook, operation): each for operation in found.undos}
    with watched(aws, seen):
        for (runbook, operation), each in ways_back.items():
            if operation not in seen.needed[f"{aws.stack_name}-{runbook}-act"]:
                aws.reset()
                tell(f"{runbook}: {each.title}; it cannot be verified, so {operation} takes it back")
                run_scenario(aws, runbook, _not_verified(runbook, each))
        for runbook in catalogue.names():
            aws.reset()
            tell(f"{runbook}: An execution is gone, and the sweep finds its run")
            _lost(aws, runbook)
        aws.reset()
        tell("Runs are started, looked at, started again and stopped through the API")
        _through_the_api(aws)
        aws.reset()
        tell("An event of AWS starts a plan")
        _triggered(aws)
        aws.reset()
        tell("A schedule starts a plan")
        _scheduled(aws)
        aws.reset()
        tell("A run cannot even begin")
        _cannot_begin(aws)
        aws.reset()
        tell("CloudTrail names another starter than the input, and the trail is sealed, in the manifest of the day")
        _seal(aws)
        tell("Somebody rewrites the audit trail")
        _tamper(aws)
    aws.reset()
    return seen


def _undos(ended: Incident) -> set[str]:
    """The operations that would have taken back what the run changed."""
    plan = ended.diagnosis.plan if ended.diagnosis else None
    applied = {change.number for change in ended.changes}
    changes = enumerate(plan.changes if plan else (), 1)
    return {
        call.operation
        for number, change in changes
        if number in applied and isinstance(change.undo, Undo)
        for call in change.undo.calls
    }


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


def _through_the_api(aws: EmbeddedAws) -> None:
    """Every route once, and a start whose first attempt died between the execution and the note of it."""
    runbook = next(name for name in catalogue.names() if scenario.of(name) and _waits_for_approval(name, aws.stage))
    standard = next(iter(scenario.of(runbook).values()))
    standard.arrange(aws)
    given = json.loads(start_input(runbook, standard.event))

    def ask(method: str, path: str, body: Any = None, **event: Any) -> Any:
        answer = aws.invoke("ApiFunction", api_event(aws.account_id, method, path, body) | event)
        return json.loads(answer["body"])

    path = ask("POST", "/runs", {"runbook": runbook, "input": given | {"mode": "plan"}})["links"]["self"]
    while ask("GET", path)["status"] in {"open", 404}:
        pass
    for query in ({}, {"runbook": runbook}, {"status": "open"}, {"target": "arn:aws:ecs:eu-central-1:1:service/a/b"}):
        ask("GET", "/runs", queryStringParameters=query)
    for part in ("/audit", "/audit/verification"):
        ask("GET", f"{path}{part}")
    again = ask("POST", f"{path}/rerun", {"mode": "execute"})["links"]["self"]
    while ask("POST", f"{again}/stop", {"reason": "seen enough"}).get("status") == 404:
        pass
    _until_closed(aws, again.removeprefix("/runs/"))
    key, asker = "died", f"arn:aws:iam::{aws.account_id}:user/{APPROVER}"
    document = given | {"mode": "plan", "requested_by": asker}
    client, name = aws.client("stepfunctions"), execution_name(asker, key)
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{runbook}"
    started = client.start_execution(stateMachineArn=machine, name=name, input=canonical(document).decode())
    _until_closed(aws, run_id_of(runbook, started["executionArn"], started["startDate"].astimezone(UTC)))
    headers = {"content-type": "application/json", "idempotency-key": key}
    ask("POST", "/runs", {"runbook": runbook, "input": given | {"mode": "plan"}}, headers=headers)


def _triggered(aws: EmbeddedAws) -> None:
    """Events that start a plan, and one whose run was started before without a note of it."""
    deployment, endpoint = (
        json.loads((EVENTS / "triggers" / f"{sample}.json").read_text(encoding="utf-8"))
        for sample in ("ecs-deployment-failed", "endpoint-failed")
    )
    for event in (deployment, endpoint):
        runbook = next(name for name in read(event).runbooks if name in catalogue.names())
        next(iter(scenario.of(runbook).values())).arrange(aws)
    wish = read(deployment)
    runbook, name = wish.runbooks[0], trigger_name("died", wish.runbooks[0])
    document = {"mode": "plan", "reason": wish.reason, "requested_by": wish.source, **wish.fields}
    client = aws.client("stepfunctions")
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{runbook}"
    started = client.start_execution(stateMachineArn=machine, name=name, input=canonical(document).decode())
    _until_closed(aws, run_id_of(runbook, started["executionArn"], started["startDate"].astimezone(UTC)))
    aws.invoke("TriggerFunction", deployment | {"id": "died"})
    aws.policy({"trigger_quiet_minutes": 0})
    for event in (deployment, endpoint):
        _until_closed(aws, aws.invoke("TriggerFunction", event)["started"])


def _scheduled(aws: EmbeddedAws) -> None:
    """A night whose run is started, handed over twice, and one whose run was started before without a note of it."""
    runbook = "aurora-snapshot-restore"
    given = json.loads(start_input(runbook, scenario.of(runbook)["nightly"].event, mode="plan"))
    night = Due(runbook=runbook, schedule="nightly", due="2026-11-21T00:05:00Z", input=given)
    _until_closed(aws, aws.invoke("ScheduleFunction", night.model_dump())["started"])
    aws.invoke("ScheduleFunction", night.model_dump())
    died = night.model_copy(update={"due": "2026-11-22T00:05:00Z"})
    client = aws.client("stepfunctions")
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{runbook}"
    document = canonical(given | {"requested_by": "schedule/nightly"}).decode()
    started = client.start_execution(stateMachineArn=machine, name=died.execution, input=document)
    _until_closed(aws, run_id_of(runbook, started["executionArn"], started["startDate"].astimezone(UTC)))
    aws.invoke("ScheduleFunction", died.model_dump())


def _until_closed(aws: EmbeddedAws, run_id: str) -> None:
    """A flow leaves nothing running behind that the next one would meet."""
    ledger, client = ledger_of(aws.outputs, aws.client("dynamodb")), aws.client("stepfunctions")
    give_up = time.monotonic() + _PATIENCE
    while True:
        run = ledger.find(run_id)
        closed = run is not None and run.status == "closed"
        if run and closed and client.describe_execution(executionArn=run.execution_arn)["status"] != "RUNNING":
            break
        if time.monotonic() > give_up:
            raise TimeoutError(f"{run_id} does not end")
    aws.settle()


def _waits_for_approval(runbook: str, stage: str) -> bool:
    return Policy().approval_required(catalogue.load(runbook).risk, stage)


def _cannot_begin(aws: EmbeddedAws) -> None:
    """The first function fails before it has written the run, so that the last one writes it."""
    runbook = next(name for name in catalogue.names() if scenario.of(name))
    standard = next(iter(scenario.of(runbook).values()))
    aws.faults.fail("dynamodb:TransactWriteItems", code="InternalServerError", status=500, only_from="-begin")
    run_scenario(aws, runbook, standard)


def _seal(aws: EmbeddedAws) -> None:
    """A run that was started by another person than it says."""
    runbook = catalogue.names()[0]
    run_scenario(aws, runbook, next(iter(scenario.of(runbook).values())))
    aws.cloudtrail("mallory")
    aws.sweep()
    aws.settle()
    trails = [entry["run_id"]["S"] for entry in _entries(aws, "run.sealed")]
    aws.invoke("ArchiveFunction", {"trails": trails})
    aws.clock.advance(days=1)
    aws.sweep()
    aws.settle()


def _entries(aws: EmbeddedAws, event: str) -> list[dict[str, Any]]:
    items = aws.client("dynamodb").scan(TableName=aws.outputs["AuditTableName"])["Items"]
    return [item for item in items if item["event"]["S"] == event]


def _tamper(aws: EmbeddedAws) -> None:
    """An entry of the trail that the flow before has left is changed."""
    dynamodb, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    entry = dynamodb.scan(TableName=table, Limit=1)["Items"][0]
    dynamodb.put_item(TableName=table, Item=entry | {"actor": {"S": "somebody else"}})
    aws.settle()
