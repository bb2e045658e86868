"""Instances of Aurora clusters: created, described, renamed, deleted. The first one of a cluster is its writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from workbench.embedded.rds import engines
from workbench.embedded.rds.state import Given, Instance, Region, fault, filtered, identifier, only, page, tags_of

MANAGED = {
    "MasterUsername": "master user name",
    "MasterUserPassword": "master user password",
    "DBName": "database name",
    "KmsKeyId": "KMS key",
    "StorageEncrypted": "storage encryption",
    "VpcSecurityGroupIds": "VPC security groups",
    "BackupRetentionPeriod": "backup retention period",
    "DeletionProtection": "deletion protection",
}
"""What an instance of a cluster has from its cluster, and must not be given."""
FILTERS: Mapping[str, Callable[[Instance], list[str]]] = {
    "db-cluster-id": lambda instance: [instance.cluster.name],
    "db-instance-id": lambda instance: [instance.name],
    "dbi-resource-id": lambda instance: [instance.resource_id],
    "engine": lambda instance: [instance.cluster.engine],
}


def create(here: Region, given: Given) -> dict[str, Any]:
    """CreateDBInstance, for one in a cluster that is available."""
    only(
        given,
        "CreateDBInstance",
        *MANAGED,
        "DBInstanceIdentifier",
        "DBClusterIdentifier",
        "DBInstanceClass",
        "Engine",
        "EngineVersion",
        "AvailabilityZone",
        "DBParameterGroupName",
        "DBSubnetGroupName",
        "AutoMinorVersionUpgrade",
        "CopyTagsToSnapshot",
        "MonitoringInterval",
        "MonitoringRoleArn",
        "EnablePerformanceInsights",
        "PreferredMaintenanceWindow",
        "PromotionTier",
        "PubliclyAccessible",
        "Tags",
    )
    if not given.get("DBClusterIdentifier"):
        raise NotImplementedError("DB instances outside a cluster")
    name = identifier(given, "DBInstanceIdentifier")
    if name in here.instances or name in {each.pending.get("DBInstanceIdentifier") for each in here.instances.values()}:
        raise fault("DBInstanceAlreadyExists", "DB instance already exists")
    if len(here.instances) >= here.quotas["DBInstances"]:
        raise fault("InstanceQuotaExceeded", "Cannot create more than the allowed number of DB instances.")
    cluster = here.cluster(given["DBClusterIdentifier"])
    if given["Engine"] != cluster.engine:
        raise fault(
            "InvalidParameterCombination",
            f"The engine name requested for your DB Instance ({given['Engine']}) doesn't match the engine name of your "
            f"DB Cluster ({cluster.engine}).",
        )
    if given.get("EngineVersion") not in (None, cluster.version.number):
        raise fault(
            "InvalidParameterCombination",
            f"The engine version that you requested for your DB instance ({given['EngineVersion']}) does not match the "
            f"engine version of your DB cluster ({cluster.version.number}).",
        )
    for parameter, noun in MANAGED.items():
        if given.get(parameter) not in (None, [], False):
            raise fault(
                "InvalidParameterCombination",
                f"The requested DB Instance will be a member of a DB Cluster and its {noun} is managed by the DB "
                "Cluster. Set it for the DB Cluster.",
            )
    if given["DBInstanceClass"] not in engines.CLASSES:
        raise fault(
            "InvalidParameterCombination",
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={given['DBInstanceClass']}, Engine={cluster.engine}, "
            f"EngineVersion={cluster.version.number}, LicenseModel={cluster.version.license}. For supported "
            "combinations of instance class and database engine version, see the documentation.",
        )
    if given["DBInstanceClass"] == "db.serverless" and "ServerlessV2ScalingConfiguration" not in cluster.settings:
        raise fault(
            "InvalidDBClusterStateFault",
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB "
            "instance.",
        )
    if given.get("DBSubnetGroupName") and given["DBSubnetGroupName"].lower() != cluster.subnets.name:
        raise fault(
            "InvalidParameterCombination",
            f"The DB subnet group {given['DBSubnetGroupName']} doesn't match the one of the DB cluster.",
        )
    if cluster.life.status != "available":
        raise fault(
            "InvalidDBClusterStateFault",
            f"DB cluster {cluster.name} is in the {cluster.life.status} state; it must be in the available state.",
        )
    zones = cluster.settings["AvailabilityZones"]
    zone = given.get("AvailabilityZone") or zones[len(cluster.members) % len(zones)]
    instance = Instance(
        name=name,
        cluster=cluster,
        instance_class=given["DBInstanceClass"],
        created=here.now,
        resource_id=here.identity("db"),
        zone=zone,
        settings={
            "AutoMinorVersionUpgrade": given.get("AutoMinorVersionUpgrade", True),
            "MonitoringInterval": given.get("MonitoringInterval") or 0,
            "PerformanceInsightsEnabled": bool(given.get("EnablePerformanceInsights")),
            "PreferredMaintenanceWindow": given.get("PreferredMaintenanceWindow")
            or cluster.settings["PreferredMaintenanceWindow"],
            "PromotionTier": 1 if given.get("PromotionTier") is None else given["PromotionTier"],
            "PubliclyAccessible": bool(given.get("PubliclyAccessible")),
            "DBParameterGroups": [
                {"DBParameterGroupName": _parameters(here, instance_of=given, family=cluster.version.family)}
            ],
        },
        tags=tags_of(given),
    )
    for group in instance.settings["DBParameterGroups"]:
        group["ParameterApplyStatus"] = "in-sync"
    here.instances[name] = instance
    cluster.members.append(instance)
    leaves = () if instance.settings["MonitoringInterval"] else ("configuring-enhanced-monitoring",)

    def finish(at: datetime) -> None:
        if instance.life.status == "available":
            here.say(at, "db-instance", name, "DB instance created", "creation")
        else:
            here.say(at, "db-instance", name, f"The DB instance is in the {instance.life.status} state", "failure")

    here.course.start(instance.life, "instance", "create", name, here.now, finish, leaves=leaves)
    return {"DBInstance": described(here, instance)}


def describe(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBInstances."""
    only(given, "DescribeDBInstances", "DBInstanceIdentifier", "Filters", "MaxRecords", "Marker")
    if given.get("DBInstanceIdentifier"):
        found = [here.instance(given["DBInstanceIdentifier"])]
    else:
        found = sorted(here.instances.values(), key=lambda each: each.name)
    return page("DBInstances", filtered(found, given, FILTERS), given, lambda each: described(here, each))


