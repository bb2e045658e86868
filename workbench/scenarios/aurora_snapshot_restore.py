"""What befalls Aurora clusters and their snapshots, as guide 004 describes it, and what a restore must end in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbooks.catalogue.aurora_snapshot_restore import calls
from runbooks.catalogue.aurora_snapshot_restore.tags import (
    ARCHIVED,
    BEFORE,
    DELETE_AFTER,
    FINAL,
    FINISHED,
    FOR,
    PART,
    REPLACED_BY,
    RESTORES,
    SHARED_COPY,
    TARGET,
)
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

FAR, OTHER_ACCOUNT = "eu-west-1", "210987654321"
ID = "orders-2026-11-20"
AUTOMATED = f"rds:{ID}"
SALES = """
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id integer PRIMARY KEY, total numeric NOT NULL);
INSERT INTO sales.orders VALUES (1, 10.50), (2, 20), (3, 7.25);
"""
HOSTILE = """
CREATE SCHEMA "o'brien""; drop schema sales; --";
CREATE TABLE "o'brien""; drop schema sales; --"."t""; select 1" (id integer);
INSERT INTO "o'brien""; drop schema sales; --"."t""; select 1" VALUES (1);
"""
SECRETS = {"orders/reader": "reader-pa55'word\"; --", "orders/app": "app-pa55word$$;"}
"""Passwords of database users. They must not turn up anywhere but in the database."""

_WHEN = re.compile(r"-\d{8}-\d{6}|(?<=-last)-[0-9a-f]{8}-\d{8}")


def _rds() -> Any:
    from workbench.embedded import rds

    return rds


# -- what is there before ----------------------------------------------------------------------------------------------


def network(aws: EmbeddedAws) -> None:
    """The DB subnet group that new clusters go into. They are small, so that RDS is quick."""
    rds = _rds()
    rds.subnet_group(aws, "db")
    rds.script(aws, "cluster", "restore", takes=330)
    rds.script(aws, "instance", "create", takes=280)
    rds.script(aws, "snapshot", "copy", takes=300)


def gone(aws: EmbeddedAws, *, content: str = "", instances: int = 0, **fields: Any) -> str:
    """The cluster orders was deleted, and one manual snapshot of it is left; the ARN of its key."""
    rds = _rds()
    network(aws)
    key: str = rds.key(aws, "orders")
    rds.cluster(aws, "orders", key=key, instances=instances, content=content, **fields)
    rds.snapshot(aws, "orders", ID)
    deleted(aws, "orders")
    return key


def deleted(aws: EmbeddedAws, name: str, region: str | None = None, account: str | None = None) -> None:
    """Somebody deletes a cluster without instances, long ago by now."""
    here = aws.rds_in(region or aws.region, account)
    with aws.rds_world.lock:
        del here.region.clusters[name]


def standard(aws: EmbeddedAws) -> None:
    gone(aws)


def stands(aws: EmbeddedAws, **fields: Any) -> str:
    """The cluster orders serves, and its data is wrong; a snapshot from before is there. The ARN of its key."""
    rds = _rds()
    network(aws)
    key: str = rds.key(aws, "orders")
    group = rds.security_group(aws, "orders")
    rds.cluster(aws, "orders", key=key, VpcSecurityGroupIds=[group], content=SALES, DBSubnetGroupName="db", **fields)
    rds.snapshot(aws, "orders", ID)
    return key


def parameters(aws: EmbeddedAws) -> None:
    """Parameter groups that somebody has made."""
    family = {"DBParameterGroupFamily": "aurora-postgresql16", "Description": "tuned"}
    aws.rds.do("CreateDBClusterParameterGroup", {"DBClusterParameterGroupName": "tuned-cluster", **family})
    aws.rds.do("CreateDBParameterGroup", {"DBParameterGroupName": "tuned-instance", **family})


def secrets(aws: EmbeddedAws, admin: str | None = None) -> None:
    """The secret of the master user, and those of the users to be."""
    rds = _rds()
    rds.secret(aws, "orders/admin", rds.MASTER, admin or rds.MASTER_PASSWORD)
    for name, password in SECRETS.items():
        rds.secret(aws, name, name.replace("/", "_"), password)


def swapped(aws: EmbeddedAws) -> None:
    stands(aws, DeletionProtection=True)
    secrets(aws)


def unlike_the_defaults(aws: EmbeddedAws) -> None:
    """As `swapped`, and hardly anything about the cluster is as RDS or a run would have it by itself."""
    parameters(aws)
    stands(
        aws,
        instances=2,
        instance_class="db.serverless",
        instance_fields={"DBParameterGroupName": "tuned-instance"},
        Port=5433,
        DBClusterParameterGroupName="tuned-cluster",
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 16.0},
        EnableIAMDatabaseAuthentication=True,
        StorageType="aurora-iopt1",
        EnableCloudwatchLogsExports=["postgresql"],
        CopyTagsToSnapshot=True,
        BackupRetentionPeriod=14,
        PreferredBackupWindow="01:00-01:30",
        PreferredMaintenanceWindow="sat:05:00-sat:05:30",
        Tags=_tags({"CostCentre": "4711", "part": "of the shop"}),
    )
    given = {"DBClusterIdentifier": "orders", "DBClusterEndpointIdentifier": "reports", "EndpointType": "READER"}
    aws.rds.do("CreateDBClusterEndpoint", given)
    role = f"arn:aws:iam::{aws.account_id}:role/orders-import"
    aws.rds.do("AddRoleToDBCluster", {"DBClusterIdentifier": "orders", "RoleArn": role, "FeatureName": "s3Import"})
    secrets(aws)


def with_users(aws: EmbeddedAws) -> None:
    gone(aws, content=SALES)
    secrets(aws)


def hostile(aws: EmbeddedAws) -> None:
    gone(aws, content=SALES + HOSTILE)
    secrets(aws)


def wrong_password(aws: EmbeddedAws) -> None:
    gone(aws, content=SALES)
    secrets(aws, admin="not-that-of-the-snapshot")


def mysql(aws: EmbeddedAws) -> None:
    gone(aws, engine="aurora-mysql", version="8.0.mysql_aurora.3.08.2")
    secrets(aws)


def elsewhere(aws: EmbeddedAws, *, automated: bool = False) -> None:
    """The snapshot lies in another region, under a key of that region."""
    rds = _rds()
    network(aws)
    rds.key(aws, "orders")
    rds.cluster(aws, "orders", key=rds.key(aws, "orders", region=FAR), instances=0, region=FAR)
    rds.snapshot(aws, "orders", ID, region=FAR, automated=automated)


def automated_elsewhere(aws: EmbeddedAws) -> None:
    elsewhere(aws, automated=True)


def of_another_account(
    aws: EmbeddedAws,
    *,
    default_key: bool = False,
    shared: bool = False,
    automated: bool = False,
    key_lets_us_in: bool = True,
) -> None:
    """The snapshot is the account sales's."""
    rds = _rds()
    network(aws)
    rds.key(aws, "orders")
    us = [aws.account_id] if key_lets_us_in else []
    key = None if default_key else rds.key(aws, "orders", account=OTHER_ACCOUNT, usable_by=us)
    rds.key(aws, "sharing", account=OTHER_ACCOUNT, usable_by=[aws.account_id])
    rds.cluster(aws, "orders", key=key, instances=0, account=OTHER_ACCOUNT)
    arn = rds.snapshot(aws, "orders", ID, account=OTHER_ACCOUNT, automated=automated)
    if shared:
        rds.share(aws, arn)


