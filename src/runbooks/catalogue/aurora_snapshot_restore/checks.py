"""What speaks against a restore, before anything is changed: each with the value that is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from runbooks.catalogue.aurora_snapshot_restore.facts import BROKEN, Cluster, Facts, Instance, Key, Snapshot, serves
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.tags import FINISHED, RESTORES
from runbooks.catalogue.aurora_snapshot_restore.wanted import MYSQL, POSTGRES, Wanted
from runbooks.model import Decision, hand_off, refused

_TAGS_MOST, _OWN_TAGS = 50, 6
_GOING = frozenset({"deleting", "stopping"})
_SHARE = "share it with this account under a customer managed key"


def objection_to_input(given: Input, region: str, database: Snapshot | Cluster) -> Decision | None:
    """What in the input does not go together, or not with the snapshot's database, or that of the cluster there."""
    engine = database.engine
    needs_sql = bool(given.users or given.checks)
    if (needs_sql or given.admin_secret) and engine != POSTGRES:
        return refused(
            f"The snapshot is of {engine}, and users are set up and checks made in PostgreSQL only; restore it without"
            " users, checks and admin_secret, and do that in the database itself."
        )
    if needs_sql and given.admin_secret is None:
        return refused("Users or checks are asked for, but no admin_secret says who may connect; name that secret.")
    for user in given.users:
        if user.name.lower() == database.master.lower():
            return refused(
                f"The user {user.name!r} is the cluster's master user, and sets the others up; RDS keeps its password:"
                " change that with ModifyDBCluster, and leave the user out."
            )
        if user.secret is None and not user.member_of and not user.grants:
            return refused(f"The user {user.name!r} gets neither a secret nor a role nor a grant; say what it is for.")
    for name in _secrets_of(given):
        if name.startswith("arn:") and name.split(":")[3] != region:
            return refused(
                f"The secret {name} lies in {name.split(':')[3]}, and the cluster in {region}; replicate the secret to"
                f" {region} and name the replica."
            )
    return None


def objection_to_proof(given: Input, facts: Facts, snapshot: Snapshot) -> Decision | None:
    """A cluster is to be replaced by one that nobody would have looked into; in MySQL nobody can: that is a finding."""
    old = facts.old
    if old is None or snapshot.engine != POSTGRES or given.admin_secret is not None or given.proved_by == "status":
        return None
    return refused(
        f"{old.name} would be replaced by a cluster that nobody has connected to; name the master user's secret as"
        " admin_secret, and best what the database must have as checks. If its status is to be proof enough, say"
        " proved_by: status."
    )


def objection_to_secrets(given: Input, facts: Facts) -> Decision | None:
    """A secret that does not exist, or that is going."""
    for name in _secrets_of(given):
        secret = facts.secrets.get(name)
        if secret is None:
            return refused(f"There is no secret {name} in {facts.region}; create it, or correct its name.")
        if secret.deleted:
            return refused(f"The secret {name} is scheduled for deletion; restore it with RestoreSecret first.")
        if secret.current is None:
            return refused(f"The secret {name} has no current version; put a value into it first.")
    return None


def _secrets_of(given: Input) -> list[str]:
    names = {given.admin_secret, *(user.secret for user in given.users)}
    return sorted(name for name in names if name is not None)


def objection_to_leftovers(given: Input, facts: Facts) -> Decision | None:
    """What an earlier run has left and cannot be gone on with."""
    cluster = facts.ours
    if cluster is None:
        return None
    if FINISHED in cluster.tags:
        # Adopted, it would be deleted by an undo, and nobody but its users knows what they have written to it.
        return refused(
            f"{cluster.name} was restored from this snapshot and finished, and is not called {given.target} any more;"
            f" rename it back, or remove its tag {RESTORES} to have another one made."
        )
    instances, where = facts.instances_of(cluster), f"--region {facts.region}"
    if cluster.status in BROKEN:
        return hand_off(
            f"An earlier run has made {cluster.name} from this snapshot, and it is {cluster.status}; delete it, then"
            " start again.",
            command=f"aws rds delete-db-cluster --db-cluster-identifier {cluster.name} --skip-final-snapshot {where}",
        )
    for instance in instances:
        if instance.status in BROKEN:
            return hand_off(
                f"{instance.name} in {cluster.name} is {instance.status}; delete it, then start again.",
                command=f"aws rds delete-db-instance --db-instance-identifier {instance.name} {where}",
            )
    if cluster.status == "stopped":
        return hand_off(
            f"{cluster.name} was restored from this snapshot and is stopped; start it.",
            command=f"aws rds start-db-cluster --db-cluster-identifier {cluster.name} {where}",
        )
    all_of_it: tuple[Cluster | Instance, ...] = (cluster, *instances)
    if going := [f"{each.name} is {each.status}" for each in all_of_it if each.status in _GOING]:
        return refused(
            f"An earlier run has made {cluster.name} from this snapshot, and {', '.join(going)}; look again when that"
            " is over."
        )
    return None


