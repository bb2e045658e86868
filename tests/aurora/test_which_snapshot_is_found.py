"""A snapshot is found by its name and by its ARN, whoever took it: plans name it by its ARN, and phases read it so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.aws.session import AwsSession
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.reading import Reader
from workbench.embedded import rds

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
BY = {"manual": {}, "automated": {"automated": True}, "awsbackup": {"by_backup": True}}


def found(aws: EmbeddedAws, **choice: str) -> tuple[str, str] | None:
    given: dict[str, Any] = {"reason": "INC-1", "requested_by": "alice", "target": "copy", "snapshot": choice}
    snapshot = Reader(Input.model_validate(given), AwsSession(aws.region)).snapshot(NOW)
    return (snapshot.id, snapshot.kind) if snapshot else None


@pytest.fixture(autouse=True)
def cluster(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "embedded")
    rds.cluster(aws, "orders")


@pytest.mark.parametrize("kind", BY)
def test_by_its_name_and_by_its_arn(aws: EmbeddedAws, kind: str) -> None:
    arn = rds.snapshot(aws, "orders", "orders-2026-11-20", **BY[kind])
    name = arn.split(":", 6)[6]
    assert found(aws, id=name) == (name, kind)
    assert found(aws, arn=arn) == (name, kind)


def test_a_shared_one_by_its_arn(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "ledger", account=rds.OTHER_ACCOUNT, encrypted=False)
    arn = rds.snapshot(aws, "ledger", "ledger-1", account=rds.OTHER_ACCOUNT)
    assert found(aws, arn=arn) is None
    rds.share(aws, arn)
    assert found(aws, arn=arn) == ("ledger-1", "shared")


def test_the_newest_of_those_that_people_and_rds_took(aws: EmbeddedAws) -> None:
    rds.snapshot(aws, "orders", "orders-2026-11-19", minutes_ago=900)
    rds.snapshot(aws, "orders", "orders-2026-11-20", minutes_ago=600, automated=True)
    assert found(aws, latest_of="orders") == ("rds:orders-2026-11-20", "automated")
    assert found(aws, prefix="orders", date="2026-11-20") == ("rds:orders-2026-11-20", "automated")
    assert found(aws, prefix="orders", date="2026-11-19") == ("orders-2026-11-19", "manual")
