"""Steps at their edges: delivered twice, too late, or after something else has gone wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runbooks import catalogue, clock
from runbooks.api.approvals import Ballot, decide
from runbooks.errors import (
    ApprovalDenied,
    ApprovalExpired,
    AwsUnavailable,
    LedgerUnavailable,
    NotVerified,
    PlanStale,
    RunClosed,
    StepFailed,
)
from runbooks.frame import approval, reap
from runbooks.frame.act import apply
from runbooks.frame.diagnose import diagnose
from runbooks.frame.fail import fail
from runbooks.frame.finish import finish
from runbooks.frame.lock import lock
from runbooks.store import audit
from workbench import scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

    from .conftest import Steps

INCIDENT = scenario.of("ecs-service-rollback")["health-checks-fail"]
BOB = "arn:aws:iam::123456789012:user/bob"


@pytest.fixture
def planned(aws: EmbeddedAws, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """A run with a plan, five minutes after it began."""
    INCIDENT.arrange(aws)
    monkeypatch.setattr(clock, "utc_now", lambda: steps.of("x", minutes=5).now)
    diagnose(steps.begun("diagnose"))
    return steps


def vote(steps: Steps, decision: str) -> None:
    run = steps.of("x").open_run()
    ballot = Ballot.model_validate({"decision": decision, "plan_hash": run.plan_hash, "comment": "seen"})
    decide(steps.frame.ledger, run.run_id, ballot, BOB, unverified=True)


def test_a_request_for_approval_made_twice_keeps_its_expiry_and_the_newer_token(planned: Steps) -> None:
    approval.request(planned.of("request", token="old", minutes=5))
    approval.request(planned.of("request", token="new", minutes=6))
    kept = planned.frame.ledger.approval(planned.of("x").run_id)
    assert kept is not None
    assert (kept.token, kept.requested_at) == ("new", "2026-11-21T03:05:00.000Z")
    trail = planned.frame.ledger.trail(planned.of("x").run_id)
    assert [entry.event for entry in trail].count("approval.requested") == 1


def test_a_request_that_cannot_be_published_is_made_again(aws: EmbeddedAws, planned: Steps) -> None:
    aws.faults.fail("sns:Publish", code="InternalError", status=500)
    with pytest.raises(AwsUnavailable, match="sns:Publish"):
        approval.request(planned.of("request", token="t", minutes=5))
    aws.faults.clear()
    approval.request(planned.of("request", token="t", minutes=5))
    assert "Approve?" in aws.messages[-1]["subject"]


def test_a_denial_ends_the_run_with_who_and_why(planned: Steps) -> None:
    approval.request(planned.of("request", token="t", minutes=5))
    vote(planned, "deny")
    with pytest.raises(ApprovalDenied, match=r"user/bob denied plan .*: seen"):
        approval.read(planned.of("read"))


def test_a_request_that_nobody_decided_is_void_for_good(planned: Steps) -> None:
    approval.request(planned.of("request", token="t", minutes=5))
    with pytest.raises(ApprovalExpired):
        approval.read(planned.of("read", minutes=300))
    with pytest.raises(Exception, match="the request is expired"):
        vote(planned, "approve")
    with pytest.raises(ApprovalExpired):
        approval.read(planned.of("read", minutes=301))


def test_a_token_that_has_timed_out_is_no_error_of_the_approver(aws: EmbeddedAws, planned: Steps) -> None:
    approval.request(planned.of("request", token="never-issued", minutes=5))
    kept = planned.frame.ledger.approval(planned.of("x").run_id)
    assert kept is not None
    aws.faults.fail("stepfunctions:SendTaskSuccess", code="TaskTimedOut")
    approval.wake(planned.frame, kept)
    approval.wake(planned.frame, kept.model_copy(update={"token": None}))
    aws.faults.clear()
    aws.faults.fail("stepfunctions:SendTaskSuccess", code="AccessDeniedException")
    with pytest.raises(Exception, match="AccessDeniedException"):
        approval.wake(planned.frame, kept)


def test_a_plan_that_was_not_approved_is_not_applied(aws: EmbeddedAws, planned: Steps) -> None:
    approval.request(planned.of("request", token="t", minutes=5))
    lock(planned.of("lock", minutes=5))
    with pytest.raises(ApprovalDenied, match="was not approved"):
        apply(planned.of("apply", phase="Roll the service back", minutes=5))
    assert INCIDENT.world(aws)["taskDefinition"] == "snowflake-report-service:4"


def test_a_stored_plan_that_was_exchanged_is_neither_shown_nor_applied(aws: EmbeddedAws, planned: Steps) -> None:
    run_id = planned.of("x").run_id
    aws.client("dynamodb").update_item(
        TableName=aws.outputs["StateTableName"],
        Key={"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": "RUN"}},
        UpdateExpression="SET plan_hash = :other",
        ExpressionAttributeValues={":other": {"S": "0" * 64}},
    )
    with pytest.raises(PlanStale, match="not the one that was made"):
        approval.request(planned.of("request", token="t", minutes=5))
    with pytest.raises(PlanStale, match="not the one that was made"):
        apply(planned.of("apply", phase="Roll the service back", minutes=5))


def test_a_run_that_was_never_found_healthy_does_not_finish(planned: Steps) -> None:
    with pytest.raises(NotVerified, match="was never found healthy"):
        finish(planned.of("finish"))
    fail(planned.of("fail", document={"error": {"Error": "NotVerified", "Cause": "no"}}))
    with pytest.raises(NotVerified, match="was closed as FAILED"):
        finish(planned.of("finish"))


def test_a_failure_recorded_twice_is_told_once(aws: EmbeddedAws, planned: Steps) -> None:
    document = {"error": {"Error": "PlanStale", "Cause": '{"errorMessage": "moved"}'}}
    first = fail(planned.of("fail", document=document))
    second = fail(planned.of("fail", document=document))
    assert (first["error_name"], first["error_cause"]) == (second["error_name"], second["error_cause"])
    assert first["error_name"] == "PlanStale"
    assert first["error_cause"].startswith("moved. Next: start it again, for a plan of the world as it is now")
    assert sum("ended PlanStale" in message["message"] for message in aws.messages) == 1


def test_an_execution_that_failed_before_its_run_was_written_gets_a_trail(steps: Steps) -> None:
    answer = fail(steps.of("fail", document={"Error": "LedgerUnavailable", "Cause": "no table"}))
    assert answer["error_name"] == "LedgerUnavailable"
    trail = steps.frame.ledger.trail(steps.of("x").run_id)
    assert [entry.event for entry in trail] == ["run.started", "run.closed"]
    assert audit.faults(trail) == []


def test_a_step_of_a_run_that_has_ended_says_to_start_again(planned: Steps) -> None:
    fail(planned.of("fail"))
    with pytest.raises(RunClosed, match="start it again"):
        diagnose(planned.of("diagnose"))


def test_a_step_without_a_diagnosis_says_so(steps: Steps) -> None:
    with pytest.raises(LedgerUnavailable, match="has no diagnosis"):
        apply(steps.begun("apply", phase="Roll the service back"))


def test_when_the_tables_do_not_answer_the_ledger_is_unavailable(aws: EmbeddedAws, planned: Steps) -> None:
    ledger, run = planned.frame.ledger, planned.of("x").open_run()
    for operation in ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:TransactWriteItems"):
        aws.faults.fail(operation, code="AccessDeniedException")
    for attempt in (
        lambda: ledger.find(run.run_id),
        lambda: ledger.trail(run.run_id),
        lambda: ledger.record(run, "looked", {}, state="s", now=planned.of("x").now),
    ):
        with pytest.raises(LedgerUnavailable):
            attempt()


def test_a_run_that_cannot_be_looked_at_is_reaped_all_the_same(aws: EmbeddedAws, planned: Steps) -> None:
    aws.faults.fail("lambda:Invoke", code="TooManyRequestsException", status=429)
    run = reap.reap(planned.frame, planned.of("x").open_run(), "TIMED_OUT", "")
    assert (run.status, run.outcome, run.error_name) == ("closed", "TIMED_OUT", "RunTimedOut")
    assert "it could not be looked at" in (run.error_cause or "")


def test_an_ended_execution_without_a_run_needs_no_reaping(aws: EmbeddedAws, steps: Steps) -> None:
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-ecs-service-rollback"
    detail = {"stateMachineArn": machine, "executionArn": "arn:x", "startDate": 0, "status": "FAILED"}
    assert reap.on_event(steps.frame, detail) == 0


def test_one_run_that_cannot_be_swept_does_not_keep_the_others_waiting(
    aws: EmbeddedAws, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = steps.begun("x")
    monkeypatch.setattr(clock, "utc_now", lambda: steps.of("x", minutes=60).now)
    aws.faults.fail("stepfunctions:DescribeExecution", code="InternalError", status=500)
    with pytest.raises(Exception, match="InternalError"):
        reap.sweep(steps.frame)
    aws.faults.clear()
    assert reap.sweep(steps.frame) == 1
    swept = steps.frame.ledger.find(begun.run_id)
    assert swept is not None
    assert swept.status == "closed"


def test_a_run_that_has_run_for_a_day_is_reported_as_stuck(
    aws: EmbeddedAws, steps: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.begun("x")
    monkeypatch.setattr(clock, "utc_now", lambda: steps.of("x", minutes=25 * 60).now)
    monkeypatch.setattr(reap, "_execution", lambda *_: ("RUNNING", ""))
    assert reap.sweep(steps.frame) == 0
    assert '"RunsStuck"' in capsys.readouterr().out


def test_a_run_that_ended_without_error_or_health_is_said_to_have_failed(steps: Steps) -> None:
    steps.begun("fail")
    answer = fail(steps.of("fail", document={"run_id": steps.of("x").run_id}))
    assert answer["error_name"] == StepFailed.__name__
    assert "without an error" in answer["error_cause"]


def test_a_runbook_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"there is no runbook 'restart'; there are: .*ecs-service-rollback"):
        catalogue.load("restart")


def test_a_moment_without_a_zone_is_no_moment() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        clock.parse("2026-11-21T03:00:00")


def test_documents_carry_what_came_in_only_if_it_is_the_runs_own(planned: Steps) -> None:
    step: Any = planned.of("x")
    own = planned.of("x", document={"run_id": step.run_id, "error": {"Error": "x"}})
    foreign = planned.of("x", document={"mode": "execute", "cluster": "c"})
    assert own.document(step.open_run())["error"] == {"Error": "x"}
    assert "cluster" not in foreign.document(step.open_run())
