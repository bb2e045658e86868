"""Aurora clusters: created, restored, described, modified, renamed, stopped, started and deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from moto.ec2.models import ec2_backends

from workbench.embedded.postgres import Volume
from workbench.embedded.rds import endpoints, engines, snapshots
from workbench.embedded.rds.engines import PORTS, Version
from workbench.embedded.rds.keys import Key, default_key, find_key
from workbench.embedded.rds.life import Life
from workbench.embedded.rds.state import (
    Cluster,
    Given,
    Region,
    Snapshot,
    SubnetGroup,
    fault,
    filtered,
    identifier,
    only,
    page,
    tags_of,
)

BROKEN = ("incompatible-restore", "incompatible-parameters", "failed", "inaccessible-encryption-credentials")
"""States that a cluster does not come out of by itself, and that it can be deleted in."""
LOCKED = "inaccessible-encryption-credentials-recoverable"
COMMON = (
    "DBClusterIdentifier",
    "Engine",
    "EngineVersion",
    "Port",
    "DBSubnetGroupName",
    "VpcSecurityGroupIds",
    "Tags",
    "KmsKeyId",
    "EnableIAMDatabaseAuthentication",
    "EngineMode",
    "DBClusterParameterGroupName",
    "DeletionProtection",
    "CopyTagsToSnapshot",
    "StorageType",
    "ServerlessV2ScalingConfiguration",
    "AvailabilityZones",
    "DatabaseName",
    "EnableCloudwatchLogsExports",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "NetworkType",
    "BacktrackWindow",
)
MODIFIABLE = (
    "DBClusterIdentifier",
    "NewDBClusterIdentifier",
    "ApplyImmediately",
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "DBClusterParameterGroupName",
    "DeletionProtection",
    "EnableIAMDatabaseAuthentication",
    "MasterUserPassword",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "ServerlessV2ScalingConfiguration",
    "VpcSecurityGroupIds",
)
FILTERS: Mapping[str, Callable[[Cluster], list[str]]] = {
    "db-cluster-id": lambda cluster: [cluster.name],
    "db-cluster-resource-id": lambda cluster: [cluster.resource_id],
    "engine": lambda cluster: [cluster.engine],
}


def create(here: Region, given: Given) -> dict[str, Any]:
    """CreateDBCluster."""
    own = ("MasterUsername", "MasterUserPassword", "PreferredMaintenanceWindow", "StorageEncrypted")
    only(given, "CreateDBCluster", *COMMON, *own, "EnableHttpEndpoint")
    name = _free(here, given)
    version = _version(given["Engine"], given.get("EngineVersion"))
    for needed in ("MasterUsername", "MasterUserPassword"):
        if not given.get(needed):
            raise fault("InvalidParameterValue", f"The parameter {needed} must be provided and must not be blank.")
    if len(given["MasterUserPassword"]) < 8:
        raise fault(
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters.",
        )
    key = None
    if given.get("KmsKeyId"):
        key = _key(here, given["KmsKeyId"])
    elif given.get("StorageEncrypted"):
        key = default_key(here.account, here.name)
    volume = None
    if version.engine == engines.POSTGRESQL:
        volume = Volume(given["MasterUsername"], given["MasterUserPassword"], given.get("DatabaseName"))
    cluster = _made(here, name, version, given, key, given["MasterUsername"], volume)
    cluster.http_endpoint = bool(given.get("EnableHttpEndpoint"))
    _begin(here, cluster, "create", "DB cluster created")
    return {"DBCluster": described(here, cluster)}


def restore(here: Region, given: Given) -> dict[str, Any]:
    """RestoreDBClusterFromSnapshot. The cluster gets no instance, and its HTTP endpoint is off."""
    only(given, "RestoreDBClusterFromSnapshot", *COMMON, "SnapshotIdentifier")
    _, snapshot = here.world.open_snapshot(given["SnapshotIdentifier"], here)
    if snapshot.arn.split(":")[3] != here.name:
        raise fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {given['SnapshotIdentifier']} not found.")
    name = _free(here, given)
    version = _restorable(snapshot, given)
    if snapshot.life.status != "available":
        raise fault(
            "InvalidDBClusterSnapshotStateFault",
            f"The snapshot {snapshot.name} is in the {snapshot.life.status} state; it must be in the available state.",
        )
    key = snapshot.key
    if key is not None and not key.usable_by(here.account):
        raise _inaccessible(key.arn)
    if given.get("KmsKeyId"):
        key = _key(here, given["KmsKeyId"])
    settings = {"Port": snapshot.of["Port"], "BackupRetentionPeriod": snapshot.of["BackupRetentionPeriod"], **given}
    cluster = _made(here, name, version, settings, key, snapshot.of["MasterUsername"], snapshot.volume)
    _begin(here, cluster, "restore", "DB cluster created")
    return {"DBCluster": described(here, cluster)}


def describe(here: Region, given: Given) -> dict[str, Any]:
    """DescribeDBClusters."""
    only(given, "DescribeDBClusters", "DBClusterIdentifier", "Filters", "MaxRecords", "Marker", "IncludeShared")
    if given.get("DBClusterIdentifier"):
        found = [here.cluster(given["DBClusterIdentifier"])]
    else:
        found = sorted(here.clusters.values(), key=lambda each: each.name)
    return page("DBClusters", filtered(found, given, FILTERS), given, lambda each: described(here, each))


def modify(here: Region, given: Given) -> dict[str, Any]:
    """ModifyDBCluster. A rename goes through `renaming`; until it is over the cluster is known by its old name."""
    only(given, "ModifyDBCluster", *MODIFIABLE)
    cluster = here.cluster(given["DBClusterIdentifier"])
    if cluster.life.status != "available":
        raise fault(
            "InvalidDBClusterStateFault",
            f"The DB cluster {cluster.name} isn't in the available state: it is {cluster.life.status}.",
        )
    new_name = None
    if given.get("NewDBClusterIdentifier"):
        new_name = identifier(given, "NewDBClusterIdentifier")
        if _taken(here, new_name) and new_name != cluster.name:
            raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        if not given.get("ApplyImmediately"):
            raise NotImplementedError("a rename in the next maintenance window")
    if given.get("VpcSecurityGroupIds"):
        cluster.security_groups = _security_groups(here, cluster.subnets, given)
    if given.get("DBClusterParameterGroupName"):
        cluster.parameters = _parameters(here, cluster.version, given)
    if given.get("DeletionProtection") is not None:
        cluster.protected = bool(given["DeletionProtection"])
    kept = ("BackupRetentionPeriod", "CopyTagsToSnapshot", "PreferredBackupWindow", "PreferredMaintenanceWindow")
    for name in (*kept, "ServerlessV2ScalingConfiguration"):
        if given.get(name) is not None:
            cluster.settings[name] = given[name]
    if given.get("EnableIAMDatabaseAuthentication") is not None:
        cluster.settings["IAMDatabaseAuthenticationEnabled"] = bool(given["EnableIAMDatabaseAuthentication"])
    answer = described(here, cluster)
    if given.get("MasterUserPassword"):
        answer["PendingModifiedValues"] = {"MasterUserPassword": "****"}
        if cluster.database is not None:
            cluster.database.set_password(given["MasterUserPassword"])
        here.course.start(cluster.life, "cluster", "reset", cluster.name, here.now, lambda _: None)
    if new_name is not None and new_name != cluster.name:
        cluster.pending["DBClusterIdentifier"] = new_name
        answer["PendingModifiedValues"] = {**answer.get("PendingModifiedValues", {}), **cluster.pending}
        here.course.start(cluster.life, "cluster", "rename", cluster.name, here.now, _renamed(here, cluster, new_name))
    return {"DBCluster": answer}


def delete(here: Region, given: Given) -> dict[str, Any]:
    """DeleteDBCluster."""
    only(
        given,
        "DeleteDBCluster",
        "DBClusterIdentifier",
        "SkipFinalSnapshot",
        "FinalDBSnapshotIdentifier",
        "DeleteAutomatedBackups",
    )
    cluster = here.cluster(given["DBClusterIdentifier"])
    final, skip = given.get("FinalDBSnapshotIdentifier"), bool(given.get("SkipFinalSnapshot"))
    if not skip and not final:
        raise fault(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    if skip and final:
        raise fault(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier can't be specified when SkipFinalSnapshot is true.",
        )
    if cluster.protected:
        raise fault(
            "InvalidParameterCombination",
            "Cannot delete protected Cluster, please disable deletion protection and try again.",
        )
    if cluster.life.status == "deleting":
        raise fault("InvalidDBClusterStateFault", f"DB cluster {cluster.name} is already being deleted.")
    if any(each.life.status != "deleting" for each in cluster.members):
        raise fault(
            "InvalidDBClusterStateFault",
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        )
    if final:
        if cluster.life.status != "available":
            raise fault(
                "InvalidDBClusterStateFault",
                f"Can't create a snapshot because the database cluster {cluster.name} isn't currently in the available "
                "state.",
            )
        name = identifier(given, "FinalDBSnapshotIdentifier")
        if name in here.snapshots:
            raise fault(
                "DBClusterSnapshotAlreadyExistsFault",
                f"Cannot create the snapshot because a snapshot with the identifier {name} already exists.",
            )
        snapshots.check_quota(here)
        snapshots.take(here, cluster, name, {}, over=_goes_after(here, cluster))
        cluster.life = Life("deleting", number=cluster.life.number + 1)
        return {"DBCluster": described(here, cluster)}
    if cluster.life.status not in ("available", "stopped", "creating", LOCKED, *BROKEN):
        raise fault(
            "InvalidDBClusterStateFault",
            f"DB cluster {cluster.name} cannot be deleted while it is in the {cluster.life.status} state.",
        )
    here.course.start(cluster.life, "cluster", "delete", cluster.name, here.now, _deleted(here, cluster))
    return {"DBCluster": described(here, cluster)}


def _goes_after(here: Region, cluster: Cluster) -> Callable[[Snapshot, datetime], None]:
    """The cluster goes when its final snapshot is there, and stays if that fails."""

    def over(snapshot: Snapshot, at: datetime) -> None:
        if snapshot.life.status == "available":
            here.course.start(cluster.life, "cluster", "delete", cluster.name, at, _deleted(here, cluster))
        else:
            cluster.life = Life("available", number=cluster.life.number + 1)

    return over


def enable_http_endpoint(here: Region, given: Given) -> dict[str, Any]:
    """EnableHttpEndpoint: the RDS Data API may be used with the cluster from now on."""
    return _switch_http_endpoint(here, given["ResourceArn"], on=True)


def disable_http_endpoint(here: Region, given: Given) -> dict[str, Any]:
    """DisableHttpEndpoint."""
    return _switch_http_endpoint(here, given["ResourceArn"], on=False)


def add_role(here: Region, given: Given) -> dict[str, Any]:
    """AddRoleToDBCluster."""
    cluster = here.cluster(given["DBClusterIdentifier"])
    role = {name: given[name] for name in ("RoleArn", "FeatureName") if given.get(name)}
    if any(each["RoleArn"] == role["RoleArn"] for each in cluster.roles):
        text = f"Role ARN {role['RoleArn']} is already associated with DB Cluster: {cluster.name}."
        raise fault("DBClusterRoleAlreadyExists", text)
    if cluster.life.status != "available":
        raise fault("InvalidDBClusterStateFault", f"The DB cluster {cluster.name} isn't in the available state.")
    if len(cluster.roles) >= here.quotas["DBClusterRoles"]:
        raise fault("DBClusterRoleQuotaExceeded", "You have exceeded the maximum number of roles of a DB cluster.")
    cluster.roles.append({**role, "Status": "ACTIVE"})
    return {}


def stop(here: Region, given: Given) -> dict[str, Any]:
    """StopDBCluster: its instances stop with it."""
    return _switch(here, given, "stop", needed=("available",))


def start(here: Region, given: Given) -> dict[str, Any]:
    """StartDBCluster. One whose key could not be used comes back as well, if the key can be used again."""
    cluster = here.cluster(given["DBClusterIdentifier"])
    if cluster.key is not None and not cluster.key.usable_by(here.account):
        raise _inaccessible(cluster.key.arn)
    return _switch(here, given, "start", needed=("stopped", LOCKED))


def described(here: Region, cluster: Cluster) -> dict[str, Any]:
    """As in DescribeDBClusters."""
    digest = endpoints.digest(here)
    told = {
        **cluster.settings,
        "DBClusterIdentifier": cluster.name,
        "DBClusterArn": here.arn("cluster", cluster.name),
        "DbClusterResourceId": cluster.resource_id,
        "Status": cluster.life.status,
        "Engine": cluster.engine,
        "EngineVersion": cluster.version.number,
        "EngineMode": "provisioned",
        "Port": cluster.port,
        "MasterUsername": cluster.master,
        "DBSubnetGroup": cluster.subnets.name,
        "DBClusterParameterGroup": cluster.parameters,
        "VpcSecurityGroups": [{"VpcSecurityGroupId": each, "Status": "active"} for each in cluster.security_groups],
        "Endpoint": f"{cluster.name}.cluster-{digest}.{here.name}.rds.amazonaws.com",
        "ReaderEndpoint": f"{cluster.name}.cluster-ro-{digest}.{here.name}.rds.amazonaws.com",
        "MultiAZ": len({each.zone for each in cluster.members}) > 1,
        "ClusterCreateTime": cluster.created,
        "EarliestRestorableTime": cluster.created,
        "LatestRestorableTime": max(cluster.created, here.now - timedelta(minutes=5)),
        "ReadReplicaIdentifiers": [],
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": each.name,
                "IsClusterWriter": each is cluster.writer,
                "DBClusterParameterGroupStatus": "in-sync",
                "PromotionTier": each.settings["PromotionTier"],
            }
            for each in cluster.members
        ],
        "HostedZoneId": "Z1RLNUO7B9Q6NB",
        "StorageEncrypted": cluster.key is not None,
        "AssociatedRoles": [dict(each) for each in cluster.roles],
        "CustomEndpoints": endpoints.addresses(here, cluster),
        "DeletionProtection": cluster.protected,
        "HttpEndpointEnabled": cluster.http_endpoint,
        "CrossAccountClone": False,
        "DomainMemberships": [],
        "TagList": cluster.tags,
    }
    if cluster.key is not None:
        told["KmsKeyId"] = cluster.key.arn
    if cluster.database_name is not None:
        told["DatabaseName"] = cluster.database_name
    if cluster.pending:
        told["PendingModifiedValues"] = dict(cluster.pending)
    if cluster.life.script.percent and cluster.life.busy:
        told["PercentProgress"] = str(cluster.life.percent(here.now))
    return told


def _made(
    here: Region, name: str, version: Version, given: Given, key: Key | None, master: str, volume: Volume | None
) -> Cluster:
    if given.get("EngineMode") not in (None, "provisioned"):
        raise NotImplementedError(f"clusters with the engine mode {given['EngineMode']}")
    if given.get("BacktrackWindow") and version.engine != engines.MYSQL:
        raise NotImplementedError(f"what RDS says to a backtrack window of {version.engine}")
    port = int(given.get("Port") or PORTS[version.engine])
    if not 1150 <= port <= 65535:
        raise fault("InvalidParameterValue", f"Invalid port: {port}. The port must be between 1150 and 65535.")
    subnets = here.subnet_group(given.get("DBSubnetGroupName"))
    zones = given.get("AvailabilityZones") or sorted({zone for _, zone in subnets.subnets})
    settings = {
        "AllocatedStorage": 1,
        "AvailabilityZones": zones[:3],
        "BackupRetentionPeriod": given.get("BackupRetentionPeriod") or 1,
        "PreferredBackupWindow": given.get("PreferredBackupWindow") or "03:00-03:30",
        "PreferredMaintenanceWindow": given.get("PreferredMaintenanceWindow") or "sun:04:00-sun:04:30",
        "IAMDatabaseAuthenticationEnabled": bool(given.get("EnableIAMDatabaseAuthentication")),
        "CopyTagsToSnapshot": bool(given.get("CopyTagsToSnapshot")),
        "NetworkType": given.get("NetworkType") or "IPV4",
        "AutoMinorVersionUpgrade": True,
    }
    for optional, told in (
        ("StorageType", "StorageType"),
        ("BacktrackWindow", "BacktrackWindow"),
        ("ServerlessV2ScalingConfiguration", "ServerlessV2ScalingConfiguration"),
        ("EnableCloudwatchLogsExports", "EnabledCloudwatchLogsExports"),
    ):
        if given.get(optional):
            settings[told] = given[optional]
    cluster = Cluster(
        name=name,
        version=version,
        port=port,
        created=here.now,
        resource_id=here.identity("cluster"),
        master=master,
        subnets=subnets,
        security_groups=_security_groups(here, subnets, given),
        parameters=_parameters(here, version, given),
        key=key,
        settings=settings,
        database=None if volume is None else here.world.servers.database(volume),
        database_name=given.get("DatabaseName") or (volume.database if volume else None),
        protected=bool(given.get("DeletionProtection")),
        tags=tags_of(given),
    )
    here.clusters[name] = cluster
    return cluster


def _begin(here: Region, cluster: Cluster, procedure: str, message: str) -> None:
    def finish(at: datetime) -> None:
        if cluster.life.status == "available":
            here.say(at, "db-cluster", cluster.name, message, "creation")
        else:
            text = f"The DB cluster is in the {cluster.life.status} state"
            here.say(at, "db-cluster", cluster.name, text, "failure")

    here.course.start(cluster.life, "cluster", procedure, cluster.name, here.now, finish)


def _free(here: Region, given: Given) -> str:
    """The new cluster's name. Raises DBClusterAlreadyExistsFault, DBClusterQuotaExceededFault."""
    name = identifier(given, "DBClusterIdentifier")
    if _taken(here, name):
        raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    if len(here.clusters) >= here.quotas["DBClusters"]:
        raise fault("DBClusterQuotaExceededFault", "Cannot create more than the allowed number of DB clusters.")
    return name


