"""Who asked for an execution: written before it is started, so that its first step can tell what AWS has vouched for.

An execution's input is written by whoever starts it, so a name in it proves nothing. Only functions of this stack can
write to the State table, and what they write here, they know from IAM.
"""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta
from typing import Any

from runbooks import clock
from runbooks.errors import LedgerUnavailable
from runbooks.model import Model, digest
from runbooks.store.tables import ConditionFailed, Conflict, Item, Tables, put, update

VALID = timedelta(minutes=15)
"""How long after it was written a record vouches for an execution that starts under its name."""
_ATTEMPTS = 6
_SKEW = timedelta(minutes=1)
"""How far the clocks of two services may differ."""
PREFIXES = ("api-", "event-", "schedule-")
"""How the names of the executions begin that this stack starts itself; no others have a record."""


class Start(Model):
    """A request to start a run. `input_hash` covers the start input; the rest is known once it was started."""

    execution: str
    runbook: str
    requested_by: str
    input_hash: str
    at: str
    execution_arn: str | None = None
    run_id: str | None = None

    def vouches_for(self, runbook: str, document: Any, started: datetime) -> bool:
        """Whether an execution of that runbook with that input, started then, is the one that was asked for."""
        at = clock.parse(self.at)
        in_time = at - _SKEW <= started <= at + VALID
        return in_time and runbook == self.runbook and digest(document) == self.input_hash


class Starts:
    """Reads and writes the records."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def find(self, execution: str) -> Start | None:
        """The record for an execution's name."""
        if not execution.startswith(PREFIXES):
            return None
        item = self._tables.get(self._tables.state, _key(execution))
        return _start(item) if item else None

    def claim(self, start: Start) -> tuple[Start, bool]:
        """Write the record, or read the one that is there; and whether it was written now.

        Raises LedgerUnavailable if others are at it all the time.
        """
        for attempt in range(_ATTEMPTS):
            try:
                self._tables.write([put(self._tables.state, _item(start), "attribute_not_exists(#pk)")])
            except (ConditionFailed, Conflict):
                existing = self.find(start.execution)
                if existing is not None:
                    return existing, False
            else:
                return start, True
            # The other's transaction is under way, and what it writes cannot be read yet.
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise LedgerUnavailable(f"{start.execution}: too many requests at once")

    def renew(self, start: Start, now: datetime) -> Start:
        """Let the record vouch from now on: whoever wrote it did not come to start the execution."""
        return self._changed(start, {"at": clock.iso(now)})

    def started(self, start: Start, execution_arn: str, run_id: str) -> Start:
        """Keep which run it has become."""
        return self._changed(start, {"execution_arn": execution_arn, "run_id": run_id})

    def _changed(self, start: Start, changes: dict[str, str]) -> Start:
        condition = "#input_hash = :same AND attribute_not_exists(#run_id)"
        key = _key(start.execution)
        try:
            self._tables.write(
                [
                    update(
                        self._tables.state,
                        key,
                        changes=changes,
                        condition=condition,
                        values={"same": start.input_hash},
                    )
                ]
            )
        except (ConditionFailed, Conflict):
            return self.find(start.execution) or start
        return start.model_copy(update=changes)


def _key(execution: str) -> dict[str, str]:
    return {"pk": f"START#{execution}", "sk": "START"}


def _item(start: Start) -> Item:
    return _key(start.execution) | start.model_dump(exclude_none=True)


def _start(item: Item) -> Start:
    return Start.model_validate({name: value for name, value in item.items() if name not in {"pk", "sk"}})
