"""Runs that start at the same moment on the same target: one acts, and nobody is lost."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import Credentials

from runbooks.store import audit
from runbooks.store.runs import Ledger, Run, run_id_of
from workbench import scenario
from workbench.api import Answer, ApiClient
from workbench.embedded import ecs
from workbench.embedded.functions import Invocation
from workbench.incident import start_input
from workbench.ledger import ledger_of
from workbench.scenarios.ecs_service_rollback import BREAKER, CLUSTER, SERVICE, revision

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
ROUNDS = 50
CROWD = 200
PATIENCE = 240.0
NO_APPROVAL = {"approval": {"changes-production": False}, "attempts_per_target_and_day": 1000}


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    aws.policy(NO_APPROVAL)
    return ledger_of(aws.outputs, aws.client("dynamodb"))


def start(aws: EmbeddedAws, service: str, name: str) -> tuple[str, str]:
    """The execution's ARN and the run's id."""
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    given = json.loads(start_input(RUNBOOK, "health-checks-fail")) | {"service": service}
    answer = aws.client("stepfunctions").start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))
    return answer["executionArn"], run_id_of(RUNBOOK, answer["executionArn"], answer["startDate"].astimezone(UTC))


def wait_until(ready: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < give_up, f"{what} did not happen"
        time.sleep(0.02)


def statuses(aws: EmbeddedAws, executions: list[str]) -> Counter[str]:
    client = aws.client("stepfunctions")
    return Counter(str(client.describe_execution(executionArn=arn)["status"]) for arn in executions)


def rollbacks(aws: EmbeddedAws, service: str) -> int:
    """How many deployments the service has had since the incident was arranged."""
    return len(aws.client("ecs").list_service_deployments(cluster=CLUSTER, service=service)["serviceDeployments"])


def closed(ledger: Ledger, run_id: str) -> Run:
    run = ledger.find(run_id)
    assert run is not None
    assert run.status == "closed"
    assert audit.faults(ledger.trail(run_id)) == []
    return run


def test_of_two_runs_started_at_once_one_rolls_back_once_and_the_other_ends_target_locked(
    aws: EmbeddedAws, ledger: Ledger
) -> None:
    """Fifty times over. Both have a plan before either asks for the lock, and the winner keeps it until both have."""
    ecs.cluster(aws, CLUSTER)
    good, bad = revision(aws, "1.0", minutes_ago=900), revision(aws, "1.1", minutes_ago=60, steady_after=None)
    both_have_a_plan = threading.Barrier(2)
    aws.faults.before("ssm:GetParameter", lambda _: both_have_a_plan.wait(30), only_from="-lock")
    for number in range(ROUNDS):
        service = f"{SERVICE}-{number}"
        ecs.deploy(aws, CLUSTER, service, good, minutes_ago=800, desiredCount=2, deploymentConfiguration=BREAKER)
        ecs.deploy(aws, CLUSTER, service, bad, minutes_ago=30)
        before = rollbacks(aws, service)
        aws.clock.hold()
        started = [start(aws, service, f"{number}-{side}") for side in "ab"]
        executions = [arn for arn, _ in started]
        wait_until(lambda e=executions: statuses(aws, e)["FAILED"] == 1, "the loser's end")
        aws.clock.release()
        wait_until(lambda e=executions: statuses(aws, e)["RUNNING"] == 0, "the winner's end")
        runs = [closed(ledger, run_id) for _, run_id in started]
        winner, loser = sorted(runs, key=lambda run: run.outcome != "SUCCEEDED")
        assert (winner.outcome, loser.error_name) == ("SUCCEEDED", "TargetLocked")
        assert winner.run_id in (loser.error_cause or "")
        assert rollbacks(aws, service) == before + 1
        assert ledger.holder(winner.targets[0], aws.clock.now()) is None


def asker(aws: EmbeddedAws) -> ApiClient:
    """Somebody with an access key, at the stack's API."""
    iam = aws.client("iam")
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    return ApiClient(aws.api_url, Credentials(key["AccessKeyId"], key["SecretAccessKey"]), aws.region)


def running(aws: EmbeddedAws) -> int:
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    pages = aws.client("stepfunctions").get_paginator("list_executions")
    return sum(len(page["executions"]) for page in pages.paginate(stateMachineArn=machine, statusFilter="RUNNING"))


def throttle_once(aws: EmbeddedAws, function: str) -> None:
    """Lambda takes the first invocation for each run as one too many, so that the run's state waits to try again."""
    met: set[str] = set()

    def throttled(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        run = event["execution"]["id"]
        if run in met:
            return invoke()
        met.add(run)
        report = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": "Rate Exceeded."}
        return Invocation(run, json.dumps(report), failed=True)

    aws.faults.around(function, throttled)


def test_of_two_hundred_starts_over_the_api_on_one_target_one_acts_and_the_others_say_who_does(
    aws: EmbeddedAws, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are sent at one moment, and all have a plan before any asks for the lock, so that none finds it healthy."""
    scenario.of(RUNBOOK)["health-checks-fail"].arrange(aws)
    before, alice = rollbacks(aws, SERVICE), asker(aws)
    body = {"runbook": RUNBOOK, "input": json.loads(start_input(RUNBOOK, "health-checks-fail"))}
    throttle_once(aws, f"{aws.stack_name}-lock")
    monkeypatch.setattr("workbench.api._TIMEOUT", PATIENCE)
    aws.clock.hold()
    line = threading.Barrier(CROWD)

    def start_at_once(_: int) -> Answer:
        line.wait(PATIENCE)
        return alice.send("POST", "/runs", body)

    with ThreadPoolExecutor(CROWD) as crowd:
        answers = list(crowd.map(start_at_once, range(CROWD)))
    assert {answer.status for answer in answers} == {201}
    runs = [answer.document["run_id"] for answer in answers]
    wait_until(lambda: aws.clock.waiting == CROWD, "the plan of every run")
    assert all(ledger.diagnosis(run_id) for run_id in runs)
    # The wait of the one that acts lasts until the clock is released.
    aws.clock.advance(minutes=1)
    wait_until(lambda: running(aws) == aws.clock.waiting == 1, "the end of all but the one that acts")
    assert rollbacks(aws, SERVICE) == before + 1
    aws.clock.release()
    wait_until(lambda: running(aws) == 0, "the end of the one")
    aws.settle(60)
    ended = [closed(ledger, run_id) for run_id in runs]
    (acted,) = [run for run in ended if ledger.changes(run.run_id)]
    assert (acted.outcome, acted.verified) == ("SUCCEEDED", True)
    others = [run for run in ended if run is not acted]
    assert {(run.error_name, acted.run_id in (run.error_cause or "")) for run in others} == {("TargetLocked", True)}
    assert len(others) == CROWD - 1
    assert rollbacks(aws, SERVICE) == before + 1
    assert ledger.holder(acted.targets[0], aws.clock.now()) is None
    told = Counter(message["message"].split()[1] for message in aws.messages if " ended " in message["message"])
    assert told == Counter(runs)
