"""Virtual time: the real clock plus an offset that only grows.

A wait of w seconds moves the offset so that the clock stands at its start plus w, and really lasts `pace` seconds
at most. Concurrent waits do not add up, and they end in the order of their deadlines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

LONGEST_NAP = 60.0
"""Seconds after which a blocked thread looks at the clock again, should a wake-up ever be lost."""


Bell = threading.Event
"""Rung when the one thread that waits on it should look again."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, cut off as AWS does and never rounded."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


class VirtualClock:
    """A clock that waits can be skipped on. Thread-safe; all moments are aware and in UTC.

    Every waiting thread has a bell of its own: hundreds may wait, and one that is meant must not wake the others.
    """

    def __init__(self, pace: float = 0.0) -> None:
        """`pace`: the real seconds that a wait lasts at most."""
        self.pace = pace
        self._offset = timedelta(0)
        self._held = False
        self._reached = EPOCH
        self._sleepers: dict[Bell, datetime] = {}
        self._watchers: dict[Bell, datetime | None] = {}
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The virtual time."""
        return datetime.now(UTC) + self._offset

    @property
    def offset(self) -> timedelta:
        """How far the virtual time is ahead of the real one."""
        return self._offset

    @property
    def held(self) -> bool:
        return self._held

    @property
    def waiting(self) -> int:
        """How many waits are in progress; tests poll it before they act inside a wait."""
        return len(self._sleepers)

    def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Moves the clock ahead, by a timedelta or as in `advance(hours=5)`. Raises ValueError for a step back."""
        step = (by or timedelta(0)) + timedelta(**units)
        if step < timedelta(0):
            raise ValueError(f"the clock cannot go back by {-step}")
        with self._lock:
            self._offset += step
            self._reached = self.now()
        self._ring(everybody=False)

    def hold(self) -> None:
        """From now on no wait ends by itself; `advance` past its deadline, `release` or an interrupt ends it.

        Real time does not end it either, nor a `wait_for` that would give up after real seconds.
        """
        self._reached = self.now()
        self._held = True

    def release(self) -> None:
        """Lets the waits go on that `hold` stopped."""
        self._held = False
        self._ring(everybody=False)

    def wake(self) -> None:
        """Makes every waiting thread look again."""
        self._ring(everybody=True)

    def reset(self) -> None:
        """Back to the real time, not held."""
        with self._lock:
            self._offset = timedelta(0)
            self._held = False
        self.wake()

    def sleep(self, seconds: float, interrupted: Callable[[], bool], bell: Bell | None = None) -> None:
        """A wait of that many virtual seconds; returns early once `interrupted()` is true and the bell is rung."""
        if seconds <= 0:
            return
        bell = bell or Bell()
        deadline = self.now() + timedelta(seconds=seconds)
        shown_until = time.monotonic() + min(self.pace, seconds)
        with self._lock:
            self._sleepers[bell] = deadline
        try:
            while not interrupted():
                nap = self._nap(deadline, shown_until)
                if nap <= 0:
                    return
                bell.wait(nap)
                bell.clear()
        finally:
            with self._lock:
                del self._sleepers[bell]
                following = min(self._sleepers, key=self._sleepers.__getitem__, default=None)
            if following is not None:
                following.set()

    def _nap(self, deadline: datetime, shown_until: float) -> float:
        """The real seconds that a wait has to go on; moves the clock to its deadline when it is its turn."""
        with self._lock:
            ahead = (deadline - self.now()).total_seconds()
            to_show = shown_until - time.monotonic()
            if self._held and deadline > self._reached:
                return LONGEST_NAP
            if ahead <= 0 or to_show > 0:
                return min(ahead, max(to_show, 0.0))
            if deadline > min(self._sleepers.values()):
                return min(ahead, LONGEST_NAP)
            self._offset += timedelta(seconds=ahead)
        self._ring(everybody=False)
        return 0.0

    def wait_for(
        self,
        done: Callable[[], bool],
        *,
        until: datetime | None = None,
        within: float | None = None,
        bell: Bell | None = None,
    ) -> bool:
        """Blocks until `done()` is true and the bell is rung; never hurries the clock. Returns `done()`.

        `until` is a virtual moment to give up at, `within` are real seconds; without either it waits for ever. While
        the clock is held, no real seconds count.
        """
        bell = bell or Bell()
        give_up = None if within is None else time.monotonic() + within
        with self._lock:
            self._watchers[bell] = until
        try:
            while not done():
                left = LONGEST_NAP
                if within is not None and self._held:
                    give_up = time.monotonic() + within
                if until is not None:
                    left = min(left, (until - self.now()).total_seconds())
                if give_up is not None:
                    left = min(left, give_up - time.monotonic())
                if left <= 0:
                    return False
                bell.wait(left)
                bell.clear()
            return True
        finally:
            with self._lock:
                del self._watchers[bell]

    def _ring(self, *, everybody: bool) -> None:
        """Wakes the sleepers, and those watchers whose moment has come, or everybody."""
        now = self.now()
        with self._lock:
            watchers = [
                bell for bell, until in self._watchers.items() if everybody or (until is not None and until <= now)
            ]
            bells = [*self._sleepers, *watchers]
        for bell in bells:
            bell.set()