def shared_with_us(aws: EmbeddedAws) -> None:
    of_another_account(aws, shared=True)


def to_be_shared(aws: EmbeddedAws) -> None:
    of_another_account(aws)


def key_of_another_account_only(aws: EmbeddedAws) -> None:
    of_another_account(aws, key_lets_us_in=False)


def copies_of_last_month(aws: EmbeddedAws) -> None:
    """Two copies of an earlier snapshot are left in the account sales: one for this account, one for another."""
    under_the_default_key(aws)
    for name, account in (("orders-shared-october", aws.account_id), ("orders-shared-with-others", "345678901234")):
        tags = {TARGET: "orders", RESTORES: "orders from a month ago", PART: SHARED_COPY, FOR: account}
        expired = _tags(tags | {DELETE_AFTER: "2020-01-01"})
        _rds().snapshot(aws, "orders", name, account=OTHER_ACCOUNT, minutes_ago=60, Tags=expired)


def automated_of_another_account(aws: EmbeddedAws) -> None:
    of_another_account(aws, automated=True)


def under_the_default_key(aws: EmbeddedAws) -> None:
    of_another_account(aws, default_key=True)


def several(aws: EmbeddedAws) -> None:
    """Snapshots of several days, the newest of which RDS took by itself, and one that is not finished."""
    stands(aws)
    rds = _rds()
    parameters(aws)
    rds.snapshot(aws, "orders", "orders-2026-11-21", minutes_ago=300, automated=True)
    rds.snapshot(aws, "orders", "orders-2026-11-22", minutes_ago=1)


