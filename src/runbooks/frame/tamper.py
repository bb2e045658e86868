"""The watch on the Audit table: nothing there is ever modified or removed, so whatever is, is an alarm."""

from __future__ import annotations

from typing import Any

from runbooks.frame.notify import count, publish
from runbooks.frame.step import frame, logger


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A DynamoDB stream batch, filtered to MODIFY and REMOVE. Counts `LedgerTampered` and names the entries."""
    touched = []
    for record in event["Records"]:
        keys = record["dynamodb"]["Keys"]
        touched.append(f"{record['eventName']} of entry {keys['seq']['N']} of {keys['run_id']['S']}")
    for sentence in touched:
        logger.critical("the audit ledger was tampered with", extra={"what": sentence})
    if touched:
        count("LedgerTampered", len(touched))
        settings = frame().settings
        publish(frame(), f"[{settings.stage}] AUDIT LEDGER TAMPERED WITH", "\n".join(touched))
    return {"tampered": len(touched)}