def _taken(here: Region, name: str) -> bool:
    renamed = {each.pending.get("DBClusterIdentifier") for each in here.clusters.values()}
    return name in here.clusters or name in renamed


def _version(engine: str, number: str | None) -> Version:
    if not engines.versions(engine):
        raise fault("InvalidParameterValue", f"Invalid DB engine: {engine}")
    found = engines.find(engine, number or engines.DEFAULTS[engine])
    if found is None:
        raise fault("InvalidParameterCombination", f"Cannot find version {number} for {engine}")
    return found


def _restorable(snapshot: Snapshot, given: Given) -> Version:
    """The version that the restored cluster gets: the snapshot's, or a later one that is asked for."""
    was = snapshot.version
    if given["Engine"] != was.engine:
        _version(given["Engine"], None)
        raise fault(
            "InvalidParameterCombination",
            f"The engine {given['Engine']} isn't compatible with the snapshot's engine {was.engine}.",
        )
    if not given.get("EngineVersion") or given["EngineVersion"] == was.number:
        return was
    wanted = _version(given["Engine"], given["EngineVersion"])
    if wanted.order < was.order:
        raise fault("InvalidParameterCombination", f"Cannot upgrade {was.engine} from {was.number} to {wanted.number}")
    return wanted


def _key(here: Region, wanted: str) -> Key:
    found = find_key(wanted, here.account, here.name)
    if found is None or not found.usable_by(here.account):
        raise _inaccessible(wanted)
    return found