def reported(aws: EmbeddedAws) -> None:
    """The reporting cluster of yesterday, the one of last month whose retention is over, and last night's snapshot."""
    stands(aws)
    rds = _rds()
    long_ago = {TARGET: "reporting", RESTORES: "reporting from last month", PART: "cluster"}
    for name, more in (
        ("reporting", {RESTORES: "reporting from yesterday"}),
        ("reporting-replaced-october", {REPLACED_BY: "reporting from a month ago", DELETE_AFTER: "2020-01-01"}),
    ):
        rds.cluster(aws, name, key=_key(aws), DBSubnetGroupName="db", Tags=_tags(long_ago | more))
    aws.rds.do("ModifyDBCluster", {"DBClusterIdentifier": "reporting-replaced-october", **_PROTECT})
    kept = {TARGET: "reporting", RESTORES: "reporting from a month ago", PART: BEFORE, DELETE_AFTER: "2020-01-02"}
    rds.snapshot(aws, "reporting-replaced-october", "reporting-before-october", Tags=_tags(kept))
    secrets(aws)
    stale = {TARGET: "reporting", RESTORES: "reporting from long ago", PART: "copy", DELETE_AFTER: "2020-01-03"}
    rds.snapshot(aws, "reporting", "reporting-copy-september", Tags=_tags(stale | {ARCHIVED: "then"}))


_PROTECT = {"DeletionProtection": True, "ApplyImmediately": True}


def _key(aws: EmbeddedAws) -> str:
    described = aws.rds.do("DescribeDBClusters", {"DBClusterIdentifier": "orders"})["DBClusters"][0]
    return str(described["KmsKeyId"])


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def disabled(aws: EmbeddedAws) -> None:
    _rds().disable_key(gone(aws))


def no_subnet_group(aws: EmbeddedAws) -> None:
    gone(aws)
    aws.rds.region.subnet_groups.clear()


def scripted(
    arrange: Callable[[EmbeddedAws], Any], kind: str, procedure: str, **how: Any
) -> Callable[[EmbeddedAws], None]:
    """The same, and then something goes otherwise than usual."""

    def both(aws: EmbeddedAws) -> None:
        arrange(aws)
        _rds().script(aws, kind, procedure, **how)

    return both


def clash(aws: EmbeddedAws) -> None:
    stands(aws)


def restored_already(aws: EmbeddedAws, **fields: Any) -> None:
    """A run has restored the cluster, and finished."""
    from runbooks.model import digest

    key = gone(aws)
    nobody: list[Any] = [[], None, None]
    tags = {TARGET: "orders", RESTORES: source_of(), PART: "cluster", FINISHED: digest(nobody)[:16]}
    _rds().cluster(aws, "orders", key=key, Tags=_tags(tags), DeletionProtection=True, minutes_ago=300, **fields)


def restored_without_a_check(aws: EmbeddedAws) -> None:
    """As `restored_already`, but nobody has connected to it yet."""
    restored_already(aws, content=SALES, http_endpoint=False)
    secrets(aws)


def denied(aws: EmbeddedAws) -> None:
    gone(aws)
    _deny(aws, "rds:RestoreDBClusterFromSnapshot")


def deletion_denied(aws: EmbeddedAws) -> None:
    reported(aws)
    _deny(aws, "rds:DeleteDBCluster")


