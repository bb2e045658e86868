"""The nightly refresh as the template's schedule starts it, under a standing approval."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from runbooks.store.runs import Ledger, Run
from workbench import scenario
from workbench.embedded import EmbeddedAws, rds
from workbench.embedded.aws import OTHER_ACCOUNT, OTHER_ALIAS
from workbench.incident import api_event, start_input
from workbench.ledger import ledger_of
from workbench.scenarios.aurora_snapshot_restore import ID

NAME = "aurora-snapshot-restore"
NIGHTLY = scenario.of(NAME)["nightly"]
TARGET = "arn:aws:rds:eu-central-1:123456789012:cluster:reporting"
SCHEDULE = "runbooks-dev-nightly-restore"
BOUNDS: dict[str, Any] = {
    "operations": [
        "postgres:Check",
        "rds:AddTagsToResource",
        "rds:CreateDBClusterSnapshot",
        "rds:CreateDBInstance",
        "rds:DeleteDBCluster",
        "rds:DeleteDBClusterSnapshot",
        "rds:DeleteDBInstance",
        "rds:EnableHttpEndpoint",
        "rds:ModifyDBCluster",
        "rds:RestoreDBClusterFromSnapshot",
    ],
    "most_changes": 30,
    "irreversible": True,
    "inputs": {"replace": "swap", "snapshot": {"prefix": "orders", "days_before": 1}},
}


def last_night(aws: EmbeddedAws) -> str:
    """The snapshot that the schedule is for."""
    return f"orders-{aws.clock.now() - timedelta(days=1):%Y-%m-%d}"


def refreshed(aws: EmbeddedAws) -> Any:
    """The world after the nightly refresh, from last night's snapshot instead of the scenario's."""
    expected = json.loads(json.dumps(NIGHTLY.world_after).replace(ID, last_night(aws)))
    expected["snapshots"][ID] = expected["snapshots"][last_night(aws)]
    return expected


def nightly_input() -> dict[str, Any]:
    given: dict[str, Any] = json.loads(start_input(NAME, NIGHTLY.event))
    given["snapshot"]["date"] = "<aws.scheduler.scheduled-time>"
    del given["requested_by"]
    return given


@pytest.fixture(scope="module")
def deployed() -> Iterator[EmbeddedAws]:
    """The stack with its nightly restore switched on."""
    parameters = {
        "OtherAccounts": f"{OTHER_ALIAS}={OTHER_ACCOUNT}",
        "NightlyRestoreInput": json.dumps(nightly_input()),
    }
    with EmbeddedAws(parameters=parameters) as aws:
        yield aws


@pytest.fixture
def aws(deployed: EmbeddedAws) -> Iterator[EmbeddedAws]:
    NIGHTLY.arrange(deployed)
    rds.snapshot(deployed, "orders", last_night(deployed), minutes_ago=300)
    yield deployed
    deployed.reset()


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


def approved_in_advance(aws: EmbeddedAws, **bounds: Any) -> None:
    body = {"target": TARGET, "bounds": BOUNDS | bounds, "expires_at": "2027-06-30T00:00:00Z", "comment": "each night"}
    answer = aws.invoke(
        "ApiFunction", api_event(aws.account_id, "PUT", f"/standing-approvals/{NAME}", body, user="bob")
    )
    assert answer["statusCode"] == 200, answer


def the_run(aws: EmbeddedAws, ledger: Ledger, *, until: str) -> Run:
    """The run of the night, once it is closed or waits for approval."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        for run in ledger.runs_of(NAME):
            if until in [entry.event for entry in ledger.trail(run.run_id)]:
                aws.settle()
                return ledger.find(run.run_id) or run
            assert run.status == "open", (run.error_name, run.error_cause)
        time.sleep(0.02)
    raise TimeoutError(f"no run came to {until}")


def diagnosed(ledger: Ledger, run: Run) -> str:
    (entry,) = [entry for entry in ledger.trail(run.run_id) if entry.event == "diagnosis.made"]
    return str(entry.detail["approval"])


def test_each_night_the_schedule_starts_a_run_that_the_standing_approval_covers(
    aws: EmbeddedAws, ledger: Ledger
) -> None:
    approved_in_advance(aws)
    aws.sweep()
    run = the_run(aws, ledger, until="run.closed")
    assert (run.outcome, run.error_cause) == ("SUCCEEDED", None)
    assert (run.identity, run.requested_by) == ("verified", f"schedule/{SCHEDULE}")
    assert diagnosed(ledger, run).startswith("standing, given by arn:aws:iam::123456789012:user/bob")
    assert "approval.requested" not in [entry.event for entry in ledger.trail(run.run_id)]
    assert NIGHTLY.world(aws) == refreshed(aws)


def test_a_schedule_that_is_delivered_twice_starts_one_run(aws: EmbeddedAws, ledger: Ledger) -> None:
    night = {"runbook": NAME, "schedule": SCHEDULE, "due": "2026-11-21T00:05:00Z", "input": nightly_input()}
    night["input"]["snapshot"]["date"] = night["due"]
    first, second = aws.invoke("ScheduleFunction", night), aws.invoke("ScheduleFunction", night)
    assert first == second
    assert [run.run_id for run in ledger.runs_of(NAME)] == [first["started"]]


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"inputs": {"snapshot": {"prefix": "reporting"}}}, "the input snapshot is {"),
        ({"irreversible": False}, "the plan has a change that cannot be undone"),
        ({"most_changes": 3}, "and at most 3 are allowed"),
    ],
)
def test_a_night_whose_plan_is_outside_the_bounds_waits_for_a_person(
    aws: EmbeddedAws, ledger: Ledger, bounds: dict[str, Any], why: str
) -> None:
    before = NIGHTLY.world(aws)
    approved_in_advance(aws, **bounds)
    aws.sweep()
    run = the_run(aws, ledger, until="approval.requested")
    assert why in diagnosed(ledger, run)
    assert (run.status, NIGHTLY.world(aws)) == ("open", before)


def test_without_a_standing_approval_the_night_waits_for_a_person(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.sweep()
    assert diagnosed(ledger, the_run(aws, ledger, until="approval.requested")) == "needed"
