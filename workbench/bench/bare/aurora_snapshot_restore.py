"""Restore a cluster from a snapshot if the name is free and the key can be used, give it a writer, and wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PAUSE = 30.0
"""Seconds between two looks."""
LOOKS = 240


def main(client: Callable[[str], Any], sleep: Callable[[float], None], given: Mapping[str, Any]) -> None:
    """Raises RuntimeError if something speaks against it, or the cluster or its writer does not become available."""
    rds, name = client("rds"), given["target"]
    snapshot = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=given["snapshot"]["id"])[
        "DBClusterSnapshots"
    ][0]
    if snapshot["Status"] != "available":
        raise RuntimeError(f"the snapshot is {snapshot['Status']}")
    if "KmsKeyId" in snapshot:
        state = client("kms").describe_key(KeyId=snapshot["KmsKeyId"])["KeyMetadata"]["KeyState"]
        if state != "Enabled":
            raise RuntimeError(f"the key of the snapshot is {state}")
    if any(cluster["DBClusterIdentifier"] == name for cluster in rds.describe_db_clusters()["DBClusters"]):
        raise RuntimeError(f"there is a cluster {name} already")
    rds.describe_db_subnet_groups(DBSubnetGroupName=given["subnet_group"])

    def wait(look: Callable[[], str]) -> None:
        for _ in range(LOOKS):
            sleep(PAUSE)
            status = look()
            if status == "available":
                return
            if status != "creating":
                raise RuntimeError(f"it is {status}")
        raise RuntimeError("it takes too long")

    def cluster() -> str:
        return str(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"])

    def writer() -> str:
        return str(rds.describe_db_instances(DBInstanceIdentifier=f"{name}-1")["DBInstances"][0]["DBInstanceStatus"])

    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier=name,
        SnapshotIdentifier=snapshot["DBClusterSnapshotArn"],
        Engine=snapshot["Engine"],
        EngineVersion=snapshot["EngineVersion"],
        DBSubnetGroupName=given["subnet_group"],
    )
    wait(cluster)
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-1",
        DBClusterIdentifier=name,
        DBInstanceClass="db.r6g.large",
        Engine=snapshot["Engine"],
    )
    wait(writer)
    rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=True, ApplyImmediately=True)
