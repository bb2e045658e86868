import copy
from typing import Any

import pytest

from runbooks.model import Runbook
from workbench.asl import standard
from workbench.asl.compiler import compile_runbook
from workbench.asl.rules import steps_of, violations

from .conftest import runbook

TIMEOUTS = {function.substitution: function.timeout for function in standard.functions_of(runbook())}


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    from .conftest import phase, runbook

    return compile_runbook(runbook(phase("Copy the snapshot", "Is the copy complete?")))


@pytest.fixture
def machine(compiled: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(compiled)


def test_a_whole_machine_breaks_no_rule(machine: dict[str, Any]) -> None:
    assert violations(machine, TIMEOUTS, list(machine["States"])) == []


def test_start_at_must_exist(machine: dict[str, Any]) -> None:
    machine["StartAt"] = "Nowhere"
    assert violations(machine, TIMEOUTS) == ["StartAt names 'Nowhere', which is no state."]


def test_the_machine_has_a_deadline(machine: dict[str, Any]) -> None:
    del machine["TimeoutSeconds"]
    assert violations(machine, TIMEOUTS) == [
        "The machine has no TimeoutSeconds, so that a run could stay open for a year."
    ]


def test_the_machine_says_what_it_is_for(machine: dict[str, Any]) -> None:
    machine["Comment"] = ""
    assert violations(machine, TIMEOUTS) == ["The machine has no Comment that says what it is for."]


def test_every_state_is_reached(machine: dict[str, Any]) -> None:
    machine["States"]["Island"] = {"Type": "Wait", "Seconds": 1, "Next": "Verify"}
    assert violations(machine, TIMEOUTS) == ["Nothing leads to 'Island'."]


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ("Diagnose", lambda state: state),
        ("Plan only?", lambda state: state["Choices"][0]),
        ("Diagnose", lambda state: state["Catch"][0]),
    ],
    ids=["Next", "Choices", "Catch"],
)
def test_no_target_dangles(machine: dict[str, Any], state: str, where: Any) -> None:
    where(machine["States"][state])["Next"] = "Nowhere"
    assert f"{state!r} leads to 'Nowhere', which is no state." in violations(machine, TIMEOUTS)


def test_no_default_dangles(machine: dict[str, Any]) -> None:
    machine["States"]["Plan only?"]["Default"] = "Nowhere"
    assert "'Plan only?' leads to 'Nowhere', which is no state." in violations(machine, TIMEOUTS)


def test_a_choice_has_a_default(machine: dict[str, Any]) -> None:
    del machine["States"]["What did the diagnosis find?"]["Default"]
    assert violations(machine, TIMEOUTS) == [
        "'What did the diagnosis find?' has no Default, so that an unforeseen value would kill the run."
    ]


def test_the_machine_ends() -> None:
    circle = {
        "Comment": "Round and round",
        "StartAt": "Wait",
        "TimeoutSeconds": 60,
        "States": {"Wait": {"Type": "Wait", "Seconds": 1, "Next": "Wait"}},
    }
    assert violations(circle, TIMEOUTS) == ["No state ends the machine."]


def test_a_state_ends_or_goes_on(machine: dict[str, Any]) -> None:
    machine["States"]["Verify"]["End"] = True
    del machine["States"]["Finish run"]["End"]
    assert violations(machine, TIMEOUTS) == [
        "'Verify' must have either a Next or End, and not both.",
        "'Finish run' must have either a Next or End, and not both.",
    ]


def test_a_terminal_state_is_terminal(machine: dict[str, Any]) -> None:
    machine["States"]["Run failed"]["Next"] = "Begin run"
    assert violations(machine, TIMEOUTS) == ["'Run failed' ends the machine and cannot have a Next."]


def test_a_task_has_a_deadline(machine: dict[str, Any]) -> None:
    del machine["States"]["Verify"]["TimeoutSeconds"]
    assert violations(machine, TIMEOUTS) == ["'Verify' has no TimeoutSeconds."]


def test_a_task_outlives_its_function(machine: dict[str, Any]) -> None:
    machine["States"]["Verify"]["TimeoutSeconds"] = 60
    assert violations(machine, TIMEOUTS) == [
        "'Verify' gives up after 60 s, while its function may still run: that takes up to 60 s."
    ]


