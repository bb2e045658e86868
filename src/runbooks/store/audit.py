"""The audit ledger: entries that carry the hash of the one before, so that a lost or edited one shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from runbooks import clock
from runbooks.model import Model, canonical, digest

GENESIS = "0" * 64
"""What the first entry of a run carries as the hash of the one before it."""

CLOSED = "run.closed"
_DAY_OVER = "manifest.sealed"
STANDING = "standing."
"""How the events on a standing approval's trails begin; each such trail is that one event and its seal."""
AFTER_THE_END = frozenset({"run.attributed", "run.sealed"})
"""What may still be recorded of a run that is closed."""


class Entry(Model):
    """One thing that happened, as an auditor reads it. `at` is ISO 8601 UTC; `hash` covers all else."""

    run_id: str
    seq: int
    at: str
    event: str
    state: str
    actor: str
    detail: dict[str, JsonValue]
    prev: str
    hash: str

    def computed_hash(self) -> str:
        return digest(self.model_dump(mode="json", exclude={"hash"}))


def next_entry(
    *, run_id: str, seq: int, prev: str, now: datetime, event: str, state: str, actor: str, detail: dict[str, Any]
) -> Entry:
    """The entry that follows the one with hash `prev`. `detail` must be plain JSON and already redacted."""
    content = {
        "run_id": run_id,
        "seq": seq,
        "at": clock.iso(now),
        "event": event,
        "state": state,
        "actor": actor,
        "detail": detail,
        "prev": prev,
    }
    return Entry.model_validate(content | {"hash": digest(content)})


def as_item(entry: Entry) -> dict[str, Any]:
    """The entry as the Audit table keeps it: `detail` as canonical JSON, so that what is hashed is what is stored."""
    return entry.model_dump(mode="json") | {"detail": canonical(entry.detail).decode()}


def from_item(item: dict[str, Any]) -> Entry:
    """The entry that `as_item` stored; the index attributes of the closing entry are left out."""
    return Entry.model_validate(
        {name: item[name] for name in Entry.model_fields} | {"detail": json.loads(item["detail"])}
    )


def faults(entries: Iterable[Entry]) -> list[str]:
    """What is wrong with a run's chain, one sentence a fault; empty when it is whole and closed."""
    found: list[str] = []
    prev, expected, last, closed = GENESIS, 1, None, False
    for entry in entries:
        if entry.seq != expected:
            found.append(f"entry {expected} is missing before entry {entry.seq}")
        elif entry.prev != prev:
            found.append(f"entry {entry.seq} does not follow the entry before it")
        if entry.computed_hash() != entry.hash:
            found.append(f"entry {entry.seq} was changed after it was written")
        if closed and entry.event not in AFTER_THE_END:
            found.append(f"entry {entry.seq} ({entry.event}) was recorded after the end of the run")
        closed = closed or entry.event in {CLOSED, _DAY_OVER} or entry.event.startswith(STANDING)
        prev, expected, last = entry.hash, entry.seq + 1, entry
    if last is None:
        found.append("the trail is empty")
    elif not closed:
        found.append(f"the trail is not closed; it ends with {last.event}")
    return found


def is_whole(entries: Sequence[Entry]) -> bool:
    """Whether the chain is unbroken and closed."""
    return not faults(entries)
