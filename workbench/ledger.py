"""The stores of the deployed system, read with a client that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbooks.store.runs import Ledger
from runbooks.store.tables import Tables


def ledger_of(outputs: Mapping[str, str], dynamodb: Any) -> Ledger:
    """The ledger in the tables that a stack's outputs name. Raises KeyError for an output that is missing."""
    return Ledger(Tables(outputs["StateTableName"], outputs["AuditTableName"], dynamodb))
