"""The figures as a page: each beside its aim, and whether that is met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.bench import evidence
from workbench.bench.evidence import TrailCosts
from workbench.bench.imports import Start
from workbench.bench.polling import LAG_SECONDS, LAG_SHARE, LOOKS_SHARE, Compared
from workbench.bench.runs import TIMES, Bare, Costs

RUN_SECONDS, CALLS, APPEND, IMPORT = 1.0, 2.0, 1.5, 1.25
"""The aims: at most these."""
VERIFY = 0.5
"""The aim: at least this share of the rate of parsing and hashing."""
NONE = "none"
"""Stands where nobody has written a bare script."""


def met(value: float, aim: float) -> str:
    """`met`, or by how much not."""
    return "met" if value <= aim else f"**not met** ({value / aim:.1f} times the aim)"


def flat(read: Sequence[int]) -> bool:
    """Whether a search reads no more of the largest table than of the smallest, or what a full page may read."""
    return read[-1] <= max(read[0], evidence.AHEAD)


def page(
    runs: Sequence[Costs],
    waits: Sequence[Compared],
    append: float,
    trail: TrailCosts,
    floor: float,
    starts: Sequence[Start],
    machine: str,
) -> str:
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
            "## Waiting",
            "",
            "Simulated: phases of about these durations, once declared to take at least a quarter of that, and once to",
            "take what the phase of today's runbooks says that may last so long and promises the least. Looks are",
            "counted until the end is seen; the lag is how late that is, at worst. The aims: a lag of at most",
            f"{LAG_SHARE:.0%} or {LAG_SECONDS} s, and from half an hour up at most {LOOKS_SHARE:g} of the looks of",
            "polling every 30 s. What promises little and takes half an hour or an hour cannot have both; there the",
            "lag comes first.",
            "",
            *_table(
                ["Phase", "At least", "Looks", "Every 30 s", "Every 60 s", "Lag", "Lag with percentages", "Aims"],
                (
                    [
                        _duration(wait.duration),
                        f"{wait.at_least / 60:g} min",
                        f"{wait.looks:.0f}",
                        f"{wait.looks_of_30:.0f}",
                        f"{wait.looks_of_60:.0f}",
                        f"{wait.lag:.0f} s ({wait.share:.1%})",
                        f"{wait.lag_with_percent:.0f} s",
                        "met" if wait.meets_the_aims else "**not met**",
                    ]
                    for wait in waits
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
            f"The trail of an ECS rollback has {trail.entries} entries, each of them one item; half of them have",
            f"{trail.entry_bytes:,} bytes or more. In the archive an entry takes {trail.archived_bytes:,} bytes.",
            "",
            "## Searching and verifying the trail",
            "",
            f"Items of the Audit table that `runbook audit search` reads for its first page of {evidence.PAGE}, with",
            "so many runs in the table. Ten of them are looked for; by runbook and by day there are more than a page.",
            "The aim: the number does not grow with the table.",
            "",
            *_table(
                ["Search", *(f"{size:,} runs" for size in evidence.SIZES), "Aim"],
                (
                    [name, *map(str, read), "met" if flat(read) else "**not met**"]
                    for name, read in trail.items_read.items()
                ),
            ),
            "",
            f"`runbook audit verify` of a day's export with {evidence.RUNS} runs and its manifest has",
            f"{trail.verify_ratio:.2f} of the rate of parsing the same JSON and hashing it bare",
            f"(aim: {VERIFY:g} or better): {'met' if trail.verify_ratio >= VERIFY else '**not met**'}.",
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


def _duration(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min"


def _compared(calls: int, bare: Bare | None) -> list[str]:
    """The bare script's calls, the ratio, and whether that is met."""
    if bare is None:
        return [NONE] * 3
    ratio = calls / bare.calls
    return [str(bare.calls), f"{ratio:.2f}", met(ratio, CALLS)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
