"""What the console shows: what to paste, and why a run failed with what to do next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbooks import catalogue, errors
from runbooks.frame.advice import NEXT, with_next_step
from runbooks.frame.begin import parse_input
from workbench import scenario
from workbench.incident import EVENTS, run_scenario

ROOT = Path(__file__).parents[2]
LARGEST = 262_144
MACHINES = sorted((ROOT / "statemachines").glob("*.asl.json"))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name.partition(".")[0])
def test_a_machines_description_says_what_it_is_for_and_what_to_paste(machine: Path) -> None:
    runbook = catalogue.load(machine.name.removesuffix(".asl.json"))
    comment = json.loads(machine.read_text(encoding="utf-8"))["Comment"]
    assert comment.startswith(runbook.title)
    pasted = json.loads(comment[comment.index("{") : comment.rindex("}") + 1])
    assert set(pasted) <= set(runbook.input.model_fields)
    assert {"mode", "reason", "requested_by"} <= set(pasted)


@pytest.mark.parametrize("event", sorted(EVENTS.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_event_can_be_pasted(event: Path) -> None:
    text = event.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    document = json.loads(text)
    refused = (
        {each.event for each in scenario.of(event.parent.name).values() if each.error == "InputInvalid"}
        if event.parent.name in catalogue.names()
        else {event.stem}
    )
    if event.stem not in refused:
        assert parse_input(catalogue.load(event.parent.name), document)


def test_every_advice_is_for_an_error_that_there_is_and_reads_as_the_end_of_a_sentence() -> None:
    assert set(NEXT) <= errors.NAMES
    for name in errors.NAMES:
        told = with_next_step(name, "Something happened.", "a-run")
        assert told.startswith("Something happened. Next: ")
        assert told.endswith("(the trail: runbook audit show a-run).")
    assert with_next_step("HandOff", "It is gone. Next: aws ecs help", "a-run") == "It is gone. Next: aws ecs help"


def test_an_execution_that_failed_says_what_to_do_next(aws) -> None:
    ended = run_scenario(aws, "ecs-service-rollback", scenario.of("ecs-service-rollback")["denied-by-approver"])
    described = aws.client("stepfunctions").describe_execution(executionArn=ended.execution_arn)
    assert described["error"] == "ApprovalDenied"
    assert described["cause"].endswith(
        f" Next: talk to whoever said no, then start it again (the trail: runbook audit show {ended.run_id})."
    )
