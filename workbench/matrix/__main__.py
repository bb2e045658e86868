"""`python -m workbench.matrix`: runs all cells, and writes docs/failure-matrix.md and docs/failure-matrix.json."""

from __future__ import annotations

import argparse
import json
import sys
import time

from workbench.matrix.cells import all_cells
from workbench.matrix.pool import run_all
from workbench.matrix.report import DATA, PAGE, Matrix
from workbench.matrix.run import Result


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
