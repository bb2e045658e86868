"""The chain: an edited, dropped, reordered or cut trail is found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runbooks.store.audit import GENESIS, Entry, as_item, faults, from_item, is_whole, next_entry

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def trail(*events: str) -> list[Entry]:
    entries: list[Entry] = []
    for seq, event in enumerate(events, 1):
        prev = entries[-1].hash if entries else GENESIS
        entries.append(
            next_entry(run_id="r", seq=seq, prev=prev, now=NOW, event=event, state="s", actor="a", detail={"n": seq})
        )
    return entries


WHOLE = trail("run.started", "diagnosis.made", "change.done", "run.closed")


@pytest.mark.parametrize(
    "events",
    [
        ("run.started", "diagnosis.made", "change.done", "run.closed"),
        ("run.started", "run.closed", "run.attributed", "run.sealed"),
        ("manifest.sealed",),
        ("standing.given", "run.sealed"),
    ],
)
def test_a_trail_as_it_was_written_is_whole(events: tuple[str, ...]) -> None:
    assert faults(trail(*events)) == []
    assert is_whole(trail(*events))


def test_an_entry_survives_the_table() -> None:
    assert [from_item(as_item(entry) | {"day": "2026-11-21"}) for entry in WHOLE] == WHOLE


@pytest.mark.parametrize(
    ("tampered", "says"),
    [
        ([WHOLE[0], WHOLE[1].model_copy(update={"detail": {"n": 9}}), *WHOLE[2:]], "entry 2 was changed"),
        ([WHOLE[0], *WHOLE[2:]], "entry 2 is missing"),
        ([WHOLE[0], WHOLE[2], WHOLE[1], WHOLE[3]], "entry 2 is missing before entry 3"),
        (WHOLE[:-1], "not closed; it ends with change.done"),
        (WHOLE[1:], "entry 1 is missing"),
        ([], "the trail is empty"),
        (trail("run.started", "run.closed", "change.done"), "entry 3 (change.done) was recorded after the end of the"),
        ([WHOLE[0], trail("x", "diagnosis.made")[1], *WHOLE[2:]], "does not follow"),
    ],
)
def test_a_trail_that_was_tampered_with_says_where(tampered: list[Entry], says: str) -> None:
    assert says in "; ".join(faults(tampered))
