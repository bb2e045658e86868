"""CloudTrail's event says who really started a run; what contradicts it is in the trail, and told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.api.approvals import Ballot, decide
from runbooks.api.http import Problem
from runbooks.frame.attribute import caller_of
from runbooks.store.audit import Entry
from runbooks.store.runs import Ledger
from workbench import scenario
from workbench.incident import Incident, run_scenario

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
    (wrong,) = entry.detail["contradictions"]  # type: ignore[misc]
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
    assert len(entry.detail["contradictions"]) == 2  # type: ignore[arg-type]
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
