"""`python -m workbench.openapi`: writes docs/openapi.json from the routes, or says how it differs (`--check`)."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from runbooks.api.routes import document

COMMITTED = Path(__file__).parent.parent / "docs" / "openapi.json"


def main() -> int:
    """Returns 1 if the committed document is not the served one."""
    parser = argparse.ArgumentParser(prog="python -m workbench.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    served = document.text()
    if not parser.parse_args().check:
        COMMITTED.write_text(served, encoding="utf-8")
        return 0
    committed = COMMITTED.read_text(encoding="utf-8") if COMMITTED.exists() else ""
    lines = difflib.unified_diff(committed.splitlines(), served.splitlines(), "committed", "served", lineterm="")
    differences = list(lines)
    print(*differences[:40], sep="\n", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
