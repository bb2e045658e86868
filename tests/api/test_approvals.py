"""A decision on exactly the plan that was seen, by somebody else, once, in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import clock
from runbooks.api.approvals import Ballot, decide
from runbooks.api.http import Problem
from runbooks.policy import person
from runbooks.store.runs import Approval, Ledger, Run
from workbench.incident import api_event
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
PLAN, OTHER_PLAN = "a" * 64, "b" * 64
BOB = "arn:aws:iam::123456789012:user/bob"


@pytest.fixture(autouse=True)
def at_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


def asked(ledger: Ledger, requested_by: str = "alice", expires: datetime = NOW + timedelta(hours=4)) -> Run:
    run = Run(
        run_id="r",
        runbook="ecs-service-rollback",
        execution_arn="e",
        started_at="2026-11-21T03:00:00.000Z",
        requested_by=requested_by,
        identity="verified",
    )
    run = ledger.begin(run, state="Begin run", detail={}, now=NOW)
    approval = Approval(
        status="pending", plan_hash=PLAN, requested_at=clock.iso(NOW), expires_at=clock.iso(expires), token="t"
    )
    item = ledger.approval_item("r", approval, replaces=None)
    return ledger.record(run, "approval.requested", {}, state="Wait for approval", now=NOW, also=[item])


def ballot(decision: str = "approve", plan: str = PLAN, comment: str = "") -> Ballot:
    return Ballot.model_validate({"decision": decision, "plan_hash": plan, "comment": comment})


def status_of(ledger: Ledger) -> str:
    approval = ledger.approval("r")
    assert approval is not None
    return approval.status


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("deny", "denied")])
def test_a_decision_is_kept_with_who_made_it_and_why(ledger: Ledger, decision: str, status: str) -> None:
    asked(ledger)
    decide(ledger, "r", ballot(decision, comment="looked at the diff"), BOB)
    approval = ledger.approval("r")
    assert approval is not None
    assert (approval.status, approval.decided_by, approval.comment) == (status, BOB, "looked at the diff")
    entry = ledger.trail("r")[-1]
    assert (entry.event, entry.actor, entry.detail["plan_hash"]) == ("approval.decided", BOB, PLAN)


@pytest.mark.parametrize(
    "own",
    [
        "arn:aws:iam::123456789012:user/alice",
        "arn:aws:iam::123456789012:user/team/Alice",
        "arn:aws:sts::123456789012:assumed-role/Operator/alice",
        "arn:aws:sts::123456789012:assumed-role/Operator/alice@example.com",
    ],
)
def test_nobody_approves_their_own_run(ledger: Ledger, own: str) -> None:
    asked(ledger)
    with pytest.raises(Problem) as problem:
        decide(ledger, "r", ballot(), own)
    assert problem.value.status == 403
    assert status_of(ledger) == "pending"


def test_the_person_behind_an_identity_is_the_same_in_every_spelling() -> None:
    assert {person("Alice"), person("arn:aws:iam::1:user/x/alice"), person("alice@example.com")} == {"alice"}


@pytest.mark.parametrize(
    ("vote", "says"),
    [(ballot(plan=OTHER_PLAN), "look at it again"), (ballot("deny", plan=OTHER_PLAN), "look at it again")],
)
def test_another_plan_than_the_one_asked_for_is_not_decided_on(ledger: Ledger, vote: Ballot, says: str) -> None:
    asked(ledger)
    with pytest.raises(Problem, match=says):
        decide(ledger, "r", vote, BOB)
    assert status_of(ledger) == "pending"


def test_a_decision_after_the_expiry_is_too_late(ledger: Ledger) -> None:
    asked(ledger, expires=NOW)
    with pytest.raises(Problem, match="expired at 2026-11-21T03:00:00"):
        decide(ledger, "r", ballot(), BOB)
    assert status_of(ledger) == "pending"


def test_a_decision_is_made_once_and_repeating_it_changes_nothing(ledger: Ledger) -> None:
    asked(ledger)
    decide(ledger, "r", ballot(), BOB)
    decide(ledger, "r", ballot(), BOB)
    with pytest.raises(Problem, match="the request is approved"):
        decide(ledger, "r", ballot("deny"), "arn:aws:iam::123456789012:user/carol")
    assert status_of(ledger) == "approved"
    assert [entry.event for entry in ledger.trail("r")].count("approval.decided") == 1


def test_a_run_that_has_ended_cannot_be_approved(ledger: Ledger) -> None:
    run = asked(ledger)
    ledger.close(run, outcome="FAILED", error_name="RunAborted", error_cause="x", detail={}, state="Reap", now=NOW)
    with pytest.raises(Problem, match="ended"):
        decide(ledger, "r", ballot(), BOB)


def request(run: str, body: Any, user: str | None = "bob") -> dict[str, Any]:
    return api_event("123456789012", "POST", f"/runs/{run}/approval", body, user=user)


@pytest.mark.parametrize(
    ("event", "status", "says"),
    [
        (request("r", "not json"), 400, "Invalid JSON"),
        (request("r", {"decision": "maybe", "plan_hash": PLAN}), 400, "decision"),
        (request("r", {"decision": "approve", "plan_hash": "short"}), 400, "plan_hash"),
        (request("r", {"decision": "approve", "plan_hash": PLAN, "user": "bob"}), 400, "user"),
        (request("absent", {"decision": "approve", "plan_hash": PLAN}), 404, "there is no run absent"),
        (request("r", {"decision": "approve", "plan_hash": PLAN}, None), 401, "sign the request"),
    ],
)
def test_a_bad_request_is_answered_with_a_problem_that_says_what_is_wrong(
    aws: EmbeddedAws, event: dict[str, Any], status: int, says: str
) -> None:
    answer = aws.invoke("ApiFunction", event)
    problem = json.loads(answer["body"])
    assert answer["statusCode"] == problem["status"] == status
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert says in problem["detail"]
