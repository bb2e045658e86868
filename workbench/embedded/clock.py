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


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, cut off as AWS does and never rounded."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


class VirtualClock:
    """A clock that waits can be skipped on. Thread-safe; all moments are aware and in UTC."""

    def __init__(self, pace: float = 0.0) -> None:
        """`pace`: the real seconds that a wait lasts at most."""
        self.pace = pace
        self._offset = timedelta(0)
        self._held = False
        self._targets: list[datetime] = []
        self._changed = threading.Condition()

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
        with self._changed:
            return len(self._targets)

    def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Moves the clock ahead, by a timedelta or as in `advance(hours=5)`. Raises ValueError for a step back."""
        step = (by or timedelta(0)) + timedelta(**units)
        if step < timedelta(0):
            raise ValueError(f"the clock cannot go back by {-step}")
        with self._changed:
            self._offset += step
            self._changed.notify_all()

    def hold(self) -> None:
        """From now on no wait ends by itself; `advance` past its deadline, `release` or an interrupt ends it."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        """Lets the waits go on that `hold` stopped."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def wake(self) -> None:
        """Makes every blocked thread look at its predicate again."""
        with self._changed:
            self._changed.notify_all()

    def reset(self) -> None:
        """Back to the real time, not held."""
        with self._changed:
            self._offset = timedelta(0)
            self._held = False
            self._changed.notify_all()

    def sleep(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """A wait of that many virtual seconds; returns early once `interrupted()` is true (after a `wake`)."""
        if seconds <= 0:
            return
        with self._changed:
            deadline = self.now() + timedelta(seconds=seconds)
            shown_until = time.monotonic() + min(self.pace, seconds)
            self._targets.append(deadline)
            try:
                while not interrupted():
                    ahead = (deadline - self.now()).total_seconds()
                    if ahead <= 0:
                        return
                    to_show = shown_until - time.monotonic()
                    if to_show <= 0 and not self._held and deadline == min(self._targets):
                        self._offset += timedelta(seconds=ahead)
                        return
                    self._changed.wait(min(ahead, to_show if to_show > 0 else LONGEST_NAP, LONGEST_NAP))
            finally:
                self._targets.remove(deadline)
                self._changed.notify_all()

    def wait_for(self, done: Callable[[], bool], left: Callable[[], float] | None = None) -> bool:
        """Blocks until `done()` is true (after a `wake`) or no seconds are `left()`; never hurries the clock.

        Returns `done()`. `left` is what `until` or a real timer tells; None waits for ever.
        """
        with self._changed:
            while not done():
                seconds = LONGEST_NAP if left is None else left()
                if seconds <= 0:
                    return False
                self._changed.wait(min(seconds, LONGEST_NAP))
            return True

    def until(self, moment: datetime) -> Callable[[], float]:
        """Tells how many seconds of virtual time are left until then."""

        def left() -> float:
            return (moment - self.now()).total_seconds()

        return left
