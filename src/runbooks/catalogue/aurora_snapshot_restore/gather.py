"""What is read, when: everything for the diagnosis, and for each phase the part that it needs."""

from __future__ import annotations

from datetime import datetime

from runbooks.aws.session import AwsSession
from runbooks.catalogue.aurora_snapshot_restore.facts import Cluster, Expired, Facts, Instance, Key, Snapshot
from runbooks.catalogue.aurora_snapshot_restore.input import Input
from runbooks.catalogue.aurora_snapshot_restore.reading import Reader, expired
from runbooks.catalogue.aurora_snapshot_restore.tags import FINISHED, REPLACED_BY, TARGET, base_of, marker
from runbooks.catalogue.aurora_snapshot_restore.wanted import Wanted, wanted


def gather(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Everything that the decision rests on.

    Calls: sts GetCallerIdentity; rds DescribeDBClusterSnapshots, DescribeDBClusterSnapshotAttributes,
    DescribeDBClusters, DescribeDBClusterEndpoints, DescribeDBInstances, DescribeDBSubnetGroups,
    DescribeDBEngineVersions, DescribeOrderableDBInstanceOptions, DescribeDBClusterParameterGroups,
    DescribeDBParameterGroups, DescribeAccountAttributes; kms DescribeKey; ec2 DescribeSecurityGroups; secretsmanager
    DescribeSecret.
    """
    reader = Reader(given, aws)
    account, snapshot, sought = reader.account(), reader.snapshot(now), reader.sought(now)
    arn = snapshot.arn if snapshot else given.snapshot.arn
    known = Facts(account=account, region=reader.region, sought=sought, snapshot=snapshot)
    if arn is None:
        return known
    known = known.model_copy(update=_at_the_target(reader, marker(given.target, arn), now))
    done = known.ours is not None and FINISHED in known.ours.tags
    if snapshot is None or (done and known.ours == known.standing):
        # A cluster that is there and done needs no groups and quotas; whatever its database lacks is seen by secrets.
        return known.model_copy(update={"secrets": _secrets(reader)})
    key = _key_of_snapshot(reader, snapshot, account)
    instances = known.instances_of(known.old)
    default = key is not None and key.managed_by_aws
    want = wanted(given, account, reader.region, snapshot, known.old, instances, default_key=default)
    swapped = known.old if given.replace == "swap" else None
    endpoints = tuple(reader.custom_endpoints(swapped.name)) if swapped else ()
    needs = _what_it_needs(reader, snapshot, want)
    known = known.model_copy(update={"source_key": key, "endpoints": endpoints, **needs})
    at_the_source = _at_the_source(reader, known, snapshot, want, now) if want.across_accounts else {}
    return known.model_copy(update=at_the_source)


def _at_the_target(reader: Reader, mark: str, now: datetime) -> dict[str, object]:
    given = reader.given
    clusters, instances, made = reader.clusters(), reader.instances(), reader.made()
    standing = next((cluster for cluster in clusters if cluster.name == given.target), None)
    ours = _ours(clusters, mark, given.target)
    aside = next((cluster for cluster in clusters if _stepped_aside(cluster, given.target, mark)), None)
    replaced = tuple(cluster for cluster in clusters if _stepped_aside(cluster, given.target))
    relevant = {cluster.name for cluster in (standing, ours, aside) if cluster}
    names = [*(cluster.name for cluster in clusters), *(instance.name for instance in instances)]
    return {
        "marker": mark,
        "standing": standing,
        "ours": ours,
        "aside": aside,
        "replaced": replaced,
        "made": tuple(made),
        "instances": tuple(instance for instance in instances if instance.cluster in relevant),
        "taken": tuple(sorted(name for name in names if name.startswith(base_of(given.target)))),
        "expired": tuple(expired(given.target, replaced, made, mark, now)) if given.retention else (),
    }


def _ours(clusters: list[Cluster], mark: str, target: str) -> Cluster | None:
    made = [cluster for cluster in clusters if cluster.restores(mark)]
    return min(made, key=lambda cluster: cluster.name != target) if made else None


def _stepped_aside(cluster: Cluster, target: str, mark: str | None = None) -> bool:
    by = cluster.tags.get(REPLACED_BY)
    return cluster.name != target and cluster.tags.get(TARGET) == target and by is not None and mark in {None, by}


def _at_the_source(reader: Reader, known: Facts, snapshot: Snapshot, want: Wanted, now: datetime) -> dict[str, object]:
    """What can be seen of another account's snapshot as that account, and whether its key lets this account in."""
    given = reader.given
    if given.source_account is None:
        return {}
    sharing_key = None
    if given.source_kms_key is not None:
        sharing_key = reader.key(given.source_kms_key, reader.source_region, given.source_account)
    under = snapshot.key if want.sharable or sharing_key is None else sharing_key.arn
    seen = snapshot.encrypted and under is not None and under.startswith("arn:")
    made = reader.made_at_source(known.account)
    return {
        "shared_with_us": snapshot.kind == "manual" and reader.shared_with(known.account, snapshot.id),
        "made_at_source": tuple(made),
        "sharing_key": sharing_key,
        "shared_key": reader.key(under, reader.source_region) if seen and under else None,
        "expired": (*known.expired, *_expired_at_source(reader, made, known.marker, now)),
    }


def _expired_at_source(reader: Reader, made: list[Snapshot], mark: str, now: datetime) -> list[Expired]:
    given = reader.given
    if given.retention is None:
        return []
    place = {"account": given.source_account, "region": reader.source_region}
    return [each.model_copy(update=place) for each in expired(given.target, (), made, mark, now)]


def _what_it_needs(reader: Reader, snapshot: Snapshot, want: Wanted) -> dict[str, object]:
    version = reader.version(want.engine, want.engine_version)
    return {
        "key": reader.key(want.kms_key, reader.region) if want.kms_key else None,
        "subnet_group": reader.subnet_group(want.subnet_group) if want.subnet_group else None,
        "security_groups": reader.security_groups(want.security_groups) if want.security_groups else {},
        "snapshot_version": reader.version(want.engine, snapshot.version)
        if want.engine_version != snapshot.version
        else version,
        "version": version,
        "orderable": reader.orderable(want.engine, want.engine_version, want.instance_class),
        "cluster_parameters": reader.family_of_cluster_parameters(want.cluster_parameters)
        if want.cluster_parameters
        else None,
        "instance_parameters": reader.family_of_instance_parameters(want.instance_parameters)
        if want.instance_parameters
        else None,
        "quotas": reader.quotas(),
        "secrets": _secrets(reader),
    }


def _key_of_snapshot(reader: Reader, snapshot: Snapshot, account: str) -> Key | None:
    """The key that the snapshot is encrypted with, as whoever it belongs to sees it, or else as we do."""
    if snapshot.key is None:
        return None
    alias = reader.given.source_account if snapshot.account != account else None
    return reader.key(snapshot.key, snapshot.region, alias)


def _secrets(reader: Reader) -> dict[str, object]:
    given = reader.given
    wanted_secrets = {user.secret for user in given.users} | {given.admin_secret}
    found = {name: reader.secret(name) for name in sorted(name for name in wanted_secrets if name is not None)}
    return {name: secret for name, secret in found.items() if secret is not None}


# -- before a phase ----------------------------------------------------------------------------------------------------


def before_sharing(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Calls: rds DescribeDBClusterSnapshots; kms DescribeKey."""
    reader = Reader(given, aws)
    wanted_key, sharing = given.source_kms_key, None
    if wanted_key is not None and given.source_account is not None:
        sharing = reader.key(wanted_key, reader.source_region, given.source_account)
    return Facts(snapshot=reader.snapshot(now), sharing_key=sharing, **_key(reader))


def before_copying(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Calls: rds DescribeDBClusterSnapshots; kms DescribeKey."""
    reader = Reader(given, aws)
    return Facts(snapshot=reader.snapshot(now), **_key(reader))


def before_restoring(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Calls: rds DescribeDBClusters, DescribeDBSubnetGroups; ec2 DescribeSecurityGroups; kms DescribeKey."""
    reader = Reader(given, aws)
    return Facts(
        standing=next(iter(reader.clusters_named(given.target)), None),
        subnet_group=reader.subnet_group(given.subnet_group) if given.subnet_group else None,
        security_groups=reader.security_groups(given.security_groups) if given.security_groups else {},
        **_key(reader),
    )


def before_going_on(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Whether the cluster that this run has made is there, and ours. Calls: rds DescribeDBClusters."""
    facts = watch_clusters(given, aws, now)
    return facts.model_copy(update={"lost": facts.ours is None})


def before_naming(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """As `before_going_on`, and whether the name is free. Calls: rds DescribeDBClusters."""
    facts = watch_clusters(given, aws, now)
    return facts.model_copy(update={"lost": facts.ours is None or facts.standing not in (None, facts.ours)})


def before_deleting(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """What is to be deleted, as it is now. Calls: sts GetCallerIdentity; rds DescribeDBClusters,
    DescribeDBClusterSnapshots."""
    reader = Reader(given, aws)
    doomed = set(given.literal_names.expired)
    replaced = [cluster for cluster in reader.clusters() if _stepped_aside(cluster, given.target)]
    mark = marker(given.target, given.snapshot.arn or "")
    there = _expired_at_source(reader, reader.made_at_source(reader.account()), mark, now)
    over = [*expired(given.target, replaced, reader.made(), mark, now), *there]
    return Facts(expired=tuple(each for each in over if each.name in doomed))


def _key(reader: Reader) -> dict[str, Key | None]:
    key = reader.given.kms_key
    return {"key": reader.key(key, reader.region) if key is not None else None}


# -- while a phase waits -----------------------------------------------------------------------------------------------


def watch_sharing(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Calls: sts GetCallerIdentity; rds DescribeDBClusterSnapshots, DescribeDBClusterSnapshotAttributes."""
    reader = Reader(given, aws)
    names, account = given.literal_names, reader.account()
    at_source = tuple(reader.one_made(names.shared, given.source_account, reader.source_region))
    shared = at_source[0].id if at_source else (given.snapshot.arn or "").split(":", 6)[-1]
    return Facts(made_at_source=at_source, shared_with_us=reader.shared_with(account, shared))


def watch_copy_at_source(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Calls: rds DescribeDBClusterSnapshots, in the source account."""
    reader = Reader(given, aws)
    return Facts(
        made_at_source=tuple(reader.one_made(given.literal_names.shared, given.source_account, reader.source_region))
    )


def watch_copy(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Calls: rds DescribeDBClusterSnapshots."""
    return Facts(made=tuple(Reader(given, aws).one_made(given.literal_names.snapshot)))


def watch_kept(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """The snapshot of the cluster that is to be replaced. Calls: rds DescribeDBClusterSnapshots."""
    return Facts(made=tuple(Reader(given, aws).one_made(given.literal_names.before)))


def watch_clusters(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """The cluster that this run has made, the one under the target's name, the one aside. Calls: rds
    DescribeDBClusters."""
    names, mark = given.literal_names, marker(given.target, given.snapshot.arn or "")
    clusters = Reader(given, aws).clusters_named(given.target, names.cluster, names.aside)
    return Facts(
        marker=mark,
        standing=next((cluster for cluster in clusters if cluster.name == given.target), None),
        ours=_ours(clusters, mark, given.target),
        aside=next((cluster for cluster in clusters if cluster.name == names.aside), None),
    )


def watch_instances(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """As `watch_clusters`, with its instances. Calls: rds DescribeDBClusters, DescribeDBInstances."""
    facts = watch_clusters(given, aws, now)
    found: list[Instance] = Reader(given, aws).instances(facts.ours.name) if facts.ours else []
    return facts.model_copy(update={"instances": tuple(found)})


def watch_deleted(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Which of what is to be deleted is still there, and the last snapshots. Calls: sts GetCallerIdentity; rds
    DescribeDBClusters, DescribeDBClusterSnapshots."""
    reader, names = Reader(given, aws), given.literal_names
    last = [each for name in names.last for each in reader.one_made(name)]
    return Facts(
        replaced=tuple(cluster for cluster in reader.clusters() if cluster.name in names.expired),
        made=(*(each for each in reader.made() if each.id in names.expired), *last),
        made_at_source=tuple(each for each in reader.made_at_source(reader.account()) if each.id in names.expired),
    )
