"""A run is started once a request, in the name of whoever signs it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from runbooks import clock
from runbooks.model import canonical, digest
from runbooks.store.starts import Start
from workbench import scenario
from workbench.cli import words
from workbench.embedded.calls import ServiceError
from workbench.evidence.report import Checked, report
from workbench.incident import start_input

from .conftest import RUNBOOK, Hire, Someone, asked, ended, until

if TYPE_CHECKING:
    from runbooks.store.runs import Ledger
    from workbench.api import Answer
    from workbench.embedded import EmbeddedAws


def machine(aws: EmbeddedAws) -> str:
    return f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"


def executions(aws: EmbeddedAws) -> list[str]:
    listed = aws.client("stepfunctions").list_executions(stateMachineArn=machine(aws))["executions"]
    return [each["executionArn"] for each in listed]


def test_a_run_is_started_in_the_name_of_whoever_signs_and_their_name_is_vouched_for(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario
) -> None:
    answer = alice.starts("plan-only", requested_by="mallory")
    assert answer.status == 201
    assert answer.headers["Location"] == f"/runs/{answer.document['run_id']}"
    run = ended(aws, ledger, answer.document["run_id"])
    assert (run.outcome, run.requested_by, run.identity) == ("SUCCEEDED", alice.arn, "verified")
    assert ledger.trail(run.run_id)[0].detail["identity"] == "verified"


def test_the_ticket_of_a_run_is_told_wherever_its_reason_is(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario
) -> None:
    begun = alice.starts("health-checks-fail", ticket="INC-4711").document["run_id"]
    asked(ledger, begun)
    alice.send("POST", f"/runs/{begun}/stop", {"reason": "seen"})
    run = ended(aws, ledger, begun)
    assert (run.ticket, run.why) == ("INC-4711", f"{run.reason} (ticket INC-4711)")
    assert alice.get(f"/runs/{begun}")["ticket"] == "INC-4711"
    trail = ledger.trail(begun)
    assert words.of_entry(trail[0]).endswith(f'"{run.reason}", ticket INC-4711')
    assert "| Ticket | INC-4711 |" in report(begun, trail, None, checked=Checked())
    messages = [each["message"] for each in aws.messages if begun in each["message"]]
    assert len(messages) == 2
    assert all(f"Why: {run.why}\n" in message for message in messages)
    again = alice.starts("plan-only", ticket="INC 4711\nWhy: forged")
    assert (again.status, "ticket" in again.document["detail"]) == (400, True)


def test_the_same_key_and_body_give_the_same_run_and_another_body_is_refused(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, broken: scenario.Scenario
) -> None:
    first = alice.starts("plan-only", key="INC-4711")
    again = alice.starts("plan-only", key="INC-4711")
    assert (first.status, again.status) == (201, 200)
    assert again.document == first.document
    ended(aws, ledger, first.document["run_id"])
    assert alice.starts("plan-only", key="INC-4711").document == first.document
    other = alice.starts("plan-only", key="INC-4711", reason="another")
    assert other.status == 409
    assert "use another key" in other.document["detail"]
    assert bob.starts("plan-only", key="INC-4711").document["run_id"] != first.document["run_id"]
    assert len(executions(aws)) == 2


def test_without_a_key_each_request_is_a_run(aws: EmbeddedAws, alice: Someone, broken: scenario.Scenario) -> None:
    assert alice.starts("plan-only").document["run_id"] != alice.starts("plan-only").document["run_id"]


def test_a_start_whose_first_attempt_died_is_finished_by_the_second(
    aws: EmbeddedAws, alice: Someone, broken: scenario.Scenario
) -> None:
    aws.faults.fail("states:StartExecution", code="ThrottlingException", message="Rate exceeded", times=3)
    first = alice.starts("plan-only", key="k")
    assert (first.status, first.headers["Retry-After"]) == (503, "2")
    assert executions(aws) == []
    again = alice.starts("plan-only", key="k")
    assert again.status == 200
    assert executions(aws) == [again.document["execution_arn"]]


def test_two_hundred_starts_with_one_key_at_once_are_one_run(
    aws: EmbeddedAws, alice: Someone, broken: scenario.Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.api._TIMEOUT", 240)
    line = threading.Barrier(200)

    def start_at_once(_: int) -> Answer:
        line.wait(60)
        return alice.starts("plan-only", key="one")

    with ThreadPoolExecutor(200) as crowd:
        answers = list(crowd.map(start_at_once, range(200)))
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 199}
    assert len({answer.document["run_id"] for answer in answers}) == 1
    assert len(executions(aws)) == 1


def test_a_start_that_meets_another_one_under_way_waits_for_what_it_writes(
    aws: EmbeddedAws, alice: Someone, broken: scenario.Scenario
) -> None:
    conflict = {"CancellationReasons": [{"Code": "TransactionConflict", "Message": "Transaction is ongoing"}]}
    met = []

    def conflicts(_: EmbeddedAws) -> None:
        met.append(True)
        if len(met) < 3:
            raise ServiceError(
                "TransactionCanceledException", "Transaction cancelled [TransactionConflict]", **conflict
            )

    aws.faults.before("dynamodb:TransactWriteItems", conflicts, only_from="-api")
    assert alice.starts("plan-only", key="one").status == 201
    assert len(executions(aws)) == 1


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"runbook": "no-such", "input": {}}, 404, "is none of"),
        ({"runbook": RUNBOOK}, 400, "input: Field required"),
        ({"runbook": RUNBOOK, "input": []}, 400, "input: Input should be a valid dictionary"),
        ({"runbook": RUNBOOK, "input": {"reason": "x"}}, 400, "cluster: Field required; service: Field required"),
        ({"runbook": RUNBOOK, "input": {}, "requested_by": "bob"}, 400, "requested_by: Extra inputs"),
        ({"runbook": RUNBOOK, "input": {"reason": "password=hunter2", "cluster": "a", "service": "b"}}, 400, "secret"),
        ([], 400, "the body"),
    ],
)
def test_what_cannot_be_started_is_refused_and_nothing_is_started(
    aws: EmbeddedAws, alice: Someone, body: object, status: int, says: str
) -> None:
    answer = alice.send("POST", "/runs", body)
    assert answer.status == answer.document["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert says in answer.document["detail"]
    assert executions(aws) == []


def test_a_run_is_started_again_by_somebody_else_with_the_same_input(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, broken: scenario.Scenario
) -> None:
    first = ended(aws, ledger, alice.starts("plan-only").document["run_id"])
    answer = bob.send("POST", f"/runs/{first.run_id}/rerun", {"reason": "once more"}, headers={"Idempotency-Key": "k"})
    assert answer.status == 201
    again = ended(aws, ledger, answer.document["run_id"])
    assert (again.requested_by, again.reason, again.targets) == (bob.arn, "once more", first.targets)
    assert again.plan_hash != first.plan_hash, "who asks is part of the plan"
    repeated = bob.send(
        "POST", f"/runs/{first.run_id}/rerun", {"reason": "once more"}, headers={"Idempotency-Key": "k"}
    )
    assert repeated.document == answer.document


def test_a_run_with_an_invalid_input_is_not_started_again(aws: EmbeddedAws, ledger: Ledger, alice: Someone) -> None:
    aws.client("stepfunctions").start_execution(stateMachineArn=machine(aws), name="bad", input="{}")
    (begun,) = until(lambda: ledger.runs_of(RUNBOOK))
    run = ended(aws, ledger, begun.run_id)
    answer = alice.send("POST", f"/runs/{run.run_id}/rerun", {})
    assert (answer.status, answer.document["title"]) == (409, "Nothing to start again")


def test_who_started_an_execution_directly_is_not_vouched_for(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario
) -> None:
    """Neither by a name in the input, nor under an execution name that the API has given, with another input."""
    started = alice.starts("plan-only", key="k").document
    ended(aws, ledger, started["run_id"])
    forged = json.loads(start_input(RUNBOOK, "plan-only")) | {"requested_by": alice.arn, "reason": "forged"}
    client = aws.client("stepfunctions")
    other = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-watermark-reset"
    name = started["execution_arn"].rpartition(":")[2]
    client.start_execution(stateMachineArn=machine(aws), name="api-made-up", input=canonical(forged).decode())
    client.start_execution(stateMachineArn=other, name=name, input=canonical(forged).decode())

    def both() -> bool:
        return len(ledger.runs_of(RUNBOOK)) == 2 and len(ledger.runs_of("watermark-reset")) == 1

    until(both)
    runs = [*ledger.runs_of(RUNBOOK), *ledger.runs_of("watermark-reset")]
    assert {run.run_id for run in runs if run.identity == "verified"} == {started["run_id"]}


def test_a_record_that_is_old_vouches_for_nothing() -> None:
    """Step Functions forgets names after 90 days, and then one could be used again."""
    start = Start(execution="api-x", runbook=RUNBOOK, requested_by="alice", input_hash="", at="2026-11-21T03:00:00Z")
    document = {"a": 1}
    start = start.model_copy(update={"input_hash": digest(document)})
    assert start.vouches_for(RUNBOOK, document, clock.parse("2026-11-21T03:10:00Z"))
    assert not start.vouches_for(RUNBOOK, document, clock.parse("2027-02-21T03:10:00Z"))
    assert not start.vouches_for(RUNBOOK, {"a": 2}, clock.parse("2026-11-21T03:10:00Z"))
    assert not start.vouches_for("watermark-reset", document, clock.parse("2026-11-21T03:10:00Z"))


def test_an_identity_without_the_permission_is_told_so_and_nothing_happened(
    aws: EmbeddedAws, ledger: Ledger, user: Hire, broken: scenario.Scenario
) -> None:
    routes = ["GET/*", "POST/runs"]
    arn = f"arn:aws:execute-api:{aws.region}:{aws.account_id}:*/$default/"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": [arn + route for route in routes]}
    asker = user("asker", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    nobody = user("nobody")
    aws.enforce_iam()
    assert nobody.starts("plan-only").status == 403
    assert executions(aws) == []
    run_id = asker.starts().document["run_id"]
    plan = asked(ledger, run_id)
    before = len(ledger.trail(run_id))
    for refused in (asker.votes("approve", run_id, plan), asker.send("POST", f"/runs/{run_id}/stop", {})):
        assert (refused.status, refused.document) == (403, {"message": "Forbidden"})
    assert len(ledger.trail(run_id)) == before
    approval = ledger.approval(run_id)
    assert approval is not None
    assert approval.status == "pending"
