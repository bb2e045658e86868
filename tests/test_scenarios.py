"""Every incident of every runbook ends as its scenario says, and leaves the ledger in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runbooks import catalogue
from workbench import scenario
from workbench.evidence.left import left_by
from workbench.iam.flows import watch_incident
from workbench.incident import run_scenario
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

    from .conftest import Kept

ALL = [(name, each) for name in catalogue.names() for each in scenario.of(name).values()]


@pytest.mark.parametrize(("runbook", "incident"), ALL, ids=[f"{name}-{each.name}" for name, each in ALL])
def test_the_incident_ends_as_its_scenario_says(aws: EmbeddedAws, kept: Kept, runbook: str, incident: Scenario) -> None:
    ended, seen = watch_incident(aws, runbook, incident)
    assert ended.unexpected() == []
    assert (ended.status == "SUCCEEDED") == (incident.ends == "SUCCEEDED")
    assert ended.lock_free
    assert ended.audit_verified
    told = [message for message in aws.messages if f"{ended.run_id} ended" in message["message"]]
    assert len(told) == 1
    assert aws.defects == []
    assert aws.undelivered == []
    kept.keep(aws, runbook, incident, seen, left_by(aws, ended))


@pytest.mark.parametrize("runbook", catalogue.names())
def test_a_finished_runbook_run_again_finds_a_healthy_target_and_changes_nothing(
    aws: EmbeddedAws, runbook: str
) -> None:
    incident = next(iter(scenario.of(runbook).values()))
    first = run_scenario(aws, runbook, incident)
    again = run_scenario(aws, runbook, incident_that_is_there(incident), execution_name="again")
    assert (first.status, again.status) == ("SUCCEEDED", "SUCCEEDED")
    assert again.run is not None
    assert again.run.verdict == "healthy"
    assert again.changes == []
    assert again.world_after == first.world_after


@pytest.mark.parametrize("runbook", catalogue.names())
def test_the_same_incident_passes_the_same_states_changes_and_audit_events_every_time(
    aws: EmbeddedAws, runbook: str
) -> None:
    incident = next(iter(scenario.of(runbook).values()))
    passed = []
    for _ in range(2):
        aws.reset()
        ended = run_scenario(aws, runbook, incident)
        events = [(entry.event, entry.state, entry.actor) for entry in ended.audit]
        passed.append((ended.states, ended.changes, events))
    assert passed[0] == passed[1]


def incident_that_is_there(incident: Scenario) -> Scenario:
    """The same scenario without breaking anything: the world stays as the run before left it."""
    return replace(incident, arrange=lambda _: None, world_after=None, changes=0)