def objection_to_rename(facts: Facts) -> Decision | None:
    """A rename that is under way, of an aborted run or of somebody else: what is called what is not certain."""
    for cluster in (facts.standing, facts.ours, facts.aside):
        if cluster is not None and (cluster.becomes or cluster.status == "renaming"):
            name = cluster.becomes or "something else"
            return refused(f"{cluster.name} is being renamed to {name}; look again in a few minutes.")
    return None


def objection_to_target(given: Input, facts: Facts) -> Decision | None:
    """A cluster in the way."""
    standing = facts.standing
    if standing is None or standing == facts.ours:
        return None
    if given.replace == "never":
        return refused(
            f"There is a cluster {standing.name} already ({standing.engine} {standing.version}, {standing.status},"
            f" {len(standing.members)} instance{'s' if len(standing.members) != 1 else ''}), and replace is never:"
            " choose another target, or replace: swap, which keeps it under a dated name."
        )
    if standing.global_cluster is not None:
        return refused(
            f"{standing.name} is a member of the global database {standing.global_cluster}, and a restored cluster is"
            " of none; take it out of that with RemoveFromGlobalCluster first, or restore under another name."
        )
    if standing.replica_of is not None:
        return refused(
            f"{standing.name} is a replica of {standing.replica_of}, and a restored cluster would not be; promote it"
            " first, or restore under another name."
        )
    if (count := len(standing.others_tags)) > _TAGS_MOST - _OWN_TAGS:
        return refused(
            f"{standing.name} has {count} tags, and {_OWN_TAGS} of the {_TAGS_MOST} that a cluster may have are needed"
            " to know it again; remove some."
        )
    if not serves(standing.status):
        return refused(
            f"{standing.name} is {standing.status}, so it can be neither kept in a snapshot nor renamed; look again"
            " when it is available, or gone."
        )
    return None


def objections(given: Input, facts: Facts, snapshot: Snapshot, want: Wanted) -> Iterator[Decision | None]:
    """Everything else that must hold before a new cluster is made, in the order in which it would be met."""
    yield _of_snapshot(snapshot)
    yield _of_source_key(given, facts, snapshot, want)
    yield _of_sharing(given, facts, snapshot, want)
    yield _of_shared_key(given, facts, snapshot)
    yield _of_key(facts, snapshot, want)
    yield _of_version(facts, snapshot, want)
    yield _of_network(facts, want)
    yield _of_parameters(facts, want)
    yield _of_class(given, facts, want)


def _of_snapshot(snapshot: Snapshot) -> Decision | None:
    if snapshot.engine not in {POSTGRES, MYSQL}:
        return refused(f"The snapshot {snapshot.id} is of {snapshot.engine}; this runbook restores Aurora clusters.")
    if snapshot.mode != "provisioned":
        return refused(
            f"The snapshot {snapshot.id} is of a cluster in the engine mode {snapshot.mode}, which has no instances;"
            " restore it by hand."
        )
    if snapshot.status != "available":
        return refused(
            f"The snapshot {snapshot.id} is {snapshot.status}; look again when it is available, or choose another."
        )
    return None


def _of_source_key(given: Input, facts: Facts, snapshot: Snapshot, want: Wanted) -> Decision | None:
    key = facts.source_key
    if key is None:
        return None
    if key.state == "NotShared":
        return refused(
            f"The snapshot {snapshot.id} is encrypted under {key.arn}, which this account may not use; let its key"
            f" policy allow {facts.account} to use it."
        )
    return _unusable(key, f"the snapshot {snapshot.id} is encrypted under it and cannot be read")


def _of_sharing(given: Input, facts: Facts, snapshot: Snapshot, want: Wanted) -> Decision | None:
    if not want.across_accounts or want.sharable or given.source_account is None:
        return None
    default = facts.source_key is not None and facts.source_key.managed_by_aws
    if default and given.source_kms_key is None:
        return refused(
            f"The snapshot {snapshot.id} is encrypted under the account's default key ({snapshot.key}) and cannot be"
            f" shared; name a customer managed key of the account {given.source_account} as source_kms_key, and it is"
            " copied there first."
        )
    key = facts.sharing_key
    if key is not None and key.managed_by_aws:
        return refused(f"source_kms_key {key.arn} is a default key, which no snapshot can be shared under; {_SHARE}.")
    return _unusable(key, "the copy to be shared cannot be encrypted under it") if key is not None else None


def _of_shared_key(given: Input, facts: Facts, snapshot: Snapshot) -> Decision | None:
    key = facts.shared_key
    if key is None:
        return None
    if key.state == "NotShared":
        return refused(
            f"The snapshot {snapshot.id} is to be shared under {key.arn}, which this account may not use; let the key's"
            f" policy in the account {given.source_account}, or a grant, allow {facts.account} kms:DescribeKey,"
            " kms:CreateGrant, kms:Decrypt and kms:GenerateDataKey."
        )
    return _unusable(key, f"the snapshot {snapshot.id} cannot be used when it is shared")


