import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from statelint.linter import Linter

from runbooks import catalogue
from runbooks.errors import TRANSIENT
from runbooks.frame.step import LEASE
from runbooks.model import Runbook
from workbench.asl import compiler, rules, standard
from workbench.asl.compiler import compile_runbook, drift, file_of, render, write_all

from .conftest import phase, runbook

TIMEOUTS = {function.substitution: function.timeout for function in standard.functions_of(runbook())}


def test_the_states_stand_in_the_order_of_the_procedure(two_phases: Runbook) -> None:
    assert list(compile_runbook(two_phases)["States"]) == [
        "Begin run",
        "Diagnose",
        "What did the diagnosis find?",
        "Plan only?",
        "Is approval needed?",
        "Wait for approval",
        "Read the decision",
        "Is it decided?",
        "Lock the target",
        "Copy the snapshot",
        "Look: is the copy complete?",
        "Is the copy complete?",
        "Wait: is the copy complete?",
        "Cut over",
        "Look: does the new cluster answer?",
        "Does the new cluster answer?",
        "Wait: does the new cluster answer?",
        "Verify",
        "Finish run",
        "Undo the changes",
        "Is everything undone?",
        "Wait for the undo",
        "Record failure",
        "Run failed",
        "Failure not recorded",
    ]


def test_a_runbook_without_phases_changes_nothing(read_only: Runbook) -> None:
    assert list(compile_runbook(read_only)["States"]) == [
        "Begin run",
        "Diagnose",
        "What did the diagnosis find?",
        "Finish run",
        "Record failure",
        "Run failed",
        "Failure not recorded",
    ]


@pytest.mark.parametrize("which", ["two_phases", "read_only"])
def test_what_it_compiles_has_no_fault(which: str, request: pytest.FixtureRequest) -> None:
    definition = compile_runbook(request.getfixturevalue(which))
    assert Linter.validate(definition) == []
    assert rules.violations(definition, TIMEOUTS, list(definition["States"])) == []


def test_the_way_of_a_run(two_phases: Runbook) -> None:
    states = compile_runbook(two_phases)["States"]

    assert states["What did the diagnosis find?"]["Choices"] == [
        {"Variable": "$.verdict", "StringEquals": "healthy", "Next": "Finish run"},
        {"Variable": "$.verdict", "StringEquals": "remediable", "Next": "Plan only?"},
    ]
    assert states["What did the diagnosis find?"]["Default"] == "Record failure"
    assert states["Plan only?"]["Choices"] == [{"Variable": "$.mode", "StringEquals": "plan", "Next": "Finish run"}]
    assert states["Is approval needed?"]["Choices"] == [
        {"Variable": "$.approval_needed", "BooleanEquals": True, "Next": "Wait for approval"}
    ]
    assert states["Is approval needed?"]["Default"] == "Lock the target"
    assert states["Read the decision"]["Next"] == "Is it decided?"
    assert states["Is it decided?"]["Choices"] == [
        {"Variable": "$.decided", "BooleanEquals": True, "Next": "Lock the target"}
    ]
    assert states["Is it decided?"]["Default"] == "Wait for approval"
    assert states["Lock the target"]["Next"] == "Copy the snapshot"
    assert states["Is the copy complete?"]["Choices"] == [
        {"Variable": "$.settled", "BooleanEquals": True, "Next": "Cut over"}
    ]
    assert states["Is the copy complete?"]["Default"] == "Wait: is the copy complete?"
    assert states["Wait: is the copy complete?"]["SecondsPath"] == "$.wait_seconds"
    assert states["Wait: is the copy complete?"]["Next"] == "Look: is the copy complete?"
    assert states["Does the new cluster answer?"]["Choices"][0]["Next"] == "Verify"
    assert states["Verify"]["Next"] == "Finish run"
    assert states["Finish run"]["End"] is True
    assert states["Is everything undone?"]["Choices"][0]["Next"] == "Record failure"
    assert states["Is everything undone?"]["Default"] == "Wait for the undo"
    assert states["Run failed"]["ErrorPath"] == "$.error_name"
    assert states["Run failed"]["CausePath"] == "$.error_cause"


def test_where_an_error_leads(two_phases: Runbook) -> None:
    states = compile_runbook(two_phases)["States"]
    caught = {
        name: [(catcher["ErrorEquals"], catcher["ResultPath"], catcher["Next"]) for catcher in state["Catch"]]
        for name, state in states.items()
        if state["Type"] == "Task"
    }

    def everything(target: str, path: str = "$.error") -> tuple[list[str], str, str]:
        return (["States.ALL"], path, target)

    assert caught == {
        "Begin run": [everything("Record failure", "$")],
        "Diagnose": [everything("Record failure")],
        "Wait for approval": [(["States.Timeout"], "$.error", "Read the decision"), everything("Record failure")],
        "Read the decision": [everything("Record failure")],
        "Lock the target": [everything("Record failure")],
        "Copy the snapshot": [everything("Undo the changes")],
        "Look: is the copy complete?": [everything("Undo the changes")],
        "Cut over": [everything("Undo the changes")],
        "Look: does the new cluster answer?": [everything("Undo the changes")],
        "Verify": [everything("Undo the changes")],
        "Finish run": [everything("Record failure")],
        "Undo the changes": [everything("Record failure")],
        "Record failure": [everything("Failure not recorded")],
    }


