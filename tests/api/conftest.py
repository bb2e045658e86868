"""People who sign their requests, as they would at the stack's address."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import Credentials

from workbench import scenario
from workbench.api import Answer, ApiClient
from workbench.incident import start_input
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from runbooks.store.runs import Ledger, Run
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"


class Someone:
    """A person with an access key, and what they do."""

    def __init__(self, aws: EmbeddedAws, arn: str, credentials: Credentials) -> None:
        self.aws, self.arn = aws, arn
        self.api = ApiClient(aws.api_url, credentials, aws.region)

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.api.send(method, path, body, **more)

    def get(self, path: str, **query: Any) -> Any:
        return self.api.ask("GET", path, query=query)

    def starts(self, event: str = "health-checks-fail", key: str | None = None, **changes: Any) -> Answer:
        given = json.loads(start_input(RUNBOOK, event)) | changes
        headers = {"Idempotency-Key": key} if key else {}
        return self.send("POST", "/runs", {"runbook": RUNBOOK, "input": given}, headers=headers)

    def votes(self, decision: str, run_id: str, plan_hash: str, comment: str = "seen") -> Answer:
        ballot = {"decision": decision, "plan_hash": plan_hash, "comment": comment}
        return self.send("POST", f"/runs/{run_id}/approval", ballot)


Hire = Callable[..., Someone]


@pytest.fixture
def user(aws: EmbeddedAws) -> Hire:
    """`user("alice")`: an IAM user with an access key; `policy` is what IAM lets them do."""

    def hire(name: str, policy: str | None = None) -> Someone:
        iam = aws.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        key = iam.create_access_key(UserName=name)["AccessKey"]
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        return Someone(aws, arn, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    return hire


@pytest.fixture
def session(aws: EmbeddedAws) -> Hire:
    """`session("Operator", "alice")`: somebody who has assumed a role under that session name."""

    def assume(role: str, name: str) -> Someone:
        policy = '{"Version": "2012-10-17", "Statement": []}'
        arn = aws.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        answer = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName=name)
        given = answer["Credentials"]
        credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return Someone(aws, answer["AssumedRoleUser"]["Arn"], credentials)

    return assume


@pytest.fixture
def alice(user: Hire) -> Someone:
    return user("alice")


@pytest.fixture
def bob(user: Hire) -> Someone:
    return user("bob")


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


@pytest.fixture
def broken(aws: EmbeddedAws) -> scenario.Scenario:
    """The standard incident, arranged."""
    standard = scenario.of(RUNBOOK)["health-checks-fail"]
    standard.arrange(aws)
    return standard


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What it returns once that is something. Raises TimeoutError."""
    give_up = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > give_up:
            raise TimeoutError("it did not happen")
        time.sleep(0.03)
    return found


def asked(ledger: Ledger, run_id: str, seconds: float = 30.0) -> str:
    """The plan's hash, once the run waits for somebody's decision with its task token."""

    def waiting() -> str | None:
        approval = ledger.approval(run_id)
        return approval.plan_hash if approval and approval.status == "pending" and approval.token else None

    return str(until(waiting, seconds))


def ended(aws: EmbeddedAws, ledger: Ledger, run_id: str) -> Run:
    """The run, once it is closed and everything about its end is handled."""

    def closed() -> Run | None:
        run = ledger.find(run_id)
        return run if run and run.status == "closed" else None

    run: Run = until(closed)
    client = aws.client("stepfunctions")
    until(lambda: client.describe_execution(executionArn=run.execution_arn)["status"] != "RUNNING")
    aws.settle()
    return run
