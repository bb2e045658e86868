"""One answer of AWS after the other, as the facts have them. Nothing here decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession
from runbooks.catalogue.aurora_snapshot_restore.facts import (
    Cluster,
    Expired,
    Instance,
    Key,
    Quota,
    Secret,
    Snapshot,
    SubnetGroup,
    Version,
)
from runbooks.catalogue.aurora_snapshot_restore.input import Capacity, Input, day_of
from runbooks.catalogue.aurora_snapshot_restore.tags import (
    BEFORE,
    DELETE_AFTER,
    FOR,
    KEPT_FOR_A_TIME,
    PART,
    RESTORES,
    SHARED_COPY,
    SNAPSHOTS,
    TARGET,
    last_until,
    marker,
)

QUOTAS = ("DBClusters", "DBInstances", "ManualClusterSnapshots")
_TAKEN_BY = {"rds:": "automated", "awsbackup:": "awsbackup"}
"""Snapshots that a service takes by itself: what their identifiers begin with, and the type that RDS knows them by."""


class Reader:
    """AWS as one restore sees it: the target's account and region, and the source's."""

    def __init__(self, given: Input, aws: AwsSession) -> None:
        self.given = given
        self.aws = aws
        self.region = given.region or aws.region
        self.source_region = given.source_region or self.region
        if given.snapshot.arn is not None:
            self.source_region = given.snapshot.arn.split(":")[3]
        self.rds = aws.client("rds", self.region)

    @property
    def source(self) -> Any:
        """RDS where the snapshot lies, as whoever it belongs to if an alias is given."""
        return self.aws.client("rds", self.source_region, self.given.source_account)

    def account(self) -> str:
        """Our own account's id. Calls: sts GetCallerIdentity."""
        return str(self.aws.client("sts").get_caller_identity()["Account"])

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def snapshot(self, now: datetime) -> Snapshot | None:
        """The snapshot that is asked for, or None. Calls: rds DescribeDBClusterSnapshots."""
        choice = self.given.snapshot
        if choice.arn is not None:
            return self._named(self.source, choice.arn)
        if choice.id is not None:
            return self._named(self.source, choice.id)
        found = self._candidates(now)
        return max(found, key=lambda snapshot: snapshot.created) if found else None

    def sought(self, now: datetime) -> str:
        """The snapshot that is asked for, in words."""
        choice, where = self.given.snapshot, f"in {self.source_region}"
        if self.given.source_account is not None:
            where += f" of the account {self.given.source_account}"
        if choice.latest_of is not None:
            return f"available snapshot of the cluster {choice.latest_of} {where}"
        if choice.prefix is not None:
            return f"available snapshot whose name begins with {choice.prefix}-{self._day(now)} {where}"
        return f"snapshot {choice.arn or choice.id} {where}"

    def made(self, account: str | None = None, region: str | None = None) -> list[Snapshot]:
        """The snapshots that runs for this target have made. Calls: rds DescribeDBClusterSnapshots."""
        client = self.aws.client("rds", region or self.region, account)
        pages = client.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual")
        listed = (_snapshot(each) for page in pages for each in page["DBClusterSnapshots"])
        target = self.given.target
        return [
            each
            for each in listed
            if each.tags.get(TARGET) == target or last_until(target, each.id, each.resource) is not None
        ]

    def made_at_source(self, account: str) -> list[Snapshot]:
        """The copies that runs for this target have made in the source account, to share them with this `account`.

        None without a source account. Calls: rds DescribeDBClusterSnapshots.
        """
        if self.given.source_account is None:
            return []
        made = self.made(self.given.source_account, self.source_region)
        return [each for each in made if each.tags.get(PART) == SHARED_COPY and each.tags.get(FOR) == account]

    def one_made(self, name: str, account: str | None = None, region: str | None = None) -> list[Snapshot]:
        """The snapshot of that name, if there is one. Calls: rds DescribeDBClusterSnapshots."""
        found = self._named(self.aws.client("rds", region or self.region, account), name)
        return [found] if found else []

    def shared_with(self, account: str, snapshot: str) -> bool:
        """Whether the source account lets this one restore it. Calls: rds DescribeDBClusterSnapshotAttributes."""
        try:
            answer = self.source.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=snapshot)
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "DBClusterSnapshotNotFoundFault":
                raise
            return False
        attributes = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
        return any(
            {account, "all"} & set(attribute["AttributeValues"])
            for attribute in attributes
            if attribute["AttributeName"] == "restore"
        )

    def _named(self, client: Any, wanted: str) -> Snapshot | None:
        # RDS finds one that a service has taken only if its type is named as well, and others may share manual ones.
        name = wanted.split(":", 6)[6] if wanted.startswith("arn:") else wanted
        kind = next((kind for prefix, kind in _TAKEN_BY.items() if name.startswith(prefix)), None)
        more: dict[str, Any] = {"SnapshotType": kind} if kind else {"IncludeShared": wanted.startswith("arn:")}
        try:
            answer = client.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=wanted, **more)
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "DBClusterSnapshotNotFoundFault":
                raise
            return None
        return next((_snapshot(each) for each in answer["DBClusterSnapshots"]), None)

    def _candidates(self, now: datetime) -> list[Snapshot]:
        choice = self.given.snapshot
        only = {"DBClusterIdentifier": choice.latest_of} if choice.latest_of is not None else {}
        pages = self.source.get_paginator("describe_db_cluster_snapshots").paginate(**only)
        found = [_snapshot(each) for page in pages for each in page["DBClusterSnapshots"]]
        if choice.prefix is not None:
            begins = f"{choice.prefix}-{self._day(now)}"
            found = [each for each in found if _plain(each.id).startswith(begins)]
        # What a run of ours has copied or kept is no backup of anything newer.
        return [each for each in found if each.status == "available" and each.tags.get(PART) not in SNAPSHOTS]

    def _day(self, now: datetime) -> date:
        choice = self.given.snapshot
        day = day_of(choice.date) if choice.date is not None else now.astimezone(UTC).date()
        return day - timedelta(days=choice.days_before)

    # -- clusters and instances ----------------------------------------------------------------------------------------

    def clusters(self) -> list[Cluster]:
        """Every cluster of the region. Calls: rds DescribeDBClusters."""
        pages = self.rds.get_paginator("describe_db_clusters").paginate()
        return [_cluster(each) for page in pages for each in page["DBClusters"]]

    def clusters_named(self, *names: str) -> list[Cluster]:
        """Those of these clusters that there are. Calls: rds DescribeDBClusters."""
        wanted = [{"Name": "db-cluster-id", "Values": sorted(set(names))}]
        return [_cluster(each) for each in self.rds.describe_db_clusters(Filters=wanted)["DBClusters"]]

    def instances(self, *clusters: str) -> list[Instance]:
        """The instances of these clusters, or every one of the region. Calls: rds DescribeDBInstances."""
        only = {"Filters": [{"Name": "db-cluster-id", "Values": sorted(set(clusters))}]} if clusters else {}
        pages = self.rds.get_paginator("describe_db_instances").paginate(**only)
        return [_instance(each) for page in pages for each in page["DBInstances"]]

    def custom_endpoints(self, cluster: str) -> list[str]:
        """The names of the cluster's custom endpoints. Calls: rds DescribeDBClusterEndpoints."""
        custom = [{"Name": "db-cluster-endpoint-type", "Values": ["custom"]}]
        asked = {"DBClusterIdentifier": cluster, "Filters": custom}
        pages = self.rds.get_paginator("describe_db_cluster_endpoints").paginate(**asked)
        return sorted(each["DBClusterEndpointIdentifier"] for page in pages for each in page["DBClusterEndpoints"])

    # -- what a cluster needs ------------------------------------------------------------------------------------------

    def key(self, wanted: str, region: str, account: str | None = None) -> Key:
        """A KMS key by id, ARN or alias, and what state it is in. Calls: kms DescribeKey."""
        try:
            told = self.aws.client("kms", region, account).describe_key(KeyId=wanted)["KeyMetadata"]
        except ClientError as failure:
            match failure.response["Error"]["Code"]:
                case "NotFoundException":
                    return Key(arn=wanted, state="NotFound")
                case "AccessDeniedException" if wanted.startswith("arn:"):
                    return Key(arn=wanted, state="NotShared")
            raise
        return Key(arn=told["Arn"], state=told["KeyState"], managed_by_aws=told.get("KeyManager") == "AWS")

    def subnet_group(self, name: str) -> SubnetGroup | None:
        """Calls: rds DescribeDBSubnetGroups."""
        try:
            told = self.rds.describe_db_subnet_groups(DBSubnetGroupName=name)["DBSubnetGroups"][0]
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "DBSubnetGroupNotFoundFault":
                raise
            return None
        return SubnetGroup(name=told["DBSubnetGroupName"], vpc=told["VpcId"], status=told["SubnetGroupStatus"])

    def security_groups(self, ids: Iterable[str]) -> dict[str, str]:
        """The VPC of each security group that there is. Calls: ec2 DescribeSecurityGroups."""
        wanted = [{"Name": "group-id", "Values": sorted(ids)}]
        groups = self.aws.client("ec2", self.region).describe_security_groups(Filters=wanted)["SecurityGroups"]
        return {group["GroupId"]: group["VpcId"] for group in groups}

    def version(self, engine: str, number: str) -> Version | None:
        """Calls: rds DescribeDBEngineVersions."""
        told = self.rds.describe_db_engine_versions(Engine=engine, EngineVersion=number)["DBEngineVersions"]
        if not told:
            return None
        return Version(
            number=told[0]["EngineVersion"],
            family=told[0]["DBParameterGroupFamily"],
            upgrades_to=tuple(each["EngineVersion"] for each in told[0].get("ValidUpgradeTarget", ())),
        )

    def orderable(self, engine: str, number: str, instance_class: str) -> bool:
        """Whether the class is offered for the version. Calls: rds DescribeOrderableDBInstanceOptions."""
        answer = self.rds.describe_orderable_db_instance_options(
            Engine=engine, EngineVersion=number, DBInstanceClass=instance_class, MaxRecords=20
        )
        return bool(answer["OrderableDBInstanceOptions"])

    def family_of_cluster_parameters(self, name: str) -> str | None:
        """Calls: rds DescribeDBClusterParameterGroups."""
        try:
            answer = self.rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name)
        except ClientError as failure:
            if failure.response["Error"]["Code"] not in _NO_PARAMETER_GROUP:
                raise
            return None
        return str(answer["DBClusterParameterGroups"][0]["DBParameterGroupFamily"])

    def family_of_instance_parameters(self, name: str) -> str | None:
        """Calls: rds DescribeDBParameterGroups."""
        try:
            answer = self.rds.describe_db_parameter_groups(DBParameterGroupName=name)
        except ClientError as failure:
            if failure.response["Error"]["Code"] not in _NO_PARAMETER_GROUP:
                raise
            return None
        return str(answer["DBParameterGroups"][0]["DBParameterGroupFamily"])

    def quotas(self) -> dict[str, Quota]:
        """Calls: rds DescribeAccountAttributes."""
        told = self.rds.describe_account_attributes()["AccountQuotas"]
        return {
            each["AccountQuotaName"]: Quota(used=each["Used"], most=each["Max"])
            for each in told
            if each["AccountQuotaName"] in QUOTAS
        }

    def secret(self, wanted: str) -> Secret | None:
        """Which version is current; the value stays where it is. Calls: secretsmanager DescribeSecret."""
        if wanted.startswith("arn:") and wanted.split(":")[3] != self.region:
            return None
        try:
            told = self.aws.client("secretsmanager", self.region).describe_secret(SecretId=wanted)
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return None
        stages = told.get("VersionIdsToStages", {})
        current = next((version for version, names in stages.items() if "AWSCURRENT" in names), None)
        return Secret(arn=told["ARN"], current=current, deleted="DeletedDate" in told)


