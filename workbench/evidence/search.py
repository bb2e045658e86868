"""Finding trails by their summary entries: each search asks sparse indexes, and none scans the table.

The summary of a run that has ended is its closing entry, which is in the Audit table's indexes by target, by actor, by
runbook and outcome, and by day. That of what happened to a standing approval is the one entry that says so. What is not
in the index that is asked is compared afterwards. If CloudTrail has named another person after the end, the entry that
says so is in the index by actor as well, and leads to the closing entry before it.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runbooks.evidence import manifest
from runbooks.policy import person
from runbooks.store.audit import STANDING
from runbooks.store.tables import Item, packed, unpacked
from workbench.cli.words import is_arn, is_target

OUTCOMES = ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "standing.given", "standing.revoked")
"""What a run can be closed as, and what can happen to a standing approval."""
MOST_READ = 1000
"""Runs that are looked at for one page at most; a filter that few of them pass may leave a page short."""
_FIRST, _LAST = "0000", "9999"
"""Before and after every time that an entry can have."""


@dataclass(frozen=True)
class Criteria:
    """What to look for; what is None is not looked at. Days are UTC, as `2026-11-21`, and both are included.

    A target that is no ARN is the end of one, as lists show it. No index has that, nor who approved: they are compared
    afterwards.
    """

    target: str | None = None
    actor: str | None = None
    runbook: str | None = None
    outcome: str | None = None
    first_day: str | None = None
    last_day: str | None = None
    approved_by: str | None = None


@dataclass(frozen=True)
class Summary:
    """A run that has ended. `by` is the person under whom it was found, `target` its first target.

    `identity` is `verified` if AWS vouches for who asked; `attributed_to` is who started it, by CloudTrail;
    `approved_by` are those who have said yes to its plan, now or in advance.

    Or what somebody did to a standing approval: then that is the outcome, it took no time, and `mode` is None, as for
    a run whose input nobody could read.
    """

    run_id: str
    runbook: str
    outcome: str
    mode: str | None
    error: str | None
    cause: str | None
    ended_at: str
    seconds: int
    by: str
    identity: str
    attributed_to: str | None
    approved_by: Sequence[str]
    target: str | None
    listed_at: str
    """When the entry was written by which it was found: its end, as a rule."""

    @property
    def place(self) -> tuple[str, str]:
        """Where it stands in the order of the results."""
        return self.listed_at, self.run_id


@dataclass(frozen=True)
class Found:
    """One page, the newest first. `before` leads to the next page; None: there is none."""

    runs: Sequence[Summary]
    before: str | None
    items_read: int


@dataclass(frozen=True)
class _Partition:
    index: str
    attribute: str
    value: str


class Search:
    """Searches an Audit table over a DynamoDB client. `runbooks` are the names that there are."""

    def __init__(self, dynamodb: Any, table: str, runbooks: Sequence[str]) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._runbooks = runbooks
        self._read = 0

    def find(self, criteria: Criteria, *, limit: int, before: str | None = None) -> Found:
        """The newest runs that fit, `limit` at most, older than what `before` says.

        Raises ValueError for a `before` that no page has given, and for a search by nothing but an open range of days.
        """
        self._read = 0
        place = _place(before) if before else None
        runs: dict[str, Summary] = {}
        last: Summary | None = None
        following = (
            run for run in self._newest_first(criteria, limit + 1, place) if place is None or run.place < place
        )
        for looked_at, run in enumerate(following):
            fits = _fits(criteria, run) and run.run_id not in runs
            if last is not None and ((fits and len(runs) == limit) or looked_at == MOST_READ):
                return Found(list(runs.values()), "/".join(last.place), self._read)
            if fits:
                runs[run.run_id] = self._named(run)
            last = run
        return Found(list(runs.values()), None, self._read)

    def _newest_first(self, criteria: Criteria, page: int, place: tuple[str, str] | None) -> Iterator[Summary]:
        low = criteria.first_day or _FIRST
        high = f"{criteria.last_day}T~" if criteria.last_day else _LAST
        if place is not None:
            high = min(high, place[0])
        partitions = self._partitions(criteria)
        if partitions is not None:
            return heapq.merge(
                *(self._rows(each, low, high, page) for each in partitions), key=lambda run: run.place, reverse=True
            )
        if criteria.first_day is None or criteria.last_day is None:
            raise ValueError("give a target, an actor, who approved, a runbook, an outcome, or a first and a last day")
        days = reversed(list(manifest.days(criteria.first_day, criteria.last_day)))
        return itertools.chain.from_iterable(
            self._rows(_Partition("by-day", "day", day), low, high, page) for day in days if day <= high
        )

    def _partitions(self, criteria: Criteria) -> list[_Partition] | None:
        """What must be asked, in the index that has the least of what is not meant. None: one day after the other."""
        if criteria.target is not None and is_arn(criteria.target):
            return [_Partition("by-target", "target", criteria.target)]
        if criteria.actor is not None:
            return [_Partition("by-actor", "actor_index", person(criteria.actor))]
        if not (criteria.runbook or criteria.outcome or criteria.target or criteria.approved_by):
            return None
        runbooks = [criteria.runbook] if criteria.runbook else self._runbooks
        outcomes = [criteria.outcome] if criteria.outcome else OUTCOMES
        return [
            _Partition("by-outcome", "runbook_outcome", f"{name}#{outcome}")
            for name in runbooks
            for outcome in outcomes
        ]

    def _rows(self, partition: _Partition, low: str, high: str, page: int) -> Iterator[Summary]:
        """A partition's runs, the newest first, read a page at a time. Of the same time, in the order of their ids."""
        summaries = (_summary(item, self._closing(item)) for item in self._items(partition, low, high, page))
        for _, group in itertools.groupby(summaries, key=lambda run: run.listed_at):
            yield from sorted(group, key=lambda run: run.place, reverse=True)

    def _items(self, partition: _Partition, low: str, high: str, page: int) -> Iterator[Item]:
        start: dict[str, Any] = {}
        while True:
            answer = self._dynamodb.query(
                TableName=self._table,
                IndexName=partition.index,
                KeyConditionExpression="#key = :key AND #at BETWEEN :low AND :high",
                ExpressionAttributeNames={"#key": partition.attribute, "#at": "at"},
                ExpressionAttributeValues=packed({":key": partition.value, ":low": low, ":high": high}),
                ScanIndexForward=False,
                Limit=page,
                **start,
            )
            self._read += answer["ScannedCount"]
            yield from map(unpacked, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _named(self, run: Summary) -> Summary:
        """The run with who started it, which CloudTrail often says only after the end: its last entry knows."""
        if run.identity == "verified" or run.attributed_to is not None:
            return run
        answer = self._dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="run_id = :run",
            ExpressionAttributeValues=packed({":run": run.run_id}),
            ScanIndexForward=False,
            Limit=1,
        )
        self._read += 1
        return replace(run, attributed_to=_attributed(unpacked(answer["Items"][0])))

    def _closing(self, item: Item) -> Item:
        """The closing entry that an entry of an index is, or that is right before it."""
        if "runbook_outcome" in item:
            return item
        key = packed({"run_id": item["run_id"], "seq": item["seq"] - 1})
        self._read += 1
        return unpacked(self._dynamodb.get_item(TableName=self._table, Key=key)["Item"])


