"""The calls that a restore is made of, each with its proof and its inverse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import JsonValue

from runbooks.catalogue.aurora_snapshot_restore.tags import PART, REPLACED_BY, RESTORES, TARGET
from runbooks.model import Change, Contained, Irreversible, Parameters, Proof, Undo

# The phases, in the words of the procedure.
COPY_AT_SOURCE = "Copy the snapshot in the source account"
SHARE = "Share the snapshot"
COPY = "Copy the snapshot"
RESTORE = "Restore the cluster"
DATA_API = "Switch its Data API on"
INSTANCES = "Create its instances"
USERS = "Set up the database users"
CHECK = "Check the database"
KEEP = "Snapshot the old cluster"
STEP_ASIDE = "Rename the old cluster"
NAME = "Give the new cluster its name"
HAND_OVER = "Hand the cluster over"
ARCHIVE = "Archive the snapshot"
DELETE = "Delete what is past its retention"

WayBack = Undo | Contained | Irreversible


def tag_list(tags: Mapping[str, str]) -> list[JsonValue]:
    """Tags as RDS takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class Ours:
    """How what is made for one target from one snapshot is tagged and known again."""

    def __init__(self, target: str, mark: str) -> None:
        self.target = target
        self.mark = mark

    def tags(self, part: str, **more: str) -> list[JsonValue]:
        return tag_list({TARGET: self.target, RESTORES: self.mark, PART: part, **more})

    @property
    def cluster(self) -> str:
        """JMESPath: a cluster of DescribeDBClusters is the one that was made."""
        return f"TagList[?Key=='{RESTORES}' && Value=='{self.mark}'] && !(TagList[?Key=='{REPLACED_BY}'])"

    def cluster_is(self, *names: str, where: str = "") -> Proof:
        """The cluster that was made has one of these names."""
        return Proof(
            operation="rds:DescribeDBClusters",
            parameters=named(*names),
            path=f"DBClusters[?{self.cluster}{where}].DbClusterResourceId | [0] != `null`",
            equals=True,
        )

    def snapshot_is(self, name: str) -> Proof:
        return Proof(
            operation="rds:DescribeDBClusterSnapshots",
            parameters={"DBClusterSnapshotIdentifier": name},
            path=f"DBClusterSnapshots[0].{tag(RESTORES)}",
            equals=self.mark,
        )

    def instance_is(self, name: str) -> Proof:
        return Proof(
            operation="rds:DescribeDBInstances",
            parameters={"DBInstanceIdentifier": name},
            path=f"DBInstances[0].{tag(RESTORES)}",
            equals=self.mark,
        )


def tag(key: str) -> str:
    """JMESPath: the value of a tag."""
    return f"TagList[?Key=='{key}'].Value | [0]"


def named(*names: str) -> Parameters:
    """DescribeDBClusters of those of these clusters that there are."""
    return {"Filters": [{"Name": "db-cluster-id", "Values": list(dict.fromkeys(names))}]}


def no_cluster(name: str) -> Proof:
    """There is no cluster of that name."""
    parameters: Parameters = {"DBClusterIdentifier": name}
    return Proof(operation="rds:DescribeDBClusters", parameters=parameters, path="DBClusters", equals=None)


def no_instance(name: str) -> Proof:
    """There is no instance of that name."""
    parameters: Parameters = {"DBInstanceIdentifier": name}
    return Proof(operation="rds:DescribeDBInstances", parameters=parameters, path="DBInstances", equals=None)


def no_snapshot(name: str) -> Proof:
    """There is no snapshot of that name."""
    parameters: Parameters = {"DBClusterSnapshotIdentifier": name}
    return Proof(
        operation="rds:DescribeDBClusterSnapshots", parameters=parameters, path="DBClusterSnapshots", equals=None
    )


def cluster_shows(name: str, path: str, equals: JsonValue) -> Proof:
    """A field of a cluster has that value."""
    parameters: Parameters = {"DBClusterIdentifier": name}
    return Proof(operation="rds:DescribeDBClusters", parameters=parameters, path=f"DBClusters[0].{path}", equals=equals)


def delete_snapshot(name: str) -> Undo:
    """DeleteDBClusterSnapshot, of one that a run has made."""
    parameters: Parameters = {"DBClusterSnapshotIdentifier": name}
    return Undo(operation="rds:DeleteDBClusterSnapshot", parameters=parameters, proof=no_snapshot(name))


NOT_RENAMING = " && Status!='renaming' && !(PendingModifiedValues.DBClusterIdentifier)"
"""JMESPath: no rename of a cluster is under way. Until one is over, RDS knows the cluster by its old name only."""


LONGEST_SNAPSHOT = timedelta(hours=2)
"""How long a snapshot of a cluster may take."""


def final_snapshot(name: str, cluster: str, tags: list[JsonValue], only_if: Proof, when: Proof | None = None) -> Undo:
    """What a cluster holds is kept before it is deleted, since clients may have written to it."""
    return Undo(
        operation="rds:CreateDBClusterSnapshot",
        parameters={"DBClusterSnapshotIdentifier": name, "DBClusterIdentifier": cluster, "Tags": tags},
        only_if=only_if,
        when=when,
        within=LONGEST_SNAPSHOT,
        proof=Proof(
            operation="rds:DescribeDBClusterSnapshots",
            parameters={"DBClusterSnapshotIdentifier": name},
            path="DBClusterSnapshots[0].Status",
            equals="available",
        ),
    )


def add_tags(phase: str, arn: str, tags: Mapping[str, str], proof: Proof, none_left: Proof, **words: str) -> Change:
    """AddTagsToResource of tags that the resource does not have yet."""
    return Change(
        phase=phase,
        operation="rds:AddTagsToResource",
        parameters={"ResourceName": arn, "Tags": tag_list(tags)},
        was=words["was"],
        becomes=words["becomes"],
        proof=proof,
        repeat_harmless=True,
        undo=Undo(
            operation="rds:RemoveTagsFromResource",
            parameters={"ResourceName": arn, "TagKeys": list(tags)},
            proof=none_left,
        ),
    )
