"""`python -m workbench.matrix`: runs all cells, and writes docs/failure-matrix.md and docs/failure-matrix.json."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time

from workbench.matrix.cells import all_cells, covering
from workbench.matrix.pool import run_all
from workbench.matrix.report import DATA, PAGE, Matrix, written
from workbench.matrix.run import Result


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a cell failed, and writes the files either way."""
    parser = argparse.ArgumentParser(prog="python -m workbench.matrix", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="processes, each with an embedded AWS (default 2)")
    parser.add_argument("--runbook", help="run this one's cells, and keep what was written of the others")
    parser.add_argument("--resume", action="store_true", help="run what has not been run yet, or did not pass")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no more cells after so many minutes")
    given = parser.parse_args(arguments)
    cells, began = all_cells(), time.monotonic()
    results: dict[str, Result] = {}
    if given.runbook is not None or given.resume:
        keeping = [cell for cell in cells if given.resume or cell.runbook != given.runbook]
        results = written(DATA.read_text(encoding="utf-8"), keeping)
    if given.resume:
        results = {name: result for name, result in results.items() if not result.problems}
    first = {cell.name for cell in covering(cells)}
    applying = [cell for cell in cells if not cell.why_not and cell.name not in results]
    applying.sort(key=lambda cell: cell.name not in first)
    kept = len(results)
    for result in run_all(applying, given.workers, began + 60 * given.minutes):
        results[result.cell.name] = result
        mark = "ok  " if not result.problems else "FAIL"
        print(f"{len(results) - kept:4d}/{len(applying)} {mark} {result.cell.name}: {result.ended}", file=sys.stderr)
        for problem in result.problems:
            print(f"          {problem}", file=sys.stderr)
    matrix = Matrix(cells, results)
    PAGE.write_text(matrix.page(), encoding="utf-8")
    DATA.write_text(json.dumps(matrix.data(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    seconds = time.monotonic() - began
    told = f"{len(results) - kept} cells, {len(matrix.failed)} failed, {matrix.not_run} not run, {seconds:.0f} s"
    print(f"{told}; {PAGE.name}, {DATA.name}", file=sys.stderr)
    return 1 if matrix.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
