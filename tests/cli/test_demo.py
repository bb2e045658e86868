"""`demo`: an incident, mended before your eyes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest

from workbench import scenario
from workbench.cli import demo
from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"


@pytest.fixture
def here(aws: EmbeddedAws, monkeypatch) -> EmbeddedAws:
    """The demo runs on the embedded AWS of this test, since a process has one."""
    monkeypatch.setattr(demo, "embedded", lambda pace: contextlib.nullcontext(aws))
    return aws


def standard() -> scenario.Scenario:
    return next(iter(scenario.of(RUNBOOK).values()))


def test_the_console_script_mends_the_standard_incident_and_prints_one_document(installed):
    answer = installed("demo", "--json")
    assert answer.code == 0, answer.stderr
    document = answer.document
    assert document["unexpected"] == []
    assert (document["runbook"], document["scenario"]) == (RUNBOOK, standard().name)
    assert (document["status"], document["outcome"], document["error"]) == ("SUCCEEDED", "SUCCEEDED", None)
    assert document["states"][0] == "Begin run"
    assert document["states"][-1] == "Finish run"
    assert {change["status"] for change in document["changes"]} == {"done"}
    assert document["audit_verified"] is True
    assert document["audit"][-1]["event"] == "run.closed"


def test_the_story_has_the_findings_the_plan_the_states_and_the_trail(here, runbook):
    answer = runbook("demo")
    assert answer.code == 0, answer.stdout + answer.stderr
    text = " ".join(answer.stdout.split())
    for word in "critical", "Plan ", " -> ", "undo: ", "approved by bob", "States passed", "Audit trail", "run.closed":
        assert word in text
    assert "SUCCEEDED recovered in " in text
    assert text.endswith("chain verified")
    assert all(line == line.rstrip() and len(line) <= 120 for line in answer.stdout.splitlines())


def test_a_plan_changes_nothing(here, runbook):
    answer = runbook("demo", "--plan", "--json")
    assert answer.code == 0
    assert answer.document["status"] == "SUCCEEDED"
    assert answer.document["changes"] == []
    assert "Wait for approval" not in answer.document["states"]
    assert answer.document["unexpected"] == []


def test_a_denied_plan_leaves_the_world_as_it_was(here, runbook):
    answer = runbook("demo", "--deny", "--json")
    assert answer.code == 0
    assert (answer.document["status"], answer.document["error"]) == ("FAILED", "ApprovalDenied")
    assert answer.document["changes"] == []
    assert answer.document["unexpected"] == []


def test_an_unknown_scenario_is_answered_with_those_that_exist(runbook):
    answer = runbook("demo", "--scenario", "no-such-incident")
    assert answer.code == 2
    assert answer.complaint.startswith(f"{RUNBOOK} has no scenario 'no-such-incident'. There are: ")
    for name in scenario.of(RUNBOOK):
        assert name in answer.complaint


def test_all_runs_every_scenario_and_each_ends_as_it_must(here, runbook, monkeypatch):
    two = dict(list(scenario.of(RUNBOOK).items())[:2])
    monkeypatch.setattr(scenario, "of", lambda name: two)
    answer = runbook("demo", RUNBOOK, "--all")
    assert answer.code == 0
    lines = answer.stdout.splitlines()
    assert [next(name for name in two if f"  {name} " in line) for line in lines] == list(two)
    assert all("as it must end" in line for line in lines)


def test_a_run_that_does_not_end_as_it_must_ends_the_demo_with_1(here, runbook, monkeypatch):
    wrong = replace(standard(), ends="FAILED", error="Refused")
    monkeypatch.setattr(scenario, "of", lambda name: {wrong.name: wrong})
    answer = runbook("demo", "--json")
    assert answer.code == 1
    assert "did not end as it must." in answer.complaint
    assert "SUCCEEDED" in json.dumps(answer.document["unexpected"])


def test_all_goes_on_after_a_scenario_that_cannot_be_run(here, runbook, monkeypatch):
    def nothing_to_break(aws: EmbeddedAws) -> None:
        raise LookupError("nothing to break")

    there_are = scenario.of(RUNBOOK)
    broken = replace(standard(), name="broken", arrange=nothing_to_break)
    healthy = there_are["healthy-already"]
    monkeypatch.setattr(scenario, "of", lambda name: {each.name: each for each in (broken, healthy)})
    answer = runbook("demo", RUNBOOK, "--all", "--json")
    assert answer.code == 1
    first, second = answer.document
    assert first["unexpected"] == ["It could not be run: LookupError: nothing to break"]
    assert (second["scenario"], second["status"], second["unexpected"]) == ("healthy-already", "SUCCEEDED", [])
