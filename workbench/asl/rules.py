"""The rules that every machine keeps beyond the language itself, and who breaks them, in sentences.

`violations` knows nothing of files; `problems` applies it, statelint and the drift check to what is committed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbooks.errors import NAMES
from workbench.asl import standard

TERMINAL = frozenset({"Succeed", "Fail"})
EVERYTHING = "States.ALL"

_STEP = re.compile(r"^\s*\d+\.\s+\*\*(.+?)\*\*", re.MULTILINE)
_SUBSTITUTION = re.compile(r"^\$\{(\w+)\}$")

State = Mapping[str, Any]


def steps_of(readme: str) -> list[str]:
    """The names of the numbered steps in a runbook's README: the bold words of `1. **Begin run** - what it does`."""
    return _STEP.findall(readme)


def violations(
    definition: Mapping[str, Any],
    function_timeouts: Mapping[str, int],
    steps: Sequence[str] | None = None,
) -> list[str]:
    """What is wrong with a definition, one sentence each; empty if nothing is.

    Args:
        definition: the machine, with `${...}` where functions are substituted.
        function_timeouts: seconds that each function may take, by the name that it is substituted under.
        steps: the numbered steps of the runbook's README, where they are to be compared.
    """
    states: Mapping[str, State] = definition.get("States", {})
    found = [*_whole_machine(definition, states)]
    for name, state in states.items():
        found += _targets_exist(name, state, states)
        found += _ends_or_goes_on(name, state)
        found += _errors_are_known(name, state)
        found += _everything_stands_last(name, state)
        if state.get("Type") == "Task":
            found += _task(name, state, function_timeouts)
    if steps is not None:
        found += _told_by_the_readme(list(states), steps)
    return found


def _whole_machine(definition: Mapping[str, Any], states: Mapping[str, State]) -> Iterator[str]:
    if "TimeoutSeconds" not in definition:
        yield "The machine has no TimeoutSeconds, so that a run could stay open for a year."
    if not definition.get("Comment"):
        yield "The machine has no Comment that says what it is for."
    start: str = definition.get("StartAt", "")
    if start not in states:
        yield f"StartAt names {start!r}, which is no state."
        return
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name in reached or name not in states:
            continue
        reached.add(name)
        ahead.extend(_targets(states[name]))
    for name in states:
        if name not in reached:
            yield f"Nothing leads to {name!r}."
    if not any(states[name].get("Type") in TERMINAL or states[name].get("End") for name in reached):
        yield "No state ends the machine."


def _targets(state: State) -> list[str]:
    found = [state[key] for key in ("Next", "Default") if key in state]
    found += [choice["Next"] for choice in state.get("Choices", ()) if "Next" in choice]
    found += [catcher["Next"] for catcher in state.get("Catch", ()) if "Next" in catcher]
    return found


def _targets_exist(name: str, state: State, states: Mapping[str, State]) -> Iterator[str]:
    for target in _targets(state):
        if target not in states:
            yield f"{name!r} leads to {target!r}, which is no state."


def _ends_or_goes_on(name: str, state: State) -> Iterator[str]:
    kind = state.get("Type")
    if kind in TERMINAL:
        if "Next" in state:
            yield f"{name!r} ends the machine and cannot have a Next."
    elif kind == "Choice":
        if "Default" not in state:
            yield f"{name!r} has no Default, so that an unforeseen value would kill the run."
    elif ("Next" in state) == bool(state.get("End")):
        yield f"{name!r} must have either a Next or End, and not both."


def _entries(state: State) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    for field in ("Retry", "Catch"):
        if field in state:
            yield field, state[field]


def _errors_are_known(name: str, state: State) -> Iterator[str]:
    mentioned = [(field, error) for field, entries in _entries(state) for entry in entries for error in _errors(entry)]
    if "Error" in state:
        mentioned.append(("Error", state["Error"]))
    for field, error in mentioned:
        if error not in NAMES and not error.startswith(("States.", "Lambda.", "Sandbox.", "Runtime.")):
            yield f"The {field} of {name!r} names {error!r}, which no step can report; see runbooks.errors."


def _errors(entry: Mapping[str, Any]) -> Sequence[str]:
    errors: Sequence[str] = entry.get("ErrorEquals", ())
    return errors


def _everything_stands_last(name: str, state: State) -> Iterator[str]:
    for field, entries in _entries(state):
        for position, entry in enumerate(entries, 1):
            if EVERYTHING not in _errors(entry):
                continue
            if len(_errors(entry)) > 1:
                yield f"The {field} of {name!r} names other errors beside {EVERYTHING}, which stands alone."
            if position < len(entries):
                yield f"The {field} of {name!r} has entries after {EVERYTHING}, which stands last."


def _task(name: str, state: State, function_timeouts: Mapping[str, int]) -> Iterator[str]:
    if not state.get("Comment"):
        yield f"{name!r} has no Comment that says why it can fail."
    yield from _deadline(name, state, function_timeouts)
    if standard.TRANSIENT_ERRORS.as_asl() not in state.get("Retry", ()):
        yield f"{name!r} does not have the standard Retry."
    if not any(EVERYTHING in _errors(catcher) for catcher in state.get("Catch", ())):
        yield f"{name!r} does not catch {EVERYTHING}."


def _deadline(name: str, state: State, function_timeouts: Mapping[str, int]) -> Iterator[str]:
    if "TimeoutSeconds" not in state:
        yield f"{name!r} has no TimeoutSeconds."
        return
    function = _SUBSTITUTION.match(str(state.get("Parameters", {}).get("FunctionName")))
    if function is None or function[1] not in function_timeouts:
        yield f"{name!r} calls a function that the template does not substitute."
    elif state["TimeoutSeconds"] <= function_timeouts[function[1]]:
        yield (
            f"{name!r} gives up after {state['TimeoutSeconds']} s, while its function may still run: that takes up to "
            f"{function_timeouts[function[1]]} s."
        )


def _told_by_the_readme(states: Sequence[str], steps: Sequence[str]) -> Iterator[str]:
    missing = [name for name in states if name not in steps]
    strange = [step for step in steps if step not in states]
    for name in missing:
        yield f"The README's numbered steps leave out {name!r}."
    for step in strange:
        yield f"The README tells of a step {step!r}, which is no state."
    if not missing and not strange and list(steps) != list(states):
        yield "The README tells the steps in another order than the machine has them, or one of them twice."
