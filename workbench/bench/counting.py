"""Counting what a run did: pure, on what the trail, the history and the requests say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runbooks.store.audit import Entry

KILOBYTE = 1024
TRANSACTIONAL = 2
"""Write units that a kilobyte costs in a transaction; outside of one it costs one."""

Item = Mapping[str, Any]


def target_calls(trail: Iterable[Entry]) -> int:
    """AWS calls that a run made to its target, retries included: reads and changes, as the audit trail has them."""
    return sum(_attempts(call) for entry in trail for call in _calls(entry.detail))


def _calls(detail: Mapping[str, Any]) -> list[Any]:
    return [*(detail.get("reads") or ()), *(detail.get("calls") or ())]


def _attempts(call: Any) -> int:
    attempts: int = call.get("attempts", 1)
    return attempts


def transitions(events: Iterable[Mapping[str, Any]]) -> int:
    """State transitions of an execution, as Step Functions bills them: states entered, and retries of a Task."""
    kinds: list[str] = [event["type"] for event in events]
    entered = sum(kind.endswith("StateEntered") for kind in kinds)
    scheduled, tasks = kinds.count("TaskScheduled"), kinds.count("TaskStateEntered")
    return entered + max(0, scheduled - tasks)


def item_size(item: Item) -> int:
    """Bytes of an item as DynamoDB counts them, for the types that the ledger stores.

    Names and texts count in UTF-8, a number about half a byte a digit and one more, true, false and null one byte, a
    list or a map three bytes and one more for each of its elements.
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return (len(content.strip("-").replace(".", "")) + 1) // 2 + 1
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _value_size(element) for element in content)
        case "M":
            return 3 + len(content) + item_size(content)
    raise ValueError(f"the ledger stores nothing of the type {kind}")


def units(size: int) -> int:
    """Kilobytes that a write of so many bytes counts as: one at least."""
    return max(1, -(-size // KILOBYTE))


@dataclass
class WriteUnits:
    """Write units of transactions so far: `tables` for the items, `indexes` for their copies in secondary indexes.

    `read(table, key)` returns an item as it stands; `indexes_of(table)` the key attributes of each secondary index.
    An index is counted with one write for each item that is in it, the least that it can cost.
    """

    read: Callable[[str, Item], Item | None]
    indexes_of: Callable[[str], Iterable[tuple[str, ...]]]
    tables: int = 0
    indexes: int = 0

    def add(self, request: Mapping[str, Any]) -> None:
        """Counts a TransactWriteItems request that has taken effect."""
        for action in request["TransactItems"]:
            ((kind, given),) = action.items()
            table = given["TableName"]
            item = given["Item"] if kind == "Put" else self.read(table, given["Key"])
            if item is None:
                raise ValueError(f"a {kind} of the transaction has left no item in {table}")
            size = units(item_size(item))
            self.tables += TRANSACTIONAL * size
            self.indexes += size * sum(all(name in item for name in keys) for keys in self.indexes_of(table))
