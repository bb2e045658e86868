"""What stands around clusters in Amazon RDS: subnet and parameter groups, tags, events, quotas and what is on offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ec2.models import ec2_backends

from workbench.embedded.rds import engines, snapshots
from workbench.embedded.rds.state import (
    Event,
    Given,
    ParameterGroup,
    Region,
    SubnetGroup,
    fault,
    only,
    page,
    tag,
    tags_of,
)

EVENTS_KEPT = timedelta(days=14)


# -- subnet groups -----------------------------------------------------------------------------------------------------


def create_subnet_group(here: Region, given: Given) -> dict[str, Any]:
    """CreateDBSubnetGroup over subnets of EC2 in at least two availability zones."""
    name = str(given["DBSubnetGroupName"]).lower()
    if name == "default":
        raise fault("InvalidParameterValue", "The parameter DBSubnetGroupName must not be default.")
    if name in here.subnet_groups:
        raise fault("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    known = {each.id: each for each in ec2_backends[here.account][here.name].describe_subnets()}
    wanted = list(given["SubnetIds"])
    strange = [each for each in wanted if each not in known]
    if strange:
        raise fault("InvalidParameterValue", f"Some input subnets in :[{', '.join(strange)}] are invalid.")
    subnets = [known[each] for each in wanted]
    vpcs = {each.vpc_id for each in subnets}
    if len(vpcs) != 1:
        raise fault("InvalidSubnet", "The subnets must all be in the same VPC.")
    zones = sorted({each.availability_zone for each in subnets})
    if len(zones) < 2:
        raise fault(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
            f"{', '.join(zones)}. Add subnets to cover at least 2 AZs.",
        )
    group = SubnetGroup(
        name,
        here.arn("subgrp", name),
        given["DBSubnetGroupDescription"],
        vpcs.pop(),
        [(each.id, each.availability_zone) for each in subnets],
        tags_of(given),
    )
    here.subnet_groups[name] = group
    return {"DBSubnetGroup": _subnet_group(group)}


def describe_subnet_groups(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBSubnetGroups."""
    only(given, "DescribeDBSubnetGroups", "DBSubnetGroupName", "MaxRecords", "Marker")
    if given.get("DBSubnetGroupName"):
        found = [here.subnet_group(given["DBSubnetGroupName"])]
    else:
        found = sorted(here.subnet_groups.values(), key=lambda each: each.name)
    return page("DBSubnetGroups", found, given, _subnet_group)


def _subnet_group(group: SubnetGroup) -> dict[str, Any]:
    return {
        "DBSubnetGroupName": group.name,
        "DBSubnetGroupDescription": group.description,
        "VpcId": group.vpc,
        "SubnetGroupStatus": "Complete",
        "Subnets": [
            {
                "SubnetIdentifier": subnet,
                "SubnetAvailabilityZone": {"Name": zone},
                "SubnetOutpost": {},
                "SubnetStatus": "Active",
            }
            for subnet, zone in group.subnets
        ],
        "DBSubnetGroupArn": group.arn,
        "SupportedNetworkTypes": ["IPV4"],
    }


# -- parameter groups --------------------------------------------------------------------------------------------------


def create_cluster_parameters(here: Region, given: Given) -> dict[str, Any]:
    """CreateDBClusterParameterGroup."""
    name = str(given["DBClusterParameterGroupName"]).lower()
    made = _new_parameters(here.cluster_parameters, name, here.arn("cluster-pg", name), given)
    return {"DBClusterParameterGroup": _cluster_parameters(made)}


def create_instance_parameters(here: Region, given: Given) -> dict[str, Any]:
    """CreateDBParameterGroup."""
    name = str(given["DBParameterGroupName"]).lower()
    made = _new_parameters(here.instance_parameters, name, here.arn("pg", name), given)
    return {"DBParameterGroup": _instance_parameters(made)}


