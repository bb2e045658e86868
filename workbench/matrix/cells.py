"""Which cells there are: a pure reading of the compiled machine, the declaration and the incident scenarios."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from runbooks import catalogue
from runbooks.model import Runbook
from workbench import scenario
from workbench.asl.compiler import file_of
from workbench.scenario import Scenario

MACHINES = Path(__file__).resolve().parents[2] / "statemachines"


class Failure(StrEnum):
    """What goes wrong while a state's function runs. The words are the columns of the table."""

    THROTTLED = "throttled, and recovers"
    THROTTLED_FOR_GOOD = "throttled for good"
    DENIED = "denied"
    UNAVAILABLE = "5xx, and recovers"
    UNAVAILABLE_FOR_GOOD = "5xx for good"
    ANSWER_LOST = "answer lost after the effect"
    TIMEOUT = "function timeout"
    KILLED = "killed after the effect"
    GARBLED = "malformed answer of AWS"
    NO_DOCUMENT = "malformed answer of the function"
    TWICE = "delivered twice"
    WORLD_CHANGED = "world changed just before"
    AUDIT_UNAVAILABLE = "audit table unavailable"
    LEASE_LOST = "lease lost"


PASSING = frozenset(
    {
        Failure.THROTTLED,
        Failure.UNAVAILABLE,
        Failure.ANSWER_LOST,
        Failure.TIMEOUT,
        Failure.KILLED,
        Failure.TWICE,
    }
)
"""Failures that are over with the first delivery of a step: the run must end as it ends without them."""


@dataclass(frozen=True)
class Step:
    """A Task state: the function that it calls (`act`, `begin`, ...) and the step that it asks for."""

    state: str
    function: str
    name: str
    phase: str = ""

    @property
    def reads_the_target(self) -> bool:
        return self.function == "diagnose"

    @property
    def changes_the_target(self) -> bool:
        return self.function == "act"

    @property
    def is_of_the_frame(self) -> bool:
        """It calls nothing of the target."""
        return not (self.reads_the_target or self.changes_the_target)


@dataclass(frozen=True)
class Cell:
    """One failure in one state of one runbook; `why_not` is empty unless the failure cannot happen there."""

    runbook: str
    step: Step
    failure: Failure
    scenario: str
    """The incident that it is tried on."""
    why_not: str = ""

    @property
    def name(self) -> str:
        return f"{self.runbook}: {self.step.state}: {self.failure}"


def steps_of(machine: dict[str, Any]) -> list[Step]:
    """The Task states in the order of the procedure."""
    steps = []
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            function = state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("FunctionArn}")
            payload = state["Parameters"]["Payload"]
            steps.append(Step(name, function.lower(), payload["step"], payload.get("phase", "")))
    return steps


def cells_of(runbook: Runbook, machine: dict[str, Any], incidents: Mapping[str, Scenario]) -> Iterator[Cell]:
    """All cells of one runbook, state by state. `incidents` by name, the standard one first."""
    locked = False
    for step in steps_of(machine):
        incident = incident_of(step.phase, incidents)
        for failure in Failure:
            yield Cell(runbook.name, step, failure, incident.name, _why_not(step, failure, incident, locked=locked))
        locked = locked or step.name == "lock"


def incident_of(phase: str, incidents: Mapping[str, Scenario]) -> Scenario:
    """The incident that passes the phase: one that says so, or the standard one. Raises ValueError if there is none."""
    for incident in incidents.values():
        if phase in incident.passes:
            return incident
    for incident in incidents.values():
        return incident
    raise ValueError("there is no scenario, so nothing can go wrong; see docs/add-a-runbook.md")


def _why_not(step: Step, failure: Failure, incident: Scenario, *, locked: bool) -> str:
    if failure is Failure.LEASE_LOST and not locked:
        return "no lease is held before the lock is taken"
    if failure is Failure.WORLD_CHANGED and incident.moves is None:
        return f"the scenario {incident.name} does not say how somebody else would change the target"
    if failure is Failure.GARBLED and step.is_of_the_frame:
        return "it calls nothing of the target; the frame's own calls are to DynamoDB, SSM and SNS"
    return ""


def machine_of(runbook: str) -> dict[str, Any]:
    """The compiled definition."""
    definition: dict[str, Any] = json.loads(file_of(MACHINES, runbook).read_text(encoding="utf-8"))
    return definition


def all_cells() -> list[Cell]:
    """The matrix of the whole catalogue."""
    return [
        cell
        for name in catalogue.names()
        for cell in cells_of(catalogue.load(name), machine_of(name), scenario.of(name))
    ]


TURNS = 3
"""Of the first phase, and of the undo, so many cells are in the covering part; of any other state one."""
ALIKE = 2
"""Of the states that ask one step of one function, e.g. the looks of all phases, so many are in it."""


def covering(cells: list[Cell]) -> list[Cell]:
    """A part that takes minutes instead of an hour: of each runbook every kind of step, its first phase and its undo
    more closely, with the failures taking turns so that each of them is there."""
    by_state: dict[tuple[str, str], dict[Failure, Cell]] = {}
    for cell in cells:
        if not cell.why_not:
            by_state.setdefault((cell.runbook, cell.step.state), {})[cell.failure] = cell
    chosen: list[Cell] = []
    states: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, list[Failure]] = {}
    for (runbook, _), possible in by_state.items():
        step = next(iter(possible.values())).step
        kind = (runbook, step.name)
        states[kind] += 1
        if states[kind] > ALIKE:
            continue
        closely = step.changes_the_target and states[kind] == 1
        # The failure whose turn was the longest ago is next, if it can happen there.
        turns = waiting.setdefault(runbook, list(Failure))
        for _ in range(min(TURNS if closely else 1, len(possible))):
            failure = next(each for each in turns if each in possible)
            turns.remove(failure)
            turns.append(failure)
            chosen.append(possible[failure])
    return chosen
