"""What the cluster is to be like: the input, with everything derived that can be. Pure."""

from __future__ import annotations

from runbooks.catalogue.aurora_snapshot_restore.facts import Cluster, Instance, Snapshot
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.tags import DEFAULT_CLASS
from runbooks.model import Model

POSTGRES, MYSQL = "aurora-postgresql", "aurora-mysql"


class Wanted(Model):
    """Settings of the cluster.

    `kms_key` is null if the cluster is not to be encrypted, or if nothing says under which key it could be.
    """

    engine: str
    engine_version: str
    instance_class: str
    subnet_group: str | None
    security_groups: tuple[str, ...]
    port: int
    kms_key: str | None
    cluster_parameters: str | None
    instance_parameters: str | None
    across_regions: bool
    across_accounts: bool
    sharable: bool
    """Whether the snapshot can be shared as it is: a manual one, and not under the account's default key."""


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
    writer = instances[0] if model and instances else None
    across_regions, across_accounts = snapshot.region != region, snapshot.account != account
    kms_key = given.kms_key
    if kms_key is None and snapshot.encrypted:
        elsewhere = across_regions or across_accounts
        kms_key = (model.key if model else None) if elsewhere else snapshot.key
    return Wanted(
        engine=snapshot.engine,
        engine_version=given.engine_version or snapshot.version,
        instance_class=given.instance_class or (writer.instance_class if writer else DEFAULT_CLASS),
        subnet_group=given.subnet_group or (model.subnet_group if model else None),
        security_groups=given.security_groups or (model.security_groups if model else ()),
        port=given.port or (model.port if model else snapshot.port),
        kms_key=kms_key,
        cluster_parameters=given.cluster_parameters or (model.parameters or None if model else None),
        instance_parameters=given.instance_parameters,
        across_regions=across_regions,
        across_accounts=across_accounts,
        sharable=snapshot.kind == "manual" and not default_key,
    )
