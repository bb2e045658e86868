"""How snapshots, clusters and instances come, change and go: the life cycles of Amazon RDS, on virtual time.

Nothing runs by itself. What will happen stands in one queue, and whoever looks lets the world catch up with the clock.
How long a procedure takes, what it passes through and where it ends is scripted per resource, or as usual.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

KINDS = ("snapshot", "cluster", "instance")
PROCEDURES: Mapping[tuple[str, str], tuple[tuple[tuple[str, float], ...], str]] = {
    ("snapshot", "create"): ((("creating", 180.0),), "available"),
    ("snapshot", "copy"): ((("copying", 600.0),), "available"),
    ("cluster", "create"): ((("creating", 120.0),), "available"),
    ("cluster", "restore"): ((("creating", 900.0),), "available"),
    ("cluster", "rename"): ((("renaming", 90.0),), "available"),
    ("cluster", "reset"): ((("resetting-master-credentials", 30.0),), "available"),
    ("cluster", "start"): ((("starting", 600.0),), "available"),
    ("cluster", "stop"): ((("stopping", 300.0),), "stopped"),
    ("cluster", "delete"): ((("deleting", 120.0),), "deleted"),
    ("instance", "create"): ((("creating", 360.0), ("configuring-enhanced-monitoring", 60.0)), "available"),
    ("instance", "rename"): ((("renaming", 60.0),), "available"),
    ("instance", "start"): ((("starting", 540.0),), "available"),
    ("instance", "stop"): ((("stopping", 240.0),), "stopped"),
    ("instance", "delete"): ((("deleting", 240.0),), "deleted"),
}
"""What each procedure passes through, in seconds, and what it ends in, unless a script says otherwise."""
CROSS_REGION = 3.0
"""A copy into another region takes so many times as long."""


@dataclass(frozen=True)
class Script:
    """What becomes of a resource in one procedure; None means as usual.

    `takes`: seconds in all, divided among the phases as usual. `phases`: (status, seconds) one after the other instead.
    `ends`: the status in the end. `reaches`: the percentage when it ends, for one that fails half-way. `percent`:
    whether PercentProgress is told at all.
    """

    takes: float | None = None
    phases: Sequence[tuple[str, float]] | None = None
    ends: str | None = None
    reaches: float = 100.0
    percent: bool | None = None


@dataclass
class Life:
    """The status of one resource. `ended` is what comes of the present procedure, None when none is under way."""

    status: str
    script: Script = field(default_factory=Script)
    began: datetime | None = None
    ends: datetime | None = None
    number: int = 0

    @property
    def busy(self) -> bool:
        return self.ends is not None

    def percent(self, now: datetime) -> int:
        """How far the procedure under way is, or how far the last one came."""
        if self.began is None:
            return 100
        if self.ends is None:
            return int(self.script.reaches)
        whole = (self.ends - self.began).total_seconds()
        passed = (now - self.began).total_seconds()
        return int(self.script.reaches * min(1.0, passed / whole)) if whole else 0


class Course:
    """The queue of what will happen in all accounts and regions."""

    def __init__(self) -> None:
        self._queue: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._order = itertools.count()
        self._scripts: dict[tuple[str, str], list[tuple[str, Script]]] = {}

    def catch_up(self, now: datetime) -> None:
        """Lets everything happen that was due by now."""
        while self._queue and self._queue[0][0] <= now:
            moment, _, happen = heapq.heappop(self._queue)
            happen(moment)

    def script(self, kind: str, procedure: str, pattern: str, script: Script) -> None:
        """From now on that procedure goes so for resources whose name fits the pattern; the latest script wins."""
        if (kind, procedure) not in PROCEDURES:
            known = ", ".join(f"{each} {one}" for each, one in PROCEDURES)
            raise ValueError(f"there is no procedure {kind} {procedure}; there are {known}")
        self._scripts.setdefault((kind, procedure), []).insert(0, (pattern.lower(), script))

    def start(
        self,
        life: Life,
        kind: str,
        procedure: str,
        name: str,
        now: datetime,
        done: Callable[[datetime], None],
        *,
        slower: float = 1.0,
        leaves: Sequence[str] = (),
    ) -> None:
        """Sends the resource through the procedure; `done` is called when it has its last status.

        `slower` multiplies the usual times; the phases in `leaves` are passed over. Starting another procedure ends
        this one: what it had to come does not.
        """
        usual, end = PROCEDURES[kind, procedure]
        phases = [(status, seconds * slower) for status, seconds in usual if status not in leaves]
        script = self._script(kind, procedure, name)
        if script.phases is not None:
            phases = list(script.phases)
        whole = sum(seconds for _, seconds in phases)
        if script.takes is not None:
            phases = [(status, seconds * script.takes / whole if whole else 0.0) for status, seconds in phases]
            whole = script.takes
        life.number += 1
        number = life.number
        life.script, life.began, life.ends = script, now, now + timedelta(seconds=whole)
        life.status = phases[0][0] if phases else (script.ends or end)
        moment = now
        for (_, seconds), (status, _) in itertools.pairwise(phases):
            moment += timedelta(seconds=seconds)
            self._at(moment, _entering(life, number, status))

        def finish(at: datetime) -> None:
            if life.number == number:
                life.status, life.ends = script.ends or end, None
                done(at)

        self._at(life.ends, finish)

    def _script(self, kind: str, procedure: str, name: str) -> Script:
        for pattern, script in self._scripts.get((kind, procedure), []):
            if fnmatchcase(name, pattern):
                return script
        return Script()

    def _at(self, moment: datetime, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._order), happen))


def _entering(life: Life, number: int, status: str) -> Callable[[datetime], None]:
    def enter(_: datetime) -> None:
        if life.number == number:
            life.status = status

    return enter