def _deny(aws: EmbeddedAws, operation: str) -> None:
    aws.faults.fail(
        operation,
        code="AccessDenied",
        message=f"User is not authorized to perform: {operation}",
        status=403,
        only_from="-aurora-snapshot-restore-act",
    )


# -- what happens meanwhile --------------------------------------------------------------------------------------------


def stop(aws: EmbeddedAws, execution: str) -> None:
    """Somebody presses Stop in the console."""
    aws.client("stepfunctions").stop_execution(
        executionArn=execution, error="Stopped", cause="somebody pressed Stop in the console"
    )


def somebody_makes_one(aws: EmbeddedAws, _execution: str = "") -> None:
    """Somebody else makes a cluster of that name by hand. Where RDS says that it is taken they leave it at that."""
    from workbench.embedded.calls import ServiceError

    rds = _rds()
    given = {
        "DBClusterIdentifier": "orders",
        "Engine": "aurora-postgresql",
        "MasterUsername": rds.MASTER,
        "MasterUserPassword": rds.MASTER_PASSWORD,
        "DBSubnetGroupName": "db",
    }
    rds.script(aws, "cluster", "create", takes=0)
    try:
        aws.rds.do("CreateDBCluster", given)
    except ServiceError as failure:
        if failure.code != "DBClusterAlreadyExistsFault":
            raise


def verification_is_denied(aws: EmbeddedAws, _execution: str) -> None:
    """Somebody takes the reading role's permission away while the run is under way."""
    aws.faults.fail(
        "rds:DescribeDBClusters",
        code="AccessDenied",
        message="User is not authorized to perform: rds:DescribeDBClusters",
        status=403,
        only_from="-aurora-snapshot-restore-diagnose",
    )


# -- what is there afterwards ------------------------------------------------------------------------------------------


def world(aws: EmbeddedAws) -> dict[str, Any]:
    """Clusters with their instances, and snapshots, of every account and region; dates in names are left out.

    A final snapshot, which an undo takes so that nothing is lost, is no part of it.
    """
    found: dict[str, Any] = {"clusters": {}, "snapshots": {}}
    for region in aws.rds_world.state.regions():
        where = (
            "" if (region.account, region.name) == (aws.account_id, aws.region) else f"{region.account} {region.name} "
        )
        here = aws.rds_in(region.name, region.account).region
        for cluster in here.clusters.values():
            found["clusters"][where + _name(cluster.name)] = {
                "status": cluster.life.status,
                "instances": {_name(each.name): each.life.status for each in cluster.members},
                "of": _tag(cluster.tags, RESTORES),
                "finished": _tag(cluster.tags, FINISHED) is not None,
                "protected": cluster.protected,
                "data_api": cluster.http_endpoint,
                "key": None if cluster.key is None else "default" if cluster.key.default else cluster.key.region,
            }
        for snapshot in here.snapshots.values():
            if _tag(snapshot.tags, PART) != FINAL:
                found["snapshots"][where + _name(snapshot.name)] = {
                    "status": snapshot.life.status,
                    "part": _tag(snapshot.tags, PART),
                    "archived": _tag(snapshot.tags, ARCHIVED) is not None,
                    "shared_with": sorted(snapshot.shared_with),
                }
    return found


def settings(aws: EmbeddedAws) -> dict[str, Any]:
    """What each cluster is like, by what DescribeDBClusters and DescribeDBInstances say of it."""
    found = {}
    for told in aws.rds.do("DescribeDBClusters", {})["DBClusters"]:
        of_it = {"Filters": [{"Name": "db-cluster-id", "Values": [told["DBClusterIdentifier"]]}]}
        instances = aws.rds.do("DescribeDBInstances", of_it)["DBInstances"]
        found[_name(told["DBClusterIdentifier"])] = {
            **{name: told.get(name) for name in _SETTINGS},
            "classes": [each["DBInstanceClass"] for each in instances],
            "groups": [each["DBParameterGroups"][0]["DBParameterGroupName"] for each in instances],
            "endpoints": len(told["CustomEndpoints"]),
            "roles": len(told["AssociatedRoles"]),
            "tags": {tag["Key"]: tag["Value"] for tag in told["TagList"] if not tag["Key"].startswith("runbooks:")},
        }
    return found