_NO_PARAMETER_GROUP = {"DBParameterGroupNotFound", "DBParameterGroupNotFoundFault", "DBClusterParameterGroupNotFound"}


def expired(
    target: str, replaced: Iterable[Cluster], made: Iterable[Snapshot], mark: str, now: datetime
) -> Iterator[Expired]:
    """What was to go by today: clusters that stepped aside, and copies and kept snapshots of earlier runs.

    `replaced` are all that have stepped aside for the target. What such a cluster held goes after the cluster, even
    if its own day has come; and nothing goes that is restored (`mark`), or was made for it.
    """
    today, replaced, made = now.astimezone(UTC).date().isoformat(), list(replaced), list(made)
    for cluster in replaced:
        if cluster.tags.get(DELETE_AFTER, "9") <= today:
            kept = [each for each in made if _of(each, cluster) and each.status == "available"]
            yield Expired(
                name=cluster.name,
                id=cluster.resource_id,
                kind="cluster",
                delete_after=cluster.tags[DELETE_AFTER],
                protected=cluster.protected,
                members=cluster.members,
                kept_in=max(kept, key=lambda each: each.created).id if kept else None,
            )
    for each in made:
        goes_after = _goes_after(target, each)
        over = goes_after is not None and goes_after <= today and each.status == "available"
        wanted = mark in {each.tags.get(RESTORES), marker(target, each.arn)}
        if over and not wanted and not any(_of(each, cluster) for cluster in replaced):
            yield Expired(name=each.id, id=each.arn, kind="snapshot", delete_after=goes_after or "")


