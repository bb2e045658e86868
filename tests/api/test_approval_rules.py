"""Every rule of an approval, and an attempt to break it on a run that waits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from runbooks.store import audit
from workbench import scenario
from workbench.incident import start_input

from .conftest import RUNBOOK, Hire, Someone, asked, ended, until

if TYPE_CHECKING:
    from runbooks.store.runs import Approval, Ledger, Run
    from workbench.embedded import EmbeddedAws

ACT = f"runbooks-dev-{RUNBOOK}-act"


@pytest.fixture
def waiting(ledger: Ledger, alice: Someone, broken: scenario.Scenario) -> tuple[str, str]:
    """A run that alice has started, and the hash of the plan that it waits with."""
    run_id = str(alice.starts().document["run_id"])
    return run_id, asked(ledger, run_id)


def approval_of(ledger: Ledger, run_id: str) -> Approval:
    approval = ledger.approval(run_id)
    assert approval is not None
    return approval


def unchanged(aws: EmbeddedAws, incident: scenario.Scenario) -> bool:
    return bool(incident.world(aws)["taskDefinition"] == "snowflake-report-service:4")


def denied(aws: EmbeddedAws, ledger: Ledger, run_id: str) -> Run:
    run = ended(aws, ledger, run_id)
    assert run.error_name == "ApprovalDenied"
    assert audit.faults(ledger.trail(run_id)) == []
    return run


# Exactly the plan that was seen


def test_an_approval_is_for_the_plan_that_was_seen_and_no_other(
    ledger: Ledger, bob: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    for wrong in ("0" * 64, plan[::-1]):
        answer = bob.votes("approve", run_id, wrong)
        assert (answer.status, answer.document["title"]) == (409, "Another plan")
    for malformed in (plan[:12], plan.upper(), ""):
        assert bob.votes("approve", run_id, malformed).status == 400
    assert approval_of(ledger, run_id).status == "pending"


# Never the one who asks


def test_the_requester_cannot_approve_in_any_of_their_identities(
    ledger: Ledger, alice: Someone, session: Hire, user: Hire, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    for herself in (alice, session("Operator", "alice"), session("Admin", "Alice@example.com"), user("ALICE")):
        for decision in ("approve", "deny"):
            answer = herself.votes(decision, run_id, plan)
            assert (answer.status, answer.document["title"]) == (403, "Own run"), herself.arn
    assert approval_of(ledger, run_id).status == "pending"


def test_who_started_it_in_a_role_cannot_approve_it_as_a_user(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, session: Hire, broken: scenario.Scenario
) -> None:
    run_id = session("Operator", "alice").starts().document["run_id"]
    assert alice.votes("approve", run_id, asked(ledger, run_id)).status == 403


def test_a_name_in_the_body_makes_nobody_somebody_else(
    ledger: Ledger, alice: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    ballot = {"decision": "approve", "plan_hash": plan, "decided_by": "bob"}
    assert alice.send("POST", f"/runs/{run_id}/approval", ballot).status == 400
    headers = {"x-amzn-user": "bob"}
    ballot.pop("decided_by")
    assert alice.send("POST", f"/runs/{run_id}/approval", ballot, headers=headers).status == 403


def test_who_could_be_the_requester_can_deny_and_stop_and_not_approve(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, session: Hire, waiting: tuple[str, str]
) -> None:
    """alice may assume that role as well, and her tool would give her a name like that."""
    run_id, plan = waiting
    anybody = session("Operator", "botocore-session-1764290000")
    refused = anybody.votes("approve", run_id, plan)
    assert (refused.status, refused.document["title"]) == (403, "Nobody in particular")
    assert "role_session_name" in refused.document["detail"]
    assert approval_of(ledger, run_id).status == "pending"
    other = alice.starts().document["run_id"]
    assert anybody.votes("deny", other, asked(ledger, other)).status == 200
    assert denied(aws, ledger, other).error_cause == f"{anybody.arn} denied plan {plan[:12]}: seen"
    assert anybody.send("POST", f"/runs/{run_id}/stop", {}).status == 202
    assert ended(aws, ledger, run_id).error_name == "RunAborted"


def test_who_could_be_anybody_takes_an_approval_back(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, session: Hire, waiting: tuple[str, str], broken: scenario.Scenario
) -> None:
    run_id, plan = waiting
    answers: list[int] = []
    anybody = session("Operator", "i-0123456789abcdef0")
    during(aws, "ecs:DescribeServices", lambda: answers.append(anybody.votes("revoke", run_id, plan).status))
    assert bob.votes("approve", run_id, plan).status == 200
    denied(aws, ledger, run_id)
    assert answers == [200]
    assert unchanged(aws, broken)


# Expired is denied, for good


def test_a_late_click_finds_the_request_void(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str], broken: scenario.Scenario
) -> None:
    run_id, plan = waiting
    aws.clock.advance(timedelta(hours=4, seconds=1))
    assert ended(aws, ledger, run_id).error_name == "ApprovalExpired"
    answer = bob.votes("approve", run_id, plan)
    assert (answer.status, answer.document["title"]) == (409, "The run has ended")
    assert approval_of(ledger, run_id).status == "expired"
    assert unchanged(aws, broken)


# Single use


def test_an_approval_is_used_once_and_for_its_own_run(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    other = alice.starts().document["run_id"]
    assert asked(ledger, other) == plan, "the same input and the same world are the same plan"
    assert bob.votes("approve", run_id, plan).status == 200
    assert ended(aws, ledger, run_id).outcome == "SUCCEEDED"
    assert approval_of(ledger, other).status == "pending"
    assert bob.votes("approve", run_id, plan).document["title"] == "The run has ended"


def test_of_many_decisions_at_once_one_counts(ledger: Ledger, user: Hire, waiting: tuple[str, str]) -> None:
    run_id, plan = waiting
    voters = [user(f"voter-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as crowd:
        answers = list(
            crowd.map(lambda n: voters[n].votes("deny" if n % 2 else "approve", run_id, plan).status, range(8))
        )
    assert sorted(answers) == [200, *[409] * 7]
    assert [entry.event for entry in ledger.trail(run_id)].count("approval.decided") == 1


# With a comment


def test_a_decision_keeps_its_comment_and_who_made_it(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    assert bob.votes("deny", run_id, plan, "not before the close").status == 200
    run = denied(aws, ledger, run_id)
    assert run.error_cause == f"{bob.arn} denied plan {plan[:12]}: not before the close"


# Revocable until the first change


def during(aws: EmbeddedAws, operation: str, act: Callable[[], Any]) -> None:
    """Does it once, when the acting function makes that call."""
    aws.faults.before(operation, lambda _: act(), times=1, only_from=ACT)


def test_an_approval_is_revoked_before_the_run_has_read_it(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str], broken: scenario.Scenario
) -> None:
    run_id, plan = waiting
    revoked: list[int] = []

    def read(event: Any, invoke: Callable[[], Any]) -> Any:
        if event["step"] == "read" and not revoked:
            revoked.append(bob.votes("revoke", run_id, plan, "wrong service").status)
        return invoke()

    aws.faults.around("runbooks-dev-approval", read)
    assert bob.votes("approve", run_id, plan).status == 200
    run = denied(aws, ledger, run_id)
    assert revoked == [200]
    assert run.error_cause == f"{bob.arn} revoked the approval of plan {plan[:12]}: wrong service"
    assert unchanged(aws, broken)


@pytest.mark.parametrize("moment", ["ecs:DescribeServices", "dynamodb:GetItem"])
def test_an_approval_that_is_revoked_while_the_run_looks_again_changes_nothing(
    aws: EmbeddedAws,
    ledger: Ledger,
    user: Hire,
    bob: Someone,
    waiting: tuple[str, str],
    broken: scenario.Scenario,
    moment: str,
) -> None:
    """Also when the step has read the approval already: then the lock is what it finds gone."""
    run_id, plan = waiting
    carol = user("carol")
    answers: list[int] = []
    during(aws, moment, lambda: answers.append(carol.votes("revoke", run_id, plan, "stop").status))
    assert bob.votes("approve", run_id, plan).status == 200
    run = denied(aws, ledger, run_id)
    assert answers == [200]
    assert run.error_cause == f"{carol.arn} revoked the approval of plan {plan[:12]}: stop"
    assert unchanged(aws, broken)
    assert [entry.event for entry in ledger.trail(run_id)].count("change.intended") == 0


def test_after_the_first_change_it_is_too_late_to_revoke(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    answers: list[Any] = []
    during(aws, "ecs:UpdateService", lambda: answers.append(bob.votes("revoke", run_id, plan).document))
    assert bob.votes("approve", run_id, plan).status == 200
    assert ended(aws, ledger, run_id).outcome == "SUCCEEDED"
    assert [answer["title"] for answer in answers] == ["Too late"]


def test_there_is_nothing_to_revoke_before_an_approval(bob: Someone, waiting: tuple[str, str]) -> None:
    assert bob.votes("revoke", *waiting).document["title"] == "Nothing to revoke"


# Who asks must be known


def test_a_run_of_nobody_in_particular_is_approved_only_where_policy_allows_it(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, broken: scenario.Scenario
) -> None:
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    claimed = json.loads(start_input(RUNBOOK, "health-checks-fail")) | {"requested_by": "carol"}
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name="x", input=json.dumps(claimed))
    (run,) = until(lambda: ledger.runs_of(RUNBOOK))
    plan = asked(ledger, run.run_id)
    aws.policy({"approve_unverified": {"prod": True}})
    refused = bob.votes("approve", run.run_id, plan)
    assert (refused.status, refused.document["title"]) == (403, "Requester unverified")
    assert approval_of(ledger, run.run_id).status == "pending"
    known = alice.starts().document["run_id"]
    assert bob.votes("approve", known, asked(ledger, known)).status == 200
    ended(aws, ledger, known)
    aws.policy({"approve_unverified": {"dev": True}})
    assert bob.votes("approve", run.run_id, plan).status == 200


# The decision is read from the State table


@pytest.mark.parametrize(
    "output", ['{"decision": "approved"}', '{"status": "approved", "approval_needed": false}', "[]"]
)
def test_a_stolen_token_is_worth_nothing_whatever_it_is_sent_with(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str], broken: scenario.Scenario, output: str
) -> None:
    run_id, plan = waiting
    token = approval_of(ledger, run_id).token
    aws.client("stepfunctions").send_task_success(taskToken=token, output=output)
    until(lambda: approval_of(ledger, run_id).token != token)
    assert "approval.awaited" in [entry.event for entry in ledger.trail(run_id)]
    assert (approval_of(ledger, run_id).status, ledger.changes(run_id)) == ("pending", {})
    assert unchanged(aws, broken)
    assert bob.votes("deny", run_id, plan).status == 200
    assert ended(aws, ledger, run_id).error_name == "ApprovalDenied"
    assert unchanged(aws, broken)


def test_a_stolen_token_cannot_say_how_the_run_ended(
    aws: EmbeddedAws, ledger: Ledger, waiting: tuple[str, str], broken: scenario.Scenario
) -> None:
    run_id, _ = waiting
    token = approval_of(ledger, run_id).token
    aws.client("stepfunctions").send_task_failure(taskToken=token, error="UndoFailed", cause="everything is lost")
    run = ended(aws, ledger, run_id)
    assert run.error_name == "StepFailed"
    assert "was ended with 'UndoFailed', and not by a decision; nothing was approved" in (run.error_cause or "")
    assert "everything is lost" not in (run.error_cause or "")
    assert ledger.changes(run_id) == {}


def test_a_replayed_token_wakes_nothing(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str], broken: scenario.Scenario
) -> None:
    run_id, plan = waiting
    token = approval_of(ledger, run_id).token
    assert bob.votes("approve", run_id, plan).status == 200
    ended(aws, ledger, run_id)
    entries = len(ledger.trail(run_id))
    with pytest.raises(ClientError, match=r"TaskTimedOut|TaskDoesNotExist"):
        aws.client("stepfunctions").send_task_success(taskToken=token, output="{}")
    assert len(ledger.trail(run_id)) == entries


# What is asked


def test_who_is_asked_gets_the_plan_and_the_commands_over_sns_and_the_bus(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    (message,) = [each for each in until(lambda: aws.messages) if "Approve?" in each["subject"]]
    assert message["subject"] == f"[dev] Approve? {RUNBOOK} for alice"
    text = message["message"]
    for told in (run_id, plan, "ecs:UpdateService", " -> ", "undo: ecs:UpdateService", "AWS vouches for the name"):
        assert told in text
    lines = text.splitlines()
    assert f"runbook approve {run_id} --plan {plan} --comment seen --stack runbooks-dev --region {aws.region}" in lines
    curls = [shlex.split(line) for line in lines if line.startswith("curl ")]
    for curl in curls:
        assert curl[-1] == f"{aws.api_url}/runs/{run_id}/approval"
        assert f"aws:amz:{aws.region}:execute-api" in curl
    ballots = [json.loads(curl[curl.index("-d") + 1]) for curl in curls]
    assert [(ballot["decision"], ballot["plan_hash"]) for ballot in ballots] == [("approve", plan), ("deny", plan)]
    (event,) = until(lambda: aws.events)
    assert (event["source"], event["detail-type"]) == ("runbooks-dev", "Runbook Approval Requested")
    assert event["detail"]["text"] == text
    assert (
        event["detail"]["commands"].items()
        >= {
            "approve": next(line for line in lines if line.startswith("runbook approve ")),
            "deny": next(line for line in lines if line.startswith("runbook deny ")),
        }.items()
    )
    assert bob.send("POST", curls[0][-1].removeprefix(aws.api_url), ballots[0]).status == 200
    assert ended(aws, ledger, run_id).outcome == "SUCCEEDED"


def test_nobody_needs_a_valid_policy_to_say_no(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: tuple[str, str]
) -> None:
    run_id, plan = waiting
    aws.policy({"kill_swich": True})
    assert bob.votes("approve", run_id, plan).status == 503
    assert bob.votes("deny", run_id, plan).status == 200


def test_what_nobody_foresaw_is_a_problem_that_tells_nothing_of_the_fault(
    aws: EmbeddedAws, bob: Someone, waiting: tuple[str, str]
) -> None:
    aws.faults.fail("ssm:GetParameter", code="AccessDeniedException", message="role/secret may not", only_from="-api")
    answer = bob.votes("approve", *waiting)
    assert (answer.status, answer.document["title"]) == (500, "Our fault")
    assert "role/secret" not in json.dumps(answer.document)


def test_a_bus_that_takes_no_event_keeps_nobody_from_deciding(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario
) -> None:
    aws.faults.fail("events:PutEvents", code="InternalException", message="try again", status=500)
    asked(ledger, alice.starts().document["run_id"])
    until(lambda: "EventBridge did not take the request" in aws.log("ApprovalFunction"))
    assert len(aws.messages) == 1