_SETTINGS = (
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "DBClusterParameterGroup",
    "EnabledCloudwatchLogsExports",
    "IAMDatabaseAuthenticationEnabled",
    "Port",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "ServerlessV2ScalingConfiguration",
    "StorageType",
)


def _name(name: str) -> str:
    return _WHEN.sub("-<when>", name)


def _tag(tags: list[dict[str, str]], key: str) -> str | None:
    return next((tag["Value"] for tag in tags if tag["Key"] == key), None)


def source_of(
    target: str = "orders", region: str = "eu-central-1", account: str = "123456789012", name: str = ID
) -> str:
    """What a cluster of that target says that it was made from."""
    return f"{target} from arn:aws:rds:{region}:{account}:cluster-snapshot:{name}"


def restored(**more: Any) -> dict[str, Any]:
    """A cluster that a run has made and finished."""
    return {
        "status": "available",
        "instances": {"orders-1": "available"},
        "of": source_of(),
        "finished": True,
        "protected": True,
        "data_api": False,
        "key": "eu-central-1",
    } | more


def by_hand() -> dict[str, Any]:
    """A cluster that somebody has made without a run."""
    return restored(instances={}, of=None, finished=False, protected=False, key=None)


def snapshot(part: str | None = None, **more: Any) -> dict[str, Any]:
    return {"status": "available", "part": part, "archived": False, "shared_with": []} | more


OLD = {
    "status": "available",
    "instances": {"orders-1": "available"},
    "of": None,
    "finished": False,
    "protected": False,
    "data_api": True,
    "key": "eu-central-1",
}
"""The cluster orders as it was."""

UNLIKE: dict[str, Any] = {
    "BackupRetentionPeriod": 14,
    "CopyTagsToSnapshot": True,
    "DBClusterParameterGroup": "tuned-cluster",
    "EnabledCloudwatchLogsExports": ["postgresql"],
    "IAMDatabaseAuthenticationEnabled": True,
    "Port": 5433,
    "PreferredBackupWindow": "01:00-01:30",
    "PreferredMaintenanceWindow": "sat:05:00-sat:05:30",
    "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 16.0},
    "StorageType": "aurora-iopt1",
    "classes": ["db.serverless", "db.serverless"],
    "groups": ["tuned-instance", "tuned-instance"],
    "tags": {"CostCentre": "4711", "part": "of the shop"},
}
"""What the cluster of `unlike_the_defaults` is like, and the one that takes its place."""

NIGHTLY: dict[str, Any] = {
    "clusters": {
        "orders": OLD,
        "reporting": restored(of=source_of("reporting"), instances={"reporting-<when>-1": "available"}, data_api=True),
        "reporting-replaced-<when>": {
            **OLD,
            "instances": {"reporting-1": "available"},
            "of": "reporting from yesterday",
        },
    },
    "snapshots": {
        ID: snapshot(),
        "reporting-before-<when>": snapshot("before"),
        "reporting-before-october": snapshot("before"),
    },
}

STANDARD = Scenario(
    name="same-region",
    title="The cluster is gone: it is restored from its last snapshot",
    event="same-region",
    arrange=standard,
    world=world,
    world_after={"clusters": {"orders": restored()}, "snapshots": {ID: snapshot()}},
    changes=4,
    moves=somebody_makes_one,
)


def unchanged(name: str, title: str, error: str, **more: Any) -> Scenario:
    """A run that fails and leaves everything as it was, unless `world_after` says otherwise."""
    changed = {"ends": "FAILED", "world_after": None, "changes": 0} | more
    return replace(STANDARD, name=name, title=title, error=error, **changed)


