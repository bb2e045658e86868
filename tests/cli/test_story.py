"""What a run reads like: words for every audit entry, bars for what counts, one line for what repeats."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import runbooks
from runbooks.clock import iso, parse
from runbooks.store.audit import Entry
from workbench.cli import words
from workbench.cli.story import Story, bar, timeline
from workbench.executions import Moment

EVENT = re.compile(r"^((run|policy|diagnosis|reads|approval|target|phase|change|undo)\.[a-z]+|(not\.)?verified)$")
NOON = parse("2026-11-21T12:00:00Z")
RUNBOOK = "ecs-service-rollback"


def entry(seq: int, event: str, state: str, **detail: Any) -> Entry:
    content = {"run_id": "run", "seq": seq, "at": iso(NOON), "event": event, "state": state, "actor": "frame"}
    return Entry.model_validate(content | {"detail": detail, "prev": "0" * 64, "hash": "0" * 64})


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None, legacy_windows=False)


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def events_in_the_source() -> set[str]:
    """Every text in the deployed code that reads like the name of an audit event."""
    found = set()
    for path in Path(runbooks.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and EVENT.match(node.value):
                found.add(node.value)
    return found


def test_there_are_words_for_every_audit_event():
    assert events_in_the_source() - words._WORDS.keys() == set()


def test_an_event_without_words_is_shown_as_it_is():
    assert words.of_entry(entry(1, "something.new", "Verify", what="else")) == '{"what": "else"}'


@pytest.mark.parametrize(
    ("was", "becomes", "shown"),
    [
        ("taskDefinition app:3", "taskDefinition app:2", "taskDefinition app:3 -> app:2"),
        ("2 tasks", "0 tasks", "2 tasks -> 0 tasks"),
        ("absent", "a cluster", "absent -> a cluster"),
        ("the same", "the same", "the same -> same"),
    ],
)
def test_a_change_is_shown_from_what_to_what(was, becomes, shown):
    assert words.before_after(was, becomes) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (750, "12 min 30 s"), (14_700, "4 h 5 min")]
)
def test_durations_are_read_at_a_glance(seconds, shown):
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ({"reason": "0 of 2 tasks run"}, "[>         ]  "),
        ({"reason": "1 of 2 tasks run", "within": 100}, "[=====>    ]  "),
        ({"reason": "2 of 2 tasks run"}, "[==========]  "),
        ({"reason": "copying", "percent": 30, "elapsed": 90, "within": 100}, "[===>      ]  "),
        ({"reason": "restoring", "percent": None, "elapsed": 70, "within": 100}, "[=======>  ]  "),
        ({"reason": "restoring", "elapsed": 170, "within": 100}, "[==========]  "),
        ({"reason": "restoring"}, ""),
        ({"reason": "0 of 0 tasks run"}, ""),
    ],
)
def test_every_wait_has_a_bar_of_what_is_known(detail, shown):
    assert bar(detail) == shown


def test_a_wait_of_an_hour_is_one_line_of_the_timeline():
    looks = [entry(n, "phase.looked", "Look: is it there?", progress="pending", reason=f"{n} %") for n in range(2, 99)]
    trail = [entry(1, "phase.applied", "Restore", settles_by=iso(NOON)), *looks, entry(99, "verified", "Verify")]
    on = console()
    on.print(timeline(on, trail))
    first, second, third = printed(on).splitlines()
    assert "phase.applied" in first
    assert "2-98" in second
    assert second.rstrip().endswith("pending: 98 % (looked 97 times)")
    assert "verified" in third


def looking(story: Story) -> None:
    """A wait that is looked at twice."""
    state = "Look: is the service steady?"
    for number, (progress, wait) in enumerate([("pending", 15), ("settled", 0)]):
        detail = {"progress": progress, "reason": f"{number + 1} of 2 tasks run"}
        story.observe(Moment("entered", NOON, state))
        story.observe(Moment("recorded", NOON, state, entry=entry(number, "phase.looked", state, **detail)))
        story.observe(Moment("exited", NOON, state, output={"settled": not wait, "wait_seconds": wait}))
        story.observe(Moment("entered", NOON, "Is the service steady?"))
        if wait:
            story.observe(Moment("entered", NOON, "Wait: is the service steady?"))


def test_without_a_terminal_every_look_is_a_line():
    on = console()
    with Story(on, RUNBOOK) as story:
        looking(story)
    assert [" ".join(line.split()) for line in printed(on).splitlines()] == [
        "Is the service steady? [=====> ] 1 of 2 tasks run, looking again in 15 s",
        "yes: 2 of 2 tasks run",
    ]


def test_on_a_terminal_a_wait_moves_and_only_its_end_stays():
    on = console(terminal=True)
    with Story(on, RUNBOOK) as story:
        looking(story)
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed(on))
    assert "1 of 2 tasks run, looking again in 15 s" in told
    assert "  Is the service steady?  yes: 2 of 2 tasks run" in told
    assert "2 of 2 tasks run, looking again" not in told


def test_what_failed_what_was_undone_and_what_was_left_is_told():
    on = console()
    with Story(on, RUNBOOK) as story:
        for number, (event, detail) in enumerate(
            [
                ("change.rejected", {"number": 2, "operation": "ecs:UpdateService", "cause": "AccessDenied: no"}),
                ("undo.done", {"number": 1, "operation": "ecs:UpdateService", "calls": [{"duration_ms": 200}]}),
                ("undo.impossible", {"number": 1, "status": "left", "note": "somebody else has changed it"}),
            ]
        ):
            story.observe(Moment("recorded", NOON, "Undo the changes", entry=entry(number, event, "Undo", **detail)))
    told = " ".join(printed(on).split())
    assert "2. ecs:UpdateService: AccessDenied: no" in told
    assert "undone 1. 0.2 s" in told
    assert "change 1 is left: somebody else has changed it" in told
