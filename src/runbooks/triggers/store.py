"""How often a target was triggered: one run at a time, then quiet, and no more than so many a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbooks import clock
from runbooks.errors import LedgerUnavailable
from runbooks.model import Model
from runbooks.store.tables import ConditionFailed, Conflict, Tables, put

_ATTEMPTS = 8


class TooOften(Exception):
    """The target was triggered already; the message says when, and until when nothing is started."""


class Last(Model):
    """The last event that started a run of a runbook on a target, and how many have today."""

    event: str
    at: str
    day: str
    count: int


class Triggers:
    """Reads and writes what was triggered."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def claim(self, target: str, runbook: str, event: str, *, quiet: timedelta, budget: int, now: datetime) -> None:
        """Count this event, or raise TooOften. An event that was counted already is not counted again."""
        key, today = {"pk": f"TRIGGER#{target}", "sk": runbook}, f"{now:%Y-%m-%d}"
        for _ in range(_ATTEMPTS):
            item = self._tables.get(self._tables.state, key)
            last = Last.model_validate({name: item[name] for name in Last.model_fields}) if item else None
            if last is not None and last.event == event:
                return
            count = last.count if last is not None and last.day == today else 0
            if last is not None and now < clock.parse(last.at) + quiet:
                until = clock.iso(clock.parse(last.at) + quiet)
                raise TooOften(f"{runbook} was triggered for {target} at {last.at}, and is not again until {until}")
            if count >= budget:
                raise TooOften(f"{count} runs of {runbook} were triggered for {target} today, which is the limit")
            claimed = Last(event=event, at=clock.iso(now), day=today, count=count + 1)
            condition = "#event = :read" if last else "attribute_not_exists(#pk)"
            values = {"read": last.event} if last else {}
            try:
                self._tables.write([put(self._tables.state, key | claimed.model_dump(), condition, values)])
            except (ConditionFailed, Conflict):
                continue
            return
        raise LedgerUnavailable(f"{target}: too many events at once")
