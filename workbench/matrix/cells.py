"""Which cells there are: a pure reading of the compiled machine, the declaration and the standard scenario."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def cells_of(runbook: Runbook, machine: dict[str, Any], standard: Scenario) -> Iterator[Cell]:
    """All cells of one runbook, state by state."""
    locked = False
    for step in steps_of(machine):
        for failure in Failure:
            yield Cell(runbook.name, step, failure, _why_not(step, failure, standard, locked=locked))
        locked = locked or step.name == "lock"


def _why_not(step: Step, failure: Failure, standard: Scenario, *, locked: bool) -> str:
    if failure is Failure.LEASE_LOST and not locked:
        return "no lease is held before the lock is taken"
    if failure is Failure.WORLD_CHANGED and standard.moves is None:
        return f"the scenario {standard.name} does not say how somebody else would change the target"
    if failure is Failure.GARBLED and step.is_of_the_frame:
        return "it calls nothing of the target; the frame's own calls are to DynamoDB, SSM and SNS"
    return ""


def machine_of(runbook: str) -> dict[str, Any]:
    """The compiled definition."""
    definition: dict[str, Any] = json.loads(file_of(MACHINES, runbook).read_text(encoding="utf-8"))
    return definition


def standard_of(runbook: str) -> Scenario:
    """The standard incident: the first scenario of the runbook. Raises ValueError if there is none."""
    for incident in scenario.of(runbook).values():
        return incident
    raise ValueError(f"{runbook} has no scenario, so nothing can go wrong with it; see docs/add-a-runbook.md")


def all_cells() -> list[Cell]:
    """The matrix of the whole catalogue."""
    return [
        cell
        for name in catalogue.names()
        for cell in cells_of(catalogue.load(name), machine_of(name), standard_of(name))
    ]


TURNS = 3
"""Of a state that changes the target, so many cells are in the covering part."""


def covering(cells: list[Cell]) -> list[Cell]:
    """A part that takes a minute or two instead of many: of each state one cell, and three of a state that changes the
    target, with the failures taking turns so that each of them is there for each runbook that has states enough."""
    failures = list(Failure)
    by_state: dict[tuple[str, str], dict[Failure, Cell]] = {}
    for cell in cells:
        if not cell.why_not:
            by_state.setdefault((cell.runbook, cell.step.state), {})[cell.failure] = cell
    chosen: list[Cell] = []
    turn = 0
    for possible in by_state.values():
        changes = next(iter(possible.values())).step.changes_the_target
        for _ in range(min(TURNS if changes else 1, len(possible))):
            while failures[turn % len(failures)] not in possible:
                turn += 1
            chosen.append(possible[failures[turn % len(failures)]])
            turn += 1
    return chosen