def describe_cluster_parameters(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBClusterParameterGroups."""
    only(given, "DescribeDBClusterParameterGroups", "DBClusterParameterGroupName", "MaxRecords", "Marker")
    wanted = given.get("DBClusterParameterGroupName")
    found = _parameters(here, here.cluster_parameters, "cluster-pg", wanted, "DBClusterParameterGroup")
    return page("DBClusterParameterGroups", found, given, _cluster_parameters)


def describe_instance_parameters(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBParameterGroups."""
    only(given, "DescribeDBParameterGroups", "DBParameterGroupName", "MaxRecords", "Marker")
    wanted = given.get("DBParameterGroupName")
    found = _parameters(here, here.instance_parameters, "pg", wanted, "DBParameterGroup")
    return page("DBParameterGroups", found, given, _instance_parameters)


def _families() -> list[str]:
    return sorted({each.family for engine in engines.VERSIONS for each in engines.versions(engine)})


def _new_parameters(groups: dict[str, ParameterGroup], name: str, arn: str, given: Given) -> ParameterGroup:
    if name in groups or name.startswith("default."):
        raise fault("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists")
    family = given["DBParameterGroupFamily"]
    if family not in _families():
        raise fault("InvalidParameterValue", f"ParameterGroupFamily {family} is not a valid parameter group family")
    groups[name] = ParameterGroup(name, arn, family, given["Description"], tags_of(given))
    return groups[name]


def _parameters(
    here: Region, groups: Mapping[str, ParameterGroup], kind: str, wanted: str | None, noun: str
) -> list[ParameterGroup]:
    default = {
        f"default.{family}": ParameterGroup(
            f"default.{family}",
            here.arn(kind, f"default.{family}"),
            family,
            f"Default {'cluster ' if kind == 'cluster-pg' else ''}parameter group for {family}",
        )
        for family in _families()
    }
    known = {**default, **groups}
    if wanted is None:
        return [known[name] for name in sorted(known)]
    if wanted.lower() not in known:
        raise fault("DBParameterGroupNotFound", f"{noun} not found: {wanted}")
    return [known[wanted.lower()]]


def _cluster_parameters(group: ParameterGroup) -> dict[str, Any]:
    return {
        "DBClusterParameterGroupName": group.name,
        "DBParameterGroupFamily": group.family,
        "Description": group.description,
        "DBClusterParameterGroupArn": group.arn,
    }


def _instance_parameters(group: ParameterGroup) -> dict[str, Any]:
    return {
        "DBParameterGroupName": group.name,
        "DBParameterGroupFamily": group.family,
        "Description": group.description,
        "DBParameterGroupArn": group.arn,
    }


# -- tags --------------------------------------------------------------------------------------------------------------


def add_tags(here: Region, given: Given) -> dict[str, Any]:
    """AddTagsToResource."""
    tag(here.tagged(given["ResourceName"]), given["Tags"])
    return {}


def remove_tags(here: Region, given: Given) -> dict[str, Any]:
    """RemoveTagsFromResource."""
    tags = here.tagged(given["ResourceName"])
    tags[:] = [each for each in tags if each["Key"] not in given["TagKeys"]]
    return {}


def list_tags(here: Region, given: Given) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"TagList": here.tagged(given["ResourceName"])}


# -- events, quotas, what is on offer ----------------------------------------------------------------------------------


def describe_events(here: Region, given: Given) -> dict[str, Any]:
    """DescribeEvents: of the last hour, unless another time is asked for."""
    only(
        given,
        "DescribeEvents",
        "SourceIdentifier",
        "SourceType",
        "StartTime",
        "EndTime",
        "Duration",
        "EventCategories",
        "MaxRecords",
        "Marker",
    )
    if given.get("SourceIdentifier") and not given.get("SourceType"):
        raise fault("InvalidParameterCombination", "SourceType must be specified when SourceIdentifier is specified.")
    until = _moment(given["EndTime"]) if given.get("EndTime") else here.now
    since = until - timedelta(minutes=int(given.get("Duration") or 60))
    if given.get("StartTime"):
        since = _moment(given["StartTime"])
    since = max(since, here.now - EVENTS_KEPT)
    wanted = set(given.get("EventCategories") or [])
    found = [
        each
        for each in sorted(here.events, key=lambda event: event.at)
        if since <= each.at <= until
        and given.get("SourceType") in (None, each.kind)
        and (given.get("SourceIdentifier") or each.source).lower() == each.source
        and (not wanted or wanted & set(each.categories))
    ]
    return page("Events", found, given, _event)


