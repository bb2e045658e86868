"""Another account is named by an alias of the deployed list, and reached through its role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.aws.session import AwsSession
from runbooks.errors import Refused
from runbooks.settings import Settings
from workbench.embedded import rds

if TYPE_CHECKING:
    from tests.frame.conftest import Steps
    from workbench.embedded import EmbeddedAws

SNAPSHOTS = "rds:DescribeDBClusterSnapshots"


@pytest.fixture
def session(aws: EmbeddedAws, steps: Steps) -> AwsSession:
    given = steps.frame.settings.__dict__ | {"accounts": {"analytics": rds.OTHER_ACCOUNT}}
    return AwsSession(aws.region, Settings(**given).role_in)


def owners(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [snapshot["DBClusterSnapshotArn"].split(":")[4] for snapshot in answer["DBClusterSnapshots"]]


def test_a_call_for_an_alias_is_made_in_that_account_and_others_in_our_own(
    aws: EmbeddedAws, session: AwsSession
) -> None:
    for account in (aws.account_id, rds.OTHER_ACCOUNT):
        rds.cluster(aws, "orders", account=account)
        rds.snapshot(aws, "orders", "of-orders", account=account)
    assert owners(session.read(SNAPSHOTS, {"SnapshotType": "manual"}, account="analytics")) == [rds.OTHER_ACCOUNT]
    assert owners(session.read(SNAPSHOTS, {"SnapshotType": "manual"})) == [aws.account_id]
    told = [(call.operation, call.parameters.get("RoleArn")) for call in session.take_calls()]
    assert told == [
        ("sts:AssumeRole", f"arn:aws:iam::{rds.OTHER_ACCOUNT}:role/{aws.stack_name}-target"),
        (SNAPSHOTS, None),
        (SNAPSHOTS, None),
    ]


def test_an_account_that_is_not_on_the_list_is_refused_before_anything_is_called(session: AwsSession) -> None:
    with pytest.raises(Refused, match=r"'finance' is not on the deployed list of accounts \(analytics\)"):
        session.read(SNAPSHOTS, {}, account="finance")
    assert session.take_calls() == []


def test_without_a_list_there_is_no_other_account(aws: EmbeddedAws, steps: Steps) -> None:
    with pytest.raises(Refused, match="finance"):
        AwsSession(aws.region).read(SNAPSHOTS, {}, account="finance")
