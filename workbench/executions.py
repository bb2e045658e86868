"""Following an execution: what has newly happened in its history and in its run's audit trail, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from runbooks import clock
from runbooks.store.audit import Entry
from runbooks.store.runs import Ledger

PAGE = 1000
"""Events that one call of GetExecutionHistory returns at most."""


@dataclass
class Visit:
    """One stay in a state. `error` is what the stay ended with, caught or not; None if it ended well."""

    state: str
    kind: str
    """Task, Choice, Wait or Fail, as the history names it."""
    entered: datetime
    exited: datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class Moment:
    """One thing that happened. `output` is what a state that was exited handed on, `entry` what was recorded."""

    what: Literal["entered", "exited", "failed", "recorded", "ended"]
    at: datetime
    state: str
    output: Any = None
    error: str = ""
    cause: str = ""
    entry: Entry | None = None


def history(stepfunctions: Any, execution_arn: str) -> list[dict[str, Any]]:
    """All events of an execution so far, oldest first."""
    events: list[dict[str, Any]] = []
    arguments: dict[str, Any] = {"executionArn": execution_arn, "maxResults": PAGE}
    while True:
        page = stepfunctions.get_execution_history(**arguments)
        events += page["events"]
        if not page.get("nextToken"):
            return events
        arguments["nextToken"] = page["nextToken"]


def visits(events: list[dict[str, Any]]) -> list[Visit]:
    """The stays in states that a history tells of, in order."""
    passed: list[Visit] = []
    for event in events:
        kind: str = event["type"]
        if kind.endswith("StateEntered"):
            name = event["stateEnteredEventDetails"]["name"]
            passed.append(Visit(name, kind.removesuffix("StateEntered"), _utc(event["timestamp"])))
        elif not passed:
            continue
        elif kind.endswith("StateExited"):
            passed[-1].exited = _utc(event["timestamp"])
        elif kind == "TaskScheduled":
            passed[-1].error = None  # a repeat; what failed before is made good if this one does not fail
        elif _is_failure(kind) or (kind == "ExecutionFailed" and passed[-1].kind == "Fail"):
            passed[-1].error = _details(event).get("error") or kind
    return passed


class Watch:
    """Tells what is new each time it is asked."""

    def __init__(self, stepfunctions: Any, execution_arn: str, ledger: Ledger | None, run_id: str) -> None:
        """Without a ledger only the execution is watched."""
        self._stepfunctions = stepfunctions
        self._execution_arn = execution_arn
        self._ledger = ledger
        self._run_id = run_id
        self._events = 0
        self._entries = 0
        self._state = ""
        self.visits: list[Visit] = []
        self.ended = False
        """Whether the execution has ended."""

    def news(self) -> list[Moment]:
        """What has happened since the last time, oldest first."""
        events = history(self._stepfunctions, self._execution_arn)
        moments = [*self._of_history(events[self._events :]), *self.entries()]
        self._events = len(events)
        self.visits = visits(events)
        return sorted(moments, key=lambda moment: moment.at)

    def entries(self) -> list[Moment]:
        """The audit entries since the last time; also after the execution's end, which the reaper may outlast."""
        if self._ledger is None:
            return []
        fresh = self._ledger.trail(self._run_id)[self._entries :]
        self._entries += len(fresh)
        return [Moment("recorded", clock.parse(entry.at), entry.state, entry=entry) for entry in fresh]

    def _of_history(self, events: list[dict[str, Any]]) -> Iterator[Moment]:
        for event in events:
            kind, at = event["type"], _utc(event["timestamp"])
            details = _details(event)
            if kind.endswith("StateEntered"):
                self._state = details["name"]
                yield Moment("entered", at, self._state)
            elif kind.endswith("StateExited"):
                yield Moment("exited", at, details["name"], output=_document(details.get("output")))
            elif kind.startswith("Execution") and kind != "ExecutionStarted":
                self.ended = True
                yield Moment(
                    "ended", at, self._state, error=details.get("error") or "", cause=details.get("cause") or ""
                )
            elif _is_failure(kind):
                yield Moment(
                    "failed", at, self._state, error=details.get("error") or kind, cause=details.get("cause") or ""
                )


def _is_failure(kind: str) -> bool:
    return kind.endswith(("Failed", "TimedOut")) and not kind.startswith("Execution")


def _details(event: dict[str, Any]) -> dict[str, Any]:
    """The one member of an event that says more; its name depends on the type of the event."""
    found: dict[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    return found


def _document(output: str | None) -> Any:
    try:
        return json.loads(output or "null")
    except ValueError:
        return None


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
