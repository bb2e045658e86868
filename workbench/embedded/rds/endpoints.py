"""Endpoints of Aurora clusters: the two that each has, and custom ones, which stay with it whatever it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from workbench.embedded.rds.state import (
    Cluster,
    Endpoint,
    Given,
    Region,
    fault,
    filtered,
    identifier,
    only,
    page,
    tags_of,
)

Told = dict[str, Any]

FILTERS: Mapping[str, Callable[[Told], list[str]]] = {
    "db-cluster-endpoint-type": lambda told: [told["EndpointType"]],
    "db-cluster-endpoint-custom-type": lambda told: [told.get("CustomEndpointType", "")],
    "db-cluster-endpoint-id": lambda told: [told.get("DBClusterEndpointIdentifier", "")],
    "db-cluster-endpoint-status": lambda told: [told["Status"]],
}


def create(here: Region, given: Given) -> Told:
    """CreateDBClusterEndpoint: it can be used at once."""
    only(
        given,
        "CreateDBClusterEndpoint",
        "DBClusterIdentifier",
        "DBClusterEndpointIdentifier",
        "EndpointType",
        "StaticMembers",
        "ExcludedMembers",
        "Tags",
    )
    cluster = here.cluster(given["DBClusterIdentifier"])
    name = identifier(given, "DBClusterEndpointIdentifier")
    kind, static, excluded = (
        given["EndpointType"],
        list(given.get("StaticMembers") or []),
        list(given.get("ExcludedMembers") or []),
    )
    if kind not in ("READER", "ANY"):
        raise fault("InvalidParameterValue", f"Invalid endpoint type: {kind}")
    if static and excluded:
        raise fault("InvalidParameterCombination", "You can't specify both StaticMembers and ExcludedMembers.")
    for each in (*static, *excluded):
        here.instance(each)
    if any(name == each.name for known in here.clusters.values() for each in known.endpoints):
        raise fault("DBClusterEndpointAlreadyExistsFault", f"DB Cluster Endpoint {name} already exists")
    if cluster.life.status != "available":
        raise fault("InvalidDBClusterStateFault", f"The DB cluster {cluster.name} isn't in the available state.")
    if len(cluster.endpoints) >= here.quotas["CustomEndpointsPerDBCluster"]:
        raise fault(
            "DBClusterEndpointQuotaExceededFault",
            "The cluster already has the maximum number of custom endpoints.",
        )
    endpoint = Endpoint(
        name,
        here.arn("cluster-endpoint", name),
        here.identity("cluster-endpoint"),
        kind,
        static,
        excluded,
        tags_of(given),
    )
    cluster.endpoints.append(endpoint)
    return _custom(here, cluster, endpoint)


def describe(here: Region, given: Given) -> Told:
    """DescribeDBClusterEndpoints: of one cluster, or of every one."""
    only(
        given,
        "DescribeDBClusterEndpoints",
        "DBClusterIdentifier",
        "DBClusterEndpointIdentifier",
        "Filters",
        "MaxRecords",
        "Marker",
    )
    if given.get("DBClusterIdentifier"):
        clusters = [here.cluster(given["DBClusterIdentifier"])]
    else:
        clusters = sorted(here.clusters.values(), key=lambda each: each.name)
    told = [each for cluster in clusters for each in _all(here, cluster)]
    if given.get("DBClusterEndpointIdentifier"):
        wanted = given["DBClusterEndpointIdentifier"].lower()
        told = [each for each in told if each.get("DBClusterEndpointIdentifier") == wanted]
    return page("DBClusterEndpoints", filtered(told, given, FILTERS), given, lambda each: each)


def addresses(here: Region, cluster: Cluster) -> list[str]:
    """Of its custom endpoints, as DescribeDBClusters tells them."""
    return [_custom(here, cluster, each)["Endpoint"] for each in cluster.endpoints]


def digest(here: Region) -> str:
    """The part of every address that stands for the account and the region."""
    return hashlib.sha256(f"{here.account}/{here.name}".encode()).hexdigest()[:12]


def _all(here: Region, cluster: Cluster) -> list[Told]:
    return [
        {
            "DBClusterIdentifier": cluster.name,
            "Endpoint": f"{cluster.name}.cluster{infix}-{digest(here)}.{here.name}.rds.amazonaws.com",
            "Status": "available",
            "EndpointType": kind,
        }
        for kind, infix in (("WRITER", ""), ("READER", "-ro"))
    ] + [_custom(here, cluster, each) for each in cluster.endpoints]


def _custom(here: Region, cluster: Cluster, endpoint: Endpoint) -> Told:
    return {
        "DBClusterEndpointIdentifier": endpoint.name,
        "DBClusterIdentifier": cluster.name,
        "DBClusterEndpointResourceIdentifier": endpoint.resource_id,
        "Endpoint": f"{endpoint.name}.cluster-custom-{digest(here)}.{here.name}.rds.amazonaws.com",
        "Status": "available",
        "EndpointType": "CUSTOM",
        "CustomEndpointType": endpoint.kind,
        "StaticMembers": endpoint.static,
        "ExcludedMembers": endpoint.excluded,
        "DBClusterEndpointArn": endpoint.arn,
    }


OPERATIONS: Mapping[str, Callable[[Region, Given], Told]] = {
    "CreateDBClusterEndpoint": create,
    "DescribeDBClusterEndpoints": describe,
}