@pytest.mark.parametrize("function", ["${OtherFunctionArn}", "arn:aws:lambda:eu-central-1:123456789012:function:x"])
def test_a_task_calls_a_function_of_the_template(machine: dict[str, Any], function: str) -> None:
    machine["States"]["Verify"]["Parameters"]["FunctionName"] = function
    assert violations(machine, TIMEOUTS) == ["'Verify' calls a function that the template does not substitute."]


def test_a_task_has_the_standard_retry(machine: dict[str, Any]) -> None:
    machine["States"]["Verify"]["Retry"][0]["MaxAttempts"] = 99
    del machine["States"]["Diagnose"]["Retry"]
    assert violations(machine, TIMEOUTS) == [
        "'Diagnose' does not have the standard Retry.",
        "'Verify' does not have the standard Retry.",
    ]


def test_a_task_has_a_catch(machine: dict[str, Any]) -> None:
    del machine["States"]["Verify"]["Catch"]
    assert violations(machine, TIMEOUTS) == ["'Verify' does not catch States.ALL."]


def test_a_task_says_why_it_can_fail(machine: dict[str, Any]) -> None:
    del machine["States"]["Verify"]["Comment"]
    assert violations(machine, TIMEOUTS) == ["'Verify' has no Comment that says why it can fail."]


@pytest.mark.parametrize("field", ["Catch", "Retry"])
def test_everything_stands_last(machine: dict[str, Any], field: str) -> None:
    entries = machine["States"]["Verify"][field]
    entries.insert(0, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1} if field == "Retry" else dict(entries[0]))
    assert violations(machine, TIMEOUTS) == [
        f"The {field} of 'Verify' has entries after States.ALL, which stands last."
    ]


@pytest.mark.parametrize("field", ["Catch", "Retry"])
def test_everything_stands_alone(machine: dict[str, Any], field: str) -> None:
    entries = machine["States"]["Verify"][field]
    both = ["States.Timeout", "States.ALL"]
    if field == "Retry":
        entries.append({"ErrorEquals": both, "MaxAttempts": 1})
    else:
        entries[0]["ErrorEquals"] = both
    assert violations(machine, TIMEOUTS) == [
        f"The {field} of 'Verify' names other errors beside States.ALL, which stands alone."
    ]


@pytest.mark.parametrize("error", ["PlanStael", "RunbookError", "Exception"])
def test_an_error_that_no_step_reports_is_not_caught(machine: dict[str, Any], error: str) -> None:
    machine["States"]["Verify"]["Catch"].insert(
        0, {"ErrorEquals": [error], "ResultPath": "$.error", "Next": "Record failure"}
    )
    assert violations(machine, TIMEOUTS) == [
        f"The Catch of 'Verify' names {error!r}, which no step can report; see runbooks.errors."
    ]


def test_a_failure_has_a_name_that_is_known(machine: dict[str, Any]) -> None:
    machine["States"]["Failure not recorded"]["Error"] = "Oops"
    assert violations(machine, TIMEOUTS) == [
        "The Error of 'Failure not recorded' names 'Oops', which no step can report; see runbooks.errors."
    ]


def test_the_readme_tells_every_step(machine: dict[str, Any]) -> None:
    steps = [name for name in machine["States"] if name != "Verify"] + ["Have a coffee"]
    assert violations(machine, TIMEOUTS, steps) == [
        "The README's numbered steps leave out 'Verify'.",
        "The README tells of a step 'Have a coffee', which is no state.",
    ]


def test_the_readme_tells_the_steps_in_order(machine: dict[str, Any]) -> None:
    sentence = "The README tells the steps in another order than the machine has them, or one of them twice."
    steps = list(machine["States"])
    assert violations(machine, TIMEOUTS, steps[::-1]) == [sentence]
    assert violations(machine, TIMEOUTS, [*steps, steps[0]]) == [sentence]


def test_the_steps_of_a_readme_are_its_bold_numbered_names() -> None:
    readme = """
## Procedure

Some words, **bold** ones too.

1. **Begin run** - check the input. **Nothing** is read yet.
2. **What did it find?** - healthy, or
   not.
10. **Look: is it there?** - look.

- **Not a step** - a bullet
"""
    assert steps_of(readme) == ["Begin run", "What did it find?", "Look: is it there?"]


def test_a_read_only_runbooks_machine_breaks_no_rule(read_only: Runbook) -> None:
    definition = compile_runbook(read_only)
    assert violations(definition, TIMEOUTS, list(definition["States"])) == []
