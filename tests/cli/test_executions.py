"""Reading an execution's history on, page by page, while it grows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from workbench.executions import History, Watch

START = datetime(2026, 11, 21, 3, tzinfo=UTC)


class Growing:
    """A history of which more is there each time; pages of two events, whose tokens stay good."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = [event | {"timestamp": START + timedelta(seconds=number)} for number, event in enumerate(events)]
        self.there = 0
        self.calls = 0

    def get_execution_history(self, *, nextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        self.calls += 1
        first, there = int(nextToken), self.events[: self.there]
        page: dict[str, Any] = {"events": there[first : first + 2]}
        return page | {"nextToken": str(first + 2)} if len(there) > first + 2 else page


def entered(name: str, kind: str = "Task") -> dict[str, Any]:
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": {"name": name}}


def exited(name: str, kind: str = "Task") -> dict[str, Any]:
    return {"type": f"{kind}StateExited", "stateExitedEventDetails": {"name": name, "output": '{"n": 1}'}}


FAILED = {"type": "TaskFailed", "taskFailedEventDetails": {"error": "AwsThrottled", "cause": "slow down"}}
EVENTS = [
    {"type": "ExecutionStarted"},
    entered("Begin run"),
    {"type": "TaskScheduled"},
    FAILED,
    {"type": "TaskScheduled"},
    exited("Begin run"),
    entered("Diagnose"),
    FAILED,
    exited("Diagnose"),
    entered("Run failed", "Fail"),
    {"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "Refused", "cause": "no"}},
]


def test_every_event_is_told_once_however_the_history_grows():
    for step in range(1, len(EVENTS) + 1):
        growing = Growing(EVENTS)
        history, told = History(growing, "arn"), []
        while growing.there < len(EVENTS):
            growing.there = min(growing.there + step, len(EVENTS))
            told += history.read()
        assert [event["type"] for event in told] == [event["type"] for event in EVENTS]
        assert history.ended


def test_full_pages_are_not_read_again():
    growing = Growing(EVENTS)
    growing.there = len(EVENTS)
    history = History(growing, "arn")
    history.read()
    growing.calls = 0
    assert history.read() == []
    assert growing.calls == 1


def test_a_repeat_makes_a_failure_good_and_a_caught_one_stays():
    growing = Growing(EVENTS)
    growing.there = len(EVENTS)
    history = History(growing, "arn")
    history.read()
    assert [(visit.state, visit.kind, visit.error) for visit in history.visits] == [
        ("Begin run", "Task", None),
        ("Diagnose", "Task", "AwsThrottled"),
        ("Run failed", "Fail", "Refused"),
    ]


def test_a_stopped_execution_marks_the_state_that_it_was_in():
    growing = Growing([{"type": "ExecutionStarted"}, entered("Wait", "Wait"), {"type": "ExecutionAborted"}])
    growing.there = 3
    history = History(growing, "arn")
    history.read()
    assert history.visits[-1].error == "ExecutionAborted"


def test_moments_say_what_happened_where():
    growing = Growing(EVENTS)
    growing.there = len(EVENTS)
    moments = Watch(History(growing, "arn"), None, "run").news()
    assert [(moment.what, moment.state) for moment in moments] == [
        ("entered", "Begin run"),
        ("failed", "Begin run"),
        ("exited", "Begin run"),
        ("entered", "Diagnose"),
        ("failed", "Diagnose"),
        ("exited", "Diagnose"),
        ("entered", "Run failed"),
        ("ended", "Run failed"),
    ]
    assert moments[2].output == {"n": 1}
    assert (moments[-1].error, moments[-1].cause) == ("Refused", "no")
