"""Runs that have ended, and an auditor who has the sealer's public key and an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import clock
from runbooks.evidence import manifest
from runbooks.evidence.seal import fingerprint
from runbooks.store.runs import Ledger, Run
from workbench.evidence.export import export, read
from workbench.evidence.keys import Trusted
from workbench.evidence.verify import Verdict, verify
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/prod/report"


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


Ended = Callable[..., Run]


@pytest.fixture
def ended(aws: EmbeddedAws, ledger: Ledger) -> Ended:
    """`ended("a")`: a run that has just ended and whose end was told."""

    def make(name: str, *, outcome: str = "SUCCEEDED", told: bool = True, **more: Any) -> Run:
        now = aws.clock.now()
        given = {
            "run_id": name,
            "runbook": "ecs-service-rollback",
            "execution_arn": f"arn:execution:{name}",
            "started_at": clock.iso(now),
            "requested_by": "alice",
            "targets": (TARGET,),
        }
        run = ledger.begin(Run.model_validate(given | more), state="Begin run", detail={}, now=now)
        run = ledger.close(
            run,
            outcome=outcome,
            error_name=None if outcome == "SUCCEEDED" else "Refused",
            error_cause=None if outcome == "SUCCEEDED" else "because",
            detail={"seconds": 1},
            state="Finish run",
            now=now,
        )
        return ledger.mark_notified(run) if told else run

    return make


@dataclass(frozen=True)
class Auditor:
    """Somebody who exports trails and checks them with the key that they were given before."""

    aws: EmbeddedAws
    ledger: Ledger

    @property
    def key(self) -> bytes:
        return bytes(self.aws.client("kms").get_public_key(KeyId=self.aws.outputs["SigningKeyAlias"])["PublicKey"])

    @property
    def trusted(self) -> Trusted:
        key = self.key
        return Trusted({fingerprint(key): key})

    def export(self, *names: str) -> bytes:
        return export({name: self.ledger.trail(name) for name in names})

    def check(self, *names: str) -> Verdict:
        return verify(read(self.export(*names)), self.trusted)

    def today(self) -> str:
        """The id of today's manifest."""
        return manifest.trail_of(f"{self.aws.clock.now():%Y-%m-%d}")


@pytest.fixture
def auditor(aws: EmbeddedAws, ledger: Ledger) -> Auditor:
    return Auditor(aws, ledger)
