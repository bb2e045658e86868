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
    """The last event that started a run of a runbook on a target, and how many have today.

    `event` is empty if that event's run could not be started, so that nothing waits for it to be quiet.
    """

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
        today = f"{now:%Y-%m-%d}"
        for _ in range(_ATTEMPTS):
            last = self._last(target, runbook)
            if last is not None and last.event == event:
                return
            count = last.count if last is not None and last.day == today else 0
            if last is not None and last.event and now < clock.parse(last.at) + quiet:
                until = clock.iso(clock.parse(last.at) + quiet)
                raise TooOften(f"{runbook} was triggered for {target} at {last.at}, and is not again until {until}")
            if count >= budget:
                raise TooOften(f"{count} runs of {runbook} were triggered for {target} today, which is the limit")
            claimed = Last(event=event, at=clock.iso(now), day=today, count=count + 1)
            if self._written(target, runbook, claimed, last):
                return
        raise LedgerUnavailable(f"{target}: too many events at once")

    def release(self, target: str, runbook: str, event: str) -> None:
        """Take this event's claim back, because nothing was started: neither the quiet time nor the budget is spent."""
        for _ in range(_ATTEMPTS):
            last = self._last(target, runbook)
            if last is None or last.event != event:
                return
            if self._written(target, runbook, last.model_copy(update={"event": "", "count": last.count - 1}), last):
                return
        raise LedgerUnavailable(f"{target}: too many events at once")

    def _last(self, target: str, runbook: str) -> Last | None:
        item = self._tables.get(self._tables.state, _key(target, runbook))
        return Last.model_validate({name: item[name] for name in Last.model_fields}) if item else None

    def _written(self, target: str, runbook: str, news: Last, read: Last | None) -> bool:
        """Whether it was written over what was read, which nobody else has changed since."""
        condition = "#event = :read" if read else "attribute_not_exists(#pk)"
        values = {"read": read.event} if read else {}
        item = _key(target, runbook) | news.model_dump()
        try:
            self._tables.write([put(self._tables.state, item, condition, values)])
        except (ConditionFailed, Conflict):
            return False
        return True


def _key(target: str, runbook: str) -> dict[str, str]:
    return {"pk": f"TRIGGER#{target}", "sk": runbook}
