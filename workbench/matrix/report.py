"""The matrix as a page and as data, and what is compared with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.matrix.cells import Cell
from workbench.matrix.run import Result

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, DATA = DOCS / "failure-matrix.md", DOCS / "failure-matrix.json"

_INTRODUCTION = """\
# The failure matrix

Written by `make matrix`; do not edit. Every Task state of every runbook meets every failure, on the embedded AWS with
the deployed template, machines and handlers. {run} cells were run and {passed} passed; {not_run} have not been run \
yet; {not_applicable} do not apply, and say why.

In each cell, while the state's function serves that state and at no other time, the failure is made to happen; then
the execution goes to its end, and all of this must hold:

- it SUCCEEDED only if the target was verified healthy;
- otherwise the target is as it was before (or as somebody else left it), or the run's error names each change that is
  left: `UndoFailed`, or `StepFailed`, `RunAborted` and `RunTimedOut` for executions that end outside a state;
- a failure that passes by itself changes nothing about how the run ends;
- no call takes effect more often than the step ledger says;
- the run is closed, its trail verifies, its lock is free once no function of it can be acting any more, and the lock of
  a run that took it over is left alone;
- the end was published exactly once;
- a rerun with the same input ends healthy or says why not, and always ends healthy if the target is as it was before.

`Undo the changes` and `Record failure` are reached by denying the last look at the target. A cell shows how the run
ended, then how its rerun did. Read a row's failure as follows; the operation is the one that the step was seen to call.
"""


@dataclass(frozen=True)
class Matrix:
    """All cells, those that were run with their results."""

    cells: Sequence[Cell]
    results: dict[str, Result]

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results.values() if result.problems]

    @property
    def not_run(self) -> int:
        """How many cells apply and have no result."""
        return sum(not cell.why_not and cell.name not in self.results for cell in self.cells)

    def data(self) -> dict[str, Any]:
        """What docs/failure-matrix.json holds."""
        applying = [cell for cell in self.cells if not cell.why_not]
        return {
            "cells_run": len(applying) - self.not_run,
            "cells_passed": len(applying) - self.not_run - len(self.failed),
            "cells_not_run": self.not_run,
            "cells_not_applicable": len(self.cells) - len(applying),
            "cells": [self._entry(cell) for cell in self.cells],
        }

    def _entry(self, cell: Cell) -> dict[str, Any]:
        if cell.why_not:
            return described(cell)
        if cell.name not in self.results:
            return {**described(cell), "run": False}
        result = self.results[cell.name]
        return {
            **described(cell),
            "what": result.what,
            "ended": result.ended,
            "rerun": result.rerun,
            "passed": not result.problems,
            "problems": result.problems,
        }

    def page(self) -> str:
        """What docs/failure-matrix.md holds."""
        data = self.data()
        lines = [
            _INTRODUCTION.format(
                run=data["cells_run"],
                passed=data["cells_passed"],
                not_run=data["cells_not_run"],
                not_applicable=data["cells_not_applicable"],
            )
        ]
        for runbook in dict.fromkeys(cell.runbook for cell in self.cells):
            of_runbook = [cell for cell in self.cells if cell.runbook == runbook]
            lines.append(f"## {runbook}\n")
            for state in dict.fromkeys(cell.step.state for cell in of_runbook):
                lines += [
                    f"### {state}\n",
                    "| Failure | What happens | The run | The rerun | |",
                    "|---|---|---|---|---|",
                ]
                lines += [self._row(cell) for cell in of_runbook if cell.step.state == state]
                lines.append("")
        return "\n".join(lines).rstrip("\n") + "\n"

    def _row(self, cell: Cell) -> str:
        if cell.why_not:
            return f"| {cell.failure} | Does not apply: {cell.why_not} | | | |"
        if cell.name not in self.results:
            return f"| {cell.failure} | Has not been run yet | | | |"
        result = self.results[cell.name]
        mark = "holds" if not result.problems else " ".join(result.problems).replace("|", "/").replace("\n", " ")
        return f"| {cell.failure} | {result.what} | {result.ended} | {result.rerun} | {mark} |"


def described(cell: Cell) -> dict[str, Any]:
    """What identifies a cell in docs/failure-matrix.json."""
    entry: dict[str, Any] = {"runbook": cell.runbook, "state": cell.step.state, "failure": cell.failure.value}
    return entry | ({"applies": False, "why_not": cell.why_not} if cell.why_not else {"applies": True})


def written(text: str, cells: Sequence[Cell]) -> dict[str, Result]:
    """What a written matrix has of these cells; one that it does not have, or has otherwise, is left out."""
    entries = {
        _named(entry): entry for entry in json.loads(text)["cells"] if entry["applies"] and entry.get("run", True)
    }
    found = {}
    for cell in cells:
        if cell.name in entries and not cell.why_not:
            told = entries[cell.name]
            found[cell.name] = Result(cell, told["what"], told["ended"], told["rerun"], told["problems"])
    return found


def drift(text: str, cells: Sequence[Cell]) -> list[str]:
    """How a written matrix differs from the cells that there are now; empty if it has exactly them and none failed."""
    entries = json.loads(text)["cells"]
    identifying = ("runbook", "state", "failure", "applies", "why_not")
    written = [{name: entry[name] for name in identifying if name in entry} for entry in entries]
    wanted = [described(cell) for cell in cells]
    found = [f"{_named(entry)} is not in the matrix; run `make matrix`." for entry in wanted if entry not in written]
    found += [f"{_named(entry)} is in the matrix and is no cell." for entry in written if entry not in wanted]
    found += [f"{_named(entry)} did not pass." for entry in entries if not entry.get("passed", True)]
    return found


def _named(entry: dict[str, Any]) -> str:
    return f"{entry['runbook']}: {entry['state']}: {entry['failure']}"
