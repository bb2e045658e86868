"""The nightly refresh as the template's schedule starts it, under a standing approval."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from runbooks.store.runs import Ledger, Run
from workbench import scenario
from workbench.embedded import EmbeddedAws, rds
from workbench.embedded.aws import TEMPLATE
from workbench.embedded.template import read
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


def handed_over(aws: EmbeddedAws) -> dict[str, Any]:
    """What Scheduler hands over tonight, if the stack was deployed with that input."""
    target = read(TEMPLATE)["Resources"]["NightlyRestore"]["Properties"]["Target"]
    assert target["Arn"] == {"Fn::GetAtt": ["ScheduleFunction", "Arn"]}
    text = target["Input"]["Fn::If"][1]["Fn::Sub"]
    for placeholder, value in {
        "${NightlyRestoreInput}": json.dumps(nightly_input()),
        "${AWS::StackName}": aws.stack_name,
        "<aws.scheduler.scheduled-time>": f"{aws.clock.now():%Y-%m-%dT00:05:00Z}",
    }.items():
        text = text.replace(placeholder, value)
    given: dict[str, Any] = json.loads(text)
    return given


@pytest.fixture
def night(aws: EmbeddedAws) -> dict[str, Any]:
    NIGHTLY.arrange(aws)
    rds.snapshot(aws, "orders", last_night(aws), minutes_ago=300)
    return handed_over(aws)


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
    aws: EmbeddedAws, ledger: Ledger, night: dict[str, Any]
) -> None:
    approved_in_advance(aws)
    aws.invoke("ScheduleFunction", night)
    run = the_run(aws, ledger, until="run.closed")
    assert (run.outcome, run.error_cause) == ("SUCCEEDED", None)
    assert (run.identity, run.requested_by) == ("verified", f"schedule/{SCHEDULE}")
    assert diagnosed(ledger, run).startswith("standing, given by arn:aws:iam::123456789012:user/bob")
    assert "approval.requested" not in [entry.event for entry in ledger.trail(run.run_id)]
    assert NIGHTLY.world(aws) == refreshed(aws)


def test_a_night_that_is_handed_over_twice_is_one_run(aws: EmbeddedAws, ledger: Ledger, night: dict[str, Any]) -> None:
    first, second = aws.invoke("ScheduleFunction", night), aws.invoke("ScheduleFunction", night)
    assert first == second
    assert the_run(aws, ledger, until="approval.requested").run_id == first["started"]
    assert len(ledger.runs_of(NAME)) == 1


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"inputs": {"snapshot": {"prefix": "reporting"}}}, "the input snapshot is {"),
        ({"irreversible": False}, "the plan has a change that cannot be undone"),
        ({"most_changes": 3}, "and at most 3 are allowed"),
    ],
)
def test_a_night_whose_plan_is_outside_the_bounds_waits_for_a_person(
    aws: EmbeddedAws, ledger: Ledger, night: dict[str, Any], bounds: dict[str, Any], why: str
) -> None:
    before = NIGHTLY.world(aws)
    approved_in_advance(aws, **bounds)
    aws.invoke("ScheduleFunction", night)
    run = the_run(aws, ledger, until="approval.requested")
    assert why in diagnosed(ledger, run)
    assert (run.status, NIGHTLY.world(aws)) == ("open", before)


def test_without_a_standing_approval_the_night_waits_for_a_person(
    aws: EmbeddedAws, ledger: Ledger, night: dict[str, Any]
) -> None:
    aws.invoke("ScheduleFunction", night)
    assert diagnosed(ledger, the_run(aws, ledger, until="approval.requested")) == "needed"
