"""What it costs to append to the audit trail, beside a plain PutItem of the same entry on the same table."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbooks.store import audit
from runbooks.store.runs import Run
from runbooks.store.tables import packed
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

TIMES = 100


def ratio(aws: EmbeddedAws) -> float:
    """Median time of `Ledger.record` by the median time of a PutItem, taken in turns."""
    aws.reset()
    client = aws.client("dynamodb")
    ledger, now = ledger_of(aws.outputs, client), datetime.now(UTC)
    run = Run(
        run_id="bench-1", runbook="bench", execution_arn="arn:bench", started_at=now.isoformat(), targets=("arn",)
    )
    run = ledger.begin(run, state="Begin run", detail={}, now=now)
    detail = {"phase": "Bench", "reads": [{"operation": "ecs:DescribeServices", "status": 200}] * 5}
    appends, puts = [], []
    for number in range(TIMES):
        began = time.perf_counter()
        run = ledger.record(run, "bench.recorded", detail, state="Bench", now=now)
        appends.append(time.perf_counter() - began)
        entry = audit.next_entry(
            run_id="plain",
            seq=number,
            prev=audit.GENESIS,
            now=now,
            event="bench.recorded",
            state="Bench",
            actor="frame",
            detail=detail,
        )
        item = packed(audit.as_item(entry))
        began = time.perf_counter()
        client.put_item(TableName=aws.outputs["AuditTableName"], Item=item)
        puts.append(time.perf_counter() - began)
    return statistics.median(appends) / statistics.median(puts)
