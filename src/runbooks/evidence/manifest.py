"""The daily manifest: a trail of its own that lists the runs sealed on a day, so that a missing run or day is found.

Its first entry carries the hash of the manifest before it, then comes one entry a run, written together with the run's
seal, and its last entry is signed like a run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from runbooks.evidence.seal import Signer, sealing_entry
from runbooks.model import Model
from runbooks.store import audit
from runbooks.store.audit import Entry, next_entry

OPENED, LISTED, SEALED = "manifest.opened", "manifest.listed", "manifest.sealed"
STATE = "Seal"
"""The state that the sealer's entries carry."""
_PREFIX = "manifest-"


class Page(Model):
    """Where the manifest of a day stands: how many entries it has, and the hash of the last one."""

    day: str
    seq: int
    head: str

    @property
    def trail(self) -> str:
        """The id of its trail."""
        return trail_of(self.day)


def trail_of(day: str) -> str:
    """The id of the trail that is a day's manifest, e.g. `manifest-2026-11-21`."""
    return f"{_PREFIX}{day}"


def day_of(trail: str) -> str | None:
    """The day whose manifest a trail is; None for any other trail."""
    try:
        day = date.fromisoformat(trail.removeprefix(_PREFIX)).isoformat()
    except ValueError:
        return None
    return day if trail == trail_of(day) else None


def opening(day: str, previous: str, now: datetime) -> Entry:
    """The first entry of a day's manifest. `previous` is the hash of the last entry of the one before."""
    return _entry(Page(day=day, seq=0, head=audit.GENESIS), OPENED, {"day": day, "previous": previous}, now)


def opened(entry: Entry, day: str) -> Page:
    """Where a day's manifest stands after its first entry."""
    return Page(day=day, seq=entry.seq, head=entry.hash)


def listing(page: Page, seal: Entry, now: datetime) -> Entry:
    """The entry for a run that is sealed at this moment."""
    return _entry(page, LISTED, {"run_id": seal.run_id, "entries": seal.seq, "seal": seal.hash}, now)


def closing(page: Page, signer: Signer, now: datetime) -> Entry:
    """The last entry, which signs the manifest. `runs` is how many it lists."""
    detail: dict[str, Any] = {"day": page.day, "runs": page.seq - 1}
    return sealing_entry(
        signer, run_id=page.trail, seq=page.seq + 1, prev=page.head, now=now, event=SEALED, state=STATE, detail=detail
    )


def after(page: Page, entry: Entry) -> Page:
    """Where the manifest stands once the entry is written."""
    return page.model_copy(update={"seq": entry.seq, "head": entry.hash})


def days(first: str, last: str) -> Iterator[str]:
    """Each day from the first to the last, both included, as `2026-11-21`."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    while day <= end:
        yield day.isoformat()
        day += timedelta(days=1)


def _entry(page: Page, event: str, detail: dict[str, Any], now: datetime) -> Entry:
    return next_entry(
        run_id=page.trail,
        seq=page.seq + 1,
        prev=page.head,
        now=now,
        event=event,
        state=STATE,
        actor="sealer",
        detail=detail,
    )
