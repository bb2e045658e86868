"""Virtual time: waits move it, and never wait longer than they must."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from workbench.embedded.clock import VirtualClock

HOUR = 3600.0


def never() -> bool:
    return False


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def waiting(clock: VirtualClock, number: int) -> None:
    give_up = time.monotonic() + 5
    while clock.waiting != number:
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_a_wait_moves_the_clock_by_its_length_and_takes_no_time() -> None:
    clock = VirtualClock()
    began = clock.now()
    clock.sleep(HOUR, never)
    assert timedelta(hours=1) <= clock.now() - began < timedelta(hours=1, seconds=5)
    assert clock.offset > timedelta(minutes=59)


def test_a_wait_lasts_the_pace_at_most_and_a_shorter_one_its_own_length() -> None:
    clock = VirtualClock(pace=1.0)
    clock.sleep(HOUR, never)
    ahead = clock.offset
    assert timedelta(minutes=59) < ahead <= timedelta(seconds=HOUR - 1.0)
    clock.sleep(0.01, never)
    assert clock.offset == ahead


def test_concurrent_waits_do_not_add_up_and_end_in_the_order_of_their_deadlines() -> None:
    clock = VirtualClock()
    clock.hold()
    began = clock.now()
    order: list[int] = []

    def wait(hours: int) -> None:
        clock.sleep(hours * HOUR, never)
        order.append(hours)

    threads = [in_background(lambda hours=hours: wait(hours)) for hours in (3, 1, 2)]
    waiting(clock, 3)
    clock.release()
    for thread in threads:
        thread.join(30)
    assert sorted(order) == [1, 2, 3]
    assert timedelta(hours=3) <= clock.now() - began < timedelta(hours=3, seconds=10)


def test_a_held_clock_keeps_waits_waiting_until_it_is_released() -> None:
    clock = VirtualClock()
    clock.hold()
    thread = in_background(lambda: clock.sleep(HOUR, never))
    waiting(clock, 1)
    thread.join(0.1)
    assert thread.is_alive()
    clock.release()
    thread.join(30)
    assert not thread.is_alive()


def test_real_time_ends_no_wait_on_a_held_clock_and_a_step_ends_those_that_it_passes() -> None:
    clock = VirtualClock()
    clock.hold()
    seen: list[bool] = []
    short = in_background(lambda: clock.sleep(0.05, never))
    long = in_background(lambda: clock.sleep(HOUR, never))
    given_up = in_background(lambda: seen.append(clock.wait_for(never, within=0.05)))
    waiting(clock, 2)
    short.join(0.3)
    assert short.is_alive()
    assert seen == []
    clock.advance(seconds=1)
    short.join(30)
    assert (short.is_alive(), long.is_alive()) == (False, True)
    clock.release()
    clock.wake()
    for thread in (long, given_up):
        thread.join(30)
    assert seen == [False]


def test_advancing_past_its_deadline_ends_a_held_wait() -> None:
    clock = VirtualClock()
    clock.hold()
    thread = in_background(lambda: clock.sleep(HOUR, never))
    waiting(clock, 1)
    clock.advance(hours=2)
    thread.join(30)
    assert not thread.is_alive()


def test_an_interrupt_ends_a_wait_without_moving_the_clock() -> None:
    clock = VirtualClock()
    clock.hold()
    interrupted = threading.Event()
    thread = in_background(lambda: clock.sleep(HOUR, interrupted.is_set))
    waiting(clock, 1)
    interrupted.set()
    clock.wake()
    thread.join(30)
    assert not thread.is_alive()
    assert clock.offset == timedelta(0)


def test_waiting_for_something_with_a_deadline_never_hurries_the_clock_but_sees_it_advance() -> None:
    clock = VirtualClock()
    seen: list[bool] = []
    until = clock.now() + timedelta(hours=4)
    thread = in_background(lambda: seen.append(clock.wait_for(never, until=until)))
    thread.join(0.1)
    assert thread.is_alive()
    clock.advance(hours=5)
    thread.join(30)
    assert seen == [False]


def test_the_clock_refuses_to_go_back() -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        VirtualClock().advance(hours=-1)
