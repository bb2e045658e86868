"""Snapshots of Aurora clusters: taken, shared, copied into other regions and accounts, deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from workbench.embedded.rds.keys import Key, find_key
from workbench.embedded.rds.life import CROSS_REGION
from workbench.embedded.rds.state import (
    Cluster,
    Given,
    Region,
    Snapshot,
    fault,
    filtered,
    identifier,
    no_snapshot,
    only,
    page,
    tags_of,
)

SHARED_MOST = 20
COPIES_MOST = 5
"""Copies that may be under way from one region to another at the same time."""
ATTRIBUTE = "restore"
TAKEN_BY_A_SERVICE = ("automated", "awsbackup")
"""Types of snapshots that are found by name only if their type is named as well."""

FILTERS: Mapping[str, Callable[[Snapshot], list[str]]] = {
    "db-cluster-id": lambda snapshot: [snapshot.cluster],
    "db-cluster-snapshot-id": lambda snapshot: [snapshot.name, snapshot.arn],
    "snapshot-type": lambda snapshot: [snapshot.kind],
    "engine": lambda snapshot: [snapshot.version.engine],
}


def describe(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBClusterSnapshots."""
    only(
        given,
        "DescribeDBClusterSnapshots",
        "DBClusterSnapshotIdentifier",
        "DBClusterIdentifier",
        "SnapshotType",
        "IncludeShared",
        "IncludePublic",
        "Filters",
        "MaxRecords",
        "Marker",
    )
    wanted, of, kind = (
        given.get(name) for name in ("DBClusterSnapshotIdentifier", "DBClusterIdentifier", "SnapshotType")
    )
    if wanted and of:
        raise fault(
            "InvalidParameterCombination",
            "DBClusterIdentifier and DBClusterSnapshotIdentifier cannot be specified at the same time.",
        )
    if kind not in (None, "manual", "automated", "shared", "public", "awsbackup"):
        raise fault("InvalidParameterValue", f"Invalid snapshot type: {kind}")
    seen = _visible(here, kind, bool(given.get("IncludeShared")), bool(given.get("IncludePublic")))
    if wanted:
        seen = [each for each in seen if wanted.lower() == _told_name(each, here) or wanted.lower() == each.arn]
        seen = [each for each in seen if each.kind not in TAKEN_BY_A_SERVICE or kind == each.kind]
        if not seen:
            raise no_snapshot(wanted)
    if of:
        seen = [each for each in seen if each.cluster == of.lower().rpartition(":")[2]]
    seen = filtered(seen, given, FILTERS)
    return page("DBClusterSnapshots", seen, given, lambda each: described(each, here))