def _of(snapshot: Snapshot, cluster: Cluster) -> bool:
    """Whether the snapshot was taken of that very cluster when it was about to step aside."""
    return snapshot.tags.get(PART) == BEFORE and snapshot.resource == cluster.resource_id


def _goes_after(target: str, snapshot: Snapshot) -> str | None:
    if snapshot.tags.get(PART) in KEPT_FOR_A_TIME:
        return snapshot.tags.get(DELETE_AFTER)
    return last_until(target, snapshot.id, snapshot.resource)


def _plain(name: str) -> str:
    for prefix in _TAKEN_BY:
        name = name.removeprefix(prefix)
    return name


def _tags(told: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in told.get("TagList", ())}


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _snapshot(told: dict[str, Any]) -> Snapshot:
    arn = told["DBClusterSnapshotArn"]
    return Snapshot(
        arn=arn,
        id=arn.split(":", 6)[6],
        account=arn.split(":")[4],
        region=arn.split(":")[3],
        cluster=told["DBClusterIdentifier"],
        kind=told["SnapshotType"],
        status=told["Status"],
        engine=told["Engine"],
        version=told["EngineVersion"],
        mode=told.get("EngineMode", "provisioned"),
        created=_moment(told.get("SnapshotCreateTime")),
        encrypted=told["StorageEncrypted"],
        key=told.get("KmsKeyId"),
        port=told.get("Port", 0),
        master=told.get("MasterUsername", ""),
        percent=told.get("PercentProgress"),
        resource=told.get("DbClusterResourceId"),
        tags=_tags(told),
    )


