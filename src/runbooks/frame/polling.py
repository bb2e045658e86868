"""When to look again at something that takes minutes or hours: pure, and the same for every runbook."""

from __future__ import annotations

import math

from runbooks.model import Progress

SOONEST = 15
"""Seconds between two looks, at least."""
SHARE = 0.05
"""Of the time that it has taken so far, what may pass until the next look: what takes long may end a little late."""


def look_again_in(progress: Progress, elapsed: float, left: float) -> int:
    """Seconds until the next look, `elapsed` seconds after the change and with `left` seconds to its deadline.

    A runbook that knows better says so itself. A percentage shortens the wait to when it says that the end will be,
    and nothing waits beyond the deadline.
    """
    if progress.look_again_in is not None:
        return progress.look_again_in
    wait = max(SOONEST, math.floor(elapsed * SHARE))
    if progress.percent:
        wait = min(wait, max(SOONEST, math.ceil(elapsed * (100 - progress.percent) / progress.percent)))
    return math.ceil(max(1.0, min(wait, left)))