def attributes(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBClusterSnapshotAttributes."""
    return _attributes(here.snapshot(given["DBClusterSnapshotIdentifier"]))


def modify_attribute(here: Region, given: Given) -> dict[str, Any]:
    """ModifyDBClusterSnapshotAttribute: shares a snapshot, or stops sharing it."""
    snapshot = here.snapshot(given["DBClusterSnapshotIdentifier"])
    if given["AttributeName"] != ATTRIBUTE:
        raise fault("InvalidParameterValue", f"Invalid snapshot attribute: {given['AttributeName']}")
    add, remove = given.get("ValuesToAdd") or [], given.get("ValuesToRemove") or []
    for value in (*add, *remove):
        if value != "all" and not re.fullmatch(r"\d{12}", value):
            raise fault("InvalidParameterValue", f"The AWS account ID {value} is invalid.")
    if snapshot.kind != "manual":
        raise fault("InvalidDBClusterSnapshotStateFault", "Only manual snapshots can be shared.")
    if snapshot.life.status != "available":
        raise _not_available(snapshot.name, snapshot.life.status)
    if add and snapshot.key is not None and snapshot.key.default:
        raise fault(
            "InvalidDBClusterSnapshotStateFault",
            "Sharing snapshots encrypted with the default service key for RDS is currently not supported.",
        )
    if "all" in add and snapshot.key is not None:
        raise fault("InvalidDBClusterSnapshotStateFault", "Encrypted snapshots cannot be shared publicly.")
    shared = [each for each in snapshot.shared_with if each not in remove]
    shared += [each for each in dict.fromkeys(add) if each not in shared]
    if len(shared) > SHARED_MOST:
        raise fault(
            "SharedSnapshotQuotaExceeded", f"A snapshot cannot be shared with more than {SHARED_MOST} accounts."
        )
    snapshot.shared_with = shared
    return _attributes(snapshot)


def create(here: Region, given: Given) -> dict[str, Any]:
    """CreateDBClusterSnapshot."""
    name = identifier(given, "DBClusterSnapshotIdentifier")
    cluster = here.cluster(given["DBClusterIdentifier"])
    _free(here, name)
    if cluster.life.status != "available":
        raise fault(
            "InvalidDBClusterStateFault",
            f"Can't create a snapshot because the database cluster {cluster.name} isn't currently in the available "
            "state.",
        )
    return {"DBClusterSnapshot": described(take(here, cluster, name, given), here)}


def take(
    here: Region, cluster: Cluster, name: str, given: Given, over: Callable[[Snapshot, datetime], None] | None = None
) -> Snapshot:
    """A snapshot of the cluster as it is now, which takes its time to become available; `over` is told when it is."""
    tags = tags_of(given)
    if cluster.settings["CopyTagsToSnapshot"]:
        for each in cluster.tags:
            if each["Key"] not in {known["Key"] for known in tags}:
                tags.append(dict(each))
    snapshot = Snapshot(
        name=name,
        arn=here.arn("cluster-snapshot", name),
        account=here.account,
        cluster=cluster.name,
        version=cluster.version,
        created=here.now,
        kind="manual",
        key=cluster.key,
        of={
            "AvailabilityZones": cluster.settings["AvailabilityZones"],
            "EngineMode": "provisioned",
            "AllocatedStorage": cluster.settings["AllocatedStorage"],
            "Port": cluster.port,
            "VpcId": cluster.subnets.vpc,
            "ClusterCreateTime": cluster.created,
            "MasterUsername": cluster.master,
            "LicenseModel": cluster.version.license,
            "BackupRetentionPeriod": cluster.settings["BackupRetentionPeriod"],
            "PreferredBackupWindow": cluster.settings["PreferredBackupWindow"],
            "IAMDatabaseAuthenticationEnabled": cluster.settings["IAMDatabaseAuthenticationEnabled"],
            "StorageType": cluster.settings.get("StorageType", "aurora"),
            "DbClusterResourceId": cluster.resource_id,
        },
        volume=None if cluster.database is None else cluster.database.saved(),
        tags=tags,
    )
    here.snapshots[name] = snapshot
    here.say(here.now, "db-cluster-snapshot", name, "Creating manual cluster snapshot", "backup")
    finish = _finished(here, snapshot)

    def done(at: datetime) -> None:
        finish(at)
        if over is not None:
            over(snapshot, at)

    here.course.start(snapshot.life, "snapshot", "create", name, here.now, done)
    return snapshot


def copy(here: Region, given: Given) -> dict[str, Any]:
    """CopyDBClusterSnapshot, asked for in the region that the copy is to be in.

    PreSignedUrl is ignored outside GovCloud; the region is known from the source's ARN.
    """
    only(
        given,
        "CopyDBClusterSnapshot",
        "SourceDBClusterSnapshotIdentifier",
        "TargetDBClusterSnapshotIdentifier",
        "KmsKeyId",
        "PreSignedUrl",
        "CopyTags",
        "Tags",
        "SourceRegion",
    )
    name = identifier(given, "TargetDBClusterSnapshotIdentifier")
    owner, source = here.world.open_snapshot(given["SourceDBClusterSnapshotIdentifier"], here)
    _free(here, name)
    if source.life.status != "available":
        raise _not_available(source.name, source.life.status)
    from_there = [each for each in here.snapshots.values() if f":{owner.name}:" in (each.source or "")]
    if owner.name != here.name and sum(each.life.status == "copying" for each in from_there) >= COPIES_MOST:
        raise fault(
            "SnapshotQuotaExceeded",
            f"Cannot have more than {COPIES_MOST} snapshot copies in progress to a single destination region.",
        )
    key = _key_of_copy(here, owner, source, given.get("KmsKeyId"))
    tags = tags_of(given)
    if given.get("CopyTags") and owner.account == here.account:
        mine = {each["Key"] for each in tags}
        tags += [dict(each) for each in source.tags if each["Key"] not in mine and not each["Key"].startswith("aws:")]
    made = Snapshot(
        name=name,
        arn=here.arn("cluster-snapshot", name),
        account=here.account,
        cluster=source.cluster,
        version=source.version,
        created=here.now,
        kind="manual",
        key=key,
        of=dict(source.of),
        volume=source.volume,
        source=source.arn,
        tags=tags,
    )
    here.snapshots[name] = made
    slower = 1.0 if owner.name == here.name else CROSS_REGION
    here.course.start(made.life, "snapshot", "copy", name, here.now, _finished(here, made), slower=slower)
    return {"DBClusterSnapshot": described(made, here)}


def delete(here: Region, given: Given) -> dict[str, Any]:
    """DeleteDBClusterSnapshot. One that is being copied is gone too: that is how a copy is cancelled."""
    snapshot = here.snapshot(given["DBClusterSnapshotIdentifier"])
    if snapshot.kind != "manual":
        raise fault(
            "InvalidDBClusterSnapshotStateFault", f"Only manual snapshots may be deleted; {snapshot.name} is not one."
        )
    if snapshot.life.status not in ("available", "failed", "copying"):
        raise fault(
            "InvalidDBClusterSnapshotStateFault",
            f"Cannot delete the snapshot {snapshot.name} because it is currently in the {snapshot.life.status} state.",
        )
    del here.snapshots[snapshot.name]
    snapshot.life.number += 1
    here.say(here.now, "db-cluster-snapshot", snapshot.name, "Deleted manual snapshot", "notification")
    return {"DBClusterSnapshot": {**described(snapshot, here), "Status": "deleted"}}


def described(snapshot: Snapshot, here: Region) -> dict[str, Any]:
    """As the caller in that account and region is told."""
    own = snapshot.account == here.account
    told = {
        **snapshot.of,
        "Port": 0,  # as RDS says of Aurora, although it knows the port and restores with it
        "DBClusterSnapshotIdentifier": _told_name(snapshot, here),
        "DBClusterIdentifier": snapshot.cluster,
        "SnapshotCreateTime": snapshot.created,
        "Engine": snapshot.version.engine,
        "EngineVersion": snapshot.version.number,
        "Status": snapshot.life.status,
        "SnapshotType": snapshot.kind if own else "public" if "all" in snapshot.shared_with else "shared",
        "StorageEncrypted": snapshot.key is not None,
        "DBClusterSnapshotArn": snapshot.arn,
        "TagList": snapshot.tags if own else [],
    }
    if snapshot.life.script.percent is not False:
        told["PercentProgress"] = snapshot.life.percent(here.now)
    if snapshot.key is not None:
        told["KmsKeyId"] = snapshot.key.arn
    if snapshot.source is not None and own:
        told["SourceDBClusterSnapshotArn"] = snapshot.source
    return told


def manual_count(here: Region) -> int:
    """How many of the snapshots count against the quota."""
    return sum(each.kind == "manual" for each in here.snapshots.values())


def check_quota(here: Region) -> None:
    """Raises SnapshotQuotaExceeded if there is no room for another manual snapshot."""
    if manual_count(here) >= here.quotas["ManualClusterSnapshots"]:
        raise fault(
            "SnapshotQuotaExceeded", "Cannot create more than the allowed number of manual DB cluster snapshots."
        )


def _visible(here: Region, kind: str | None, shared: bool, public: bool) -> list[Snapshot]:
    """The snapshots that a listing of that type shows, its own ones first, the oldest first."""
    own = sorted(here.snapshots.values(), key=lambda each: each.created)
    if kind in ("manual", "automated", "awsbackup"):
        return [each for each in own if each.kind == kind]
    others = sorted(
        (
            each
            for region in here.world.regions()
            if region.name == here.name and region.account != here.account
            for each in region.snapshots.values()
        ),
        key=lambda each: each.created,
    )
    to_us = [each for each in others if here.account in each.shared_with]
    to_all = [each for each in others if "all" in each.shared_with and each not in to_us]
    if kind == "shared":
        return to_us
    if kind == "public":
        return to_all
    taken = [each for each in own if each.kind != "awsbackup"]
    return [*taken, *(to_us if shared else []), *(to_all if public else [])]


def _key_of_copy(here: Region, owner: Region, source: Snapshot, wanted: str | None) -> Key | None:
    """The key that the copy is to be encrypted with. Raises the fault that says what is wrong with one of the keys."""
    if source.key is None:
        if wanted:
            raise fault(
                "InvalidParameterCombination", "KmsKeyId cannot be specified when the source snapshot is not encrypted."
            )
        return None
    if not source.key.usable_by(here.account):
        raise fault(
            "KMSKeyNotAccessibleFault",
            f"The source snapshot KMS key [{source.key.arn}] does not exist, is not enabled or you do not have "
            "permissions to access it.",
        )
    if wanted:
        key = find_key(wanted, here.account, here.name)
        if key is None or not key.usable_by(here.account):
            raise fault(
                "KMSKeyNotAccessibleFault",
                f"The target snapshot KMS key [{wanted}] does not exist, is not enabled or you do not have permissions "
                "to access it.",
            )
        return key
    if owner.name != here.name or owner.account != here.account:
        raise fault(
            "InvalidParameterCombination",
            "KmsKeyId must be specified when copying an encrypted snapshot from another region or account.",
        )
    return source.key


def _free(here: Region, name: str) -> None:
    if name in here.snapshots:
        raise fault(
            "DBClusterSnapshotAlreadyExistsFault",
            f"Cannot create the snapshot because a snapshot with the identifier {name} already exists.",
        )
    check_quota(here)


def _not_available(name: str, status: str) -> Exception:
    return fault(
        "InvalidDBClusterSnapshotStateFault",
        f"The snapshot {name} is in the {status} state; it must be in the available state.",
    )


def _finished(here: Region, snapshot: Snapshot) -> Callable[[datetime], None]:
    def finish(at: datetime) -> None:
        if snapshot.life.status == "available" and snapshot.source is None:
            here.say(at, "db-cluster-snapshot", snapshot.name, "Manual cluster snapshot created", "backup")

    return finish


def _told_name(snapshot: Snapshot, here: Region) -> str:
    """Another account's snapshot is known by its ARN."""
    return snapshot.name if snapshot.account == here.account else snapshot.arn


def _attributes(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "DBClusterSnapshotAttributesResult": {
            "DBClusterSnapshotIdentifier": snapshot.name,
            "DBClusterSnapshotAttributes": [
                {"AttributeName": ATTRIBUTE, "AttributeValues": sorted(snapshot.shared_with)}
            ],
        }
    }


OPERATIONS: Mapping[str, Callable[[Region, Given], dict[str, Any]]] = {
    "CopyDBClusterSnapshot": copy,
    "CreateDBClusterSnapshot": create,
    "DeleteDBClusterSnapshot": delete,
    "DescribeDBClusterSnapshotAttributes": attributes,
    "DescribeDBClusterSnapshots": describe,
    "ModifyDBClusterSnapshotAttribute": modify_attribute,
}