def test_what_comes_after_the_verification_undoes_nothing(tidying: Runbook) -> None:
    states = compile_runbook(tidying)["States"]
    assert states["Does the new cluster answer?"]["Choices"][0]["Next"] == "Verify"
    assert states["Verify"]["Next"] == "Is it past its retention?"
    assert states["Is it past its retention?"]["Default"] == "Finish run"
    assert states["Is it gone?"]["Choices"][0]["Next"] == "Finish run"
    caught = {name: state["Catch"][-1]["Next"] for name, state in states.items() if state["Type"] == "Task"}
    assert caught["Verify"] == "Undo the changes"
    assert caught["Delete the old cluster"] == "Record failure"
    assert caught["Look: is it gone?"] == "Record failure"


def test_a_phase_cannot_come_after_the_verification_and_before_one_that_is_verified() -> None:
    deletes = phase("Delete the old cluster", "Is it gone?", after_verification=True)
    with pytest.raises(ValidationError, match="the phases after the verification come last"):
        runbook(deletes, phase("Cut over", "Does the new cluster answer?"))


def test_what_a_step_is_given(two_phases: Runbook) -> None:
    states = compile_runbook(two_phases)["States"]

    assert states["Cut over"]["Resource"] == "arn:aws:states:::lambda:invoke"
    assert states["Cut over"]["OutputPath"] == "$.Payload"
    assert states["Cut over"]["Parameters"] == {
        "FunctionName": "${ActFunctionArn}",
        "Payload": {
            "execution": {
                "id.$": "$$.Execution.Id",
                "name.$": "$$.Execution.Name",
                "started.$": "$$.Execution.StartTime",
            },
            "runbook": "copy-and-cut-over",
            "state.$": "$$.State.Name",
            "step": "apply",
            "phase": "Cut over",
            "document.$": "$",
        },
    }
    assert "phase" not in states["Verify"]["Parameters"]["Payload"]


def test_which_function_takes_which_step(two_phases: Runbook) -> None:
    called = {
        name: (state["Parameters"]["FunctionName"], state["Parameters"]["Payload"]["step"])
        for name, state in compile_runbook(two_phases)["States"].items()
        if state["Type"] == "Task"
    }
    assert called == {
        "Begin run": ("${BeginFunctionArn}", "begin"),
        "Diagnose": ("${DiagnoseFunctionArn}", "diagnose"),
        "Wait for approval": ("${ApprovalFunctionArn}", "request"),
        "Read the decision": ("${ApprovalFunctionArn}", "read"),
        "Lock the target": ("${LockFunctionArn}", "lock"),
        "Copy the snapshot": ("${ActFunctionArn}", "apply"),
        "Look: is the copy complete?": ("${DiagnoseFunctionArn}", "look"),
        "Cut over": ("${ActFunctionArn}", "apply"),
        "Look: does the new cluster answer?": ("${DiagnoseFunctionArn}", "look"),
        "Verify": ("${DiagnoseFunctionArn}", "verify"),
        "Finish run": ("${FinishFunctionArn}", "finish"),
        "Undo the changes": ("${ActFunctionArn}", "undo"),
        "Record failure": ("${FailFunctionArn}", "fail"),
    }


def test_the_output_of_the_approvals_callback_is_not_believed(two_phases: Runbook) -> None:
    wait = compile_runbook(two_phases.model_copy(update={"approval_within": timedelta(hours=2)}))["States"][
        "Wait for approval"
    ]

    assert wait["Resource"] == "arn:aws:states:::lambda:invoke.waitForTaskToken"
    assert wait["TimeoutSeconds"] == 2 * 3600
    assert wait["Parameters"]["Payload"]["token.$"] == "$$.Task.Token"
    assert wait["ResultPath"] is None
    assert "OutputPath" not in wait


def test_the_retries_are_those_of_the_standard(two_phases: Runbook) -> None:
    states = compile_runbook(two_phases)["States"]
    transient = {
        "ErrorEquals": [
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.TooManyRequestsException",
            "Lambda.Unknown",
            "Sandbox.Timedout",
            "Runtime.ExitError",
            *(error.__name__ for error in TRANSIENT),
        ],
        "IntervalSeconds": 2,
        "BackoffRate": 2.0,
        "MaxAttempts": 5,
        "MaxDelaySeconds": 30,
        "JitterStrategy": "FULL",
    }
    unsettled = {
        "ErrorEquals": ["ChangeUnsettled", "TargetBusy"],
        "IntervalSeconds": 15,
        "BackoffRate": 1.5,
        "MaxAttempts": 8,
        "MaxDelaySeconds": 60,
    }
    at_rest = {
        "ErrorEquals": ["TargetBusy"],
        "IntervalSeconds": 60,
        "BackoffRate": 1.0,
        "MaxAttempts": 15,
        "MaxDelaySeconds": 60,
    }
    assert states.pop("Verify")["Retry"] == [transient, at_rest]
    for name, state in states.items():
        if state["Type"] == "Task":
            acting = state["Parameters"]["FunctionName"] == "${ActFunctionArn}"
            assert state["Retry"] == ([transient, unsettled] if acting else [transient]), name