def _summary(listed: Item, item: Item) -> Summary:
    detail = json.loads(item["detail"])
    runbook, _, outcome = item["runbook_outcome"].partition("#")
    return Summary(
        run_id=item["run_id"],
        runbook=runbook,
        outcome=outcome,
        mode=detail.get("mode"),
        error=detail.get("error"),
        cause=detail.get("cause"),
        ended_at=item["at"],
        seconds=int(detail.get("seconds") or 0),
        by=listed["actor_index"],
        identity=_identity(detail, outcome),
        attributed_to=_attributed(listed),
        approved_by=tuple(detail.get("approved_by") or ()),
        target=item.get("target"),
        listed_at=listed["at"],
    )


def _attributed(item: Item) -> str | None:
    """Who started the run, by CloudTrail, as far as this entry knows."""
    detail = json.loads(item["detail"])
    if item["event"] == "run.attributed":
        return str(detail.get("on_behalf_of") or detail["caller"])
    return str(detail["attributed_to"]) if detail.get("attributed_to") else None


def _identity(detail: dict[str, Any], outcome: str) -> str:
    """What is not said to be verified is not. Standing approvals are given through the API, which knows by whom."""
    return "verified" if outcome.startswith(STANDING) else str(detail.get("identity", "unverified"))


def _fits(criteria: Criteria, run: Summary) -> bool:
    return (
        (criteria.target is None or (run.target is not None and is_target(criteria.target, run.target)))
        and (criteria.actor is None or person(criteria.actor) == run.by)
        and (criteria.approved_by is None or person(criteria.approved_by) in map(person, run.approved_by))
        and criteria.runbook in {None, run.runbook}
        and criteria.outcome in {None, run.outcome}
    )


def _place(before: str) -> tuple[str, str]:
    at, slash, run_id = before.partition("/")
    if not (slash and at and run_id):
        raise ValueError(f"{before!r} is not what a page of results ended with")
    return at, run_id
