"""`python -m workbench.iam`: what each function may do, and which of its calls need it."""

from __future__ import annotations

import argparse
import json
import sys

from workbench.iam.proof import differences
from workbench.iam.table import as_data, as_text


def main() -> int:
    """Runs every flow on an embedded AWS and prints the table. Returns 1 if a role is not as wide as its calls."""
    parser = argparse.ArgumentParser(
        prog="python -m workbench.iam",
        description="Run every incident on an embedded AWS, and print by function the operations that it called, the"
        " IAM actions that they need and the resources that its role allows them on.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json

    from workbench.embedded import EmbeddedAws
    from workbench.iam.flows import allowed, seen_in_all_flows

    def tell(what: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)

    with EmbeddedAws() as aws:
        seen, functions = seen_in_all_flows(aws, tell), allowed(aws)
    tell("")
    wrong = sorted(seen.unreviewed) + differences(seen.needed, functions)
    if as_json:
        print(json.dumps({"functions": as_data(seen.needed, functions), "differences": wrong}, indent=2))
    else:
        print(as_text(seen.needed, functions))
        for sentence in wrong:
            print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