def _inaccessible(key: str) -> Exception:
    return fault(
        "KMSKeyNotAccessibleFault",
        f"The specified KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it.",
    )


def _security_groups(here: Region, subnets: SubnetGroup, given: Given) -> list[str]:
    """The VPC security groups, or the VPC's default one. Raises InvalidParameterValue, InvalidParameterCombination."""
    backend = ec2_backends[here.account][here.name]
    wanted = list(given.get("VpcSecurityGroupIds") or [])
    if not wanted:
        default = backend.get_security_group_from_name("default", subnets.vpc)
        return [] if default is None else [str(default.id)]
    for each in wanted:
        found = backend.get_security_group_from_id(each)
        if found is None:
            raise fault("InvalidParameterValue", f"Invalid security group , groupId= {each}, groupName=.")
        if found.vpc_id != subnets.vpc:
            raise fault(
                "InvalidParameterCombination",
                "The DB instance and EC2 security group are in different VPCs. The DB instance is in "
                f"{subnets.vpc} and the EC2 security group is in {found.vpc_id}",
            )
    return wanted


def _parameters(here: Region, version: Version, given: Given) -> str:
    """The cluster parameter group's name. Raises DBClusterParameterGroupNotFound, InvalidParameterCombination."""
    default = f"default.{version.family}"
    wanted = str(given.get("DBClusterParameterGroupName") or default).lower()
    if wanted == default:
        return wanted
    found = here.cluster_parameters.get(wanted)
    if found is None:
        raise fault("DBClusterParameterGroupNotFound", f"DBClusterParameterGroup not found: {wanted}")
    if found.family != version.family:
        raise fault(
            "InvalidParameterCombination",
            f"The Parameter Group {wanted} with DBParameterGroupFamily {found.family} cannot be used for this "
            f"instance. Please use a Parameter Group with DBParameterGroupFamily {version.family}",
        )
    return wanted


