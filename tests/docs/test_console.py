"""What the console shows: what to paste, and why a run failed with what to do next."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runbooks import catalogue, errors
from runbooks.frame.advice import NEXT, with_next_step
from runbooks.frame.begin import parse_input
from runbooks.store.runs import run_id_of
from workbench import scenario
from workbench.incident import APPROVER, EVENTS, api_event, run_scenario, start_input
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
ROOT = Path(__file__).parents[2]
LARGEST = 262_144
MACHINES = sorted((ROOT / "statemachines").glob("*.asl.json"))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name.partition(".")[0])
def test_a_machines_description_says_what_it_is_for_and_what_to_paste(machine: Path) -> None:
    runbook = catalogue.load(machine.name.removesuffix(".asl.json"))
    comment = json.loads(machine.read_text(encoding="utf-8"))["Comment"]
    assert comment.startswith(f"{runbook.title}. To start it, paste an input such as ")
    pasted = json.loads(comment[comment.index("{") : comment.rindex("}") + 1])
    given = parse_input(runbook, pasted)
    assert given.mode == "plan"
    assert runbook.targets(given, "123456789012", "eu-central-1")
    assert "<" not in json.dumps(pasted), "it shows a placeholder where a name or an object belongs"


def test_every_folder_of_events_is_a_runbooks_or_the_triggers() -> None:
    assert {path.name for path in EVENTS.iterdir()} == {*catalogue.names(), "triggers"}


START_INPUTS = [path for path in sorted(EVENTS.glob("*/*.json")) if path.parent.name != "triggers"]
"""What is pasted to start a run. Those of triggers are events of AWS: tests/triggers/ puts each on the bus."""


def is_to_be_refused(event: Path) -> bool:
    """Whether the file is there to show what the runbook's input model refuses."""
    of_it = [each.error for each in scenario.of(event.parent.name).values() if each.event == event.stem]
    return "InputInvalid" in of_it


@pytest.mark.parametrize("event", START_INPUTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_start_input_can_be_pasted(event: Path) -> None:
    text = event.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    runbook, document = catalogue.load(event.parent.name), json.loads(text)
    if is_to_be_refused(event):
        with pytest.raises(errors.InputInvalid):
            parse_input(runbook, document)
    else:
        given = parse_input(runbook, document)
        assert runbook.targets(given, "123456789012", "eu-central-1")


def test_every_runbook_has_an_input_that_only_plans() -> None:
    for name in catalogue.names():
        document = json.loads((EVENTS / name / "plan-only.json").read_text(encoding="utf-8"))
        assert parse_input(catalogue.load(name), document).mode == "plan", name


def test_every_error_that_there_is_has_a_next_step_that_reads_as_the_end_of_a_sentence() -> None:
    assert NEXT.keys() == errors.NAMES
    for name, step in NEXT.items():
        assert step[0].islower(), name
        assert not step.endswith("."), name
        told = with_next_step(name, "Something happened.", "a-run")
        assert told == f"Something happened. Next: {step} (the trail: runbook audit show a-run)."
    assert with_next_step("HandOff", "It is gone. Next: aws ecs help", "a-run") == "It is gone. Next: aws ecs help"


def test_every_error_that_there_is_is_explained_where_the_page_says() -> None:
    rows = [line for line in (ROOT / "docs/operating.md").read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    firsts = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in rows]
    explained = [name for first in firsts for name in first if name in errors.NAMES]
    assert sorted(explained) == sorted(errors.NAMES)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name.partition(".")[0])
def test_every_way_in_which_an_execution_can_fail_says_what_to_do_next(machine: Path) -> None:
    states = json.loads(machine.read_text(encoding="utf-8"))["States"]
    failing = [state for state in states.values() if state["Type"] == "Fail"]
    by_record = [state for state in failing if "ErrorPath" in state]
    assert [(state["ErrorPath"], state["CausePath"]) for state in by_record] == [("$.error_name", "$.error_cause")]
    literal = {state["Error"]: state["Cause"] for state in failing if "Error" in state}
    assert len(literal) + len(by_record) == len(failing)
    assert "FailureNotRecorded" in literal
    for name, cause in literal.items():
        assert cause.endswith(f". Next: {NEXT[name]}."), name


