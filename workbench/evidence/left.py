"""What a run leaves for an auditor: its trail, sealed by the real sealer, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbooks.policy import person
from runbooks.store.audit import Entry
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.incident import Incident


@dataclass(frozen=True)
class Left:
    """The trail of a run. `key` is the public key, in DER, as the auditor was given it; every account has its own."""

    run_id: str
    trail: Sequence[Entry]
    key: bytes
    outcome: str | None
    error: str | None
    cause: str | None


def left_by(aws: EmbeddedAws, ended: Incident) -> Left:
    """Has the run sealed. CloudTrail names the one who is said to have asked for it."""
    aws.cloudtrail(person(ended.run.requested_by if ended.run else "") or "unknown", ended.execution_arn)
    aws.invoke("SealFunction", {})
    key = aws.client("kms").get_public_key(KeyId=aws.outputs["SigningKeyAlias"])["PublicKey"]
    trail = ledger_of(aws.outputs, aws.client("dynamodb")).trail(ended.run_id)
    return Left(ended.run_id, trail, key, ended.outcome, ended.error, ended.cause)
