"""What the benchmarks count, they count right; how long anything takes is no test's business."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.store import audit
from runbooks.store.audit import Entry
from workbench.bench.counting import WriteUnits, item_size, target_calls, transitions, units

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def entry(**detail: Any) -> Entry:
    return audit.next_entry(
        run_id="r", seq=1, prev=audit.GENESIS, now=NOW, event="e", state="s", actor="frame", detail=detail
    )


def test_calls_to_the_target_are_the_reads_and_changes_of_the_trail_with_their_retries() -> None:
    trail = [
        entry(note="nothing"),
        entry(reads=[{"operation": "ecs:DescribeServices", "attempts": 3}, {"operation": "ecs:ListTasks"}]),
        entry(calls=[{"operation": "ecs:UpdateService", "attempts": 1}]),
        entry(calls=[], reads=[]),
    ]
    assert target_calls(trail) == 5


def test_transitions_are_states_entered_and_retries() -> None:
    kinds = [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskFailed",
        "TaskScheduled",
        "TaskSucceeded",
        "TaskStateExited",
        "ChoiceStateEntered",
        "WaitStateEntered",
        "ExecutionSucceeded",
    ]
    assert transitions([{"type": kind} for kind in kinds]) == 4


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "häh"}, 4),
        ({"N": "12345"}, 4),
        ({"N": "-7"}, 2),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": [{"S": "ab"}, {"BOOL": False}]}, 3 + 1 + 2 + 1 + 1),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 1 + 2),
    ],
)
def test_an_item_is_as_large_as_dynamodb_says(value: dict[str, Any], size: int) -> None:
    assert item_size({"name": value}) == len("name") + size


@pytest.mark.parametrize(("size", "counts_as"), [(0, 1), (1, 1), (1024, 1), (1025, 2), (4096, 4)])
def test_every_kilobyte_that_was_begun_counts(size: int, counts_as: int) -> None:
    assert units(size) == counts_as


def test_a_transaction_costs_two_units_a_kilobyte_and_indexes_one_for_each_copy() -> None:
    large = {"pk": {"S": "RUN#1"}, "gsi": {"S": "x"}, "at": {"S": "now"}, "body": {"S": "x" * 1500}}
    written = WriteUnits(read=lambda table, key: large, indexes_of=lambda table: [("gsi", "at"), ("open", "at")])
    written.add(
        {
            "TransactItems": [
                {"Update": {"TableName": "state", "Key": {"pk": {"S": "RUN#1"}}}},
                {"Put": {"TableName": "audit", "Item": {"run_id": {"S": "1"}}}},
            ]
        }
    )
    assert written.tables == 2 * 2 + 2 * 1
    assert written.indexes == 2  # only the large item, and only in the first index


def test_an_update_that_left_no_item_is_a_mistake_of_the_count() -> None:
    written = WriteUnits(read=lambda table, key: None, indexes_of=lambda table: [])
    with pytest.raises(ValueError, match="left no item"):
        written.add({"TransactItems": [{"Update": {"TableName": "state", "Key": {}}}]})