SCENARIOS: tuple[Scenario, ...] = (
    STANDARD,
    replace(
        STANDARD,
        name="other-region",
        title="The snapshot lies in another region: it is copied, encrypted again, restored and archived",
        event="other-region",
        arrange=elsewhere,
        world_after={
            "clusters": {
                f"123456789012 {FAR} orders": {**OLD, "instances": {}, "key": FAR},
                "orders": restored(of=source_of(region=FAR)),
            },
            "snapshots": {
                f"123456789012 {FAR} {ID}": snapshot(),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=6,
        passes=(calls.COPY, calls.ARCHIVE),
    ),
    replace(
        STANDARD,
        name="automated-other-region",
        title="The newest snapshot lies in another region, and RDS took it by itself: it is copied as any other",
        event="automated-other-region",
        arrange=automated_elsewhere,
        world_after={
            "clusters": {
                f"123456789012 {FAR} orders": {**OLD, "instances": {}, "key": FAR},
                "orders": restored(of=source_of(region=FAR, name=AUTOMATED)),
            },
            "snapshots": {
                f"123456789012 {FAR} {AUTOMATED}": snapshot(),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=6,
    ),
    replace(
        STANDARD,
        name="shared-with-us",
        title="Another account has shared its snapshot with this one",
        event="shared-with-us",
        arrange=shared_with_us,
        world_after={
            "clusters": {
                f"{OTHER_ACCOUNT} eu-central-1 orders": {**OLD, "instances": {}},
                "orders": restored(of=source_of(account=OTHER_ACCOUNT)),
            },
            "snapshots": {
                f"{OTHER_ACCOUNT} eu-central-1 {ID}": snapshot(shared_with=["123456789012"]),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=6,
    ),
    replace(
        STANDARD,
        name="cross-account",
        title="The snapshot is another account's: it is shared with this one and copied",
        event="cross-account",
        arrange=to_be_shared,
        world_after={
            "clusters": {
                f"{OTHER_ACCOUNT} eu-central-1 orders": {**OLD, "instances": {}},
                "orders": restored(of=source_of(account=OTHER_ACCOUNT)),
            },
            "snapshots": {
                f"{OTHER_ACCOUNT} eu-central-1 {ID}": snapshot(shared_with=["123456789012"]),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=7,
    ),
    replace(
        STANDARD,
        name="cross-account-default-key",
        title="It is under that account's default key: it is copied there first, since it cannot be shared",
        event="cross-account-default-key",
        arrange=under_the_default_key,
        world_after={
            "clusters": {
                f"{OTHER_ACCOUNT} eu-central-1 orders": {**OLD, "instances": {}, "key": "default"},
                "orders": restored(of=source_of(account=OTHER_ACCOUNT)),
            },
            "snapshots": {
                f"{OTHER_ACCOUNT} eu-central-1 {ID}": snapshot(),
                f"{OTHER_ACCOUNT} eu-central-1 orders-shared-<when>": snapshot(
                    "shared-copy", shared_with=["123456789012"]
                ),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=8,
        passes=(calls.COPY_AT_SOURCE, calls.SHARE),
    ),
    replace(
        STANDARD,
        name="cross-account-retention",
        title="A copy of last month is left in that account: it is deleted there, and nobody else's",
        event="cross-account-default-key",
        arrange=copies_of_last_month,
        world_after={
            "clusters": {
                f"{OTHER_ACCOUNT} eu-central-1 orders": {**OLD, "instances": {}, "key": "default"},
                "orders": restored(of=source_of(account=OTHER_ACCOUNT)),
            },
            "snapshots": {
                f"{OTHER_ACCOUNT} eu-central-1 {ID}": snapshot(),
                f"{OTHER_ACCOUNT} eu-central-1 orders-shared-with-others": snapshot("shared-copy"),
                f"{OTHER_ACCOUNT} eu-central-1 orders-shared-<when>": snapshot(
                    "shared-copy", shared_with=["123456789012"]
                ),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=9,
    ),
    replace(
        STANDARD,
        name="automated-cross-account",
        title="RDS took it by itself in another account: it is copied there first, since only manual ones are shared",
        event="automated-cross-account",
        arrange=automated_of_another_account,
        world_after={
            "clusters": {
                f"{OTHER_ACCOUNT} eu-central-1 orders": {**OLD, "instances": {}},
                "orders": restored(of=source_of(account=OTHER_ACCOUNT, name=AUTOMATED)),
            },
            "snapshots": {
                f"{OTHER_ACCOUNT} eu-central-1 {AUTOMATED}": snapshot(),
                f"{OTHER_ACCOUNT} eu-central-1 orders-shared-<when>": snapshot(
                    "shared-copy", shared_with=["123456789012"]
                ),
                "orders-copy-<when>": snapshot("copy", archived=True),
            },
        },
        changes=8,
    ),
    replace(
        STANDARD,
        name="latest",
        title="A test cluster gets the newest snapshot that is available",
        event="latest",
        arrange=several,
        world_after={
            "clusters": {
                "orders": OLD,
                "orders-test": restored(
                    of=source_of("orders-test", name="rds:orders-2026-11-21"),
                    instances={"orders-test-1": "available", "orders-test-2": "available"},
                    protected=False,
                ),
            },
            "snapshots": {
                ID: snapshot(),
                "rds:orders-2026-11-21": snapshot(),
                "orders-2026-11-22": snapshot(),
            },
        },
        changes=4,
    ),
    replace(
        STANDARD,
        name="with-users",
        title="Its database users are set up, and the data is checked",
        event="with-users",
        arrange=with_users,
        world_after={"clusters": {"orders": restored(data_api=True)}, "snapshots": {ID: snapshot()}},
        changes=8,
        passes=(calls.DATA_API, calls.USERS, calls.CHECK),
    ),
    replace(
        STANDARD,
        name="hostile-names",
        title="Names and passwords are full of SQL: each is a name or a password, and nothing else",
        event="hostile-names",
        arrange=hostile,
        world_after={"clusters": {"orders": restored(data_api=True)}, "snapshots": {ID: snapshot()}},
        changes=8,
    ),
    replace(
        STANDARD,
        name="swap",
        title="Its data is wrong: a new cluster takes its place when it is proved, and the old one stays",
        event="swap",
        arrange=swapped,
        world_after={
            "clusters": {
                "orders": restored(instances={"orders-<when>-1": "available"}, data_api=True),
                "orders-replaced-<when>": {**OLD, "protected": True},
            },
            "snapshots": {ID: snapshot(), "orders-before-<when>": snapshot("before")},
        },
        changes=13,
        passes=(calls.KEEP, calls.STEP_ASIDE, calls.NAME),
    ),
    replace(
        STANDARD,
        name="swap-unlike-the-defaults",
        title="A cluster with settings of its own is replaced: the new one has them too",
        event="swap",
        arrange=unlike_the_defaults,
        world=settings,
        world_after={
            "orders": UNLIKE | {"endpoints": 0, "roles": 0},
            "orders-replaced-<when>": UNLIKE | {"endpoints": 1, "roles": 1},
        },
        changes=14,
    ),
    replace(
        STANDARD,
        name="nightly",
        title="The nightly refresh: yesterday's cluster steps aside, and what is past its retention goes",
        event="nightly",
        arrange=reported,
        world_after={**NIGHTLY, "snapshots": {**NIGHTLY["snapshots"], "reporting-last-<when>": snapshot()}},
        changes=15,
        passes=(calls.DELETE,),
    ),
    replace(
        STANDARD,
        name="healthy-already",
        title="It has been restored from this snapshot already",
        arrange=restored_already,
        world_after=None,
        changes=0,
    ),
    replace(
        STANDARD,
        name="check-later",
        title="It has been restored already, and is checked now",
        event="check-later",
        arrange=restored_without_a_check,
        world_after={"clusters": {"orders": restored(data_api=True)}, "snapshots": {ID: snapshot()}},
        changes=3,
    ),
    replace(
        STANDARD, name="plan-only", title="Only a plan is asked for", event="plan-only", world_after=None, changes=0
    ),
    unchanged("name-clash", "There is a cluster of that name, and it is not to be replaced", "Refused", arrange=clash),
    unchanged("no-snapshot", "There is no such snapshot", "Refused", arrange=network),
    unchanged("key-disabled", "The snapshot's key is disabled", "Refused", arrange=disabled),
    unchanged(
        "default-key",
        "Another account's snapshot is under that account's default key, and nothing says which other to use",
        "Refused",
        event="cross-account",
        arrange=under_the_default_key,
    ),
    unchanged(
        "key-not-shared",
        "Another account's snapshot is under a key that does not let this account in",
        "Refused",
        event="cross-account",
        arrange=key_of_another_account_only,
    ),
    unchanged("no-subnet-group", "There is nowhere for the cluster to lie", "Refused", arrange=no_subnet_group),
    unchanged("mysql-users", "Users are asked for in a MySQL cluster", "Refused", event="mysql-users", arrange=mysql),
    unchanged("aws-denies", "AWS denies the restore", "AccessDenied", arrange=denied),
    unchanged(
        "world-moved",
        "Somebody makes a cluster of that name between plan and approval",
        "PlanStale",
        world_after={"clusters": {"orders": by_hand()}, "snapshots": {ID: snapshot()}},
        on_state={"Wait for approval": somebody_makes_one},
    ),
    unchanged(
        "copy-fails",
        "The copy fails half-way: it is removed, and the source is as it was",
        "RemediationFailed",
        event="other-region",
        arrange=scripted(elsewhere, "snapshot", "copy", takes=900, ends="failed", reaches=40),
        changes=1,
    ),
    unchanged(
        "restore-fails",
        "The restore ends in incompatible-restore: the cluster is removed again",
        "RemediationFailed",
        arrange=scripted(standard, "cluster", "restore", takes=400, ends="incompatible-restore"),
        changes=1,
    ),
    unchanged(
        "key-lost-while-restoring",
        "The key cannot be used any more when the cluster is restored",
        "RemediationFailed",
        arrange=scripted(
            standard, "cluster", "restore", takes=400, ends="inaccessible-encryption-credentials-recoverable"
        ),
        changes=1,
    ),
    unchanged(
        "restore-takes-too-long",
        "The restore exceeds its deadline",
        "RemediationFailed",
        arrange=scripted(standard, "cluster", "restore", takes=3 * 3600),
        changes=1,
    ),
    unchanged(
        "instance-fails",
        "The instance cannot be created: it goes, and so does the cluster",
        "RemediationFailed",
        arrange=scripted(standard, "instance", "create", takes=300, ends="incompatible-parameters"),
        changes=2,
    ),
    unchanged(
        "users-fail",
        "Nobody can log in to set up the users: everything is undone, and what clients may have written is kept",
        "RemediationFailed",
        event="with-users",
        arrange=wrong_password,
        changes=3,
    ),
    unchanged(
        "grant-fails",
        "A user is to be granted what is not there: everything is undone",
        "RemediationFailed",
        event="wrong-grant",
        arrange=with_users,
        changes=4,
    ),
    unchanged(
        "rows-are-missing",
        "The database has not what is asked for: everything is undone",
        "RemediationFailed",
        event="too-few-rows",
        arrange=with_users,
        changes=3,
    ),
    unchanged(
        "swap-cannot-be-verified",
        "The swap cannot be verified: the old cluster gets its name back",
        "RemediationFailed",
        event="swap",
        arrange=swapped,
        changes=13,
        on_state={"Verify": verification_is_denied},
    ),
    unchanged(
        "nightly-cannot-be-verified",
        "The nightly refresh cannot be verified: it is undone, and what is past its retention is still there",
        "RemediationFailed",
        event="nightly",
        arrange=reported,
        changes=11,
        on_state={"Verify": verification_is_denied},
    ),
    unchanged(
        "deletion-denied",
        "AWS denies deleting what is past its retention: the new cluster is verified and stands",
        "AccessDenied",
        event="nightly",
        arrange=deletion_denied,
        world_after={
            "clusters": {
                **NIGHTLY["clusters"],
                "reporting-replaced-october": {
                    **OLD,
                    "instances": {"reporting-replaced-october-1": "deleting"},
                    "of": "reporting from last month",
                },
            },
            "snapshots": {**NIGHTLY["snapshots"], "reporting-copy-september": snapshot("copy", archived=True)},
        },
        changes=13,
    ),
    unchanged(
        "aborted-while-restoring",
        "The execution is stopped during the restore: the cluster is left, and the next run adopts it",
        "RunAborted",
        ends="ABORTED",
        world_after={
            "clusters": {
                "orders": restored(status="creating", instances={}, finished=False, protected=False),
            },
            "snapshots": {ID: snapshot()},
        },
        changes=1,
        on_state={"Wait: is the cluster available?": stop},
    ),
)
