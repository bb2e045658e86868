"""Amazon RDS, as far as Aurora clusters go: snapshots, restores, instances, renames and what stands around them.

It answers as the service does, or raises NotImplementedError, which callers see as a 501. Each account and region has
its own; `rds_data` runs SQL on the clusters. How procedures go is scripted; the building blocks for scenarios stand at
the end.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.ec2.models import ec2_backends
from moto.iam.models import get_account_id_from
from moto.kms.models import kms_backends

from workbench.embedded.calls import Call
from workbench.embedded.clock import VirtualClock
from workbench.embedded.postgres import Servers, Volume
from workbench.embedded.rds import clusters, endpoints, groups, instances, snapshots
from workbench.embedded.rds.keys import default_key
from workbench.embedded.rds.life import KINDS, Life, Script
from workbench.embedded.rds.state import Given, Region, World

if TYPE_CHECKING:
    from workbench.embedded.aws import EmbeddedAws

__all__ = [
    "OTHER_ACCOUNT",
    "Rds",
    "RdsWorld",
    "cluster",
    "default_key_of",
    "disable_key",
    "key",
    "put_into",
    "quota",
    "script",
    "secret",
    "security_group",
    "share",
    "snapshot",
    "sql",
    "subnet_group",
]

OTHER_ACCOUNT = "210987654321"
"""An account that is not ours, for snapshots that somebody else owns."""
MASTER = "postgres"
MASTER_PASSWORD = "master-password"  # noqa: S105  # of databases that live as long as a test

_OPERATIONS: Mapping[str, Callable[[Region, Given], dict[str, Any]]] = {
    **clusters.OPERATIONS,
    **endpoints.OPERATIONS,
    **groups.OPERATIONS,
    **instances.OPERATIONS,
    **snapshots.OPERATIONS,
}


class RdsWorld:
    """The service in all accounts and regions."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.servers = Servers()
        self.state = World(self.servers)

    def reset(self) -> None:
        """Forgets everything, and stops the servers that SQL ran on."""
        with self.lock:
            self.servers.reset()
            self.state.reset()

    def close(self) -> None:
        """Leaves no process and no file behind."""
        with self.lock:
            self.servers.close()

    def at(self, account: str, region: str) -> Rds:
        """The service of that account in that region."""
        return Rds(self, account, region)

    def answer(self, call: Call) -> dict[str, Any]:
        """Answers one API call. Raises ServiceError as RDS would, NotImplementedError for what is not faked."""
        return self.at(get_account_id_from(call.access_key), call.region).do(call.operation, call.params)


class Rds:
    """The service of one account in one region."""

    def __init__(self, world: RdsWorld, account: str, region: str) -> None:
        self._world = world
        self.account = account
        self.name = region

    @property
    def region(self) -> Region:
        """What is there now, with everything done that was due; hold no part of it across a reset."""
        return self.region_at(None)

    def do(self, operation: str, given: Given, at: datetime | None = None) -> dict[str, Any]:
        """The operation with boto3's parameters, as of a moment in the past if one is given.

        The past must be told in order: what came of an operation later cannot be undone by an earlier one.
        """
        handler = _OPERATIONS.get(operation)
        if handler is None:
            raise NotImplementedError(f"{operation} is not among the operations of the embedded RDS")
        with self._world.lock:
            return handler(self.region_at(at), given)

    def region_at(self, at: datetime | None) -> Region:
        """What was there at a moment in the past, told in order as for `do`."""
        with self._world.lock:
            region = self._world.state.region(self.account, self.name)
            moment = at or self._world.clock.now()
            region.now = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
            region.course.catch_up(region.now)
            return region


# -- building blocks for scenarios -------------------------------------------------------------------------------------


def subnet_group(
    aws: EmbeddedAws, name: str, *, subnets: Sequence[str] = (), region: str | None = None, account: str | None = None
) -> str:
    """A DB subnet group over those subnets, or over those of the default VPC; its name."""
    here = aws.rds_in(region or aws.region, account)
    chosen = list(subnets)
    if not chosen:
        chosen = [each.id for each in ec2_backends[here.account][here.name].get_default_subnets().values()]
    here.do("CreateDBSubnetGroup", {"DBSubnetGroupName": name, "DBSubnetGroupDescription": name, "SubnetIds": chosen})
    return name