def test_a_retriers_longest_wait_is_capped() -> None:
    assert standard.TRANSIENT_ERRORS.longest_wait() == 2 + 4 + 8 + 16 + 30
    assert standard.UNSETTLED.longest_wait() == 15 + 22 + 34 + 51 + 60 * 4


def test_the_machine_outlives_all_that_it_can_wait_for(two_phases: Runbook) -> None:
    definition = compile_runbook(two_phases)
    tasks = [state["TimeoutSeconds"] for state in definition["States"].values() if state["Type"] == "Task"]
    settling = sum(phase.within.total_seconds() for phase in two_phases.phases)

    assert definition["TimeoutSeconds"] > sum(tasks) + 3 * settling
    longer = two_phases.model_copy(update={"approval_within": two_phases.approval_within + timedelta(hours=1)})
    assert compile_runbook(longer)["TimeoutSeconds"] == definition["TimeoutSeconds"] + 2 * 3600


def test_the_comment_shows_an_input_that_the_runbook_takes(two_phases: Runbook) -> None:
    comment = compile_runbook(two_phases)["Comment"]
    pasted = re.search(r"\{.*\}", comment)
    assert pasted
    given = two_phases.input.model_validate(json.loads(pasted[0]))
    assert given.model_dump(exclude_none=True) == {
        "cluster": "analytics",
        "service": "<service>",
        "mode": "plan",
        "reason": "what made you look here",
        "requested_by": "your name",
    }
    assert comment.startswith("Copy the snapshot and cut over. ")


def test_a_name_that_step_functions_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has 81 characters .* shorten the phase's name"):
        compile_runbook(runbook(phase("C" * 81, "Is the copy complete?")))


def test_two_phases_of_one_question_are_refused() -> None:
    twice = runbook(phase("Copy it", "Is it complete?"), phase("Copy it again", "Is it complete?"))
    with pytest.raises(ValueError, match="two states named 'Look: is it complete\\?'"):
        compile_runbook(twice)


def test_a_file_ends_with_a_line_end_and_keeps_the_order(two_phases: Runbook) -> None:
    text = render(two_phases)
    assert text.endswith("}\n")
    assert json.loads(text) == compile_runbook(two_phases)
    assert text.index('"StartAt"') < text.index('"Begin run": {') < text.index('"Failure not recorded": {')


@pytest.fixture
def one_runbook(two_phases: Runbook, monkeypatch: pytest.MonkeyPatch) -> Runbook:
    monkeypatch.setattr(catalogue, "names", lambda: [two_phases.name])
    monkeypatch.setattr(catalogue, "load", lambda name: two_phases)
    return two_phases


def test_writing_is_idempotent_and_leaves_no_drift(one_runbook: Runbook, tmp_path: Path) -> None:
    folder = tmp_path / "statemachines"
    assert write_all(folder) == [file_of(folder, one_runbook.name)]
    assert write_all(folder) == []
    assert drift(folder) == []


def test_drift_names_what_differs(one_runbook: Runbook, tmp_path: Path) -> None:
    assert drift(tmp_path) == ["copy-and-cut-over.asl.json is missing; run `runbook compile`."]
    write_all(tmp_path)
    file_of(tmp_path, one_runbook.name).write_text("{}")
    file_of(tmp_path, "gone").write_text("{}")
    assert drift(tmp_path) == [
        (
            "copy-and-cut-over.asl.json is not what the declaration of copy-and-cut-over compiles to; "
            "run `runbook compile`."
        ),
        "gone.asl.json belongs to no runbook of the catalogue; delete it.",
    ]


def test_only_the_compiler_imports_the_sdk() -> None:
    package = Path(compiler.__file__).parents[1]
    importing = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"^\s*(from|import) (stepfunctions|sagemaker)\b", path.read_text(), re.MULTILINE)
    ]
    assert importing == ["asl/compiler.py"]


def test_an_acting_function_that_gets_longer_is_outlived_by_its_task_and_outlived_by_the_lease() -> None:
    longest = runbook(phase("Cut over", "Does the new cluster answer?"), acting_within=timedelta(minutes=4))
    acting = {
        state["TimeoutSeconds"]
        for state in compile_runbook(longest)["States"].values()
        if state["Type"] == "Task" and state["Parameters"]["FunctionName"] == standard.act_of(longest).arn
    }
    assert acting == {240 + standard.MARGIN}
    assert LEASE.total_seconds() > 240 + standard.MARGIN
    with pytest.raises(ValidationError, match="less than or equal to 4 minutes"):
        runbook(acting_within=timedelta(minutes=5))
