"""When to look again: soon at first, later with the time that it has taken, never beyond the deadline."""

from __future__ import annotations

import pytest

from runbooks.frame.polling import look_again_in
from runbooks.model import Progress, pending


@pytest.mark.parametrize(
    ("progress", "elapsed", "left", "seconds"),
    [
        (pending("x"), 0, 3600, 15),
        (pending("x"), 299, 3600, 15),
        (pending("x"), 3600, 3600, 180),
        (pending("x"), 3600, 100, 100),
        (pending("x"), 3600, 0.2, 1),
        (pending("x", look_again_in=42), 3600, 3600, 42),
        (pending("x", percent=0), 3600, 3600, 180),
        (pending("x", percent=50), 3600, 7200, 180),
        (pending("x", percent=98), 3600, 7200, 74),
        (pending("x", percent=100), 3600, 7200, 15),
    ],
)
def test_the_wait_fits_what_has_passed_what_is_left_and_what_the_service_says(
    progress: Progress, elapsed: float, left: float, seconds: int
) -> None:
    assert look_again_in(progress, elapsed, left) == seconds