def test_an_execution_that_failed_says_what_to_do_next(aws: EmbeddedAws) -> None:
    ended = run_scenario(aws, RUNBOOK, scenario.of(RUNBOOK)["denied-by-approver"])
    described = aws.client("stepfunctions").describe_execution(executionArn=ended.execution_arn)
    assert described["error"] == "ApprovalDenied"
    assert described["cause"].endswith(
        f" Next: talk to whoever said no, then start it again (the trail: runbook audit show {ended.run_id})."
    )


@pytest.fixture
def waiting(aws: EmbeddedAws) -> tuple[str, str]:
    """A run that waits for approval: its id, and the ARN of its execution."""
    scenario.of(RUNBOOK)["health-checks-fail"].arrange(aws)
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    text = start_input(RUNBOOK, "health-checks-fail")
    started = aws.client("stepfunctions").start_execution(stateMachineArn=machine, name="waits", input=text)
    give_up = time.monotonic() + 30
    while not any("Approve?" in message["subject"] for message in aws.messages):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    arn = started["executionArn"]
    return run_id_of(RUNBOOK, arn, started["startDate"].astimezone(UTC)), arn


def test_a_run_that_was_stopped_in_the_console_is_told_with_what_to_do_next(
    aws: EmbeddedAws, waiting: tuple[str, str]
) -> None:
    run_id, arn = waiting
    aws.client("stepfunctions").stop_execution(executionArn=arn)
    aws.settle()
    run = ledger_of(aws.outputs, aws.client("dynamodb")).find(run_id)
    assert run is not None
    assert (run.outcome, run.error_name) == ("ABORTED", "RunAborted")
    assert (run.error_cause or "").startswith("the execution ended ABORTED; nothing was changed. Now: ")
    assert (run.error_cause or "").endswith(f" Next: {NEXT['RunAborted']} (the trail: runbook audit show {run_id}).")
    told = aws.messages[-1]
    assert told["subject"] == f"[dev] {RUNBOOK} RunAborted"
    assert f"\n{run.error_cause}\n" in told["message"]


def test_an_execution_that_was_stopped_through_the_api_says_who_did_it_and_what_to_do_next(
    aws: EmbeddedAws, waiting: tuple[str, str]
) -> None:
    run_id, arn = waiting
    stop = api_event(aws.account_id, "POST", f"/runs/{run_id}/stop", {"reason": "wrong service"})
    assert aws.invoke("ApiFunction", stop)["statusCode"] == 202
    described = aws.client("stepfunctions").describe_execution(executionArn=arn)
    assert (described["status"], described["error"]) == ("ABORTED", "Stopped")
    assert described["cause"] == (
        f"Stopped by arn:aws:iam::{aws.account_id}:user/{APPROVER}: wrong service."
        f" Next: {NEXT['RunAborted']} (the trail: runbook audit show {run_id})."
    )


def test_the_message_of_a_failed_run_says_what_to_do_next_and_that_of_a_good_one_what_came_of_it(
    aws: EmbeddedAws,
) -> None:
    scenarios = scenario.of(RUNBOOK)
    run_scenario(aws, RUNBOOK, scenarios["denied-by-approver"])
    aws.settle()
    assert f". Next: {NEXT['ApprovalDenied']}\n\nThe trail: " in aws.messages[-1]["message"]
    aws.reset()
    run_scenario(aws, RUNBOOK, scenarios["health-checks-fail"])
    aws.settle()
    assert "Next: " not in aws.messages[-1]["message"]
    assert aws.messages[-1]["subject"] == f"[dev] {RUNBOOK} SUCCEEDED"
