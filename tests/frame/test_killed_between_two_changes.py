"""A phase of two changes whose process is killed at any moment, and then delivered again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import clock
from runbooks.store import audit
from runbooks.store.runs import Ledger, Run, run_id_of
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

PROGRAM = Path(__file__).parent / "two_changes.py"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:two-changes:x"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
RUN = run_id_of("two-changes", EXECUTION, NOW)
TARGET = "arn:aws:dynamodb:eu-central-1:123456789012:table/toy"
KILLED = 9


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    """A run that is diagnosed and holds its lock, on a table with two old values."""
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="toy",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in ("first", "second"):
        dynamodb.put_item(TableName="toy", Item={"id": {"S": name}, "value": {"S": "old"}})
    ledger = ledger_of(aws.outputs, dynamodb)
    run = Run(
        run_id=RUN,
        runbook="two-changes",
        execution_arn=EXECUTION,
        started_at=clock.iso(NOW),
        targets=(TARGET,),
        given={"mode": "execute", "reason": "a test", "requested_by": "alice"},
    )
    ledger.begin(run, state="Begin run", detail={}, now=NOW)
    delivered(aws, "diagnose")
    ledger.lock(ledger.open_run(RUN), lease=timedelta(hours=1), budget=5, state="Lock the target", now=NOW)
    return ledger


def deliver(
    aws: EmbeddedAws, step: str, minutes_later: float = 0, moment: str = "never"
) -> subprocess.CompletedProcess[str]:
    env = os.environ | {
        "PYTHONPATH": "src",
        "STATE_TABLE": aws.outputs["StateTableName"],
        "AUDIT_TABLE": aws.outputs["AuditTableName"],
        "POLICY_PARAMETER": aws.outputs["PolicyParameterName"],
        "TOPIC_ARN": aws.outputs["TopicArn"],
        "STAGE": "dev",
        "SYSTEM": aws.stack_name,
        "ACCOUNT_ID": aws.account_id,
        "AWS_REGION": aws.region,
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_METRICS_NAMESPACE": "Runbooks",
        "POWERTOOLS_SERVICE_NAME": "runbooks",
    }
    root = PROGRAM.parents[2]
    command = [sys.executable, str(PROGRAM), step, str(minutes_later), moment]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=60, check=False)


def delivered(aws: EmbeddedAws, step: str, minutes_later: float = 0) -> dict[str, Any]:
    done = deliver(aws, step, minutes_later)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def values(aws: EmbeddedAws) -> list[str]:
    items = aws.client("dynamodb").scan(TableName="toy")["Items"]
    return [item["value"]["S"] for item in sorted(items, key=lambda item: str(item["id"]["S"]))]


def effects(aws: EmbeddedAws) -> int:
    """Calls that have changed the toy table: only runbooks use UpdateItem outside transactions."""
    return sum(call.operation == "dynamodb:UpdateItem" for call in aws.calls)


@pytest.mark.parametrize(
    ("moment", "halfway"),
    [
        ("phase.started:1", ["old", "old"]),
        ("change.intended:1", ["old", "old"]),
        ("call:1", ["new", "old"]),
        ("change.done:1", ["new", "old"]),
        ("change.intended:2", ["new", "old"]),
        ("call:2", ["new", "new"]),
        ("change.done:2", ["new", "new"]),
        ("phase.applied:1", ["new", "new"]),
    ],
)
def test_a_phase_that_is_killed_and_delivered_again_makes_each_change_once(
    aws: EmbeddedAws, ledger: Ledger, moment: str, halfway: list[str]
) -> None:
    assert deliver(aws, "apply", moment=moment).returncode == KILLED
    assert values(aws) == halfway
    delivered(aws, "apply", minutes_later=2)
    assert values(aws) == ["new", "new"]
    assert effects(aws) == 2
    assert delivered(aws, "verify", minutes_later=3)["verified"] is True


@pytest.mark.parametrize(
    ("moment", "halfway"),
    [
        ("undo.started:1", ["new", "new"]),
        ("undo.intended:1", ["new", "new"]),
        ("call:1", ["new", "old"]),
        ("undo.done:1", ["new", "old"]),
    ],
)
def test_an_undo_that_is_killed_and_delivered_again_takes_each_change_back_once(
    aws: EmbeddedAws, ledger: Ledger, moment: str, halfway: list[str]
) -> None:
    delivered(aws, "apply")
    assert deliver(aws, "undo", 1, moment).returncode == KILLED
    assert values(aws) == halfway
    later = 3.0
    while not delivered(aws, "undo", later)["undone"]:
        later += 2
    assert values(aws) == ["old", "old"]
    assert effects(aws) == 4
    failed = delivered(aws, "fail", later + 1)
    assert (failed["error_name"], "a test says so" in failed["error_cause"]) == ("RemediationFailed", True)
    assert audit.faults(ledger.trail(RUN)) == []
    assert ledger.holder(TARGET, NOW) is None


def test_before_its_deadline_an_unanswered_change_is_neither_repeated_nor_undone(
    aws: EmbeddedAws, ledger: Ledger
) -> None:
    assert deliver(aws, "apply", moment="call:1").returncode == KILLED
    for step in ("apply", "undo"):
        refused = deliver(aws, step, minutes_later=0.5)
        assert refused.returncode == 1
        assert "ChangeUnsettled" in refused.stderr
    assert values(aws) == ["new", "old"]
    assert effects(aws) == 1