def _of_key(facts: Facts, snapshot: Snapshot, want: Wanted) -> Decision | None:
    if snapshot.encrypted and want.kms_key is None:
        whose = f"the account {snapshot.account}" if want.across_accounts else snapshot.region
        return refused(
            f"The snapshot {snapshot.id} is encrypted under a key of {whose}, which cannot be used here; name a key of"
            f" {facts.region} as kms_key."
        )
    if want.kms_key is None or facts.key is None:
        return None
    parts = want.kms_key.split(":")
    if parts[0] == "arn" and parts[3] != facts.region:
        return refused(
            f"kms_key {want.kms_key} is a key of {parts[3]}, and the cluster is to be in {facts.region}; name a key of"
            " that region."
        )
    if facts.key.state == "NotShared":
        return refused(f"kms_key {want.kms_key} is not for this account to use; its key policy must allow it.")
    return _unusable(facts.key, "the cluster cannot be encrypted under it")


def _unusable(key: Key, so: str) -> Decision | None:
    match key.state:
        case "Enabled":
            return None
        case "NotFound":
            return refused(f"There is no KMS key {key.arn}, so {so}; correct it.")
        case "Disabled":
            return refused(f"The KMS key {key.arn} is disabled, so {so}; enable it first.")
        case "PendingDeletion" | "PendingReplicaDeletion":
            return refused(
                f"The KMS key {key.arn} is about to be deleted, so {so}; cancel its deletion and enable it first."
            )
        case state:
            return refused(f"The KMS key {key.arn} is in the state {state}, so {so}; look at it in KMS first.")


def _of_version(facts: Facts, snapshot: Snapshot, want: Wanted) -> Decision | None:
    if facts.version is None:
        return refused(f"{want.engine} {want.engine_version} is not offered in {facts.region}; choose another version.")
    if want.engine_version == snapshot.version or facts.snapshot_version is None:
        return None
    possible = facts.snapshot_version.upgrades_to
    if want.engine_version not in possible:
        offered = ", ".join(possible) or "nothing else"
        return refused(
            f"The snapshot {snapshot.id} is of {snapshot.engine} {snapshot.version}, which cannot be restored as"
            f" {want.engine_version}, but as: {offered}."
        )
    return None


def _of_network(facts: Facts, want: Wanted) -> Decision | None:
    if want.subnet_group is None:
        return refused("Nothing says where the cluster is to lie; name a DB subnet group as subnet_group.")
    group = facts.subnet_group
    if group is None:
        return refused(f"There is no DB subnet group {want.subnet_group} in {facts.region}; correct subnet_group.")
    if group.status != "Complete":
        return refused(f"The DB subnet group {group.name} is {group.status}; look at its subnets first.")
    for security_group in want.security_groups:
        vpc = facts.security_groups.get(security_group)
        if vpc is None:
            return refused(f"There is no security group {security_group} in {facts.region}; correct security_groups.")
        if vpc != group.vpc:
            return refused(
                f"The security group {security_group} lies in {vpc}, and the DB subnet group {group.name} in"
                f" {group.vpc}; choose ones of one VPC."
            )
    return None


def _of_parameters(facts: Facts, want: Wanted) -> Decision | None:
    needed = facts.version.family if facts.version else ""
    for kind, name, family in (
        ("cluster_parameters", want.cluster_parameters, facts.cluster_parameters),
        ("instance_parameters", want.instance_parameters, facts.instance_parameters),
    ):
        if name is None:
            continue
        if family is None:
            return refused(f"There is no parameter group {name} in {facts.region}; correct {kind}.")
        if family != needed:
            return refused(
                f"The parameter group {name} is of the family {family}, and {want.engine} {want.engine_version} needs"
                f" {needed}; correct {kind}."
            )
    return None


def _of_class(given: Input, facts: Facts, want: Wanted) -> Decision | None:
    if not facts.orderable:
        return refused(
            f"The instance class {want.instance_class} is not offered for {want.engine} {want.engine_version} in"
            f" {facts.region}; choose another as instance_class."
        )
    if want.instance_class.startswith("db.t") and given.admin_secret is not None:
        return refused(
            f"The instance class {want.instance_class} has no RDS Data API, over which the users and checks go; choose"
            " one that is no db.t, or restore without admin_secret (a swap then wants proved_by: status)."
        )
    if want.instance_class == "db.serverless" and want.capacity is None:
        return refused("The instance class db.serverless needs bounds; give capacity with min and max.")
    return None


def objection_to_numbers(facts: Facts, needed: dict[str, int]) -> Decision | None:
    """A quota that the plan would go beyond; `needed` is how many more of each there will be."""
    for name, more in needed.items():
        quota = facts.quotas.get(name)
        if quota is not None and quota.used + more > quota.most:
            return refused(
                f"The quota {name} of {facts.region} is {quota.most}, {quota.used} are used, and {more} more are"
                " needed; raise it or delete what is not needed."
            )
    return None
