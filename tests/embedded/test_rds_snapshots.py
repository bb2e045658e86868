"""Cluster snapshots as the documentation of Amazon RDS has them: taken, listed, shared, copied, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.kms.models import kms_backends

from workbench.embedded import EmbeddedAws, rds
from workbench.embedded.rds import OTHER_ACCOUNT

NAME = "orders-2026-11-20"


def code(call: Callable[[], Any]) -> str:
    """The error code that the call is refused with."""
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


def refusal(call: Callable[[], Any]) -> tuple[str, str, int]:
    """Code, message and HTTP status that the call is refused with."""
    with pytest.raises(ClientError) as raised:
        call()
    error = raised.value.response["Error"]
    return error["Code"], error["Message"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


def seen(client: Any, name: str, **given: Any) -> dict[str, Any]:
    (found,) = client.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name, **given)["DBClusterSnapshots"]
    return dict(found)


def names(client: Any, **given: Any) -> list[str]:
    listed = client.describe_db_cluster_snapshots(**given)["DBClusterSnapshots"]
    return [each["DBClusterSnapshotIdentifier"] for each in listed]


def share(client: Any, name: str, *accounts: str) -> Any:
    return client.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=list(accounts)
    )


def as_other_account(aws: EmbeddedAws, service: str, region: str | None = None) -> Any:
    """A client with the credentials of a role in the other account."""
    given = {"RoleArn": f"arn:aws:iam::{OTHER_ACCOUNT}:role/sharing", "RoleSessionName": "test"}
    credentials = aws.client("sts").assume_role(**given)["Credentials"]
    return boto3.client(
        service,
        region_name=region or aws.region,
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


# -- taking and listing ------------------------------------------------------------------------------------------------


def test_a_new_snapshot_is_creating_and_tells_its_progress_until_it_is_available(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders", version="16.4")
    client = aws.client("rds")
    made = client.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="Before-Swap")
    assert made["DBClusterSnapshot"]["Status"] == "creating"
    assert made["DBClusterSnapshot"]["PercentProgress"] == 0
    aws.clock.advance(seconds=90)
    assert 45 <= seen(client, "before-swap")["PercentProgress"] <= 55
    aws.clock.advance(seconds=100)
    found = seen(client, "before-swap")
    assert (found["Status"], found["PercentProgress"], found["SnapshotType"]) == ("available", 100, "manual")
    assert (found["Engine"], found["EngineVersion"], found["Port"]) == ("aurora-postgresql", "16.4", 0)
    assert found["DBClusterSnapshotArn"] == "arn:aws:rds:eu-central-1:123456789012:cluster-snapshot:before-swap"
    assert found["MasterUsername"] == rds.MASTER


def test_a_snapshot_can_be_had_only_of_a_cluster_that_is_available(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.put_into(aws, "cluster", "orders", "stopped")
    given = {"DBClusterIdentifier": "orders", "DBClusterSnapshotIdentifier": "one"}
    client = aws.client("rds")
    assert code(lambda: client.create_db_cluster_snapshot(**given)) == "InvalidDBClusterStateFault"
    given["DBClusterIdentifier"] = "nobody"
    assert refusal(lambda: client.create_db_cluster_snapshot(**given)) == (
        "DBClusterNotFoundFault",
        "DBCluster nobody not found.",
        404,
    )


def test_a_name_is_taken_once_and_must_be_one(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    client = aws.client("rds")

    def take(name: str) -> Any:
        return client.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier=name)

    assert code(lambda: take(NAME.upper())) == "DBClusterSnapshotAlreadyExistsFault"
    for bad in ("1st", "a--b", "ends-", "a_b", "x" * 64):
        assert code(lambda bad=bad: take(bad)) == "InvalidParameterValue"


def test_automated_ones_are_listed_and_found_by_name_only_with_their_type(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", "rds:orders-2026-11-19-03-05", automated=True, minutes_ago=2000)
    rds.snapshot(aws, "orders", NAME)
    client = aws.client("rds")
    assert names(client) == ["rds:orders-2026-11-19-03-05", NAME]
    assert names(client, SnapshotType="automated") == ["rds:orders-2026-11-19-03-05"]
    assert names(client, SnapshotType="manual") == [NAME]
    assert names(client, DBClusterIdentifier="orders", SnapshotType="manual") == [NAME]
    assert names(client, DBClusterIdentifier="others") == []
    wanted = {"DBClusterSnapshotIdentifier": "rds:orders-2026-11-19-03-05"}
    assert code(lambda: client.describe_db_cluster_snapshots(**wanted)) == "DBClusterSnapshotNotFoundFault"
    assert names(client, **wanted, SnapshotType="automated") == ["rds:orders-2026-11-19-03-05"]


def test_those_of_aws_backup_are_listed_and_found_by_name_only_with_their_type(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", "awsbackup:job-1", by_backup=True)
    client = aws.client("rds")
    assert names(client) == []
    assert names(client, SnapshotType="awsbackup") == ["awsbackup:job-1"]
    arn = "arn:aws:rds:eu-central-1:123456789012:cluster-snapshot:awsbackup:job-1"
    for wanted in ("awsbackup:job-1", arn):
        assert code(lambda wanted=wanted: seen(client, wanted)) == "DBClusterSnapshotNotFoundFault"
        assert seen(client, wanted, SnapshotType="awsbackup")["DBClusterSnapshotArn"] == arn


def test_a_listing_takes_filters_and_pages(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    for number in range(25):
        rds.snapshot(aws, "orders", f"s{number:02}", minutes_ago=600 - number)
    client = aws.client("rds")
    pages = client.get_paginator("describe_db_cluster_snapshots").paginate(PaginationConfig={"PageSize": 20})
    assert [len(page["DBClusterSnapshots"]) for page in pages] == [20, 5]
    chosen = [{"Name": "db-cluster-snapshot-id", "Values": ["s01", "s03"]}]
    assert names(client, Filters=chosen) == ["s01", "s03"]
    assert code(lambda: client.describe_db_cluster_snapshots(MaxRecords=5)) == "InvalidParameterValue"


def test_the_quota_of_manual_snapshots_is_told_and_kept(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    rds.quota(aws, "ManualClusterSnapshots", 1)
    client = aws.client("rds")
    quotas = {each["AccountQuotaName"]: each for each in client.describe_account_attributes()["AccountQuotas"]}
    assert quotas["ManualClusterSnapshots"] == {"AccountQuotaName": "ManualClusterSnapshots", "Used": 1, "Max": 1}
    given = {"DBClusterIdentifier": "orders", "DBClusterSnapshotIdentifier": "two"}
    assert code(lambda: client.create_db_cluster_snapshot(**given)) == "SnapshotQuotaExceeded"


# -- sharing -----------------------------------------------------------------------------------------------------------


def test_a_shared_snapshot_is_seen_by_the_other_account_under_its_arn(aws: EmbeddedAws) -> None:
    theirs = rds.key(aws, "theirs", account=OTHER_ACCOUNT, usable_by=[aws.account_id])
    rds.cluster(aws, "ledger", account=OTHER_ACCOUNT, key=theirs)
    arn = rds.snapshot(aws, "ledger", "ledger-1", account=OTHER_ACCOUNT)
    client = aws.client("rds")
    assert names(client, IncludeShared=True) == []
    assert code(lambda: seen(client, arn, IncludeShared=True)) == "DBClusterSnapshotNotFoundFault"
    rds.share(aws, arn)
    assert names(client) == []
    assert names(client, IncludeShared=True) == [arn]
    found = seen(client, arn, SnapshotType="shared")
    assert (found["SnapshotType"], found["KmsKeyId"], found["TagList"]) == ("shared", theirs, [])
    assert names(aws.client("rds", "us-east-1"), IncludeShared=True) == []


def test_the_owner_shares_with_credentials_of_its_own_and_can_take_it_back(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "ledger", account=OTHER_ACCOUNT, encrypted=False)
    arn = rds.snapshot(aws, "ledger", "ledger-1", account=OTHER_ACCOUNT)
    given = {"DBClusterSnapshotIdentifier": "ledger-1"}
    ours, owner = aws.client("rds"), as_other_account(aws, "rds")
    assert code(lambda: share(ours, "ledger-1", aws.account_id)) == "DBClusterSnapshotNotFoundFault"
    result = share(owner, "ledger-1", aws.account_id)["DBClusterSnapshotAttributesResult"]
    assert result["DBClusterSnapshotAttributes"] == [{"AttributeName": "restore", "AttributeValues": [aws.account_id]}]
    assert names(ours, SnapshotType="shared") == [arn]
    owner.modify_db_cluster_snapshot_attribute(**given, AttributeName="restore", ValuesToRemove=[aws.account_id])
    left = owner.describe_db_cluster_snapshot_attributes(**given)["DBClusterSnapshotAttributesResult"]
    assert left["DBClusterSnapshotAttributes"][0]["AttributeValues"] == []
    assert names(ours, SnapshotType="shared") == []


def test_a_key_of_another_account_is_described_if_its_policy_allows_just_that_and_used_if_it_allows_that(
    aws: EmbeddedAws,
) -> None:
    key = rds.key(aws, "theirs", account=OTHER_ACCOUNT)
    rds.cluster(aws, "ledger", account=OTHER_ACCOUNT, key=key)
    arn = rds.snapshot(aws, "ledger", "ledger-1", account=OTHER_ACCOUNT)
    rds.share(aws, arn)

    def allow(*actions: str) -> None:
        principal = {"AWS": f"arn:aws:iam::{aws.account_id}:root"}
        statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*"}
        kms_backends[OTHER_ACCOUNT][aws.region].keys[key.rpartition("/")[2]].policy = json.dumps(
            {"Statement": [statement]}
        )

    def describe() -> Any:
        return aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]

    def copy() -> Any:
        given = {"SourceDBClusterSnapshotIdentifier": arn, "TargetDBClusterSnapshotIdentifier": "copy"}
        return aws.client("rds").copy_db_cluster_snapshot(**given, KmsKeyId=rds.key(aws))

    assert code(describe) == "AccessDeniedException"
    allow("kms:DescribeKey")
    assert describe() == "Enabled"
    assert code(copy) == "KMSKeyNotAccessibleFault"
    allow("kms:Describe*", "kms:CreateGrant")
    assert describe() == "Enabled"
    assert copy()["DBClusterSnapshot"]["Status"] == "copying"


def test_snapshots_under_the_default_key_and_automated_ones_cannot_be_shared(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    rds.snapshot(aws, "orders", "rds:orders-1", automated=True)
    client = aws.client("rds")
    assert seen(client, NAME)["KmsKeyId"] == rds.default_key_of(aws)
    assert aws.client("kms").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["Arn"] == rds.default_key_of(aws)
    assert code(lambda: share(client, NAME, OTHER_ACCOUNT)) == "InvalidDBClusterSnapshotStateFault"
    assert code(lambda: share(client, "rds:orders-1", OTHER_ACCOUNT)) == "InvalidDBClusterSnapshotStateFault"


def test_an_encrypted_snapshot_cannot_be_public_and_accounts_must_be_accounts(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders", key=rds.key(aws))
    rds.snapshot(aws, "orders", NAME)
    client = aws.client("rds")
    assert code(lambda: share(client, NAME, "all")) == "InvalidDBClusterSnapshotStateFault"
    assert code(lambda: share(client, NAME, "alice")) == "InvalidParameterValue"
    many = [f"{number:012}" for number in range(21)]
    assert code(lambda: share(client, NAME, *many)) == "SharedSnapshotQuotaExceeded"


# -- copying -----------------------------------------------------------------------------------------------------------


def copy(client: Any, source: str, target: str = "copy", **given: Any) -> dict[str, Any]:
    made = client.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=source, TargetDBClusterSnapshotIdentifier=target, **given
    )
    return dict(made["DBClusterSnapshot"])


def test_a_copy_into_another_region_is_re_encrypted_and_takes_its_time(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders", key=rds.key(aws))
    arn = rds.snapshot(aws, "orders", NAME, Tags=[{"Key": "team", "Value": "orders"}])
    there, key = aws.client("rds", "us-east-1"), rds.key(aws, "orders", region="us-east-1")
    made = copy(there, arn, SourceRegion="eu-central-1", KmsKeyId="alias/orders", CopyTags=True)
    assert (made["Status"], made["KmsKeyId"], made["SourceDBClusterSnapshotArn"]) == ("copying", key, arn)
    assert made["DBClusterSnapshotArn"] == "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:copy"
    assert made["TagList"] == [{"Key": "team", "Value": "orders"}]
    aws.clock.advance(minutes=15)
    assert (seen(there, "copy")["Status"], seen(there, "copy")["PercentProgress"]) == ("copying", 50)
    aws.clock.advance(minutes=16)
    assert seen(there, "copy")["Status"] == "available"


def test_an_encrypted_copy_across_regions_needs_a_key_of_the_target_region(aws: EmbeddedAws) -> None:
    here = rds.key(aws)
    rds.cluster(aws, "orders", key=here)
    arn = rds.snapshot(aws, "orders", NAME)
    there = aws.client("rds", "us-east-1")
    assert code(lambda: copy(there, arn, SourceRegion="eu-central-1")) == "InvalidParameterCombination"
    assert code(lambda: copy(there, arn, KmsKeyId=here)) == "KMSKeyNotAccessibleFault"
    assert code(lambda: copy(there, NAME)) == "DBClusterSnapshotNotFoundFault"
    assert copy(there, arn, KmsKeyId=rds.key(aws, region="us-east-1"))["Status"] == "copying"


def test_five_copies_may_be_under_way_from_one_region_to_another(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders", encrypted=False)
    arn = rds.snapshot(aws, "orders", NAME)
    there = aws.client("rds", "us-east-1")
    for number in range(5):
        copy(there, arn, f"copy-{number}")
    assert code(lambda: copy(there, arn)) == "SnapshotQuotaExceeded"
    aws.clock.advance(hours=1)
    assert copy(there, arn)["Status"] == "copying"


def test_a_copy_in_the_region_keeps_the_key_unless_another_is_asked_for(aws: EmbeddedAws) -> None:
    old, new = rds.key(aws), rds.key(aws)
    rds.cluster(aws, "orders", key=old)
    rds.snapshot(aws, "orders", NAME)
    client = aws.client("rds")
    assert copy(client, NAME, "same")["KmsKeyId"] == old
    assert copy(client, NAME, "other", KmsKeyId=new)["KmsKeyId"] == new
    rds.cluster(aws, "plain", encrypted=False)
    rds.snapshot(aws, "plain", "plain-1")
    assert code(lambda: copy(client, "plain-1", KmsKeyId=new)) == "InvalidParameterCombination"


def test_a_copy_fails_at_once_if_one_of_its_keys_is_disabled(aws: EmbeddedAws) -> None:
    old, new = rds.key(aws), rds.key(aws)
    rds.cluster(aws, "orders", key=old)
    rds.snapshot(aws, "orders", NAME)
    client, kms = aws.client("rds"), aws.client("kms")
    rds.disable_key(new)
    assert refusal(lambda: copy(client, NAME, KmsKeyId=new))[::2] == ("KMSKeyNotAccessibleFault", 400)
    assert f"The target snapshot KMS key [{new}] " in refusal(lambda: copy(client, NAME, KmsKeyId=new))[1]
    kms.enable_key(KeyId=new.rpartition("/")[2])
    kms.schedule_key_deletion(KeyId=old.rpartition("/")[2], PendingWindowInDays=7)
    assert "source snapshot KMS key" in refusal(lambda: copy(client, NAME, KmsKeyId=new))[1]


def test_another_accounts_snapshot_can_be_copied_with_a_key_of_ours_if_theirs_lets_us(aws: EmbeddedAws) -> None:
    open_to_us = rds.key(aws, account=OTHER_ACCOUNT, usable_by=[aws.account_id])
    closed = rds.key(aws, account=OTHER_ACCOUNT)
    arns = []
    for name, key in (("open", open_to_us), ("closed", closed)):
        rds.cluster(aws, name, account=OTHER_ACCOUNT, key=key)
        arns.append(rds.snapshot(aws, name, f"{name}-1", account=OTHER_ACCOUNT))
    client, ours = aws.client("rds"), rds.key(aws)
    assert code(lambda: copy(client, arns[0], KmsKeyId=ours)) == "DBClusterSnapshotNotFoundFault"
    for arn in arns:
        rds.share(aws, arn)
    assert code(lambda: copy(client, arns[1], KmsKeyId=ours)) == "KMSKeyNotAccessibleFault"
    assert code(lambda: copy(client, arns[0])) == "InvalidParameterCombination"
    assert copy(client, arns[0], KmsKeyId=ours)["KmsKeyId"] == ours


def test_a_copy_can_fail_half_way_and_be_deleted(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    rds.script(aws, "snapshot", "copy", "cop*", takes=7200, ends="failed", reaches=40)
    client = aws.client("rds")
    copy(client, NAME)
    aws.clock.advance(hours=1)
    assert (seen(client, "copy")["Status"], seen(client, "copy")["PercentProgress"]) == ("copying", 20)
    aws.clock.advance(hours=2)
    assert (seen(client, "copy")["Status"], seen(client, "copy")["PercentProgress"]) == ("failed", 40)
    assert code(lambda: copy(client, "copy", "again")) == "InvalidDBClusterSnapshotStateFault"
    assert (
        client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="copy")["DBClusterSnapshot"]["Status"]
        == "deleted"
    )
    assert names(client) == [NAME]


def test_a_copy_need_not_tell_its_progress(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    rds.script(aws, "snapshot", "copy", percent=False)
    assert "PercentProgress" not in copy(aws.client("rds"), NAME)


def test_deleting_a_copy_under_way_cancels_it(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    client = aws.client("rds")
    copy(client, NAME)
    client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="copy")
    aws.clock.advance(hours=1)
    assert names(client) == [NAME]


def test_snapshots_that_rds_took_or_that_are_being_taken_cannot_be_deleted(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", "rds:orders-1", automated=True)
    client = aws.client("rds")
    client.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="new")
    for name in ("rds:orders-1", "new"):
        given = {"DBClusterSnapshotIdentifier": name}
        assert code(lambda given=given: client.delete_db_cluster_snapshot(**given)) == (
            "InvalidDBClusterSnapshotStateFault"
        )
    assert code(lambda: client.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="no")) == (
        "DBClusterSnapshotNotFoundFault"
    )


# -- what is around ----------------------------------------------------------------------------------------------------


def test_faults_meet_snapshots_and_calls_are_seen(aws: EmbeddedAws) -> None:
    rds.cluster(aws, "orders")
    rds.snapshot(aws, "orders", NAME)
    client = aws.client("rds")
    aws.faults.fail("rds:CopyDBClusterSnapshot", code="Throttling", message="Rate exceeded", times=1)
    assert refusal(lambda: copy(client, NAME)) == ("Throttling", "Rate exceeded", 400)
    aws.faults.lose("rds:CopyDBClusterSnapshot", took_effect=True)
    with pytest.raises(Exception, match="Connection was closed"):
        copy(client, NAME)
    assert names(client) == [NAME, "copy"]
    assert [(call.operation, call.status) for call in aws.calls] == [
        ("rds:CopyDBClusterSnapshot", 400),
        ("rds:CopyDBClusterSnapshot", 0),
        ("rds:DescribeDBClusterSnapshots", 200),
    ]


def test_what_is_not_faked_says_so(aws: EmbeddedAws) -> None:
    client = aws.client("rds")
    assert code(client.describe_db_proxies) == "NotImplemented"
    assert "DescribeDBProxies" in aws.defects[0]


def test_the_policy_of_a_key_that_lets_an_account_in_is_one_that_names_it(aws: EmbeddedAws) -> None:
    key = rds.key(aws, account=OTHER_ACCOUNT)
    rds.cluster(aws, "ledger", account=OTHER_ACCOUNT, key=key)
    arn = rds.snapshot(aws, "ledger", "ledger-1", account=OTHER_ACCOUNT)
    rds.share(aws, arn)
    client, ours = aws.client("rds"), rds.key(aws)
    assert code(lambda: copy(client, arn, KmsKeyId=ours)) == "KMSKeyNotAccessibleFault"
    principal = {"AWS": f"arn:aws:iam::{aws.account_id}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": ["kms:CreateGrant"], "Resource": "*"}
    as_other_account(aws, "kms").put_key_policy(
        KeyId=key, PolicyName="default", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert copy(client, arn, KmsKeyId=ours)["Status"] == "copying"
