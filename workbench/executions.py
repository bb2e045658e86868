"""Following an execution: what has newly happened in its history and in its run's audit trail, in the order of time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from runbooks import clock
from runbooks.store.audit import Entry
from runbooks.store.runs import Ledger

PAGE = 20
"""Events in one call of GetExecutionHistory. The last page is read again with every look, so it is kept short."""


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


class History:
    """The history of an execution, read on from where it was read to last time. Thread-safe."""

    def __init__(self, stepfunctions: Any, execution_arn: str) -> None:
        self._stepfunctions = stepfunctions
        self._execution_arn = execution_arn
        self._token: str | None = None
        """Leads to the last page, which may have got longer since; the pages before it are full."""
        self._seen = 0
        self._lock = threading.Lock()
        self.visits: list[Visit] = []
        """The stays in states so far, in order."""
        self.ended = False
        """Whether the execution has ended."""

    def read(self) -> list[dict[str, Any]]:
        """The events since the last time, oldest first."""
        with self._lock:
            fresh: list[dict[str, Any]] = []
            while True:
                more = {"nextToken": self._token} if self._token else {}
                page = self._stepfunctions.get_execution_history(
                    executionArn=self._execution_arn, maxResults=PAGE, **more
                )
                fresh += page["events"][self._seen :]
                self._seen = len(page["events"])
                if not page.get("nextToken"):
                    break
                self._token, self._seen = page["nextToken"], 0
            for event in fresh:
                self._note(event)
            return fresh

    def _note(self, event: dict[str, Any]) -> None:
        kind, at = event["type"], event["timestamp"].astimezone(UTC)
        if kind.endswith("StateEntered"):
            self.visits.append(Visit(_details(event)["name"], kind.removesuffix("StateEntered"), at))
            return
        self.ended = self.ended or _is_end(kind)
        if not self.visits:
            return
        visit = self.visits[-1]
        if kind.endswith("StateExited"):
            visit.exited = at
        elif kind == "TaskScheduled":
            visit.error = None  # a repeat; what failed before is made good if this one does not fail
        elif _is_failure(kind) or (_is_end(kind) and visit.exited is None):
            visit.error = _details(event).get("error") or kind


class Watch:
    """Tells what is new each time it is asked."""

    def __init__(self, history: History, ledger: Ledger | None, run_id: str) -> None:
        """Without a ledger only the execution is watched."""
        self._history = history
        self._ledger = ledger
        self._run_id = run_id
        self._entries = 0
        self._state = ""

    def news(self) -> list[Moment]:
        """What has happened since the last time, oldest first."""
        moments = [*self._of_history(self._history.read()), *self.entries()]
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
            kind, at, details = event["type"], event["timestamp"].astimezone(UTC), _details(event)
            error, cause = details.get("error") or kind, details.get("cause") or ""
            if kind.endswith("StateEntered"):
                self._state = details["name"]
                yield Moment("entered", at, self._state)
            elif kind.endswith("StateExited"):
                yield Moment("exited", at, details["name"], output=_document(details.get("output")))
            elif _is_end(kind):
                yield Moment("ended", at, self._state, error=error, cause=cause)
            elif _is_failure(kind):
                yield Moment("failed", at, self._state, error=error, cause=cause)


def _is_end(kind: str) -> bool:
    return kind.startswith("Execution") and kind not in {"ExecutionStarted", "ExecutionRedriven"}


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
