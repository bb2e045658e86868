"""Cells in several processes, each with an embedded AWS of its own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from workbench.embedded import EmbeddedAws
from workbench.matrix.cells import Cell
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
        try:
            if cell.runbook not in _benches:
                _benches[cell.runbook] = Bench(_aws[0], cell.runbook)
            results.append(_benches[cell.runbook].run(cell))
        except Exception as problem:  # noqa: BLE001 - one cell that cannot be run does not keep the others waiting
            sentence = f"The cell could not be run: {type(problem).__name__}: {problem}"
            results.append(Result(cell, "", "not run", "", [sentence]))
    return results


def run_all(cells: list[Cell], workers: int, until: float) -> Iterator[Result]:
    """The results as they come. After that moment of the monotonic clock no more cells are begun."""
    batches = [cells[start : start + _BATCH] for start in range(0, len(cells), _BATCH)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        pending = [processes.submit(run_batch, batch) for batch in batches]
        for batch in as_completed(pending):
            if not batch.cancelled():
                yield from batch.result()
            if time.monotonic() > until:
                for each in pending:
                    each.cancel()
