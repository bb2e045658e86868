"""What the fake of Amazon RDS knows: clusters, instances, snapshots and groups of each account and region."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.ec2.models import ec2_backends

from workbench.embedded.calls import ServiceError
from workbench.embedded.clock import EPOCH
from workbench.embedded.postgres import Database, Servers, Volume
from workbench.embedded.rds.engines import Version
from workbench.embedded.rds.keys import Key
from workbench.embedded.rds.life import Course, Life

Given = Mapping[str, Any]
Tags = list[dict[str, str]]

QUOTAS = {
    "DBInstances": 40,
    "ReservedDBInstances": 40,
    "AllocatedStorage": 100_000,
    "DBSecurityGroups": 25,
    "AuthorizationsPerDBSecurityGroup": 20,
    "DBParameterGroups": 50,
    "ManualSnapshots": 100,
    "EventSubscriptions": 20,
    "DBSubnetGroups": 50,
    "OptionGroups": 20,
    "SubnetsPerDBSubnetGroup": 20,
    "ReadReplicasPerMaster": 15,
    "DBClusters": 40,
    "DBClusterParameterGroups": 50,
    "DBClusterRoles": 5,
    "DBInstanceRoles": 5,
    "ManualClusterSnapshots": 100,
    "CustomEndpointsPerDBCluster": 5,
}
"""What an account may have in a region, unless more is asked for."""
_NOT_FOUND = re.compile(r"NotFound(Fault)?$")
_FORBIDDEN = ("DBClusterEndpointQuotaExceededFault", "DBClusterQuotaExceededFault")


def fault(code: str, message: str) -> ServiceError:
    """An error of the service with the HTTP status that its model gives the code."""
    status = 404 if _NOT_FOUND.search(code) else 403 if code in _FORBIDDEN else 400
    return ServiceError(code, message, status)


@dataclass
class SubnetGroup:
    """A DB subnet group. `subnets` are (id, availability zone)."""

    name: str
    arn: str
    description: str
    vpc: str
    subnets: list[tuple[str, str]]
    tags: Tags = field(default_factory=list)


@dataclass
class ParameterGroup:
    """A parameter group of clusters or of instances."""

    name: str
    arn: str
    family: str
    description: str
    tags: Tags = field(default_factory=list)


@dataclass
class Instance:
    """A DB instance in a cluster. `settings` are told as they stand there."""

    name: str
    cluster: Cluster
    instance_class: str
    created: datetime
    resource_id: str
    zone: str
    settings: dict[str, Any]
    life: Life = field(default_factory=lambda: Life("creating"))
    pending: dict[str, Any] = field(default_factory=dict)
    tags: Tags = field(default_factory=list)


@dataclass
class Endpoint:
    """A custom endpoint of a cluster. `kind` is READER or ANY; the members are names of instances."""

    name: str
    arn: str
    resource_id: str
    kind: str
    static: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    tags: Tags = field(default_factory=list)


@dataclass
class Cluster:
    """A DB cluster. `settings` are told as they stand there; `database` is None where SQL is not faked."""

    name: str
    version: Version
    port: int
    created: datetime
    resource_id: str
    master: str
    subnets: SubnetGroup
    security_groups: list[str]
    parameters: str
    key: Key | None
    settings: dict[str, Any]
    database: Database | None = None
    database_name: str | None = None
    protected: bool = False
    http_endpoint: bool = False
    life: Life = field(default_factory=lambda: Life("creating"))
    pending: dict[str, Any] = field(default_factory=dict)
    tags: Tags = field(default_factory=list)
    members: list[Instance] = field(default_factory=list)
    """The writer first."""
    endpoints: list[Endpoint] = field(default_factory=list)
    roles: list[dict[str, str]] = field(default_factory=list)
    """As in AssociatedRoles."""

    @property
    def engine(self) -> str:
        return self.version.engine

    @property
    def writer(self) -> Instance | None:
        return self.members[0] if self.members else None


@dataclass
class Snapshot:
    """A DB cluster snapshot. `of` are the fields that it took over from its cluster."""

    name: str
    arn: str
    account: str
    cluster: str
    version: Version
    created: datetime
    kind: str
    key: Key | None
    of: dict[str, Any]
    volume: Volume | None = None
    source: str | None = None
    life: Life = field(default_factory=lambda: Life("creating"))
    shared_with: list[str] = field(default_factory=list)
    tags: Tags = field(default_factory=list)

    def open_to(self, account: str) -> bool:
        """Whether an account other than its own may restore and copy it."""
        return account in self.shared_with or "all" in self.shared_with


@dataclass
class Event:
    """An entry of DescribeEvents."""

    at: datetime
    kind: str
    source: str
    arn: str
    message: str
    categories: list[str]


class Region:
    """What one account has in one region."""

    def __init__(self, world: World, account: str, name: str) -> None:
        self.world = world
        self.account = account
        self.name = name
        self.clusters: dict[str, Cluster] = {}
        self.instances: dict[str, Instance] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.subnet_groups: dict[str, SubnetGroup] = {}
        self.cluster_parameters: dict[str, ParameterGroup] = {}
        self.instance_parameters: dict[str, ParameterGroup] = {}
        self.events: list[Event] = []
        self.quotas = dict(QUOTAS)
        self.now = EPOCH
        """The moment of the operation that is being answered."""

    @property
    def course(self) -> Course:
        return self.world.course

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:rds:{self.name}:{self.account}:{kind}:{name}"

    def identity(self, kind: str) -> str:
        """A resource id in the service's form, the same for the same course of events."""
        self.world.made += 1
        digest = hashlib.sha256(f"{self.account}/{self.name}/{kind}/{self.world.made}".encode())
        return f"{kind}-{base64.b32encode(digest.digest()).decode()[:26]}"

    def say(self, at: datetime, kind: str, name: str, message: str, *categories: str) -> None:
        """Writes an event down. `kind` is a source type, such as db-cluster."""
        noun = {"db-cluster": "cluster", "db-instance": "db", "db-cluster-snapshot": "cluster-snapshot"}[kind]
        self.events.append(Event(at, kind, name, self.arn(noun, name), message, list(categories)))

    # -- looking things up ---------------------------------------------------------------------------------------------

    def cluster(self, wanted: str) -> Cluster:
        """By name or ARN. Raises DBClusterNotFoundFault."""
        found = self.clusters.get(self._name(wanted, "cluster"))
        if found is None:
            raise fault("DBClusterNotFoundFault", f"DBCluster {wanted} not found.")
        return found

    def instance(self, wanted: str) -> Instance:
        """By name or ARN. Raises DBInstanceNotFound."""
        found = self.instances.get(self._name(wanted, "db"))
        if found is None:
            raise fault("DBInstanceNotFound", f"DBInstance {wanted} not found.")
        return found

    def snapshot(self, wanted: str) -> Snapshot:
        """One of this account and region, by name or ARN. Raises DBClusterSnapshotNotFoundFault."""
        found = self.snapshots.get(self._name(wanted, "cluster-snapshot"))
        if found is None:
            raise no_snapshot(wanted)
        return found

    def endpoint(self, name: str) -> Endpoint:
        """A custom endpoint. Raises DBClusterEndpointNotFoundFault."""
        for cluster in self.clusters.values():
            for endpoint in cluster.endpoints:
                if endpoint.name == name.lower():
                    return endpoint
        # Unlike the others of its kind this has the status 400.
        raise ServiceError("DBClusterEndpointNotFoundFault", f"DBClusterEndpoint {name} not found.", 400)

    def subnet_group(self, name: str | None) -> SubnetGroup:
        """The group of that name, or the default one over the default VPC. Raises DBSubnetGroupNotFoundFault."""
        wanted = (name or "default").lower()
        found = self.subnet_groups.get(wanted)
        if found is not None:
            return found
        backend = ec2_backends[self.account][self.name]
        vpc = next((each.id for each in backend.vpcs.values() if each.is_default), None)
        subnets = [(each.id, each.availability_zone) for each in backend.get_default_subnets().values()]
        if wanted != "default" or vpc is None or not subnets:
            raise fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{wanted}' does not exist.")
        return SubnetGroup("default", self.arn("subgrp", "default"), "default", vpc, subnets)

    def tagged(self, arn: str) -> Tags:
        """The tags of the resource with that ARN. Raises the error that its kind has for one that is not there."""
        parts = arn.split(":", 6)
        if len(parts) != 7 or parts[:3] != ["arn", "aws", "rds"]:
            raise fault("InvalidParameterValue", f"Invalid resource name: {arn}")
        if parts[3] != self.name or parts[4] != self.account:
            raise fault(
                "InvalidParameterValue", "The specified resource name does not match an RDS resource in this region."
            )
        kind, name = parts[5], parts[6]
        if kind == "cluster":
            return self.cluster(name).tags
        if kind == "db":
            return self.instance(name).tags
        if kind == "cluster-snapshot":
            return self.snapshot(name).tags
        if kind == "cluster-endpoint":
            return self.endpoint(name).tags
        groups: Mapping[str, Mapping[str, SubnetGroup | ParameterGroup]] = {
            "subgrp": self.subnet_groups,
            "cluster-pg": self.cluster_parameters,
            "pg": self.instance_parameters,
        }
        if kind not in groups:
            raise NotImplementedError(f"tags of an RDS {kind}")
        found = groups[kind].get(name)
        if found is None:
            code = "DBSubnetGroupNotFoundFault" if kind == "subgrp" else "DBParameterGroupNotFound"
            raise fault(code, f"{arn} not found")
        return found.tags

    def _name(self, wanted: str, kind: str) -> str:
        """The name that is meant; an ARN of another account or region means none that is here."""
        if not wanted.startswith("arn:"):
            return wanted.lower()
        prefix = self.arn(kind, "")
        return wanted.removeprefix(prefix).lower() if wanted.startswith(prefix) else wanted


