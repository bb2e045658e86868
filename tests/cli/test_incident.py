"""The driver of scenarios, on an incident that needs no service: there is none to roll back."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from workbench.embedded import EmbeddedAws
from workbench.incident import Incident, run_scenario, start_input
from workbench.scenario import Scenario

RUNBOOK = "ecs-service-rollback"
CLUSTER = "snowflake-analytics-cluster"


def arrange(aws: EmbeddedAws) -> None:
    aws.client("ecs").create_cluster(clusterName=CLUSTER)


def clusters(aws: EmbeddedAws) -> Any:
    return aws.client("ecs").list_clusters()["clusterArns"]


NO_SERVICE = Scenario(
    name="no-service",
    title="There is no such service",
    event="health-checks-fail",
    arrange=arrange,
    world=clusters,
    ends="FAILED",
    error="Refused",
    changes=0,
)


@pytest.fixture
def refused(aws: EmbeddedAws) -> Incident:
    return run_scenario(aws, RUNBOOK, NO_SERVICE)


def test_what_came_of_a_scenario_is_all_there(refused):
    assert refused.unexpected() == []
    assert (refused.status, refused.outcome, refused.error) == ("FAILED", "FAILED", "Refused")
    assert refused.states == [
        "Begin run",
        "Diagnose",
        "What did the diagnosis find?",
        "Record failure",
        "Run failed",
    ]
    assert [entry.event for entry in refused.audit] == ["run.started", "policy.passed", "diagnosis.made", "run.closed"]
    assert refused.run is not None
    assert refused.run.run_id == refused.run_id
    assert refused.run.requested_by == "alice"
    assert refused.audit_verified
    assert refused.lock_free
    assert refused.changes == []
    assert refused.world_before == refused.world_after != []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ends": "SUCCEEDED"}, "The execution ended FAILED, and SUCCEEDED was expected"),
        ({"error": "HandOff"}, "The run's error is Refused, and HandOff was expected"),
        ({"world_after": ["another"]}, "The world is ['arn:aws:ecs:"),
        ({"changes": 1}, "0 changes were applied, and 1 were expected."),
    ],
)
def test_what_differs_from_the_scenario_is_said(refused, change, sentence):
    otherwise = dataclasses.replace(refused, scenario=dataclasses.replace(NO_SERVICE, **change))
    (found,) = otherwise.unexpected()
    assert found.startswith(sentence)


def test_a_held_lock_and_a_broken_trail_are_said(refused):
    broken = dataclasses.replace(refused, lock_free=False, audit_faults=["entry 2 is missing before entry 3"])
    assert broken.unexpected() == [
        "The run still holds a lock.",
        "The audit trail is not whole: entry 2 is missing before entry 3.",
    ]


def test_a_run_that_was_never_written_is_said(refused):
    lost = dataclasses.replace(refused, run=None)
    assert "The run was never written to the State table." in lost.unexpected()


def test_callbacks_run_once_and_before_the_function_of_their_state(aws):
    calls: list[tuple[str, int]] = []

    def note(state: str) -> Any:
        def callback(aws: EmbeddedAws, execution_arn: str) -> None:
            assert execution_arn.endswith(":demo-no-service")
            calls.append((state, len(aws.messages)))

        return callback

    states = ["Diagnose", "What did the diagnosis find?", "Record failure", "Run failed"]
    scenario = dataclasses.replace(NO_SERVICE, on_state={state: note(state) for state in states})
    assert run_scenario(aws, RUNBOOK, scenario).unexpected() == []
    # `Record failure` publishes the end of the run, so its callback came before its function did.
    assert calls == [*[(state, 0) for state in states[:3]], ("Run failed", 1)]


def test_a_callback_can_stop_the_execution(aws):
    def stop(aws: EmbeddedAws, execution_arn: str) -> None:
        aws.client("stepfunctions").stop_execution(executionArn=execution_arn)

    scenario = dataclasses.replace(
        NO_SERVICE, on_state={"Diagnose": stop}, ends="ABORTED", error="RunAborted", changes=0
    )
    assert run_scenario(aws, RUNBOOK, scenario).unexpected() == []


def test_what_a_callback_raises_is_raised_to_who_drives(aws):
    def broken(aws: EmbeddedAws, execution_arn: str) -> None:
        raise LookupError("nothing to break")

    with pytest.raises(LookupError, match="nothing to break"):
        run_scenario(aws, RUNBOOK, dataclasses.replace(NO_SERVICE, on_state={"Diagnose": broken}))


def test_every_moment_is_observed(aws):
    moments = []
    incident = run_scenario(aws, RUNBOOK, NO_SERVICE, observe=moments.append)
    assert [moment.state for moment in moments if moment.what == "entered"] == incident.states
    assert [moment.entry for moment in moments if moment.what == "recorded"] == incident.audit
    assert [moment.what for moment in moments].count("ended") == 1


def test_a_mode_can_be_given_for_the_one_in_the_event():
    assert '"mode": "execute"' in start_input(RUNBOOK, "health-checks-fail")
    assert '"mode": "plan"' in start_input(RUNBOOK, "health-checks-fail", mode="plan")
