"""What the cluster is to be like: the input, with everything derived that can be. Pure."""

from __future__ import annotations

from pydantic import JsonValue

from runbooks.catalogue.aurora_snapshot_restore.facts import Cluster, Instance, Snapshot
from runbooks.catalogue.aurora_snapshot_restore.input import Capacity, Input
from runbooks.catalogue.aurora_snapshot_restore.tags import DEFAULT_CLASS
from runbooks.model import Model

POSTGRES, MYSQL = "aurora-postgresql", "aurora-mysql"


class Wanted(Model):
    """Settings of the cluster.

    `kms_key` is null if the cluster is not to be encrypted, or if nothing says under which key it could be. `as_there`
    are parameters of RestoreDBClusterFromSnapshot by which the cluster is like the one that it replaces, `tags` are
    that one's; `maintenance_window` can be set only once the cluster is there.
    """

    engine: str
    engine_version: str
    instance_class: str
    instances: int
    capacity: Capacity | None
    subnet_group: str | None
    security_groups: tuple[str, ...]
    port: int | None
    """Null where RDS does not say what the snapshot's is, and takes that one by itself."""
    kms_key: str | None
    cluster_parameters: str | None
    instance_parameters: str | None
    across_regions: bool
    across_accounts: bool
    sharable: bool
    """Whether the snapshot can be shared as it is: a manual one, and not under the account's default key."""
    as_there: dict[str, JsonValue]
    tags: dict[str, str]
    maintenance_window: str | None


def wanted(
    given: Input,
    account: str,
    region: str,
    snapshot: Snapshot,
    old: Cluster | None,
    instances: tuple[Instance, ...],
    *,
    default_key: bool,
) -> Wanted:
    """What is asked for; where the input is silent and a cluster is replaced, what that cluster has.

    `old` is that cluster and `instances` are its own, the writer first. `default_key`: the snapshot is encrypted under
    the key that AWS manages for RDS in its account.
    """
    model = old if given.replace == "swap" else None
    alike = model if model and model.engine == snapshot.engine else None
    there = instances if model else ()
    writer = next(iter(there), None)
    across_regions, across_accounts = snapshot.region != region, snapshot.account != account
    kms_key = given.kms_key
    if kms_key is None and snapshot.encrypted:
        elsewhere = across_regions or across_accounts
        kms_key = (model.key if model else None) if elsewhere else snapshot.key
    return Wanted(
        engine=snapshot.engine,
        engine_version=given.engine_version or snapshot.version,
        instance_class=given.instance_class or (writer.instance_class if writer else DEFAULT_CLASS),
        instances=given.instances or len(there) or 1,
        capacity=given.capacity or (model.capacity if model else None),
        subnet_group=given.subnet_group or (model.subnet_group if model else None),
        security_groups=given.security_groups or (model.security_groups if model else ()),
        port=given.port or (model.port if model else snapshot.port) or None,
        kms_key=kms_key,
        cluster_parameters=given.cluster_parameters or _own(alike.parameters if alike else ""),
        instance_parameters=given.instance_parameters or _own(writer.parameters if alike and writer else ""),
        across_regions=across_regions,
        across_accounts=across_accounts,
        sharable=snapshot.kind == "manual" and not default_key,
        as_there=_as_there(model, alike) if model else {},
        tags=model.others_tags if model else {},
        maintenance_window=model.maintenance_window if model else None,
    )


def _own(group: str) -> str | None:
    """A parameter group that somebody has made; which default one fits is RDS's to say, by the engine's version."""
    return group if group and not group.startswith("default.") else None


def _as_there(model: Cluster, alike: Cluster | None) -> dict[str, JsonValue]:
    """What the input does not speak of; `alike` is null if the cluster there is of another engine."""
    settings: dict[str, JsonValue] = {
        "EnableIAMDatabaseAuthentication": model.iam_logins or None,
        "StorageType": model.storage,
        "NetworkType": model.network if model.network == "DUAL" else None,
        "BacktrackWindow": alike.backtrack or None if alike else None,
        "EnableCloudwatchLogsExports": list(alike.log_exports) or None if alike else None,
        "CopyTagsToSnapshot": model.copies_tags or None,
        "BackupRetentionPeriod": model.backup_days,
        "PreferredBackupWindow": model.backup_window,
    }
    return {name: value for name, value in settings.items() if value is not None}