def security_group(aws: EmbeddedAws, name: str, *, region: str | None = None) -> str:
    """A security group in the default VPC; its id."""
    backend: Any = ec2_backends[aws.account_id][region or aws.region]
    return str(backend.create_security_group(name, name, vpc_id=backend.get_default_vpc().id).id)


def key(
    aws: EmbeddedAws,
    alias: str | None = None,
    *,
    usable_by: Sequence[str] = (),
    region: str | None = None,
    account: str | None = None,
) -> str:
    """A customer managed KMS key that those other accounts may use as well; its ARN. Disable it through KMS."""
    owner = account or aws.account_id
    backend = kms_backends[owner][region or aws.region]
    principals = [f"arn:aws:iam::{each}:root" for each in (owner, *usable_by)]
    statement = {"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = backend.create_key(policy, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", alias or "", None)
    if alias is not None:
        backend.create_alias(made.id, f"alias/{alias.removeprefix('alias/')}")
    return str(made.arn)


def disable_key(arn: str) -> None:
    """Disables the KMS key, whoever's it is."""
    _, _, _, region, owner, rest = arn.split(":", 5)
    kms_backends[owner][region].disable_key(rest.removeprefix("key/"))


def secret(aws: EmbeddedAws, name: str, username: str, password: str, *, region: str | None = None) -> str:
    """A secret with a database user's name and password, as the Data API wants it; its ARN."""
    text = json.dumps({"username": username, "password": password})
    made = aws.client("secretsmanager", region).create_secret(Name=name, SecretString=text)
    return str(made["ARN"])


def cluster(
    aws: EmbeddedAws,
    name: str,
    *,
    content: str = "",
    database: str = "app",
    engine: str = "aurora-postgresql",
    version: str = "16.6",
    instances: int = 1,
    instance_class: str = "db.r6g.large",
    instance_fields: Mapping[str, Any] | None = None,
    key: str | None = None,
    encrypted: bool = True,
    http_endpoint: bool = True,
    minutes_ago: float = 10_000,
    region: str | None = None,
    account: str | None = None,
    **fields: Any,
) -> str:
    """A cluster that is available with its instances `<name>-1`, `<name>-2`, ..., created so long ago; its ARN.

    `content` is SQL that its master user (MASTER, MASTER_PASSWORD) runs in `database` before anybody else can. `key`
    is a KMS key; without one it is encrypted under the default key, or not at all. `fields` go into CreateDBCluster,
    `instance_fields` into each CreateDBInstance.
    Takes 20 minutes of the past, and scripts apply, so write those for what is to come afterwards.
    """
    here = aws.rds_in(region or aws.region, account)
    at = _ago(aws, minutes_ago)
    given: dict[str, Any] = {
        "DBClusterIdentifier": name,
        "Engine": engine,
        "EngineVersion": version,
        "MasterUsername": MASTER,
        "MasterUserPassword": MASTER_PASSWORD,
        "DatabaseName": database,
        "StorageEncrypted": encrypted,
        "EnableHttpEndpoint": http_endpoint,
        **fields,
    }
    if key is not None:
        given["KmsKeyId"] = key
    arn = str(here.do("CreateDBCluster", given, at)["DBCluster"]["DBClusterArn"])
    made = here.region_at(at).clusters[name]
    if content:
        if made.database is None:
            raise NotImplementedError(f"content of {engine} clusters")
        made.database = aws.rds_world.servers.database(
            Volume(given["MasterUsername"], given["MasterUserPassword"], database, content)
        )
    for number in range(1, instances + 1):
        member = {
            "DBInstanceIdentifier": f"{name}-{number}",
            "DBClusterIdentifier": name,
            "DBInstanceClass": instance_class,
            "Engine": engine,
            **(instance_fields or {}),
        }
        here.do("CreateDBInstance", member, at + timedelta(minutes=5, seconds=number))
    return arn