def modify(here: Region, given: Given) -> dict[str, Any]:
    """ModifyDBInstance: another name, or another promotion tier."""
    only(
        given,
        "ModifyDBInstance",
        "DBInstanceIdentifier",
        "NewDBInstanceIdentifier",
        "ApplyImmediately",
        "PromotionTier",
    )
    instance = here.instance(given["DBInstanceIdentifier"])
    if instance.life.status != "available":
        raise fault("InvalidDBInstanceState", "Database instance is not in available state.")
    if given.get("PromotionTier") is not None:
        instance.settings["PromotionTier"] = given["PromotionTier"]
    if given.get("NewDBInstanceIdentifier"):
        new = identifier(given, "NewDBInstanceIdentifier")
        if new in here.instances:
            raise fault("DBInstanceAlreadyExists", "DB instance already exists")
        if not given.get("ApplyImmediately"):
            raise NotImplementedError("a rename in the next maintenance window")
        instance.pending["DBInstanceIdentifier"] = new
        course = here.course
        course.start(instance.life, "instance", "rename", instance.name, here.now, _renamed(here, instance, new))
        answer = described(here, instance)
        return {"DBInstance": {**answer, "DBInstanceStatus": "available"}}
    return {"DBInstance": described(here, instance)}


def delete(here: Region, given: Given) -> dict[str, Any]:
    """DeleteDBInstance. The data is the cluster's, so there is no final snapshot of an instance."""
    only(
        given,
        "DeleteDBInstance",
        "DBInstanceIdentifier",
        "SkipFinalSnapshot",
        "FinalDBSnapshotIdentifier",
        "DeleteAutomatedBackups",
    )
    instance = here.instance(given["DBInstanceIdentifier"])
    if given.get("FinalDBSnapshotIdentifier"):
        raise fault(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance.",
        )
    if instance.life.status == "deleting":
        raise fault("InvalidDBInstanceState", f"Instance {instance.name} is already being deleted.")

    def finish(at: datetime) -> None:
        if instance.life.status == "deleted":
            here.instances.pop(instance.name, None)
            if instance in instance.cluster.members:
                instance.cluster.members.remove(instance)
            here.say(at, "db-instance", instance.name, "DB instance deleted", "deletion")

    here.course.start(instance.life, "instance", "delete", instance.name, here.now, finish)
    return {"DBInstance": described(here, instance)}


