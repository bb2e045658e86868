"""Work that AWS does in its own time: asynchronous invocations, in the order in which they were handed in."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

ATTEMPTS = 3
"""Lambda tries an asynchronous invocation once and repeats it twice."""


class Courier:
    """Runs deliveries in the background; `settle` waits until none is left."""

    def __init__(self) -> None:
        self.undelivered: list[str] = []
        """What failed in every attempt, as sentences."""
        self._open = 0
        self._round = 0
        self._idle = threading.Condition()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="courier")

    @contextlib.contextmanager
    def pending(self) -> Iterator[None]:
        """Counts as an open delivery, for what is about to be handed in."""
        with self._idle:
            self._open += 1
        try:
            yield
        finally:
            self._done()

    def deliver(self, what: str, attempt: Callable[[], str | None], park: Callable[[], None] | None = None) -> None:
        """Calls `attempt` until it returns None (delivered) or ATTEMPTS are used up; a string says what failed.

        What failed in every attempt is handed to `park`, if there is a place for it, and else counts as undelivered.
        """
        with self._idle:
            self._open += 1
        self._threads.submit(self._run, what, attempt, park, self._round)

    def settle(self, timeout: float) -> None:
        """Waits until nothing is open. Raises TimeoutError after `timeout` real seconds."""
        give_up = time.monotonic() + timeout
        with self._idle:
            while self._open:
                left = give_up - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self._open} deliveries are still open after {timeout} seconds")
                self._idle.wait(left)

    def abandon(self) -> None:
        """Gives up on everything that is open: nothing is tried again."""
        self._round += 1

    def reset(self) -> None:
        """Forgets what could not be delivered."""
        self.undelivered.clear()

    def close(self) -> None:
        """Waits for what runs and takes nothing more."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, what: str, attempt: Callable[[], str | None], park: Callable[[], None] | None, number: int) -> None:
        try:
            problem: str | None = None
            for _ in range(ATTEMPTS):
                if number != self._round:
                    return
                problem = attempt()
                if problem is None:
                    return
            if park is not None:
                park()
            else:
                self.undelivered.append(f"{what}: {problem}")
        except Exception as error:  # noqa: BLE001  # a thread of ours has nobody else to tell
            self.undelivered.append(f"{what}: {type(error).__name__}: {error}")
        finally:
            self._done()

    def _done(self) -> None:
        with self._idle:
            self._open -= 1
            self._idle.notify_all()