class World:
    """All accounts and regions."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.reset()

    def reset(self) -> None:
        """Forgets everything; the servers are the caller's to stop."""
        self.course = Course()
        self.made = 0
        self._regions: dict[tuple[str, str], Region] = {}

    def region(self, account: str, name: str) -> Region:
        key = (account, name)
        if key not in self._regions:
            self._regions[key] = Region(self, account, name)
        return self._regions[key]

    def regions(self) -> list[Region]:
        return list(self._regions.values())

    def open_snapshot(self, wanted: str, caller: Region) -> tuple[Region, Snapshot]:
        """The snapshot that the caller means and may use, and where it is: its own, or by ARN a shared one.

        Raises DBClusterSnapshotNotFoundFault.
        """
        if not wanted.startswith("arn:"):
            return caller, caller.snapshot(wanted)
        parts = wanted.split(":", 6)
        if len(parts) != 7 or parts[5] != "cluster-snapshot":
            raise fault("InvalidParameterValue", f"Invalid snapshot identifier: {wanted}")
        owner = self.region(parts[4], parts[3])
        found = owner.snapshots.get(parts[6].lower())
        if found is None or (found.account != caller.account and not found.open_to(caller.account)):
            raise no_snapshot(wanted)
        return owner, found


def no_snapshot(wanted: str) -> ServiceError:
    return fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {wanted} not found.")


