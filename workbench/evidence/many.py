"""Many runs that have ended, written as their closing entries alone: what searches are tried and measured on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbooks import clock
from runbooks.store.audit import GENESIS, as_item, next_entry
from runbooks.store.tables import packed

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

_BATCH = 25
"""Items that BatchWriteItem takes."""
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
RARE = 10
"""Runs of `alice` among those that `fill` writes, however many these are."""


def fill(aws: EmbeddedAws, count: int) -> None:
    """Writes that many runs of one year into the Audit table; `RARE` of them are alice's, on a target of their own."""
    client, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    batch: list[dict[str, Any]] = []
    for item in _items(count):
        batch.append({"PutRequest": {"Item": packed(item)}})
        if len(batch) == _BATCH:
            client.batch_write_item(RequestItems={table: batch})
            batch = []
    if batch:
        client.batch_write_item(RequestItems={table: batch})


def _items(count: int) -> Iterator[dict[str, Any]]:
    step, rare = timedelta(days=360) / count, count // RARE
    for number in range(count):
        at, is_rare = FIRST + number * step, number % rare == 0
        run_id = f"ecs-service-rollback-{at:%Y%m%dT%H%M%SZ}-{number:08x}"
        outcome = "FAILED" if is_rare else "SUCCEEDED"
        entry = next_entry(
            run_id=run_id,
            seq=2,
            prev=GENESIS,
            now=at,
            event="run.closed",
            state="Finish run",
            actor="frame",
            detail={
                "outcome": outcome,
                "error": "Refused" if is_rare else None,
                "cause": None,
                "seconds": 48,
                "mode": "execute",
                "identity": "verified",
                "attributed_to": None,
                "approved_by": ["carol"] if is_rare else [],
            },
        )
        yield as_item(entry) | {
            "target": f"arn:aws:ecs:eu-central-1:123456789012:service/prod/{'rare' if is_rare else number % 7}",
            "actor_index": "alice" if is_rare else "bob",
            "runbook_outcome": f"ecs-service-rollback#{outcome}",
            "day": clock.iso(at)[:10],
        }
