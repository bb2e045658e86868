"""Changes that are not one AWS call: operations under a prefix of their own, with the same plan, approval and undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runbooks.aws import postgres

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Adapter:
    """How an operation is done: with a client of one service, by these of its calls and no others.

    `run(client, parameters)` returns what is kept of the answer, as plain JSON values. It raises ClientError as the
    client does, and CheckFailed when something that it was to check does not hold.
    """

    service: str
    calls: frozenset[str]
    run: Callable[[Any, Parameters], Parameters]


_SQL = frozenset(
    f"rds-data:{name}" for name in ("BeginTransaction", "ExecuteStatement", "CommitTransaction", "RollbackTransaction")
)

ADAPTERS: dict[str, Adapter] = {
    "postgres:EnsureRole": Adapter("rds-data", _SQL, postgres.ensure_role),
    "postgres:Check": Adapter("rds-data", _SQL, postgres.check),
}
"""Every adapter, by its operation."""


def adapter_of(operation: str) -> Adapter | None:
    """The adapter of an operation, or None for a call of AWS."""
    return ADAPTERS.get(operation)
