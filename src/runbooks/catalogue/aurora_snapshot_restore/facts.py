"""What is known of a restore: the snapshot, its keys, what stands at the target, and what earlier runs have left."""

from __future__ import annotations

from pydantic import Field

from runbooks.catalogue.aurora_snapshot_restore.input import Capacity
from runbooks.catalogue.aurora_snapshot_restore.tags import OWN, REPLACED_BY, RESTORES
from runbooks.model import Model

USABLE = frozenset({"available", "backing-up", "storage-optimization"})
BROKEN = frozenset(
    {
        "failed",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "incompatible-network",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
        "storage-full",
    }
)
"""States of clusters and instances that waiting does not mend."""


_ABSENT = frozenset({"creating", "deleting", "starting", "stopped", "stopping"})


def stands(status: str) -> bool:
    """Whether a cluster or an instance in that state is there to stay, if perhaps busy for a moment."""
    return status not in BROKEN and status not in _ABSENT


def serves(status: str) -> bool:
    """Whether a cluster or an instance answers in that state."""
    return status in USABLE or status.startswith("configuring-")


class Snapshot(Model):
    """A DB cluster snapshot. `created` is ISO 8601 UTC, `percent` what RDS says of its progress, `master` a user.

    `port` is 0 where RDS does not say it, which is so for most. `resource` is the resource id of the cluster that it is
    of; a copy has its original's.
    """

    arn: str
    id: str
    account: str
    region: str
    cluster: str
    kind: str
    status: str
    engine: str
    version: str
    mode: str
    created: str
    encrypted: bool
    key: str | None = None
    port: int = 0
    master: str = ""
    percent: int | None = None
    resource: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class Key(Model):
    """A KMS key. `state` is KMS's own, or `NotFound`, or `NotShared` where it is not ours to look at."""

    arn: str
    state: str
    managed_by_aws: bool = False

    @property
    def usable(self) -> bool:
        return self.state == "Enabled"


class Cluster(Model):
    """A DB cluster. `members` has the writer first; `becomes` is the name that it is being given, `master` a user.

    `network` is IPV4 or DUAL, `backtrack` is in seconds, `backup_days` is the backup retention period, the windows are
    as RDS writes them, `roles` are ARNs with the feature that each is for. `replica_of` is what it replicates,
    `replicas` are what replicates it.
    """

    name: str
    arn: str
    resource_id: str
    status: str
    engine: str
    version: str
    encrypted: bool
    key: str | None = None
    data_api: bool = False
    protected: bool = False
    subnet_group: str
    security_groups: tuple[str, ...] = ()
    port: int
    master: str = ""
    parameters: str = ""
    members: tuple[str, ...] = ()
    becomes: str | None = None
    capacity: Capacity | None = None
    iam_logins: bool = False
    storage: str | None = None
    network: str | None = None
    backtrack: int = 0
    log_exports: tuple[str, ...] = ()
    copies_tags: bool = False
    backup_days: int | None = None
    backup_window: str | None = None
    maintenance_window: str | None = None
    roles: tuple[str, ...] = ()
    global_cluster: str | None = None
    replica_of: str | None = None
    replicas: tuple[str, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def others_tags(self) -> dict[str, str]:
        """Its tags that neither AWS nor a run has put there."""
        return {key: value for key, value in self.tags.items() if not key.startswith(("aws:", OWN))}

    def restores(self, marker: str) -> bool:
        """Whether a run has made it for this target and from this snapshot, and it has not stepped aside since."""
        return self.tags.get(RESTORES) == marker and REPLACED_BY not in self.tags


class Instance(Model):
    """A DB instance."""

    name: str
    cluster: str | None
    status: str
    instance_class: str
    parameters: str = ""
    tags: dict[str, str] = Field(default_factory=dict)


class SubnetGroup(Model):
    """A DB subnet group and the VPC that it lies in."""

    name: str
    vpc: str
    status: str


class Version(Model):
    """An engine version: the family of its parameter groups, and what a snapshot of it may be restored as."""

    number: str
    family: str
    upgrades_to: tuple[str, ...] = ()


class Quota(Model):
    """How many there are in the region, and how many there may be."""

    used: int
    most: int


class Secret(Model):
    """A secret's current version; its value is never read. `deleted`: it is scheduled for deletion."""

    arn: str
    current: str | None
    deleted: bool = False


class Expired(Model):
    """Something that an earlier run left behind, and whose day to be deleted has come.

    `id` is a cluster's resource id or a snapshot's ARN, `kind` cluster or snapshot. `kept_in` is the snapshot that has
    what a cluster held before it stepped aside; a cluster without one is not deleted. `account` is the alias of the
    source account, and `region` its region, for a copy that lies there.
    """

    name: str
    id: str
    kind: str
    delete_after: str
    protected: bool = False
    members: tuple[str, ...] = ()
    kept_in: str | None = None
    account: str | None = None
    region: str | None = None

    @property
    def may_go(self) -> bool:
        return self.kind == "snapshot" or self.kept_in is not None


class Facts(Model):
    """All of it. What a phase reads again is the part of it that the phase needs.

    `standing` has the target's name. `ours` was made for this target from this snapshot; it may be the same, or stand
    under a name of its own. `aside` has stepped aside for `ours`, `replaced` are those that earlier swaps left behind.
    `made` are snapshots that runs for this target have made, `made_at_source` copies that they have made for this
    account in the source account. `source_key` is the snapshot's key as its account sees it; `shared_key` is the one
    that it is shared under, as this account sees it, and `sharing_key` is source_kms_key in the source account.
    `expired` may be deleted now. `taken` are names that begin like ours. Groups, versions and secrets are null or
    absent if they do not exist; secrets are by name or ARN, as the input has them. `endpoints` are the custom endpoints
    of the cluster that is to be replaced. `lost` is only ever true of a
    reading before a phase: the cluster that the run has made is not there any more, or is not ours.
    """

    account: str = ""
    region: str = ""
    sought: str = ""
    snapshot: Snapshot | None = None
    marker: str = ""
    shared_with_us: bool = False
    key: Key | None = None
    source_key: Key | None = None
    sharing_key: Key | None = None
    shared_key: Key | None = None
    standing: Cluster | None = None
    ours: Cluster | None = None
    aside: Cluster | None = None
    replaced: tuple[Cluster, ...] = ()
    made: tuple[Snapshot, ...] = ()
    made_at_source: tuple[Snapshot, ...] = ()
    instances: tuple[Instance, ...] = ()
    expired: tuple[Expired, ...] = ()
    taken: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    lost: bool = False
    subnet_group: SubnetGroup | None = None
    security_groups: dict[str, str] = Field(default_factory=dict)
    snapshot_version: Version | None = None
    version: Version | None = None
    orderable: bool = False
    cluster_parameters: str | None = None
    instance_parameters: str | None = None
    quotas: dict[str, Quota] = Field(default_factory=dict)
    secrets: dict[str, Secret] = Field(default_factory=dict)

    @property
    def old(self) -> Cluster | None:
        """The cluster that is to be replaced, or has been half-way by an earlier run."""
        return self.standing if self.standing is not None and self.standing != self.ours else self.aside

    def instances_of(self, cluster: Cluster | None) -> tuple[Instance, ...]:
        """The known instances of a cluster, in its own order."""
        if cluster is None:
            return ()
        known = {instance.name: instance for instance in self.instances}
        return tuple(known[name] for name in cluster.members if name in known)