def _renamed(here: Region, cluster: Cluster, new: str) -> Callable[[datetime], None]:
    def finish(at: datetime) -> None:
        old = cluster.name
        cluster.pending.pop("DBClusterIdentifier", None)
        if cluster.life.status != "available":
            return
        del here.clusters[old]
        cluster.name = new
        here.clusters[new] = cluster
        here.say(at, "db-cluster", new, f"Renamed cluster from {old} to {new}", "notification")

    return finish


def _deleted(here: Region, cluster: Cluster) -> Callable[[datetime], None]:
    def finish(at: datetime) -> None:
        if cluster.life.status != "deleted":
            return
        for member in cluster.members:
            here.instances.pop(member.name, None)
        cluster.members.clear()
        del here.clusters[cluster.name]
        automated = [each for each in here.snapshots.values() if each.kind == "automated"]
        for snapshot in automated:
            if snapshot.of["DbClusterResourceId"] == cluster.resource_id:
                del here.snapshots[snapshot.name]
        if cluster.database is not None:
            cluster.database.stop()
        here.say(at, "db-cluster", cluster.name, "DB cluster deleted", "deletion")

    return finish


def _switch(here: Region, given: Given, procedure: str, needed: tuple[str, ...]) -> dict[str, Any]:
    cluster = here.cluster(given["DBClusterIdentifier"])
    if cluster.life.status not in needed:
        raise fault(
            "InvalidDBClusterStateFault",
            f"DbCluster {cluster.name} is in {cluster.life.status} state but expected in one of {', '.join(needed)}",
        )
    here.course.start(cluster.life, "cluster", procedure, cluster.name, here.now, lambda _: None)
    for member in cluster.members:
        here.course.start(member.life, "instance", procedure, member.name, here.now, lambda _: None)
    return {"DBCluster": described(here, cluster)}


def _switch_http_endpoint(here: Region, arn: str, *, on: bool) -> dict[str, Any]:
    prefix = here.arn("cluster", "")
    cluster = here.clusters.get(arn.removeprefix(prefix).lower()) if arn.startswith(prefix) else None
    if cluster is None:
        raise fault("ResourceNotFoundFault", f"The specified resource ID was not found: {arn}")
    if cluster.life.status != "available":
        raise fault(
            "InvalidResourceStateFault",
            f"The DB cluster {cluster.name} is in the {cluster.life.status} state; it must be in the available state.",
        )
    cluster.http_endpoint = on
    return {"ResourceArn": arn, "HttpEndpointEnabled": on}


OPERATIONS: Mapping[str, Callable[[Region, Given], dict[str, Any]]] = {
    "AddRoleToDBCluster": add_role,
    "CreateDBCluster": create,
    "DeleteDBCluster": delete,
    "DescribeDBClusters": describe,
    "DisableHttpEndpoint": disable_http_endpoint,
    "EnableHttpEndpoint": enable_http_endpoint,
    "ModifyDBCluster": modify,
    "RestoreDBClusterFromSnapshot": restore,
    "StartDBCluster": start,
    "StopDBCluster": stop,
}