def identifier(given: Given, name: str) -> str:
    """The name for something new, in lower case. Raises InvalidParameterValue."""
    wanted = str(given[name])
    if not re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9]|-(?!-)){0,62}", wanted) or wanted.endswith("-"):
        raise fault(
            "InvalidParameterValue",
            f"The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            "ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.",
        )
    return wanted.lower()


def only(given: Given, operation: str, *known: str) -> None:
    """Raises NotImplementedError for parameters that are given and not faked."""
    unknown = {name for name, value in given.items() if value not in (None, [], {})} - set(known)
    if unknown:
        raise NotImplementedError(f"{operation} with {', '.join(sorted(unknown))}")


def tag(tags: Tags, new: Sequence[Mapping[str, str]]) -> None:
    """Adds tags, or gives those that are there already new values."""
    for each in new:
        if each["Key"].startswith("aws:"):
            raise fault("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for system use.")
        tags[:] = [known for known in tags if known["Key"] != each["Key"]]
        tags.append({"Key": each["Key"], "Value": each.get("Value", "")})


def tags_of(given: Given) -> Tags:
    """The tags in a request."""
    tags: Tags = []
    tag(tags, given.get("Tags") or [])
    return tags


def page(name: str, items: Sequence[Any], given: Given, told: Callable[[Any], Any]) -> dict[str, Any]:
    """One page of an answer. Raises InvalidParameterValue for a page size or a marker that is none."""
    size = given.get("MaxRecords")
    size = 100 if size is None else int(size)
    if not 20 <= size <= 100:
        raise fault("InvalidParameterValue", f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    try:
        start = int(base64.b64decode(given["Marker"], validate=True)) if given.get("Marker") else 0
    except ValueError as error:
        raise fault("InvalidParameterValue", "The request's marker is invalid.") from error
    end = start + size
    answer: dict[str, Any] = {name: [told(each) for each in items[start:end]]}
    if end < len(items):
        answer["Marker"] = base64.b64encode(str(end).encode()).decode()
    return answer


def filtered(items: Sequence[Any], given: Given, by: Mapping[str, Callable[[Any], Sequence[str]]]) -> list[Any]:
    """The items that every filter of the request fits. Raises InvalidParameterValue for one that there is not."""
    kept = list(items)
    for each in given.get("Filters") or []:
        if each["Name"] not in by:
            raise fault("InvalidParameterValue", f"Unrecognized filter name: {each['Name']}")
        values = {value.lower() for value in each["Values"]}
        kept = [item for item in kept if values & {value.lower() for value in by[each["Name"]](item)}]
    return kept
