"""CloudTrail's event says who really started a run; what contradicts it is in the trail, and told."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import clock
from runbooks.api.approvals import Ballot, decide
from runbooks.api.http import Problem
from runbooks.frame.attribute import caller_of
from runbooks.model import digest
from runbooks.store.audit import Entry
from runbooks.store.runs import Ledger, Run
from runbooks.store.starts import Start, Starts
from runbooks.store.tables import Tables
from workbench import scenario
from workbench.incident import Incident, api_event, run_scenario, start_input

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
SCENARIOS = scenario.of(RUNBOOK)


def ran(aws: EmbeddedAws, name: str = "health-checks-fail", **changes: Any) -> Incident:
    return run_scenario(aws, RUNBOOK, replace(SCENARIOS[name], **changes))


def attribution(ledger: Ledger, run_id: str) -> list[Entry]:
    return [entry for entry in ledger.trail(run_id) if entry.event == "run.attributed"]


def alarms(aws: EmbeddedAws) -> list[str]:
    return [message["message"] for message in aws.messages if "CONTRADICTED" in message["subject"]]


def test_the_starter_that_cloudtrail_names_is_in_the_trail(aws: EmbeddedAws, ledger: Ledger) -> None:
    run_id = ran(aws).run_id
    aws.cloudtrail("alice")
    (entry,) = attribution(ledger, run_id)
    assert entry.actor == "cloudtrail"
    assert entry.detail["caller"] == "arn:aws:iam::123456789012:user/alice"
    assert entry.detail["source_ip"] == "203.0.113.7"
    assert entry.detail["contradictions"] == []
    assert alarms(aws) == []


def test_an_event_that_comes_twice_is_recorded_once(aws: EmbeddedAws, ledger: Ledger) -> None:
    run_id = ran(aws).run_id
    aws.cloudtrail("alice")
    aws.cloudtrail("alice")
    assert len(attribution(ledger, run_id)) == 1


def test_a_claim_that_cloudtrail_contradicts_is_in_the_trail_and_told(aws: EmbeddedAws, ledger: Ledger) -> None:
    run_id = ran(aws).run_id
    aws.cloudtrail("mallory")
    (entry,) = attribution(ledger, run_id)
    (wrong,) = entry.detail["contradictions"]
    assert wrong == (
        "the input says that alice asks, and CloudTrail says that arn:aws:iam::123456789012:user/mallory started the"
        " run"
    )
    (told,) = alarms(aws)
    assert run_id in told
    assert wrong in told


def test_who_approved_their_own_run_under_another_name_is_found(aws: EmbeddedAws, ledger: Ledger) -> None:
    run_id = ran(aws).run_id
    aws.cloudtrail("bob")
    (entry,) = attribution(ledger, run_id)
    assert len(entry.detail["contradictions"]) == 2
    assert "nobody decides on their own run" in alarms(aws)[0]


def test_who_is_known_to_have_started_a_run_cannot_approve_it(aws: EmbeddedAws, ledger: Ledger) -> None:
    refused: list[Problem] = []

    def try_it(aws: EmbeddedAws, execution: str) -> None:
        aws.cloudtrail("bob", execution)
        (run,) = ledger.runs_of(RUNBOOK)
        ballot = Ballot(decision="approve", plan_hash=str(run.plan_hash))
        with pytest.raises(Problem) as problem:
            decide(ledger, run.run_id, ballot, "arn:aws:iam::123456789012:user/bob")
        refused.append(problem.value)

    tried = replace(SCENARIOS["health-checks-fail"], on_state={"Wait for approval": try_it})
    ended = run_scenario(aws, RUNBOOK, tried, decision="ignore")
    assert [problem.status for problem in refused] == [403]
    assert ended.error == "ApprovalExpired"
    assert ended.audit_faults == []


def test_what_cloudtrail_says_too_late_is_told_and_the_seal_stays(aws: EmbeddedAws, ledger: Ledger) -> None:
    run_id = ran(aws).run_id
    aws.clock.advance(hours=3)
    aws.invoke("SealFunction", {})
    aws.cloudtrail("mallory")
    assert attribution(ledger, run_id) == []
    assert "The run was sealed before; its trail does not say this." in alarms(aws)[0]


# -- what this stack starts itself -------------------------------------------------------------------------------------

ALARM = Path(__file__).parents[2] / "events/triggers/alarm-on-an-ecs-service.json"
ALICE = "arn:aws:iam::123456789012:user/alice"


def begun(aws: EmbeddedAws, ledger: Ledger, run_id: str | None = None) -> Run:
    """The run once it has ended: that one, or the only one that there is."""
    give_up = time.monotonic() + 30
    while not ((runs := ledger.runs_of(RUNBOOK)) and runs[0].status == "closed"):
        assert time.monotonic() < give_up, runs
        time.sleep(0.02)
    aws.settle()
    (run,) = runs
    assert run_id in {None, run.run_id}
    return run


def through_the_api(aws: EmbeddedAws) -> str:
    body = {"runbook": RUNBOOK, "input": json.loads(start_input(RUNBOOK, "plan-only"))}
    answer = aws.invoke("ApiFunction", api_event(aws.account_id, "POST", "/runs", body, user="alice"))
    assert answer["statusCode"] == 201, answer
    return str(json.loads(answer["body"])["run_id"])


def by_a_trigger(aws: EmbeddedAws) -> str:
    return str(aws.invoke("TriggerFunction", json.loads(ALARM.read_text(encoding="utf-8")))["started"])


def by_a_schedule(aws: EmbeddedAws) -> str:
    given = json.loads(start_input(RUNBOOK, "plan-only"))
    night = {"runbook": RUNBOOK, "schedule": "nightly", "due": "2026-11-21T00:05:00Z", "input": given}
    return str(aws.invoke("ScheduleFunction", night)["started"])


def directly(aws: EmbeddedAws, document: dict[str, Any], name: str) -> None:
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name=name, input=json.dumps(document))


@pytest.mark.parametrize(
    ("how", "function", "asks"),
    [
        (through_the_api, "api", ALICE),
        (by_a_trigger, "trigger", "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:"),
        (by_a_schedule, "schedule", "schedule/nightly"),
    ],
)
def test_a_run_that_a_function_of_this_stack_started_is_whose_name_it_was_started_in(
    aws: EmbeddedAws, ledger: Ledger, how: Any, function: str, asks: str
) -> None:
    SCENARIOS["health-checks-fail"].arrange(aws)
    run = begun(aws, ledger, how(aws))
    aws.cloudtrail("nobody in particular")
    (entry,) = attribution(ledger, run.run_id)
    assert str(entry.detail["caller"]).startswith(f"arn:aws:sts::{aws.account_id}:assumed-role/")
    assert str(entry.detail["caller"]).endswith(f"/{aws.stack_name}-{function}")
    assert str(entry.detail["on_behalf_of"]).startswith(asks)
    assert entry.detail["contradictions"] == []
    assert begun(aws, ledger).attributed_to == run.requested_by
    assert alarms(aws) == []


def test_whoever_starts_a_run_in_the_place_of_the_api_is_found_out(aws: EmbeddedAws, ledger: Ledger) -> None:
    """The record that vouches is there, and another was faster than the function that wrote it."""
    SCENARIOS["health-checks-fail"].arrange(aws)
    document = json.loads(start_input(RUNBOOK, "plan-only")) | {"requested_by": ALICE}
    record = Start(
        execution="api-1",
        runbook=RUNBOOK,
        requested_by=ALICE,
        input_hash=digest(document),
        at=clock.iso(aws.clock.now()),
    )
    Starts(Tables(aws.outputs["StateTableName"], aws.outputs["AuditTableName"], aws.client("dynamodb"))).claim(record)
    directly(aws, document, "api-1")
    run = begun(aws, ledger)
    assert run.identity == "verified"
    aws.cloudtrail("mallory")
    (entry,) = attribution(ledger, run.run_id)
    assert entry.detail["on_behalf_of"] is None
    (wrong,) = entry.detail["contradictions"]
    mallory = "arn:aws:iam::123456789012:user/mallory"
    assert wrong == f"this stack started it in the name of {ALICE}, and CloudTrail says that {mallory} started the run"
    assert len(alarms(aws)) == 1


def test_a_function_of_this_stack_vouches_for_nobody_whom_it_has_no_record_of(aws: EmbeddedAws, ledger: Ledger) -> None:
    SCENARIOS["health-checks-fail"].arrange(aws)
    directly(aws, json.loads(start_input(RUNBOOK, "plan-only")), "made-up")
    run = begun(aws, ledger)
    aws.cloudtrail(aws.stack.resources["ApiRole"].attributes["Arn"])
    (entry,) = attribution(ledger, run.run_id)
    assert (entry.detail["on_behalf_of"], len(alarms(aws))) == (None, 1)


def start(**changes: Any) -> dict[str, Any]:
    execution = f"arn:aws:states:eu-central-1:123456789012:execution:runbooks-dev-{RUNBOOK}:gone"
    detail: dict[str, Any] = {
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice"},
        "responseElements": {"executionArn": execution, "startDate": "Nov 21, 2026, 03:00:00 AM"},
    }
    return {"detail": detail | changes}


def test_a_call_that_started_nothing_is_nobodys(aws: EmbeddedAws) -> None:
    denied = start(errorCode="AccessDenied", responseElements=None)
    assert aws.invoke("AttributeFunction", denied) == {"outcome": "the call started nothing"}


def test_an_execution_without_a_run_is_nobodys(aws: EmbeddedAws) -> None:
    assert aws.invoke("AttributeFunction", start()) == {"outcome": "no run"}


@pytest.mark.parametrize(
    ("identity", "caller"),
    [
        (
            {"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/OnCall/alice"},
            "arn:aws:sts::1:assumed-role/OnCall/alice",
        ),
        ({"type": "AWSService", "invokedBy": "scheduler.amazonaws.com"}, "scheduler.amazonaws.com"),
        ({"type": "Unknown"}, "Unknown"),
    ],
)
def test_a_caller_is_a_person_a_role_or_a_service(identity: dict[str, Any], caller: str) -> None:
    assert caller_of(identity) == caller
