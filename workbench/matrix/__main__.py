"""`python -m workbench.matrix`: runs all cells, and writes docs/failure-matrix.md and docs/failure-matrix.json."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.util
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from workbench.embedded import EmbeddedAws
from workbench.matrix.cells import Cell, all_cells
from workbench.matrix.report import DATA, PAGE, Matrix
from workbench.matrix.run import Bench, Result

_BATCH = 6
"""Cells that a process takes at a time; it observes a runbook once for each batch's first cell."""

_aws: list[EmbeddedAws] = []
_benches: dict[str, Bench] = {}


def run_batch(cells: list[Cell]) -> list[Result]:
    """In a process of its own, which keeps one embedded AWS for all its batches."""
    if not _aws:
        _aws.append(EmbeddedAws())
        # A process of a pool leaves without the interpreter's own farewells.
        multiprocessing.util.Finalize(None, _aws[0].close, exitpriority=10)
    results = []
    for cell in cells:
        if cell.runbook not in _benches:
            _benches[cell.runbook] = Bench(_aws[0], cell.runbook)
        try:
            results.append(_benches[cell.runbook].run(cell))
        except Exception as problem:  # noqa: BLE001 - one cell that cannot be run does not keep the others waiting
            sentence = f"The cell could not be run: {type(problem).__name__}: {problem}"
            results.append(Result(cell, "", "not run", "", [sentence]))
    return results


def run_all(cells: list[Cell], workers: int) -> Iterator[Result]:
    """The results as they come."""
    batches = [cells[start : start + _BATCH] for start in range(0, len(cells), _BATCH)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        for batch in as_completed([processes.submit(run_batch, batch) for batch in batches]):
            yield from batch.result()


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a cell failed, and writes the files either way."""
    parser = argparse.ArgumentParser(prog="python -m workbench.matrix", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="processes, each with an embedded AWS (default 2)")
    workers = parser.parse_args(arguments).workers
    cells, began = all_cells(), time.monotonic()
    applying = [cell for cell in cells if not cell.why_not]
    results: dict[str, Result] = {}
    for result in run_all(applying, workers):
        results[result.cell.name] = result
        mark = "ok  " if not result.problems else "FAIL"
        print(f"{len(results):4d}/{len(applying)} {mark} {result.cell.name}: {result.ended}", file=sys.stderr)
        for problem in result.problems:
            print(f"          {problem}", file=sys.stderr)
    matrix = Matrix(cells, results)
    PAGE.write_text(matrix.page(), encoding="utf-8")
    DATA.write_text(json.dumps(matrix.data(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    seconds = time.monotonic() - began
    print(
        f"{len(results)} cells, {len(matrix.failed)} failed, {seconds:.0f} s; {PAGE.name}, {DATA.name}", file=sys.stderr
    )
    return 1 if matrix.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