def _event(event: Event) -> dict[str, Any]:
    return {
        "SourceIdentifier": event.source,
        "SourceType": event.kind,
        "Message": event.message,
        "EventCategories": event.categories,
        "Date": event.at,
        "SourceArn": event.arn,
    }


def account_attributes(here: Region, given: Given) -> dict[str, Any]:
    """DescribeAccountAttributes: the quotas, and how much of each is used."""
    used = {
        "DBInstances": len(here.instances),
        "DBClusters": len(here.clusters),
        "ManualClusterSnapshots": snapshots.manual_count(here),
        "DBSubnetGroups": len(here.subnet_groups),
        "DBParameterGroups": len(here.instance_parameters),
        "DBClusterParameterGroups": len(here.cluster_parameters),
        "AllocatedStorage": len(here.clusters),
        "SubnetsPerDBSubnetGroup": max((len(each.subnets) for each in here.subnet_groups.values()), default=0),
    }
    return {
        "AccountQuotas": [
            {"AccountQuotaName": name, "Used": used.get(name, 0), "Max": most} for name, most in here.quotas.items()
        ]
    }


def describe_engine_versions(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBEngineVersions, of the Aurora engines."""
    only(
        given,
        "DescribeDBEngineVersions",
        "Engine",
        "EngineVersion",
        "DBParameterGroupFamily",
        "DefaultOnly",
        "IncludeAll",
        "MaxRecords",
        "Marker",
    )
    asked = [given["Engine"]] if given.get("Engine") else list(engines.VERSIONS)
    wanted = given.get("EngineVersion")
    found = [
        each
        for engine in asked
        for each in engines.versions(engine)
        if wanted in (None, each.number, each.major)
        and given.get("DBParameterGroupFamily") in (None, each.family)
        and (not given.get("DefaultOnly") or each.number == engines.DEFAULTS[engine])
    ]
    return page("DBEngineVersions", found, given, lambda each: each.described())


def describe_orderable(here: Region, given: Given) -> dict[str, Any]:
    """DescribeOrderableDBInstanceOptions, of the Aurora engines."""
    only(
        given,
        "DescribeOrderableDBInstanceOptions",
        "Engine",
        "EngineVersion",
        "DBInstanceClass",
        "LicenseModel",
        "Vpc",
        "MaxRecords",
        "Marker",
    )
    found = [
        (version, each)
        for version in engines.versions(given["Engine"])
        for each in engines.CLASSES
        if given.get("EngineVersion") in (None, version.number)
        and given.get("DBInstanceClass") in (None, each)
        and given.get("LicenseModel") in (None, version.license)
        and given.get("Vpc") in (None, True)
    ]
    return page("OrderableDBInstanceOptions", found, given, lambda pair: pair[0].orderable(pair[1], here.name))


def _moment(value: Any) -> datetime:
    """A timestamp of a request."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


OPERATIONS: Mapping[str, Callable[[Region, Given], dict[str, Any]]] = {
    "AddTagsToResource": add_tags,
    "CreateDBClusterParameterGroup": create_cluster_parameters,
    "CreateDBParameterGroup": create_instance_parameters,
    "CreateDBSubnetGroup": create_subnet_group,
    "DescribeAccountAttributes": account_attributes,
    "DescribeDBClusterParameterGroups": describe_cluster_parameters,
    "DescribeDBEngineVersions": describe_engine_versions,
    "DescribeDBParameterGroups": describe_instance_parameters,
    "DescribeDBSubnetGroups": describe_subnet_groups,
    "DescribeEvents": describe_events,
    "DescribeOrderableDBInstanceOptions": describe_orderable,
    "ListTagsForResource": list_tags,
    "RemoveTagsFromResource": remove_tags,
}
