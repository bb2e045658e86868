"""Aurora clusters and their instances as the documentation of Amazon RDS has them: restored, renamed, deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws, rds

NAME = "orders-2026-11-20"


def refused(call: Callable[..., Any], **given: Any) -> tuple[str, int]:
    """The code and the status of the error that the call ends in."""
    with pytest.raises(ClientError) as failed:
        call(**given)
    response: Any = failed.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


class Restore:
    """A cluster in the default VPC, a snapshot of it, and short words for what is done with them."""

    def __init__(self, aws: EmbeddedAws, **fields: Any) -> None:
        self.aws = aws
        self.client = aws.client("rds")
        rds.subnet_group(aws, "databases")
        rds.cluster(aws, "orders", DBSubnetGroupName="databases", **fields)
        rds.snapshot(aws, "orders", NAME)

    def restore(self, name: str = "restored", **given: Any) -> dict[str, Any]:
        given = {"SnapshotIdentifier": NAME, "Engine": "aurora-postgresql", "DBSubnetGroupName": "databases", **given}
        made = self.client.restore_db_cluster_from_snapshot(DBClusterIdentifier=name, **given)
        return dict(made["DBCluster"])

    def add(self, cluster: str = "restored", name: str = "restored-1", **given: Any) -> dict[str, Any]:
        given = {"DBInstanceClass": "db.r6g.large", "Engine": "aurora-postgresql", **given}
        made = self.client.create_db_instance(DBClusterIdentifier=cluster, DBInstanceIdentifier=name, **given)
        return dict(made["DBInstance"])

    def modify(self, name: str, **given: Any) -> dict[str, Any]:
        return dict(self.client.modify_db_cluster(DBClusterIdentifier=name, **given)["DBCluster"])

    def delete(self, name: str, **given: Any) -> dict[str, Any]:
        given = given or {"SkipFinalSnapshot": True}
        return dict(self.client.delete_db_cluster(DBClusterIdentifier=name, **given)["DBCluster"])

    def cluster(self, name: str = "restored") -> dict[str, Any]:
        return dict(self.client.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0])

    def instance(self, name: str = "restored-1") -> dict[str, Any]:
        return dict(self.client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])

    def members(self, name: str = "restored") -> list[tuple[str, bool]]:
        return [
            (each["DBInstanceIdentifier"], each["IsClusterWriter"]) for each in self.cluster(name)["DBClusterMembers"]
        ]

    def after(self, **time: float) -> None:
        self.aws.clock.advance(**time)


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """Code and message that the call is refused with."""
    with pytest.raises(ClientError) as raised:
        call()
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def code(call: Callable[[], Any]) -> str:
    return refusal(call)[0]


# -- restoring ---------------------------------------------------------------------------------------------------------


def test_a_restored_cluster_takes_time_has_no_instance_and_no_http_endpoint(aws: EmbeddedAws) -> None:
    key = rds.key(aws)
    world = Restore(aws, key=key, Port=5433, version="15.10")
    made = world.restore(Tags=[{"Key": "run", "Value": "7f3a"}])
    assert made["Status"] == "creating"
    assert (made["EngineVersion"], made["Port"], made["KmsKeyId"]) == ("15.10", 5433, key)
    assert made["DBClusterArn"] == "arn:aws:rds:eu-central-1:123456789012:cluster:restored"
    assert made["DBClusterMembers"] == []
    assert (made["HttpEndpointEnabled"], made["DeletionProtection"]) == (False, False)
    assert made["TagList"] == [{"Key": "run", "Value": "7f3a"}]
    assert made["DBClusterParameterGroup"] == "default.aurora-postgresql15"
    assert made["DbClusterResourceId"] != world.cluster("orders")["DbClusterResourceId"]
    world.after(minutes=10)
    assert world.cluster()["Status"] == "creating"
    world.after(minutes=6)
    assert world.cluster()["Status"] == "available"


def test_settings_of_the_restored_cluster_can_be_chosen(aws: EmbeddedAws) -> None:
    world, key, group = Restore(aws, version="15.10"), rds.key(aws), rds.security_group(aws, "db")
    world.client.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="tuned", DBParameterGroupFamily="aurora-postgresql16", Description="tuned"
    )
    made = world.restore(
        EngineVersion="16.6",
        KmsKeyId=key,
        VpcSecurityGroupIds=[group],
        DBClusterParameterGroupName="tuned",
        DeletionProtection=True,
        Port=6000,
    )
    assert (made["EngineVersion"], made["KmsKeyId"], made["Port"]) == ("16.6", key, 6000)
    assert made["VpcSecurityGroups"] == [{"VpcSecurityGroupId": group, "Status": "active"}]
    assert (made["DBClusterParameterGroup"], made["DeletionProtection"]) == ("tuned", True)


def test_a_restore_is_refused_for_what_does_not_fit(aws: EmbeddedAws) -> None:
    world = Restore(aws, version="15.10")
    world.client.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="other", DBParameterGroupFamily="aurora-postgresql13", Description="other"
    )
    assert refusal(lambda: world.restore(DBSubnetGroupName="nowhere")) == (
        "DBSubnetGroupNotFoundFault",
        "DB subnet group 'nowhere' does not exist.",
    )
    assert refusal(lambda: world.restore("orders")) == ("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    assert code(lambda: world.restore(SnapshotIdentifier="gone")) == "DBClusterSnapshotNotFoundFault"
    assert code(lambda: world.restore(Engine="aurora-mysql")) == "InvalidParameterCombination"
    assert code(lambda: world.restore(Engine="oracle-ee")) == "InvalidParameterValue"
    assert refusal(lambda: world.restore(EngineVersion="99.1")) == (
        "InvalidParameterCombination",
        "Cannot find version 99.1 for aurora-postgresql",
    )
    assert code(lambda: world.restore(EngineVersion="14.15")) == "InvalidParameterCombination"
    assert code(lambda: world.restore(DBClusterParameterGroupName="other")) == "InvalidParameterCombination"
    assert code(lambda: world.restore(DBClusterParameterGroupName="none")) == "DBClusterParameterGroupNotFound"
    assert code(lambda: world.restore(VpcSecurityGroupIds=["sg-00000000"])) == "InvalidParameterValue"
    assert code(lambda: world.restore(KmsKeyId="alias/none")) == "KMSKeyNotAccessibleFault"
    assert code(lambda: world.restore(Port=80)) == "InvalidParameterValue"
    rds.quota(aws, "DBClusters", 1)
    assert code(world.restore) == "DBClusterQuotaExceededFault"
    assert [each["DBClusterIdentifier"] for each in world.client.describe_db_clusters()["DBClusters"]] == ["orders"]


def test_a_snapshot_in_the_making_or_of_another_region_cannot_be_restored(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    world.client.create_db_cluster_snapshot(DBClusterIdentifier="orders", DBClusterSnapshotIdentifier="new")
    assert code(lambda: world.restore(SnapshotIdentifier="new")) == "InvalidDBClusterSnapshotStateFault"
    arn = "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:x"
    assert code(lambda: world.restore(SnapshotIdentifier=arn)) == "DBClusterSnapshotNotFoundFault"


def test_a_restore_needs_the_key_of_its_snapshot(aws: EmbeddedAws) -> None:
    key = rds.key(aws)
    world = Restore(aws, key=key)
    rds.disable_key(key)
    assert refusal(world.restore) == (
        "KMSKeyNotAccessibleFault",
        f"The specified KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it.",
    )


def test_a_shared_snapshot_can_be_restored_directly_by_its_arn(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    theirs = rds.key(aws, account=rds.OTHER_ACCOUNT, usable_by=[aws.account_id])
    rds.cluster(aws, "ledger", account=rds.OTHER_ACCOUNT, key=theirs)
    arn = rds.snapshot(aws, "ledger", "ledger-1", account=rds.OTHER_ACCOUNT)
    assert code(lambda: world.restore(SnapshotIdentifier=arn)) == "DBClusterSnapshotNotFoundFault"
    rds.share(aws, arn)
    assert world.restore(SnapshotIdentifier=arn)["Status"] == "creating"


@pytest.mark.parametrize(
    "status", ["incompatible-restore", "inaccessible-encryption-credentials-recoverable", "incompatible-parameters"]
)
def test_a_restore_can_end_badly_and_be_deleted(aws: EmbeddedAws, status: str) -> None:
    world = Restore(aws)
    rds.script(aws, "cluster", "restore", "restored", takes=6 * 3600, ends=status, percent=True)
    world.restore()
    world.after(hours=3)
    assert (world.cluster()["Status"], world.cluster()["PercentProgress"]) == ("creating", "50")
    world.after(hours=4)
    assert world.cluster()["Status"] == status
    assert code(world.add) == "InvalidDBClusterStateFault"
    assert world.delete("restored")["Status"] == "deleting"
    world.after(minutes=3)
    assert code(world.cluster) == "DBClusterNotFoundFault"


def test_aurora_mysql_is_restored_as_well(aws: EmbeddedAws) -> None:
    world = Restore(aws, engine="aurora-mysql", version="8.0.mysql_aurora.3.08.2")
    made = world.restore(Engine="aurora-mysql")
    assert (made["EngineVersion"], made["DBClusterParameterGroup"]) == (
        "8.0.mysql_aurora.3.08.2",
        "default.aurora-mysql8.0",
    )
    assert (made["Port"], made["Status"]) == (3306, "creating")


# -- instances ---------------------------------------------------------------------------------------------------------


def test_the_first_instance_is_the_writer_and_has_an_endpoint_once_it_is_there(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    world.restore()
    assert code(world.add) == "InvalidDBClusterStateFault"
    world.after(minutes=16)
    made = world.add(Tags=[{"Key": "run", "Value": "7f3a"}])
    assert (made["DBInstanceStatus"], made["DBClusterIdentifier"]) == ("creating", "restored")
    assert "Endpoint" not in made
    world.add(name="restored-2")
    assert world.members() == [("restored-1", True), ("restored-2", False)]
    world.after(minutes=7)
    found = world.instance()
    assert (found["DBInstanceStatus"], found["Endpoint"]["Port"]) == ("available", 5432)
    assert found["TagList"] == [{"Key": "run", "Value": "7f3a"}]
    assert found["AvailabilityZone"] != world.instance("restored-2")["AvailabilityZone"]


def test_a_monitored_instance_is_configured_before_it_is_available(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    world.add("orders", "orders-2", MonitoringInterval=60, MonitoringRoleArn="arn:aws:iam::123456789012:role/monitor")
    world.after(seconds=370)
    assert world.instance("orders-2")["DBInstanceStatus"] == "configuring-enhanced-monitoring"
    world.after(seconds=60)
    assert world.instance("orders-2")["DBInstanceStatus"] == "available"


def test_an_instance_is_refused_for_what_does_not_fit(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    assert code(lambda: world.add("orders", "orders-1")) == "DBInstanceAlreadyExists"
    assert code(lambda: world.add("nobody", "new")) == "DBClusterNotFoundFault"
    assert code(lambda: world.add("orders", "new", Engine="aurora-mysql")) == "InvalidParameterCombination"
    assert "DBInstanceClass=db.z9.huge" in refusal(lambda: world.add("orders", "new", DBInstanceClass="db.z9.huge"))[1]
    assert code(lambda: world.add("orders", "new", MasterUsername="me")) == "InvalidParameterCombination"
    assert code(lambda: world.add("orders", "new", DBParameterGroupName="none")) == "DBParameterGroupNotFound"
    rds.quota(aws, "DBInstances", 1)
    assert code(lambda: world.add("orders", "new")) == "InstanceQuotaExceeded"


@pytest.mark.parametrize("status", ["failed", "incompatible-parameters"])
def test_an_instance_can_end_badly(aws: EmbeddedAws, status: str) -> None:
    world = Restore(aws)
    rds.script(aws, "instance", "create", "orders-2", phases=[("creating", 60), ("modifying", 60)], ends=status)
    world.add("orders", "orders-2")
    world.after(seconds=90)
    assert world.instance("orders-2")["DBInstanceStatus"] == "modifying"
    world.after(seconds=90)
    assert world.instance("orders-2")["DBInstanceStatus"] == status


def test_a_deleted_instance_is_deleting_for_a_while_and_a_reader_becomes_the_writer(aws: EmbeddedAws) -> None:
    world = Restore(aws, instances=2)
    given = {"DBInstanceIdentifier": "orders-1"}
    final = {**given, "FinalDBSnapshotIdentifier": "last"}
    assert code(lambda: world.client.delete_db_instance(**final)) == "InvalidParameterCombination"
    assert world.client.delete_db_instance(**given)["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert code(lambda: world.client.delete_db_instance(**given)) == "InvalidDBInstanceState"
    world.after(minutes=5)
    assert code(lambda: world.instance("orders-1")) == "DBInstanceNotFound"
    assert world.members("orders") == [("orders-2", True)]


def test_an_instance_can_be_renamed(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    given = {"DBInstanceIdentifier": "orders-1", "NewDBInstanceIdentifier": "old-1", "ApplyImmediately": True}
    answer = world.client.modify_db_instance(**given)["DBInstance"]
    assert answer["PendingModifiedValues"] == {"DBInstanceIdentifier": "old-1"}
    assert world.instance("orders-1")["DBInstanceStatus"] == "renaming"
    world.after(minutes=2)
    assert world.members("orders") == [("old-1", True)]
    assert code(lambda: world.instance("orders-1")) == "DBInstanceNotFound"


# -- renaming and modifying --------------------------------------------------------------------------------------------


def test_a_rename_takes_time_and_leaves_the_old_name_free(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    before = world.cluster("orders")
    answer = world.modify("orders", NewDBClusterIdentifier="orders-old", ApplyImmediately=True)
    assert answer["PendingModifiedValues"] == {"DBClusterIdentifier": "orders-old"}
    assert world.cluster("orders")["Status"] == "renaming"
    assert code(lambda: world.modify("orders", DeletionProtection=True)) == "InvalidDBClusterStateFault"
    assert code(lambda: world.restore("orders-old")) == "DBClusterAlreadyExistsFault"
    world.after(minutes=2)
    assert code(lambda: world.cluster("orders")) == "DBClusterNotFoundFault"
    after = world.cluster("orders-old")
    assert after["Status"] == "available"
    assert after["DBClusterArn"] == "arn:aws:rds:eu-central-1:123456789012:cluster:orders-old"
    assert after["Endpoint"].startswith("orders-old.cluster-")
    assert after["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert world.members("orders-old") == [("orders-1", True)]
    assert world.instance("orders-1")["DBClusterIdentifier"] == "orders-old"
    assert world.restore("orders")["Status"] == "creating"


def test_a_rename_to_a_name_that_is_taken_is_refused(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    world.restore()
    assert code(lambda: world.modify("orders", NewDBClusterIdentifier="restored", ApplyImmediately=True)) == (
        "DBClusterAlreadyExistsFault"
    )


def test_settings_change_at_once(aws: EmbeddedAws) -> None:
    world, group = Restore(aws), rds.security_group(aws, "db")
    world.modify("orders", DeletionProtection=True, BackupRetentionPeriod=7, VpcSecurityGroupIds=[group])
    found = world.cluster("orders")
    assert (found["DeletionProtection"], found["BackupRetentionPeriod"]) == (True, 7)
    assert found["VpcSecurityGroups"][0]["VpcSecurityGroupId"] == group


def test_the_http_endpoint_is_switched_by_arn_and_only_on_an_available_cluster(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    arn = world.restore()["DBClusterArn"]
    assert code(lambda: world.client.enable_http_endpoint(ResourceArn=arn)) == "InvalidResourceStateFault"
    world.after(minutes=16)
    answer = world.client.enable_http_endpoint(ResourceArn=arn)
    assert (answer["ResourceArn"], answer["HttpEndpointEnabled"]) == (arn, True)
    assert world.cluster()["HttpEndpointEnabled"] is True
    world.client.disable_http_endpoint(ResourceArn=arn)
    assert world.cluster()["HttpEndpointEnabled"] is False
    assert code(lambda: world.client.enable_http_endpoint(ResourceArn=f"{arn}x")) == "ResourceNotFoundFault"


def test_a_cluster_stops_and_starts_with_its_instances(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    assert world.client.stop_db_cluster(DBClusterIdentifier="orders")["DBCluster"]["Status"] == "stopping"
    world.after(minutes=6)
    assert (world.cluster("orders")["Status"], world.instance("orders-1")["DBInstanceStatus"]) == ("stopped", "stopped")
    world.client.start_db_cluster(DBClusterIdentifier="orders")
    assert world.cluster("orders")["Status"] == "starting"
    world.after(minutes=11)
    assert world.instance("orders-1")["DBInstanceStatus"] == "available"


# -- deleting ----------------------------------------------------------------------------------------------------------


def test_a_cluster_is_deleted_only_without_protection_and_without_instances(aws: EmbeddedAws) -> None:
    world = Restore(aws, DeletionProtection=True)
    assert refusal(lambda: world.delete("orders")) == (
        "InvalidParameterCombination",
        "Cannot delete protected Cluster, please disable deletion protection and try again.",
    )
    world.modify("orders", DeletionProtection=False)
    assert refusal(lambda: world.delete("orders")) == (
        "InvalidDBClusterStateFault",
        "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
    )
    world.client.delete_db_instance(DBInstanceIdentifier="orders-1")
    assert world.delete("orders")["Status"] == "deleting"
    world.after(minutes=5)
    assert world.client.describe_db_clusters()["DBClusters"] == []
    assert world.client.describe_db_instances()["DBInstances"] == []


def test_a_final_snapshot_is_taken_unless_it_is_skipped_and_outlives_the_cluster(aws: EmbeddedAws) -> None:
    world = Restore(aws, instances=0)
    rds.snapshot(aws, "orders", "rds:orders-1", automated=True)
    assert code(lambda: world.delete("orders", SkipFinalSnapshot=False)) == "InvalidParameterCombination"
    both = {"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "last"}
    assert code(lambda: world.delete("orders", **both)) == "InvalidParameterCombination"
    assert code(lambda: world.delete("orders", FinalDBSnapshotIdentifier=NAME)) == "DBClusterSnapshotAlreadyExistsFault"
    assert world.delete("orders", FinalDBSnapshotIdentifier="last")["Status"] == "deleting"
    world.after(minutes=3, seconds=30)
    assert world.cluster("orders")["Status"] == "deleting"
    world.after(minutes=2)
    assert world.client.describe_db_clusters()["DBClusters"] == []
    left = world.client.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    assert [(each["DBClusterSnapshotIdentifier"], each["Status"]) for each in left] == [
        (NAME, "available"),
        ("last", "available"),
    ]


def test_a_cluster_whose_final_snapshot_fails_stays(aws: EmbeddedAws) -> None:
    world = Restore(aws, instances=0)
    rds.script(aws, "snapshot", "create", "last", ends="failed")
    world.delete("orders", FinalDBSnapshotIdentifier="last")
    world.after(minutes=10)
    assert world.cluster("orders")["Status"] == "available"
    assert world.delete("orders", FinalDBSnapshotIdentifier="really-last")["Status"] == "deleting"
    world.after(minutes=10)
    assert world.client.describe_db_clusters()["DBClusters"] == []


# -- what is around ----------------------------------------------------------------------------------------------------


def test_tags_are_added_overwritten_removed_and_listed(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    for arn in (
        "arn:aws:rds:eu-central-1:123456789012:cluster:orders",
        "arn:aws:rds:eu-central-1:123456789012:db:orders-1",
        f"arn:aws:rds:eu-central-1:123456789012:cluster-snapshot:{NAME}",
    ):
        world.client.add_tags_to_resource(
            ResourceName=arn, Tags=[{"Key": "keep", "Value": "30d"}, {"Key": "run", "Value": "1"}]
        )
        world.client.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "run", "Value": "2"}])
        world.client.remove_tags_from_resource(ResourceName=arn, TagKeys=["keep"])
        assert world.client.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "run", "Value": "2"}]
    assert world.cluster("orders")["TagList"] == [{"Key": "run", "Value": "2"}]
    gone = "arn:aws:rds:eu-central-1:123456789012:cluster:gone"
    assert code(lambda: world.client.list_tags_for_resource(ResourceName=gone)) == "DBClusterNotFoundFault"


def test_clusters_and_instances_are_found_by_filter(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    rds.cluster(aws, "billing", engine="aurora-mysql", version="8.0.mysql_aurora.3.08.2")
    chosen = [{"Name": "engine", "Values": ["aurora-mysql"]}]
    found = world.client.describe_db_clusters(Filters=chosen)["DBClusters"]
    assert [(each["DBClusterIdentifier"], each["Port"]) for each in found] == [("billing", 3306)]
    chosen = [{"Name": "db-cluster-id", "Values": ["orders"]}]
    found = world.client.describe_db_instances(Filters=chosen)["DBInstances"]
    assert [each["DBInstanceIdentifier"] for each in found] == ["orders-1"]
    bad = [{"Name": "colour", "Values": ["red"]}]
    assert code(lambda: world.client.describe_db_clusters(Filters=bad)) == "InvalidParameterValue"


def test_a_subnet_group_covers_two_zones_and_subnets_that_exist(aws: EmbeddedAws) -> None:
    client, ec2 = aws.client("rds"), aws.client("ec2")
    rds.subnet_group(aws, "databases")
    (group,) = client.describe_db_subnet_groups(DBSubnetGroupName="databases")["DBSubnetGroups"]
    zones = {each["SubnetAvailabilityZone"]["Name"] for each in group["Subnets"]}
    assert (group["SubnetGroupStatus"], len(zones)) == ("Complete", 3)
    one = ec2.describe_subnets()["Subnets"][0]["SubnetId"]

    def create(*subnets: str, name: str = "new") -> Any:
        given = {"DBSubnetGroupName": name, "DBSubnetGroupDescription": "new", "SubnetIds": list(subnets)}
        return client.create_db_subnet_group(**given)

    assert code(lambda: create(one)) == "DBSubnetGroupDoesNotCoverEnoughAZs"
    assert code(lambda: create("subnet-00000000")) == "InvalidParameterValue"
    assert code(lambda: create(one, name="databases")) == "DBSubnetGroupAlreadyExists"
    assert code(lambda: client.describe_db_subnet_groups(DBSubnetGroupName="no")) == "DBSubnetGroupNotFoundFault"


def test_what_is_on_offer_can_be_asked(aws: EmbeddedAws) -> None:
    client = aws.client("rds")
    offered = client.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="15.10")["DBEngineVersions"]
    assert [each["DBParameterGroupFamily"] for each in offered] == ["aurora-postgresql15"]
    assert {"16.6", "17.4"} <= {each["EngineVersion"] for each in offered[0]["ValidUpgradeTarget"]}
    assert client.describe_db_engine_versions(Engine="aurora-postgresql", EngineVersion="9.6")["DBEngineVersions"] == []
    given = {"Engine": "aurora-postgresql", "EngineVersion": "16.6", "DBInstanceClass": "db.r6g.large"}
    options = client.describe_orderable_db_instance_options(**given)["OrderableDBInstanceOptions"]
    assert [each["DBInstanceClass"] for each in options] == ["db.r6g.large"]
    groups = client.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert "default.aurora-postgresql16" in {each["DBClusterParameterGroupName"] for each in groups}


def test_events_tell_what_happened(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    world.restore()
    world.after(minutes=16)
    given = {"SourceIdentifier": "restored", "SourceType": "db-cluster"}
    (event,) = world.client.describe_events(**given)["Events"]
    assert (event["Message"], event["EventCategories"]) == ("DB cluster created", ["creation"])
    world.after(hours=2)
    assert world.client.describe_events(**given)["Events"] == []
    assert len(world.client.describe_events(**given, Duration=180)["Events"]) == 1
    since = aws.clock.now() - timedelta(hours=3)
    assert len(world.client.describe_events(**given, StartTime=since)["Events"]) == 1


def test_the_aws_command_line_reads_and_writes_as_well(aws: EmbeddedAws) -> None:
    Restore(aws)
    command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", aws.endpoint_url, "rds"]
    keys = {"AWS_ACCESS_KEY_ID": "embedded", "AWS_SECRET_ACCESS_KEY": "embedded", "AWS_DEFAULT_REGION": aws.region}
    ask = ["describe-db-clusters", "--query", "DBClusters[].[DBClusterIdentifier,Status]", "--output", "text"]
    answer = subprocess.run([*command, *ask], env={**os.environ, **keys}, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["orders", "available"]
    delete = ["delete-db-cluster", "--db-cluster-identifier", "orders", "--skip-final-snapshot"]
    answer = subprocess.run(
        [*command, *delete], env={**os.environ, **keys}, capture_output=True, text=True, check=False
    )
    assert "(InvalidDBClusterStateFault) when calling the DeleteDBCluster operation" in answer.stderr


def custom(aws: EmbeddedAws, cluster: str) -> list[dict[str, Any]]:
    """The cluster's custom endpoints."""
    only = [{"Name": "db-cluster-endpoint-type", "Values": ["custom"]}]
    found = aws.client("rds").describe_db_cluster_endpoints(DBClusterIdentifier=cluster, Filters=only)
    return list(found["DBClusterEndpoints"])