def described(here: Region, instance: Instance) -> dict[str, Any]:
    """As in DescribeDBInstances. It has an endpoint once it has been created."""
    cluster = instance.cluster
    group = cluster.subnets
    told = {
        **instance.settings,
        "DBInstanceIdentifier": instance.name,
        "DBInstanceArn": here.arn("db", instance.name),
        "DbiResourceId": instance.resource_id,
        "DBInstanceClass": instance.instance_class,
        "DBInstanceStatus": instance.life.status,
        "DBClusterIdentifier": cluster.name,
        "Engine": cluster.engine,
        "EngineVersion": cluster.version.number,
        "LicenseModel": cluster.version.license,
        "MasterUsername": cluster.master,
        "AllocatedStorage": 1,
        "StorageType": cluster.settings.get("StorageType", "aurora"),
        "StorageEncrypted": cluster.key is not None,
        "InstanceCreateTime": instance.created,
        "AvailabilityZone": instance.zone,
        "MultiAZ": False,
        "BackupRetentionPeriod": cluster.settings["BackupRetentionPeriod"],
        "PreferredBackupWindow": cluster.settings["PreferredBackupWindow"],
        "CopyTagsToSnapshot": False,
        "DeletionProtection": False,
        "IAMDatabaseAuthenticationEnabled": cluster.settings["IAMDatabaseAuthenticationEnabled"],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": each, "Status": "active"} for each in cluster.security_groups],
        "DBSecurityGroups": [],
        "ReadReplicaDBInstanceIdentifiers": [],
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "DBSubnetGroup": {
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
        },
        "PendingModifiedValues": dict(instance.pending),
        "TagList": instance.tags,
    }
    if cluster.key is not None:
        told["KmsKeyId"] = cluster.key.arn
    if cluster.database_name is not None:
        told["DBName"] = cluster.database_name
    if instance.life.status not in ("creating", "failed"):
        host = f"{instance.name}.{instance.resource_id[-12:].lower()}.{here.name}.rds.amazonaws.com"
        told["Endpoint"] = {"Address": host, "Port": cluster.port, "HostedZoneId": "Z1RLNUO7B9Q6NB"}
    return told


def _parameters(here: Region, *, instance_of: Given, family: str) -> str:
    default = f"default.{family}"
    wanted = str(instance_of.get("DBParameterGroupName") or default).lower()
    if wanted == default:
        return wanted
    found = here.instance_parameters.get(wanted)
    if found is None:
        raise fault("DBParameterGroupNotFound", f"DBParameterGroup not found: {wanted}")
    if found.family != family:
        raise fault(
            "InvalidParameterCombination",
            f"The Parameter Group {wanted} with DBParameterGroupFamily {found.family} cannot be used for this "
            f"instance. Please use a Parameter Group with DBParameterGroupFamily {family}",
        )
    return wanted


def _renamed(here: Region, instance: Instance, new: str) -> Callable[[datetime], None]:
    def finish(_: datetime) -> None:
        instance.pending.pop("DBInstanceIdentifier", None)
        if instance.life.status == "available":
            del here.instances[instance.name]
            instance.name = new
            here.instances[new] = instance

    return finish


OPERATIONS: Mapping[str, Callable[[Region, Given], dict[str, Any]]] = {
    "CreateDBInstance": create,
    "DeleteDBInstance": delete,
    "DescribeDBInstances": describe,
    "ModifyDBInstance": modify,
}
