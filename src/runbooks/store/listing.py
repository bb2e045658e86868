"""Runs and entries in pages, as the API hands them out: as many as were asked for, and where the next page begins."""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from runbooks.store import audit
from runbooks.store.audit import Entry
from runbooks.store.runs import Run, run_of
from runbooks.store.tables import Tables

MOST_READ = 1000
"""Runs that are read for one page at most; a filter that few runs pass may leave a page short."""
_FIRST = "~"
"""Sorts after every time and every run id."""


@dataclass(frozen=True, order=True)
class Place:
    """Where a page of runs begins: after the run that started at that time."""

    started_at: str
    run_id: str

    def cursor(self) -> str:
        """The place as a word that a caller hands back."""
        return base64.urlsafe_b64encode(f"{self.started_at}|{self.run_id}".encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str | None) -> Place:
        """The place that `cursor` wrote, or the very beginning. Raises ValueError for what it did not write."""
        if cursor is None:
            return cls(_FIRST, _FIRST)
        try:
            text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        except (binascii.Error, ValueError):
            raise ValueError("it is not one that this API has handed out") from None
        started_at, separator, run_id = text.partition("|")
        if not (separator and started_at.isprintable() and run_id.isprintable()):
            raise ValueError("it is not one that this API has handed out")
        return cls(started_at, run_id)


class Listing:
    """Pages of runs and of entries."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def runs(
        self,
        runbooks: Sequence[str],
        *,
        target: str | None = None,
        status: str | None = None,
        after: Place,
        limit: int,
    ) -> tuple[list[Run], Place | None]:
        """A page of runs, newest first, and the place after which the next one begins; None if there is none.

        `runbooks` are those whose runs are wanted. `status` is `open`, `closed` or an outcome.
        """
        if target is not None:
            keys = [("by-target", "gsi_target", target)]
        elif status == "open":
            keys = [("open-runs", "open", "open")]
        else:
            keys = [("by-runbook", "gsi_runbook", name) for name in runbooks]
        each = [self._newest(*key, after, limit + 1) for key in keys]
        page: list[Run] = []
        last: Place | None = None
        for read, run in enumerate(heapq.merge(*each, key=place_of, reverse=True)):
            if len(page) == limit or read == MOST_READ:
                return page, last
            last = place_of(run)
            if run.runbook in runbooks and (status is None or status in {run.status, run.outcome}):
                page.append(run)
        return page, None

    def _newest(self, index: str, attribute: str, value: str, after: Place, size: int) -> Iterator[Run]:
        items = self._tables.each(
            self._tables.state,
            size=size,
            IndexName=index,
            KeyConditionExpression="#key = :key AND started_at <= :until",
            ExpressionAttributeNames={"#key": attribute},
            values={":key": value, ":until": after.started_at},
            ScanIndexForward=False,
        )
        runs = (run_of(item) for item in items)
        yield from sorted_ties(run for run in runs if place_of(run) < after)

    def entries(self, run_id: str, *, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries of a run's trail with numbers above `after`."""
        items = self._tables.each(
            self._tables.audit,
            size=limit,
            ConsistentRead=True,
            KeyConditionExpression="run_id = :run AND seq > :after",
            values={":run": run_id, ":after": after},
        )
        return [audit.from_item(item) for item in islice(items, limit)]

    def last_entry(self, run_id: str) -> Entry | None:
        """The newest entry of a run's trail."""
        items = self._tables.each(
            self._tables.audit,
            size=1,
            ConsistentRead=True,
            KeyConditionExpression="run_id = :run",
            values={":run": run_id},
            ScanIndexForward=False,
        )
        return next((audit.from_item(item) for item in items), None)


def place_of(run: Run) -> Place:
    """Where the run stands in a list."""
    return Place(run.started_at, run.run_id)


def sorted_ties(runs: Iterator[Run]) -> Iterator[Run]:
    """The runs, newest first, with those of one millisecond in the order of their ids; an index has none for them."""
    for _, same in groupby(runs, key=lambda run: run.started_at):
        yield from sorted(same, key=place_of, reverse=True)