def test_a_custom_endpoint_stays_with_its_cluster_when_that_is_renamed(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    endpoint = {"DBClusterIdentifier": "orders", "DBClusterEndpointIdentifier": "reports"}
    made = world.client.create_db_cluster_endpoint(**endpoint, EndpointType="READER", StaticMembers=["orders-1"])
    assert (made["Status"], made["EndpointType"], made["CustomEndpointType"]) == ("available", "CUSTOM", "READER")
    every = world.client.describe_db_cluster_endpoints(DBClusterIdentifier="orders")["DBClusterEndpoints"]
    assert [each["EndpointType"] for each in every] == ["WRITER", "READER", "CUSTOM"]
    world.modify("orders", NewDBClusterIdentifier="orders-old", ApplyImmediately=True)
    world.after(minutes=10)
    (stayed,) = custom(aws, "orders-old")
    assert stayed["Endpoint"] == made["Endpoint"]
    assert world.cluster("orders-old")["CustomEndpoints"] == [made["Endpoint"]]


def test_an_endpoint_that_cannot_be_made_is_refused_as_rds_does(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    make = world.client.create_db_cluster_endpoint
    given = {"DBClusterIdentifier": "orders", "DBClusterEndpointIdentifier": "reports", "EndpointType": "ANY"}
    make(**given)
    assert refused(make, **given) == ("DBClusterEndpointAlreadyExistsFault", 400)
    assert refused(make, **given | {"DBClusterIdentifier": "none"}) == ("DBClusterNotFoundFault", 404)
    other = given | {"DBClusterEndpointIdentifier": "other"}
    both = {"StaticMembers": ["orders-1"], "ExcludedMembers": ["orders-1"]}
    assert refused(make, **other, **both) == ("InvalidParameterCombination", 400)
    assert refused(make, **other, StaticMembers=["none"]) == ("DBInstanceNotFound", 404)
    assert refused(make, **other | {"EndpointType": "WRITER"}) == ("InvalidParameterValue", 400)
    for number in range(4):
        make(**given | {"DBClusterEndpointIdentifier": f"more-{number}"})
    assert refused(make, **other) == ("DBClusterEndpointQuotaExceededFault", 403)
    described = world.client.describe_db_cluster_endpoints
    assert described(DBClusterEndpointIdentifier="none")["DBClusterEndpoints"] == []
    assert refused(described, DBClusterIdentifier="none") == ("DBClusterNotFoundFault", 404)
    tags = world.client.list_tags_for_resource
    arn = custom(aws, "orders")[0]["DBClusterEndpointArn"]
    assert tags(ResourceName=arn)["TagList"] == []
    nobody = arn.replace(":more-0", ":none").replace(":reports", ":none")
    assert refused(tags, ResourceName=nobody) == ("DBClusterEndpointNotFoundFault", 400)


def test_a_role_is_shown_with_its_feature_and_a_restored_cluster_has_none(aws: EmbeddedAws) -> None:
    world = Restore(aws)
    role = {"RoleArn": "arn:aws:iam::123456789012:role/import", "FeatureName": "s3Import"}
    world.client.add_role_to_db_cluster(DBClusterIdentifier="orders", **role)
    assert world.cluster("orders")["AssociatedRoles"] == [{**role, "Status": "ACTIVE"}]
    again = refused(world.client.add_role_to_db_cluster, DBClusterIdentifier="orders", **role)
    assert again == ("DBClusterRoleAlreadyExists", 400)
    for number in range(4):
        world.client.add_role_to_db_cluster(DBClusterIdentifier="orders", RoleArn=f"{role['RoleArn']}-{number}")
    more = {"DBClusterIdentifier": "orders", "RoleArn": f"{role['RoleArn']}-more"}
    assert refused(world.client.add_role_to_db_cluster, **more) == ("DBClusterRoleQuotaExceeded", 400)
    world.restore()
    assert world.cluster("restored")["AssociatedRoles"] == []
    early = refused(world.client.add_role_to_db_cluster, DBClusterIdentifier="restored", **role)
    assert early == ("InvalidDBClusterStateFault", 400)


def test_a_backtrack_window_is_told_where_the_engine_knows_one(aws: EmbeddedAws) -> None:
    world = Restore(aws, engine="aurora-mysql", version="8.0.mysql_aurora.3.08.2")
    assert "BacktrackWindow" not in world.cluster("orders")
    world.restore(Engine="aurora-mysql", BacktrackWindow=3600)
    assert world.cluster("restored")["BacktrackWindow"] == 3600
