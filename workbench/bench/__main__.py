"""`python -m workbench.bench`: measures, prints the page, and writes it to docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import sys

from runbooks import catalogue
from workbench.asl import template
from workbench.bench import appends, evidence, imports, polling, report, runs
from workbench.embedded import EmbeddedAws

PAGE = imports.REPOSITORY / "docs/benchmarks.md"


def main() -> None:
    """Takes a minute or two, on an otherwise idle machine."""
    floor, starts = imports.measured(imports.handlers(template.load(imports.REPOSITORY / "template.yaml")))
    with EmbeddedAws() as aws:
        costs = []
        for name in catalogue.names():
            print(f"Measuring {name} ...", file=sys.stderr)
            costs.append(runs.measured(aws, name))
        append = appends.ratio(aws)
        trail = evidence.measured(aws, catalogue.names(), runs.trail(aws, evidence.RUNBOOK))
    python = ".".join(platform.python_version_tuple()[:2])
    machine = f"{platform.system()}, {platform.machine()}, {os.cpu_count()} processors, Python {python}"
    waits = [
        polling.compared(each, least)
        for each in polling.DURATIONS
        for least in (polling.LEAST * each, polling.declared(each))
    ]
    text = report.page(costs, waits, append, trail, floor, starts, machine)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


main()
