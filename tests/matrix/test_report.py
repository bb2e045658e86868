"""What was written of the matrix is kept where its cells are the same, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace

from workbench.matrix.cells import Cell, Failure, Step
from workbench.matrix.report import Matrix, drift, written
from workbench.matrix.run import Result

DENIED = Cell("x", Step("Act", "act", "apply", "Act"), Failure.DENIED, "standard")
LOST = replace(DENIED, failure=Failure.ANSWER_LOST)
NOWHERE = replace(DENIED, failure=Failure.LEASE_LOST, why_not="no lease is held")


def result(cell: Cell, *problems: str) -> Result:
    return Result(cell, "it is denied", "FAILED AccessDenied", "SUCCEEDED", list(problems))


def text(*results: Result) -> str:
    cells = [*(each.cell for each in results), NOWHERE]
    return json.dumps(Matrix(cells, {each.cell.name: each for each in results}).data())


def test_what_is_written_is_read_again_as_it_was() -> None:
    both = [result(DENIED), result(LOST, "It was done twice.")]
    assert written(text(*both), [DENIED, LOST, NOWHERE]) == {each.cell.name: each for each in both}


def test_a_cell_that_was_not_written_is_left_out() -> None:
    assert written(text(result(DENIED)), [DENIED, LOST]) == {DENIED.name: result(DENIED)}


def test_what_has_not_been_run_is_said_and_counted() -> None:
    half = Matrix([DENIED, LOST], {DENIED.name: result(DENIED)})
    assert (half.data()["cells_run"], half.data()["cells_not_run"]) == (1, 1)
    assert "| answer lost after the effect | Has not been run yet |" in half.page()
    assert written(json.dumps(half.data()), [DENIED, LOST]) == {DENIED.name: result(DENIED)}
    assert drift(json.dumps(half.data()), [DENIED, LOST]) == []


def test_a_matrix_drifts_by_a_cell_more_a_cell_less_and_one_that_did_not_pass() -> None:
    one, both = text(result(DENIED)), text(result(DENIED), result(LOST))
    assert drift(one, [DENIED, NOWHERE]) == []
    assert drift(one, [DENIED, LOST, NOWHERE]) == [f"{LOST.name} is not in the matrix; run `make matrix`."]
    assert drift(both, [DENIED, NOWHERE]) == [f"{LOST.name} is in the matrix and is no cell."]
    assert drift(text(result(DENIED, "Left.")), [DENIED, NOWHERE]) == [f"{DENIED.name} did not pass."]
