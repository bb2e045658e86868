"""The failure matrix: a covering part of its cells is run here, and all of them by `make matrix`.

A cell is one failure in one Task state of one runbook and takes two runs. Run here is of each runbook every kind of
step, its first phase and its undo more closely, with the failures taking turns so that every failure comes up. What
`make matrix` has written must be of exactly the cells that there are, and none of them may have failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks import catalogue
from workbench.matrix.cells import Cell, Failure, all_cells, covering
from workbench.matrix.report import DATA, drift
from workbench.matrix.run import Bench

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

ALL = all_cells()
PART = covering(ALL)


@pytest.fixture(scope="session")
def benches(embedded: EmbeddedAws) -> dict[str, Bench]:
    """A bench for each runbook; what a run without failures does is observed once in a process."""
    return {name: Bench(embedded, name) for name in catalogue.names()}


@pytest.mark.parametrize("cell", PART, ids=[cell.name for cell in PART])
def test_a_failure_is_survived_or_accounted_for(benches: dict[str, Bench], cell: Cell) -> None:
    assert benches[cell.runbook].run(cell).problems == []


def test_the_written_matrix_has_exactly_the_cells_that_there_are_and_none_failed() -> None:
    assert drift(DATA.read_text(encoding="utf-8"), ALL) == []


@pytest.mark.parametrize("runbook", catalogue.names())
def test_every_kind_of_step_and_every_failure_is_in_the_part_that_is_run_here(runbook: str) -> None:
    of_runbook = [cell for cell in PART if cell.runbook == runbook]
    assert {cell.step.name for cell in of_runbook} == {cell.step.name for cell in ALL if cell.runbook == runbook}
    assert {cell.failure for cell in of_runbook} == set(Failure)
