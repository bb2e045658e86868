"""The plan of a restore: which changes, in which order, from what there is to what is wanted. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import cast

from pydantic import JsonValue

from runbooks.arn import arn
from runbooks.catalogue.aurora_snapshot_restore import calls
from runbooks.catalogue.aurora_snapshot_restore.calls import WayBack
from runbooks.catalogue.aurora_snapshot_restore.facts import BROKEN, Cluster, Expired, Facts, Snapshot
from runbooks.catalogue.aurora_snapshot_restore.input import Capacity, DatabaseUser, Input, Names
from runbooks.catalogue.aurora_snapshot_restore.tags import (
    ARCHIVED,
    BEFORE,
    CLUSTER,
    COPY,
    DELETE_AFTER,
    FINAL,
    FINISHED,
    FOR,
    INSTANCE,
    PART,
    REPLACED_BY,
    RESTORES,
    SHARED_COPY,
    TARGET,
    instance_names,
    last_snapshot,
    names_for,
)
from runbooks.catalogue.aurora_snapshot_restore.wanted import Wanted
from runbooks.model import Change, Contained, Irreversible, NothingToUndo, Parameters, Proof, SecretRef, Undo, digest

_RESTORE = "rds:RestoreDBClusterFromSnapshot"
_NO_SNAPSHOT = sorted({*BROKEN, "creating", "deleting"})
"""A cluster in one of these states can be in no snapshot, and waiting does not help: nobody can write to it either."""


def pinned(given: Input, facts: Facts) -> tuple[DatabaseUser, ...]:
    """The users, each with the ARN and the version of the secret that this run uses."""
    users = []
    for user in given.users:
        secret = facts.secrets[user.secret] if user.secret is not None else None
        literal = {"secret": secret.arn, "version": user.version or secret.current} if secret else {}
        users.append(user.model_copy(update=literal))
    return tuple(users)


def prepared(given: Input, users: Sequence[DatabaseUser]) -> str:
    """Stands for the users and checks that a cluster has gone through: the value of FINISHED."""
    checks = given.checks.model_dump(mode="json") if given.checks else None
    connects = given.admin_secret is not None
    return digest([[user.model_dump(mode="json") for user in users], checks, given.database if connects else None])[:16]


class Draft:
    """The changes of one plan as they come, and the names that they use.

    `want` and `snapshot` are null where the cluster is finished and only what it lacks is mended.
    """

    def __init__(self, given: Input, facts: Facts, now: datetime, want: Wanted | None) -> None:
        self.given = given
        self.facts = facts
        self.now = now
        self.want = want
        self.changes: list[Change] = []
        self.ours = calls.Ours(given.target, facts.marker)
        self.users = pinned(given, facts)
        self.admin = facts.secrets[given.admin_secret].arn if given.admin_secret is not None else None
        self.names = self._names()
        self.made: int | None = None
        """The number of the change that makes the cluster: what lies in the cluster goes with it."""
        self.here = facts.ours.name if facts.ours else self.names.cluster
        """The cluster's name until it is given the target's."""

    @property
    def finished(self) -> bool:
        cluster = self.facts.ours
        return cluster is not None and FINISHED in cluster.tags and cluster == self.facts.standing

    def _names(self) -> Names:
        given, facts = self.given, self.facts
        own = facts.standing in (None, facts.ours) and facts.aside is None
        names = given.names or names_for(given.target, self.now, under_own_name=own)
        if facts.ours is not None and not (facts.ours == facts.standing and facts.aside is not None):
            names = names.model_copy(update={"cluster": facts.ours.name})
        if facts.aside is not None:
            names = names.model_copy(update={"aside": facts.aside.name})
        if (copy := self.usable_copy(COPY, facts.made)) is not None:
            names = names.model_copy(update={"snapshot": copy.id})
        if (copy := self.usable_copy(SHARED_COPY, facts.made_at_source)) is not None:
            names = names.model_copy(update={"shared": copy.id})
        there = facts.instances_of(facts.ours)
        known = names.instances or tuple(instance.name for instance in there)
        cluster = facts.ours.name if facts.ours else names.cluster
        asked = (self.want.instances if self.want else given.instances) or 1
        more = asked - max(len(known), len(there))
        new = instance_names(cluster, max(more, 0), {*facts.taken, *known})
        doomed = [each for each in facts.expired if each.may_go]
        last = tuple(self.last(each) for each in doomed if each.kind == "cluster")
        return names.model_copy(
            update={"instances": (*known, *new), "expired": tuple(each.name for each in doomed), "last": last}
        )

    def last(self, cluster: Expired) -> str:
        """What RDS is to call the snapshot that it takes of a cluster when it deletes it."""
        day = self.day_after(self.snapshot_days).get(DELETE_AFTER)
        return last_snapshot(self.given.target, cluster.id, date.fromisoformat(day) if day else None)

    # -- what there is already -----------------------------------------------------------------------------------------

    def usable_copy(self, part: str, among: Sequence[Snapshot]) -> Snapshot | None:
        """A copy that an earlier run has made of this snapshot, under the key that is wanted."""
        key = self.facts.key.arn if self.facts.key else None
        for copy in among:
            ours = copy.tags.get(RESTORES) == self.facts.marker and copy.tags.get(PART) == part
            fits = part == SHARED_COPY or key is None or copy.key == key
            if ours and fits and copy.status not in BROKEN:
                return copy
        return None

    @property
    def needs_copy(self) -> bool:
        want, snapshot, key = self.want, self.facts.snapshot, self.facts.key
        if want is None or snapshot is None:
            return False
        return want.across_regions or (snapshot.encrypted and key is not None and key.arn != snapshot.key)

    # -- adding changes ------------------------------------------------------------------------------------------------

    def add(self, change: Change) -> int:
        """The number of the change in the plan."""
        self.changes.append(change)
        return len(self.changes)

    def inside(self, otherwise: WayBack) -> WayBack:
        """The way back of what lies in the cluster: with the cluster if this run may delete it."""
        return Contained(goes_with=self.made) if self.made is not None else otherwise

    def arn(self, cluster: str) -> str:
        return arn("rds", self.facts.region, self.facts.account, f"cluster:{cluster}")

    def day_after(self, days: int | None) -> dict[str, str]:
        """The tag that says when a later run may delete it, if ever."""
        return {DELETE_AFTER: (self.now + timedelta(days=days)).date().isoformat()} if days is not None else {}

    @property
    def snapshot_days(self) -> int | None:
        return self.given.retention.snapshots_days if self.given.retention else None

    # -- the snapshot --------------------------------------------------------------------------------------------------

    def source(self, snapshot: Snapshot, want: Wanted) -> str:
        """Plan whatever is needed to have a snapshot that can be restored here; its identifier."""
        there = self.usable_copy(COPY, self.facts.made) if self.needs_copy else None
        if there is not None:
            if ARCHIVED not in there.tags:
                self.copy(snapshot, want, snapshot.arn, adopts=True)
            return there.id
        if self.facts.ours is not None:
            return snapshot.arn
        origin = self._shared(snapshot, want)
        if not self.needs_copy:
            return origin
        self.copy(snapshot, want, origin, adopts=False)
        return self.names.snapshot

    def _shared(self, snapshot: Snapshot, want: Wanted) -> str:
        """Plan that this account may use the source account's snapshot; the ARN of the one that it may use."""
        alias = self.given.source_account
        if not want.across_accounts or alias is None:
            return snapshot.arn
        place = {"account": alias, "region": snapshot.region}
        shared, origin = snapshot.id, snapshot.arn
        if not want.sharable:
            shared = self.names.shared
            origin = arn("rds", snapshot.region, snapshot.account, f"cluster-snapshot:{shared}")
            there = self.usable_copy(SHARED_COPY, self.facts.made_at_source)
            parameters: Parameters = {
                "SourceDBClusterSnapshotIdentifier": snapshot.id if snapshot.kind == "manual" else snapshot.arn,
                "TargetDBClusterSnapshotIdentifier": shared,
                "Tags": self.ours.tags(SHARED_COPY, **{FOR: self.facts.account}, **self.day_after(self.snapshot_days)),
            }
            if self.facts.sharing_key is not None and snapshot.encrypted:
                parameters["KmsKeyId"] = self.facts.sharing_key.arn
            self.add(
                Change(
                    phase=calls.COPY_AT_SOURCE,
                    operation="rds:CopyDBClusterSnapshot",
                    parameters=parameters,
                    was=f"{snapshot.id}, which cannot be shared as it is",
                    becomes=f"{shared} in the account {alias}, under a key that lets others in",
                    undo=calls.delete_snapshot(shared),
                    proof=self.ours.snapshot_is(shared),
                    adopts=there is not None,
                    **place,
                )
            )
        if self.facts.shared_with_us and want.sharable:
            return origin
        self.add(self._share(shared, alias, place))
        return origin

    def _share(self, snapshot: str, alias: str, place: dict[str, str]) -> Change:
        us = self.facts.account
        attribute: Parameters = {"DBClusterSnapshotIdentifier": snapshot, "AttributeName": "restore"}
        allowed = (
            "DBClusterSnapshotAttributesResult.DBClusterSnapshotAttributes[?AttributeName=='restore']"
            f".AttributeValues[] | [?@=='{us}'] | [0]"
        )
        asked: Parameters = {"DBClusterSnapshotIdentifier": snapshot}
        operation = "rds:DescribeDBClusterSnapshotAttributes"
        return Change(
            phase=calls.SHARE,
            operation="rds:ModifyDBClusterSnapshotAttribute",
            parameters=attribute | {"ValuesToAdd": [us]},
            was=f"{snapshot} is the account {alias}'s own",
            becomes=f"the account {us} may copy and restore it",
            proof=Proof(operation=operation, parameters=asked, path=allowed, equals=us),
            repeat_harmless=True,
            undo=Undo(
                operation="rds:ModifyDBClusterSnapshotAttribute",
                parameters=attribute | {"ValuesToRemove": [us]},
                proof=Proof(operation=operation, parameters=asked, path=allowed, equals=None),
            ),
            **place,
        )

    def copy(self, snapshot: Snapshot, want: Wanted, origin: str, *, adopts: bool) -> None:
        """CopyDBClusterSnapshot into the target's account and region, under its key."""
        name, key = self.names.snapshot, self.facts.key
        parameters: Parameters = {
            "SourceDBClusterSnapshotIdentifier": origin,
            "TargetDBClusterSnapshotIdentifier": name,
            "CopyTags": False,
            "Tags": self.ours.tags(COPY),
        }
        if snapshot.encrypted and key is not None:
            parameters["KmsKeyId"] = key.arn
        if want.across_regions:
            parameters["SourceRegion"] = snapshot.region
        self.add(
            Change(
                phase=calls.COPY,
                operation="rds:CopyDBClusterSnapshot",
                parameters=parameters,
                was=f"{snapshot.id} in {snapshot.region}",
                becomes=f"{name} in {self.facts.region}" + (f" under {key.arn}" if key else ""),
                undo=calls.delete_snapshot(name),
                proof=self.ours.snapshot_is(name),
                adopts=adopts,
            )
        )

    # -- the cluster ---------------------------------------------------------------------------------------------------

    def restore(self, snapshot: Snapshot, want: Wanted, source: str) -> None:
        """RestoreDBClusterFromSnapshot, or take on the cluster that an earlier run has made."""
        name, there = self.names.cluster, self.facts.ours
        parameters: Parameters = {
            "DBClusterIdentifier": name,
            "SnapshotIdentifier": source,
            "Engine": want.engine,
            "EngineVersion": want.engine_version,
            "DBSubnetGroupName": want.subnet_group,
            "DeletionProtection": False,
            "Tags": [*self.ours.tags(CLUSTER), *calls.tag_list(want.tags)],
            **want.as_there,
        }
        if want.port is not None:
            parameters["Port"] = want.port
        if want.security_groups:
            parameters["VpcSecurityGroupIds"] = list(want.security_groups)
        if want.cluster_parameters is not None:
            parameters["DBClusterParameterGroupName"] = want.cluster_parameters
        if not snapshot.encrypted and self.facts.key is not None:
            parameters["KmsKeyId"] = self.facts.key.arn
        if want.capacity is not None:
            parameters["ServerlessV2ScalingConfiguration"] = _bounds(want.capacity)
        self.made = self.add(
            Change(
                phase=calls.RESTORE,
                operation=_RESTORE,
                parameters=parameters,
                was=f"{there.name}, made by an earlier run ({there.status})" if there else "no cluster of that name",
                becomes=f"{self.here} from {snapshot.id}, {want.engine} {want.engine_version}",
                undo=Undo(
                    operation="rds:DeleteDBCluster",
                    parameters={"DBClusterIdentifier": name, "SkipFinalSnapshot": True},
                    proof=calls.no_cluster(name),
                    first=self.kept() if name == self.given.target else self.kept_again(name),
                ),
                proof=self.ours.cluster_is(name, self.given.target),
                adopts=there is not None,
            )
        )

    def data_api(self) -> None:
        """EnableHttpEndpoint, which a restore cannot do."""
        resource: Parameters = {"ResourceArn": self.arn(self.here)}
        self.add(
            Change(
                phase=calls.DATA_API,
                operation="rds:EnableHttpEndpoint",
                parameters=resource,
                was=f"{self.here} can be reached from its VPC only",
                becomes="SQL can be run over the RDS Data API",
                proof=calls.cluster_shows(self.here, "HttpEndpointEnabled", True),
                repeat_harmless=True,
                undo=self.inside(
                    Undo(
                        operation="rds:DisableHttpEndpoint",
                        parameters=resource,
                        proof=calls.cluster_shows(self.here, "HttpEndpointEnabled", False),
                    )
                ),
            )
        )

    def instances(self, engine: str, instance_class: str, group: str | None) -> None:
        """CreateDBInstance for each that is not there."""
        there = {instance.name: instance for instance in self.facts.instances_of(self.facts.ours)}
        for name in self.names.instances:
            own = name in there and there[name].tags.get(RESTORES) == self.facts.marker
            if name in there and (self.finished or not own):
                continue
            parameters: Parameters = {
                "DBInstanceIdentifier": name,
                "DBClusterIdentifier": self.here,
                "Engine": engine,
                "DBInstanceClass": instance_class,
                "PubliclyAccessible": False,
                "Tags": self.ours.tags(INSTANCE),
            }
            if group is not None:
                parameters["DBParameterGroupName"] = group
            self.add(
                Change(
                    phase=calls.INSTANCES,
                    operation="rds:CreateDBInstance",
                    parameters=parameters,
                    was=f"{name} is there, made by an earlier run" if own else f"{self.here} has no {name}",
                    becomes=f"{name}, {instance_class}",
                    proof=self.ours.instance_is(name),
                    adopts=own,
                    undo=Undo(
                        operation="rds:DeleteDBInstance",
                        parameters={"DBInstanceIdentifier": name},
                        proof=calls.no_instance(name),
                    ),
                )
            )

    def kept(self) -> Undo:
        """The final snapshot of the cluster under the target's name: clients may know that name, and have written.

        It is taken when the instances are gone, so that nobody writes any more. Left out is only what no snapshot can
        be made of; anything else is waited for, and if that is in vain the cluster stays for a person to look at.
        """
        target = self.given.target
        return calls.final_snapshot(
            self.names.final,
            target,
            self.ours.tags(FINAL),
            only_if=self.ours.cluster_is(target, where=f" && !contains(`{json.dumps(_NO_SNAPSHOT)}`, Status)"),
            when=self.ours.cluster_is(target, where=" && Status=='available'"),
        )

    def kept_again(self, temporary: str) -> Undo:
        """The final snapshot of a cluster that has given the target's name back.

        Clients could go on writing while the one before was taken: that is not in it. Without that one nobody knew the
        cluster.
        """
        before = Proof(
            operation="rds:DescribeDBClusterSnapshots",
            parameters={"DBClusterSnapshotIdentifier": self.names.final},
            path="DBClusterSnapshots[0].Status",
            equals="available",
        )
        return calls.final_snapshot(
            f"{self.names.final}-2",
            temporary,
            self.ours.tags(FINAL),
            only_if=before,
            when=self.ours.cluster_is(temporary, where=" && Status=='available'"),
        )

    # -- the database --------------------------------------------------------------------------------------------------

    def _database(self) -> Parameters:
        return {
            "resourceArn": self.arn(self.here),
            "secretArn": self.admin,
            "database": self.given.database,
        }

    def set_up_users(self) -> None:
        """`postgres:EnsureRole` for each user: the password stays in Secrets Manager until the moment of the call."""
        for user in self.users:
            parameters = self._database() | {"role": user.name}
            if user.secret is not None and user.version is not None:
                reference = SecretRef(secret=user.secret, version_id=user.version, key=user.field)
                parameters["password"] = cast(JsonValue, reference.as_parameter())
            if user.member_of:
                parameters["member_of"] = list(user.member_of)
            if user.grants:
                parameters["grants"] = [cast(JsonValue, grant) for grant in user.grants]
            rights = [f"{grant['access']} {grant['schema']}" for grant in user.grants]
            rights += [f"member of {role}" for role in user.member_of]
            login = "may log in" if user.secret else "may not log in"
            self.add(
                Change(
                    phase=calls.USERS,
                    operation="postgres:EnsureRole",
                    parameters=parameters,
                    was=f"{user.name} as in the snapshot, or not there",
                    becomes=f"{user.name}: {', '.join(rights) or 'no grants'}; {login}",
                    proof=None,
                    repeat_harmless=True,
                    undo=self.inside(
                        Irreversible(irreversible="what the role and its password were before is not known")
                    ),
                )
            )

    def check(self) -> None:
        """`postgres:Check`: connect, and look for what the input asks for."""
        checks = self.given.checks
        parameters = self._database()
        if checks is not None and checks.schemas:
            parameters["schemas"] = list(checks.schemas)
        if checks is not None and checks.rows:
            parameters["rows"] = [cast(JsonValue, row) for row in checks.rows]
        self.add(
            Change(
                phase=calls.CHECK,
                operation="postgres:Check",
                parameters=parameters,
                was="nobody has looked into the database",
                becomes="it answers, and has the schemas and rows that are asked for",
                proof=None,
                repeat_harmless=True,
                undo=NothingToUndo(nothing_to_undo="it only reads"),
            )
        )

    # -- the swap ------------------------------------------------------------------------------------------------------

    def step_aside(self, old: Cluster) -> None:
        """The old cluster is kept in a snapshot, and gets a dated name. Nothing of it is deleted."""
        target, names = self.given.target, self.names
        self.add(
            Change(
                phase=calls.KEEP,
                operation="rds:CreateDBClusterSnapshot",
                parameters={
                    "DBClusterSnapshotIdentifier": names.before,
                    "DBClusterIdentifier": target,
                    "Tags": self.ours.tags(BEFORE, **self.day_after(self.snapshot_days)),
                },
                was=f"{target} as it is now is in no snapshot",
                becomes=f"{names.before}",
                undo=calls.delete_snapshot(names.before),
                proof=self.ours.snapshot_is(names.before),
            )
        )
        self.add(self._marked(old, adopts=False))
        self.add(self._renamed(old, adopts=False))

    def stays_aside(self, old: Cluster) -> None:
        """An earlier run has renamed it: from here on that is ours to undo."""
        self.add(self._marked(old, adopts=True))
        self.add(self._renamed(old, adopts=True))

    def _marked(self, old: Cluster, *, adopts: bool) -> Change:
        days = self.given.retention.clusters_days if self.given.retention else None
        tags = {REPLACED_BY: self.facts.marker, **self.day_after(days)}
        if TARGET not in old.tags:
            tags[TARGET] = self.given.target
        by_id: Parameters = {"Filters": [{"Name": "db-cluster-resource-id", "Values": [old.resource_id]}]}
        by = f"DBClusters[0].{calls.tag(REPLACED_BY)}"
        operation = "rds:DescribeDBClusters"
        marked = Proof(operation=operation, parameters=by_id, path=by, equals=self.facts.marker)
        unmarked = Proof(operation=operation, parameters=by_id, path=by, equals=None)
        change = calls.add_tags(
            calls.STEP_ASIDE,
            self.arn(self.given.target),
            tags,
            marked,
            unmarked,
            was=f"{self.given.target} ({old.resource_id}) says nothing of being replaced",
            becomes="it says by what it was replaced" + (f", and goes after {tags[DELETE_AFTER]}" if days else ""),
        )
        return change.model_copy(update={"adopts": adopts})

    def _renamed(self, old: Cluster, *, adopts: bool) -> Change:
        target, aside = self.given.target, self.names.aside
        by_id: Parameters = {"Filters": [{"Name": "db-cluster-resource-id", "Values": [old.resource_id]}]}
        operation = "rds:DescribeDBClusters"
        path = "DBClusters[?{}].DbClusterResourceId | [0]"
        becoming = f"DBClusterIdentifier=='{aside}' || PendingModifiedValues.DBClusterIdentifier=='{aside}'"
        back = f"DBClusterIdentifier=='{target}'{calls.NOT_RENAMING}"
        aside_now = f"DBClusterIdentifier=='{aside}'{calls.NOT_RENAMING}"

        def shows(what: str) -> Proof:
            return Proof(operation=operation, parameters=by_id, path=path.format(what), equals=old.resource_id)

        return Change(
            phase=calls.STEP_ASIDE,
            operation="rds:ModifyDBCluster",
            parameters={"DBClusterIdentifier": target, "NewDBClusterIdentifier": aside, "ApplyImmediately": True},
            was=f"{old.resource_id} is {target}",
            becomes=f"{old.resource_id} is {aside}",
            proof=shows(becoming),
            adopts=adopts,
            undo=Undo(
                operation="rds:ModifyDBCluster",
                parameters={"DBClusterIdentifier": aside, "NewDBClusterIdentifier": target, "ApplyImmediately": True},
                proof=shows(back),
                when=shows(aside_now),
            ),
        )

    def name(self, *, adopts: bool) -> None:
        """The new cluster gets the target's name. Back again only after what it holds has been kept."""
        target, temporary = self.given.target, self.names.cluster
        now_target = f" && (DBClusterIdentifier=='{target}' || PendingModifiedValues.DBClusterIdentifier=='{target}')"
        now_temporary = f" && DBClusterIdentifier=='{temporary}'{calls.NOT_RENAMING}"
        named = self.ours.cluster_is(
            temporary, target, where=f" && DBClusterIdentifier=='{target}'{calls.NOT_RENAMING}"
        )
        self.add(
            Change(
                phase=calls.NAME,
                operation="rds:ModifyDBCluster",
                parameters={
                    "DBClusterIdentifier": temporary,
                    "NewDBClusterIdentifier": target,
                    "ApplyImmediately": True,
                },
                was=f"the new cluster is {temporary}",
                becomes=f"the new cluster is {target}",
                proof=self.ours.cluster_is(temporary, target, where=now_target),
                adopts=adopts,
                undo=Undo(
                    operation="rds:ModifyDBCluster",
                    parameters={
                        "DBClusterIdentifier": target,
                        "NewDBClusterIdentifier": temporary,
                        "ApplyImmediately": True,
                    },
                    proof=self.ours.cluster_is(temporary, target, where=now_temporary),
                    when=named,
                    first=calls.final_snapshot(
                        self.names.final,
                        target,
                        self.ours.tags(FINAL),
                        only_if=self.ours.cluster_is(temporary, target),
                        when=named,
                    ),
                ),
            )
        )

    # -- the end -------------------------------------------------------------------------------------------------------

    def hand_over(self, was: Cluster | None) -> None:
        """Deletion protection as asked, and the tag by which everyone sees that the cluster is finished."""
        target, value = self.given.target, prepared(self.given, self.users)
        window = self.want.maintenance_window if self.want else None
        if window is not None and window != (was.maintenance_window if was else None):
            self._maintained(window)
        if self.given.deletion_protection and not (was and was.protected):
            on: Parameters = {"DBClusterIdentifier": target, "ApplyImmediately": True}
            self.add(
                Change(
                    phase=calls.HAND_OVER,
                    operation="rds:ModifyDBCluster",
                    parameters=on | {"DeletionProtection": True},
                    was=f"{target} can be deleted",
                    becomes=f"{target} is protected against deletion",
                    proof=calls.cluster_shows(target, "DeletionProtection", True),
                    repeat_harmless=True,
                    undo=Undo(
                        operation="rds:ModifyDBCluster",
                        parameters=on | {"DeletionProtection": False},
                        proof=calls.cluster_shows(target, "DeletionProtection", False),
                    ),
                )
            )
        before = was.tags.get(FINISHED) if was else None
        if before == value:
            return
        shown = calls.cluster_shows(target, calls.tag(FINISHED), value)
        change = calls.add_tags(
            calls.HAND_OVER,
            self.arn(target),
            {FINISHED: value},
            shown,
            calls.cluster_shows(target, calls.tag(FINISHED), None),
            was=f"{target} is not finished" if before is None else f"{target} was finished with other users or checks",
            becomes=f"{target} is finished",
        )
        if before is not None:
            back = Undo(
                operation="rds:AddTagsToResource",
                parameters={"ResourceName": self.arn(target), "Tags": calls.tag_list({FINISHED: before})},
                proof=calls.cluster_shows(target, calls.tag(FINISHED), before),
            )
            change = change.model_copy(update={"undo": back})
        self.add(change)

    def _maintained(self, window: str) -> None:
        """When RDS may maintain the cluster, which a restore cannot say."""
        target = self.given.target
        self.add(
            Change(
                phase=calls.HAND_OVER,
                operation="rds:ModifyDBCluster",
                parameters={
                    "DBClusterIdentifier": target,
                    "PreferredMaintenanceWindow": window,
                    "ApplyImmediately": True,
                },
                was=f"{target} is maintained at a time that RDS has chosen",
                becomes=f"{target} is maintained at {window}, as the cluster before was",
                proof=calls.cluster_shows(target, "PreferredMaintenanceWindow", window),
                repeat_harmless=True,
                undo=self.inside(Irreversible(irreversible="which time RDS had chosen is not known")),
            )
        )

    def archive(self) -> None:
        """The copy is kept, and says until when. The source is never touched."""
        copy = self.usable_copy(COPY, self.facts.made)
        planned = any(change.phase == calls.COPY for change in self.changes)
        if not planned and (copy is None or ARCHIVED in copy.tags):
            return
        name = self.names.snapshot
        tags = {ARCHIVED: self.names.stamp, **self.day_after(self.snapshot_days)}
        until = f"until {tags[DELETE_AFTER]}" if DELETE_AFTER in tags else "until somebody deletes it"
        asked: Parameters = {"DBClusterSnapshotIdentifier": name}
        operation, path = "rds:DescribeDBClusterSnapshots", f"DBClusterSnapshots[0].{calls.tag(ARCHIVED)}"
        self.add(
            calls.add_tags(
                calls.ARCHIVE,
                arn("rds", self.facts.region, self.facts.account, f"cluster-snapshot:{name}"),
                tags,
                Proof(operation=operation, parameters=asked, path=path, equals=self.names.stamp),
                Proof(operation=operation, parameters=asked, path=path, equals=None),
                was=f"{name} is needed by this run",
                becomes=f"{name} is kept {until}",
            )
        )

    def delete_expired(self) -> None:
        """What earlier runs have left and whose day has come."""
        for each in self.facts.expired:
            if not each.may_go:
                continue
            why = Irreversible(irreversible=f"its retention ended on {each.delete_after}")
            if each.kind == "snapshot":
                where = f"{each.name} in the account {each.account}" if each.account else each.name
                change = self._gone("rds:DeleteDBClusterSnapshot", where, calls.delete_snapshot(each.name), why)
                self.add(change.model_copy(update={"account": each.account, "region": each.region}))
                continue
            if each.protected:
                self._unprotect(each)
            for member in each.members:
                parameters: Parameters = {"DBInstanceIdentifier": member}
                gone = Undo(operation="rds:DeleteDBInstance", parameters=parameters, proof=_going(member))
                self.add(self._gone("rds:DeleteDBInstance", member, gone, why))
            last = self.last(each)
            parameters = {
                "DBClusterIdentifier": each.name,
                "SkipFinalSnapshot": False,
                "FinalDBSnapshotIdentifier": last,
            }
            gone = Undo(operation="rds:DeleteDBCluster", parameters=parameters, proof=_cluster_going(each))
            was = f"{each.name}, which {each.kept_in} has as it was before it stepped aside"
            becomes = f"deleted for good; {last} has it as it is now"
            self.add(self._gone("rds:DeleteDBCluster", was, gone, why, becomes))

    def _gone(
        self, operation: str, what: str, call: Undo, why: Irreversible, becomes: str = "deleted for good"
    ) -> Change:
        return Change(
            phase=calls.DELETE,
            operation=operation,
            parameters=call.parameters,
            was=what,
            becomes=becomes,
            proof=call.proof,
            undo=why,
        )

    def _unprotect(self, each: Expired) -> None:
        named: Parameters = {"DBClusterIdentifier": each.name, "ApplyImmediately": True}
        self.add(
            Change(
                phase=calls.DELETE,
                operation="rds:ModifyDBCluster",
                parameters=named | {"DeletionProtection": False},
                was=f"{each.name} is protected against deletion",
                becomes=f"{each.name} can be deleted",
                proof=calls.cluster_shows(each.name, "DeletionProtection", False),
                repeat_harmless=True,
                undo=Undo(
                    operation="rds:ModifyDBCluster",
                    parameters=named | {"DeletionProtection": True},
                    proof=calls.cluster_shows(each.name, "DeletionProtection", True),
                ),
            )
        )


def _bounds(capacity: Capacity) -> JsonValue:
    """As RDS takes them."""
    found: dict[str, JsonValue] = {"MinCapacity": capacity.min, "MaxCapacity": capacity.max}
    if capacity.pause_after is not None:
        found["SecondsUntilAutoPause"] = capacity.pause_after
    return found


def _going(instance: str) -> Proof:
    parameters: Parameters = {"DBInstanceIdentifier": instance}
    path = "(DBInstances[0].DBInstanceStatus || 'deleting') == 'deleting'"
    return Proof(operation="rds:DescribeDBInstances", parameters=parameters, path=path, equals=True)


def _cluster_going(each: Expired) -> Proof:
    parameters: Parameters = {"DBClusterIdentifier": each.name}
    path = "(DBClusters[0].Status || 'deleting') == 'deleting'"
    return Proof(operation="rds:DescribeDBClusters", parameters=parameters, path=path, equals=True)
