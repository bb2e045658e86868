"""The figures as a page: each beside its aim, and whether that is met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.bench.imports import Start
from workbench.bench.runs import TIMES, Bare, Costs

RUN_SECONDS, CALLS, APPEND, IMPORT = 1.0, 2.0, 1.5, 1.25
"""The aims: at most these."""
NONE = "none"
"""Stands where nobody has written a bare script."""


def met(value: float, aim: float) -> str:
    """`met`, or by how much not."""
    return "met" if value <= aim else f"**not met** ({value / aim:.1f} times the aim)"


def page(runs: Sequence[Costs], append: float, floor: float, starts: Sequence[Start], machine: str) -> str:
    """The whole page in Markdown."""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Made by this command, which overwrites the page:",
            "",
            "```sh",
            "make bench",
            "```",
            "",
            f"On {machine}. Times differ from machine to machine, and with what else it does; counts do not.",
            "",
            "## A run",
            "",
            "The standard incident of each runbook on the embedded AWS, from StartExecution to the end of the",
            f"execution: the median of {TIMES}. The functions are warm, nobody is asked for approval, and waits cost",
            "no time. The bare script ([`workbench/bench/bare/`](../workbench/bench/bare)) does the same job with",
            "boto3 alone: no lock, no trail, no plan, no undo.",
            "",
            *_table(
                ["Runbook", "Run", "Bare script", f"Aim: {RUN_SECONDS:g} s", "State transitions"],
                (
                    [
                        f"`{run.runbook}`",
                        f"{run.seconds:.2f} s",
                        f"{run.bare.seconds:.2f} s" if run.bare else NONE,
                        met(run.seconds, RUN_SECONDS),
                        str(run.transitions),
                    ]
                    for run in runs
                ),
            ),
            "",
            "## AWS calls to the target",
            "",
            "What the trail of that run has, against the calls of the bare script. A run reads the target to plan,",
            "again before it acts, while it waits, and to verify.",
            "",
            *_table(
                ["Runbook", "Run", "Bare script", "Ratio", f"Aim: {CALLS:g}"],
                (
                    [
                        f"`{run.runbook}`",
                        str(run.calls),
                        *_compared(run.calls, run.bare),
                    ]
                    for run in runs
                ),
            ),
            "",
            "## Write units",
            "",
            "DynamoDB's write units of that run: every item is written in a transaction, which costs 2 for each KB.",
            "The copies in secondary indexes come on top, with 1 for each KB.",
            "",
            *_table(
                ["Runbook", "Tables", "Indexes"],
                ([f"`{run.runbook}`", str(run.write_units), str(run.index_units)] for run in runs),
            ),
            "",
            "## An audit entry",
            "",
            f"`Ledger.record`, which writes the entry and the run in one transaction, takes {append:.2f} times as long",
            f"as a plain PutItem of the same entry (aim: {APPEND:g}): {met(append, APPEND)}.",
            "",
            "## A cold start",
            "",
            "Processor time of a fresh interpreter that imports the handler, with what deploys and nothing else,",
            f"against one that makes a bare boto3 client ({floor:.2f} s).",
            "",
            *_table(
                ["Handler", "Import", "Ratio", f"Aim: {IMPORT:g}"],
                (
                    [f"`{each.module}`", f"{each.seconds:.2f} s", f"{each.ratio:.2f}", met(each.ratio, IMPORT)]
                    for each in starts
                ),
            ),
            "",
        ]
    )


def _compared(calls: int, bare: Bare | None) -> list[str]:
    """The bare script's calls, the ratio, and whether that is met."""
    if bare is None:
        return [NONE] * 3
    ratio = calls / bare.calls
    return [str(bare.calls), f"{ratio:.2f}", met(ratio, CALLS)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