def snapshot(
    aws: EmbeddedAws,
    cluster_name: str,
    name: str,
    *,
    automated: bool = False,
    by_backup: bool = False,
    minutes_ago: float = 600,
    content: str | None = None,
    region: str | None = None,
    account: str | None = None,
    **fields: Any,
) -> str:
    """A snapshot of the cluster, taken so long ago and available three minutes later; its ARN.

    It holds what the cluster holds now, or what `content` makes of an empty database. `automated`: one that RDS took
    by itself, whose name starts with `rds:`; `by_backup`: one of AWS Backup, whose name starts with `awsbackup:`.
    `fields` go into CreateDBClusterSnapshot.
    """
    here = aws.rds_in(region or aws.region, account)
    at = _ago(aws, minutes_ago)
    first = name.rpartition(":")[2]
    here.do(
        "CreateDBClusterSnapshot",
        {"DBClusterSnapshotIdentifier": first, "DBClusterIdentifier": cluster_name, **fields},
        at,
    )
    region_of_it = here.region_at(at)
    made = region_of_it.snapshots[first]
    if content is not None and made.volume is not None:
        made.volume = Volume(made.volume.owner, made.volume.password, made.volume.database, content)
    if automated or by_backup:
        del region_of_it.snapshots[first]
        made.kind, made.name = ("automated", f"rds:{first}") if automated else ("awsbackup", f"awsbackup:{first}")
        made.arn = region_of_it.arn("cluster-snapshot", made.name)
        region_of_it.snapshots[made.name] = made
    return made.arn


def share(aws: EmbeddedAws, arn: str, *accounts: str) -> None:
    """Shares the manual snapshot with those accounts, ours if none is named, as its owner."""
    _, _, _, region, owner, _, name = arn.split(":", 6)
    given = {"DBClusterSnapshotIdentifier": name, "AttributeName": "restore"}
    aws.rds_in(region, owner).do(
        "ModifyDBClusterSnapshotAttribute", {**given, "ValuesToAdd": list(accounts) or [aws.account_id]}
    )


def script(
    aws: EmbeddedAws,
    kind: str,
    procedure: str,
    pattern: str = "*",
    *,
    takes: float | None = None,
    phases: Sequence[tuple[str, float]] | None = None,
    ends: str | None = None,
    reaches: float = 100.0,
    percent: bool | None = None,
) -> None:
    """How a procedure goes from now on, for resources whose name fits the pattern (as in file names), in every region.

    kind and procedure: snapshot create|copy; cluster create|restore|rename|reset|start|stop|delete; instance
    create|rename|start|stop|delete. See `Script` for the rest: `script(aws, "snapshot", "copy", "orders-*", takes=7200,
    ends="failed", reaches=40)` is a copy that fails after two hours at 40 percent.
    """
    with aws.rds_world.lock:
        aws.rds_world.state.course.script(kind, procedure, pattern, Script(takes, phases, ends, reaches, percent))


def put_into(aws: EmbeddedAws, kind: str, name: str, status: str, *, region: str | None = None) -> None:
    """Puts a snapshot, cluster or instance of ours into that state now; what it was going through is over."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    here = aws.rds_in(region or aws.region).region
    found: dict[str, Mapping[str, Any]] = {
        "snapshot": here.snapshots,
        "cluster": here.clusters,
        "instance": here.instances,
    }
    with aws.rds_world.lock:
        resource = found[kind][name]
        resource.life = Life(status, number=resource.life.number + 1)


def quota(aws: EmbeddedAws, name: str, most: int, *, region: str | None = None) -> None:
    """What the account may have at most of DBClusters, DBInstances or ManualClusterSnapshots."""
    aws.rds_in(region or aws.region).region.quotas[name] = most


def sql(
    aws: EmbeddedAws, cluster_name: str, statement: str, *, database: str | None = None, region: str | None = None
) -> list[list[str | None]]:
    """The rows of one statement that Aurora's own superuser runs on the cluster, past the Data API; values as text."""
    found = aws.rds_in(region or aws.region).region.cluster(cluster_name)
    if found.database is None:
        raise NotImplementedError(f"SQL on {found.engine} clusters")
    with contextlib.closing(found.database.admin(database or found.database_name or "postgres")) as session:
        return [list(row) for row in session.run(statement).rows or []]


def default_key_of(aws: EmbeddedAws, region: str | None = None) -> str:
    """The ARN of the key behind alias/aws/rds, which snapshots cannot be shared under."""
    return default_key(aws.account_id, region or aws.region).arn


def _ago(aws: EmbeddedAws, minutes: float) -> datetime:
    return aws.clock.now() - timedelta(minutes=minutes)
