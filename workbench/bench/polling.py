"""Waiting for phases of minutes to hours, simulated: how often one looks, and how late one learns of the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from runbooks import catalogue
from runbooks.frame.polling import look_again_in
from runbooks.model import pending

MINUTE, HOUR = 60, 3600
DURATIONS = (2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR)
"""Seconds that a phase takes."""
LEAST = 0.25
"""Of what a phase takes, the part that a declaration which knows it well says that it always takes."""
LAG_SHARE, LAG_SECONDS, LOOKS_SHARE = 0.05, 15, 0.5
"""The aims: at most so late, of the duration or in seconds, and from half an hour up so many looks of 30 s polling."""

Schedule = Callable[[float, float], float]
"""(seconds so far, duration) -> seconds until the next look."""


@dataclass(frozen=True)
class Waited:
    """A phase's duration, looks until its end was seen, and seconds between the end and that look."""

    duration: float
    looks: int
    lag: float

    @property
    def share(self) -> float:
        """The lag as a part of the duration."""
        return self.lag / self.duration


@dataclass(frozen=True)
class Compared:
    """Phases of about one duration: looks on average, lag at worst; in seconds, and as a part of the phase.

    `at_least` is what their declaration says that they always take, in seconds.
    """

    duration: int
    at_least: float
    looks: float
    lag: float
    share: float
    late: bool
    """Whether one of them was seen later than the aim."""
    looks_of_30: float
    looks_of_60: float
    lag_with_percent: float

    @property
    def meets_the_aims(self) -> bool:
        often = self.duration >= 30 * MINUTE and self.looks > LOOKS_SHARE * self.looks_of_30
        return not self.late and not often


_SPREAD = [0.9 + 0.01 * step for step in range(21)]
"""Phases differ: each duration stands for ones that are up to a tenth shorter or longer."""


def waited(duration: float, at_least: float, schedule: Schedule) -> Waited:
    """Waits for one phase to end."""
    now, looks = at_least, 1
    while now < duration:
        now += schedule(now, duration)
        looks += 1
    return Waited(duration, looks, now - duration)


def _ours(elapsed: float, duration: float) -> float:
    return look_again_in(pending("simulated"), elapsed, float("inf"))


def _ours_with_percent(elapsed: float, duration: float) -> float:
    return look_again_in(pending("simulated", percent=int(100 * elapsed / duration)), elapsed, float("inf"))


def _every(seconds: int) -> Schedule:
    return lambda elapsed, duration: seconds


def declared(duration: int) -> float:
    """The least that a phase of the catalogue which may last so long, and declares one, says that it takes."""
    phases = (phase for name in catalogue.names() for phase in catalogue.load(name).phases)
    least = [
        phase.at_least.total_seconds()
        for phase in phases
        if phase.at_least and phase.within.total_seconds() >= duration
    ]
    return min(least, default=0.0)


def compared(duration: int, at_least: float) -> Compared:
    """Ours beside fixed polling, which looks at once and then every 30 or 60 s."""

    def all_of(schedule: Schedule, first: float) -> list[Waited]:
        return [waited(duration * factor, first, schedule) for factor in _SPREAD]

    ours = all_of(_ours, at_least)
    return Compared(
        duration=duration,
        at_least=at_least,
        looks=mean(each.looks for each in ours),
        lag=max(each.lag for each in ours),
        share=max(each.share for each in ours),
        late=any(each.lag > LAG_SECONDS and each.share > LAG_SHARE for each in ours),
        looks_of_30=mean(each.looks for each in all_of(_every(30), 0)),
        looks_of_60=mean(each.looks for each in all_of(_every(60), 0)),
        lag_with_percent=max(each.lag for each in all_of(_ours_with_percent, at_least)),
    )
