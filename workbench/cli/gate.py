"""The stack's HTTP API, as the commands go through it: found by the stack's output, signed as whoever signs in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from runbooks import clock
from runbooks.store.audit import Entry
from workbench.api import Answer, ApiClient, Refused
from workbench.cli.failures import Stop
from workbench.executions import Moment, Visit

if TYPE_CHECKING:
    from workbench.cli.account import Account

APPEARS = 30.0
"""Seconds that a run may take from its start until it can be seen."""
_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts to reach the API; each pause is twice as long as the one before."""
_PASSING = {429, 500, 502, 503, 504}
"""Answers that say nothing of the request: the same one may be let through later."""


class Unreachable(Stop):
    """The API does not answer, or not now."""


class Gate:
    """The API of a stack. Every method raises Stop with a sentence for what the API refuses."""

    def __init__(self, account: Account, url: str | None) -> None:
        credentials = account.session.get_credentials()
        if credentials is None:
            raise Stop("There are no AWS credentials to sign with. Sign in (`aws sso login`), or give --profile.")
        if url is None and "ApiUrl" not in account.outputs:
            raise Stop(f"The stack {account.stack} has no output ApiUrl; name the API with --api-url.")
        region = account.session.region_name
        if region is None:
            raise Stop("It is not known in which AWS region to sign. Give --region, or set AWS_REGION.")
        self.options = account.options
        self.patience = 0.0
        """Seconds for which the API is asked again while it does not answer."""
        self.client = ApiClient(url or account.outputs["ApiUrl"], credentials.get_frozen_credentials(), region)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """What the API answers."""
        return self._told(lambda: self.client.ask(method, path, body, **more))

    def answer(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """The same with its status."""
        answered: Answer = self._told(lambda: self.client.answer(method, path, body, **more))
        return answered

    def run(self, run_id: str, *, patient: bool = False) -> dict[str, Any]:
        """All that is known of a run. `patient`: it was started just now, and may not be there yet."""
        give_up = time.monotonic() + (APPEARS if patient else 0)
        while True:
            try:
                found: dict[str, Any] = self._told(lambda: self.client.ask("GET", f"/runs/{run_id}"), gone=True)
            except Refused:
                if time.monotonic() >= give_up:
                    raise Stop(f"There is no run {run_id!r}. `runbook runs` lists those that there are.") from None
                time.sleep(0.3)
            else:
                return found

    def runs(self, **query: str | None) -> Iterator[dict[str, Any]]:
        """Runs, the newest first, over all pages."""
        cursor = None
        while True:
            page = self.ask("GET", "/runs", query={**query, "limit": 100, "next": cursor})
            yield from page["runs"]
            cursor = page["next"]
            if cursor is None:
                return

    def entries(self, run_id: str, after: int = 0) -> list[Entry]:
        """The entries of a run's trail with numbers above `after`."""
        found = self._told(lambda: list(self.client.entries(run_id, after)))
        return [Entry.model_validate(each) for each in found]

    def _told(self, ask: Callable[[], Any], *, gone: bool = False) -> Any:
        give_up, pause = time.monotonic() + self.patience, _PAUSE
        while True:
            try:
                return self._told_once(ask, gone=gone)
            except Unreachable:
                if time.monotonic() + pause > give_up:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @staticmethod
    def _told_once(ask: Callable[[], Any], *, gone: bool) -> Any:
        try:
            return ask()
        except Refused as refused:
            if gone and refused.status == 404 and refused.detail:
                raise
            if refused.status == 403 and not refused.detail:
                raise Stop(
                    "The API did not let you in (Forbidden). Your identity needs execute-api:Invoke on this route;"
                    " use a --profile that has it."
                ) from None
            kind = Unreachable if refused.status in _PASSING else Stop
            raise kind(f"The API refused it. {str(refused).rstrip('.')}.") from None
        except HTTPError as failure:
            raise Unreachable(
                f"The API could not be reached: {failure}. Check --api-url, --stack and --region."
            ) from None


def moments(entries: list[Entry]) -> Iterator[Moment]:
    """What a story is told of each entry. A look that says "not yet" is followed by the wait that it announces."""
    for entry in entries:
        at = clock.parse(entry.at)
        yield Moment("recorded", at, entry.state, entry=entry)
        if entry.event == "phase.looked" and entry.detail.get("progress") == "pending":
            yield Moment("exited", at, entry.state, output={"wait_seconds": entry.detail.get("look_again_in")})


def visits(entries: list[Entry]) -> list[Visit]:
    """The states that left something on record, in order; those that only decide where to go on do not."""
    found: list[Visit] = []
    for entry in entries:
        if not found or found[-1].state != entry.state or entry.event == "phase.looked":
            at: datetime = clock.parse(entry.at).astimezone(UTC)
            found.append(Visit(entry.state, "Task", at, at))
    return found