def _cluster(told: dict[str, Any]) -> Cluster:
    members = sorted(told["DBClusterMembers"], key=lambda member: not member["IsClusterWriter"])
    return Cluster(
        name=told["DBClusterIdentifier"],
        arn=told["DBClusterArn"],
        resource_id=told["DbClusterResourceId"],
        status=told["Status"],
        engine=told["Engine"],
        version=told["EngineVersion"],
        encrypted=told["StorageEncrypted"],
        key=told.get("KmsKeyId"),
        data_api=told.get("HttpEndpointEnabled", False),
        protected=told.get("DeletionProtection", False),
        subnet_group=told["DBSubnetGroup"],
        security_groups=tuple(group["VpcSecurityGroupId"] for group in told.get("VpcSecurityGroups", ())),
        port=told["Port"],
        master=told.get("MasterUsername", ""),
        parameters=told.get("DBClusterParameterGroup", ""),
        members=tuple(member["DBInstanceIdentifier"] for member in members),
        becomes=told.get("PendingModifiedValues", {}).get("DBClusterIdentifier"),
        capacity=_capacity(told.get("ServerlessV2ScalingConfiguration")),
        iam_logins=told.get("IAMDatabaseAuthenticationEnabled", False),
        storage=told.get("StorageType"),
        network=told.get("NetworkType"),
        backtrack=told.get("BacktrackWindow", 0),
        log_exports=tuple(told.get("EnabledCloudwatchLogsExports", ())),
        copies_tags=told.get("CopyTagsToSnapshot", False),
        backup_days=told.get("BackupRetentionPeriod"),
        backup_window=told.get("PreferredBackupWindow"),
        maintenance_window=told.get("PreferredMaintenanceWindow"),
        roles=tuple(_role(each) for each in told.get("AssociatedRoles", ())),
        global_cluster=told.get("GlobalClusterIdentifier"),
        replica_of=told.get("ReplicationSourceIdentifier"),
        replicas=tuple(told.get("ReadReplicaIdentifiers", ())),
        tags=_tags(told),
    )


def _capacity(told: dict[str, Any] | None) -> Capacity | None:
    if told is None:
        return None
    return Capacity(min=told["MinCapacity"], max=told["MaxCapacity"], pause_after=told.get("SecondsUntilAutoPause"))


def _role(told: dict[str, Any]) -> str:
    feature = told.get("FeatureName")
    return f"{told['RoleArn']} ({feature})" if feature else str(told["RoleArn"])


def _instance(told: dict[str, Any]) -> Instance:
    return Instance(
        name=told["DBInstanceIdentifier"],
        cluster=told.get("DBClusterIdentifier"),
        status=told["DBInstanceStatus"],
        instance_class=told["DBInstanceClass"],
        parameters=next((each["DBParameterGroupName"] for each in told.get("DBParameterGroups", ())), ""),
        tags=_tags(told),
    )
