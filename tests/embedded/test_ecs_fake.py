"""ECS as its documentation has it: deployments come and go, fail, roll back, and are told about truthfully."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws, ecs
from workbench.embedded.ecs import Failing

CLUSTER, SERVICE, FAMILY = "snowflake-analytics-cluster", "snowflake-report-service", "report-service"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
NO_ROLLBACK = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}


class Incident:
    """Revisions 1 and 2 were steady; revision 3 was deployed twelve minutes ago and is not."""

    def __init__(self, aws: EmbeddedAws, failing: Failing = Failing.HEALTH_CHECK, **configuration: Any) -> None:
        self.aws = aws
        self.client = aws.client("ecs")
        ecs.cluster(aws, CLUSTER)
        for tag in ("1.0", "1.1", "1.2"):
            image = ecs.push_image(aws, FAMILY, tag)
            ecs.register(aws, FAMILY, image, container=FAMILY, port=8000, minutes_ago=30_000)
        for revision in (1, 2):
            ecs.script(aws, f"{FAMILY}:{revision}", steady_after=30)
        ecs.script(aws, f"{FAMILY}:3", steady_after=None, failing=failing)
        fields = {"desiredCount": 2, "deploymentConfiguration": configuration}
        ecs.deploy(aws, CLUSTER, SERVICE, f"{FAMILY}:1", minutes_ago=20_000, **fields)
        ecs.deploy(aws, CLUSTER, SERVICE, f"{FAMILY}:2", minutes_ago=9_000)
        ecs.deploy(aws, CLUSTER, SERVICE, f"{FAMILY}:3", minutes_ago=12)

    def service(self) -> dict[str, Any]:
        (found,) = self.client.describe_services(cluster=CLUSTER, services=[SERVICE])["services"]
        return dict(found)

    def deployments(self) -> list[tuple[str, str, str, int, int]]:
        """(status, revision, rollout state, running, pending) of each, in the order of the answer."""
        return [
            (
                each["status"],
                each["taskDefinition"].rpartition(":")[2],
                each["rolloutState"],
                each["runningCount"],
                each["pendingCount"],
            )
            for each in self.service()["deployments"]
        ]

    def history(self, **filters: Any) -> list[dict[str, Any]]:
        listed = self.client.list_service_deployments(cluster=CLUSTER, service=SERVICE, **filters)
        return list(listed["serviceDeployments"])

    def statuses(self) -> list[str]:
        return [each["status"] for each in self.history()]

    def current(self) -> dict[str, Any]:
        arn = self.history()[0]["serviceDeploymentArn"]
        (described,) = self.client.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
        return dict(described)

    def revision(self, arn: str) -> dict[str, Any]:
        (described,) = self.client.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
        return dict(described)

    def update(self, **fields: Any) -> dict[str, Any]:
        return dict(self.client.update_service(cluster=CLUSTER, service=SERVICE, **fields)["service"])

    def after(self, **time: float) -> None:
        self.aws.clock.advance(**time)

    def messages(self) -> list[str]:
        return [event["message"] for event in self.service()["events"]]


def code(raised: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


# -- the failing deployment --------------------------------------------------------------------------------------------


def test_a_deployment_that_never_gets_steady_stays_in_progress_beside_the_old_one(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    assert incident.deployments() == [("PRIMARY", "3", "IN_PROGRESS", 0, 2), ("ACTIVE", "2", "COMPLETED", 2, 0)]
    service = incident.service()
    assert service["taskDefinition"] == f"arn:aws:ecs:eu-central-1:123456789012:task-definition/{FAMILY}:3"
    assert (service["desiredCount"], service["runningCount"], service["pendingCount"]) == (2, 2, 2)
    assert service["deploymentController"] == {"type": "ECS"}
    assert service["deploymentConfiguration"]["minimumHealthyPercent"] == 100
    assert service["deploymentConfiguration"]["deploymentCircuitBreaker"] == {"enable": False, "rollback": False}


def test_failed_tasks_grow_with_time(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    before = incident.service()["deployments"][0]["failedTasks"]
    assert before == 24
    incident.after(minutes=3)
    assert incident.service()["deployments"][0]["failedTasks"] == before + 6


def test_failed_tasks_can_be_looked_at(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    arns = incident.client.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus="STOPPED")["taskArns"]
    assert len(arns) == 24
    (task,) = incident.client.describe_tasks(cluster=CLUSTER, tasks=arns[-1:])["tasks"]
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    assert task["stoppedReason"] == "Task failed container health checks"
    assert (task["lastStatus"], task["desiredStatus"], task["healthStatus"]) == ("STOPPED", "STOPPED", "UNHEALTHY")
    assert task["taskDefinitionArn"].endswith(f"{FAMILY}:3")
    assert task["startedBy"] == incident.service()["deployments"][0]["id"]
    assert task["containers"][0]["imageDigest"].startswith("sha256:")
    assert any("failed container health checks." in message for message in incident.messages())


def test_stopped_tasks_are_forgotten_after_an_hour(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.update(taskDefinition=f"{FAMILY}:2")
    incident.after(hours=2)
    listed = incident.client.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus="STOPPED")
    assert listed["taskArns"] == []
    assert len(incident.client.list_tasks(cluster=CLUSTER, serviceName=SERVICE)["taskArns"]) == 2


@pytest.mark.parametrize(
    ("failing", "stop_code", "reason", "exit_code"),
    [
        (Failing.EXITS, "EssentialContainerExited", "Essential container in task exited", 1),
        (Failing.CANNOT_PULL, "TaskFailedToStart", "CannotPullContainerError", None),
    ],
)
def test_tasks_can_fail_in_other_ways(
    aws: EmbeddedAws, failing: Failing, stop_code: str, reason: str, exit_code: int | None
) -> None:
    incident = Incident(aws, failing)
    arns = incident.client.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus="STOPPED")["taskArns"]
    (task,) = incident.client.describe_tasks(cluster=CLUSTER, tasks=arns[:1])["tasks"]
    assert task["stopCode"] == stop_code
    assert task["stoppedReason"].startswith(reason)
    assert task["containers"][0].get("exitCode") == exit_code


def test_a_task_that_fails_its_health_check_runs_until_it_is_stopped(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.after(seconds=30)
    assert incident.deployments()[0] == ("PRIMARY", "3", "IN_PROGRESS", 2, 0)


# -- rolling back by UpdateService -------------------------------------------------------------------------------------


def test_updating_to_the_old_revision_starts_a_deployment_that_gets_steady_task_by_task(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    answered = incident.update(taskDefinition=f"{FAMILY}:2")
    assert answered["taskDefinition"].endswith(f"{FAMILY}:2")
    assert answered["deployments"][0]["status"] == "PRIMARY"
    assert incident.deployments() == [("PRIMARY", "2", "IN_PROGRESS", 0, 2), ("ACTIVE", "2", "COMPLETED", 2, 0)]
    assert incident.statuses() == ["IN_PROGRESS", "STOPPED", "SUCCESSFUL", "SUCCESSFUL"]
    incident.after(seconds=16)
    assert incident.deployments() == [("PRIMARY", "2", "IN_PROGRESS", 1, 1), ("ACTIVE", "2", "COMPLETED", 1, 0)]
    assert incident.service()["runningCount"] == 2
    incident.after(seconds=15)
    assert incident.deployments() == [("PRIMARY", "2", "COMPLETED", 2, 0)]
    assert incident.statuses()[0] == "SUCCESSFUL"
    assert incident.messages()[0] == f"(service {SERVICE}) has reached a steady state."
    assert incident.messages()[1].endswith("deployment completed.")


def test_a_service_deployment_names_what_it_replaces(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    described = incident.current()
    (source,) = described["sourceServiceRevisions"]
    assert (source["requestedTaskCount"], source["runningTaskCount"]) == (2, 2)
    assert incident.revision(source["arn"])["taskDefinition"].endswith(f"{FAMILY}:2")
    target = incident.revision(described["targetServiceRevision"]["arn"])
    assert target["taskDefinition"].endswith(f"{FAMILY}:3")
    assert incident.service()["deployments"][0]["id"] == f"ecs-svc/{target['serviceRevisionArn'].rpartition('/')[2]}"
    (image,) = target["containerImages"]
    assert image["containerName"] == FAMILY
    assert image["image"].endswith(f"{FAMILY}:1.2")
    details = aws.client("ecr").describe_images(repositoryName=FAMILY, imageIds=[{"imageTag": "1.2"}])
    assert image["imageDigest"] == details["imageDetails"][0]["imageDigest"]


def test_the_same_revision_again_is_no_deployment_unless_it_is_forced(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.update(taskDefinition=f"{FAMILY}:3")
    assert len(incident.history()) == 3
    incident.update(forceNewDeployment=True)
    assert len(incident.history()) == 4


def test_a_family_alone_means_its_latest_active_revision(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.client.deregister_task_definition(taskDefinition=f"{FAMILY}:3")
    assert incident.update(taskDefinition=FAMILY)["taskDefinition"].endswith(f"{FAMILY}:2")


def test_what_cannot_be_deployed_is_refused(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.client.deregister_task_definition(taskDefinition=f"{FAMILY}:1")
    with pytest.raises(ClientError) as raised:
        incident.update(taskDefinition=f"{FAMILY}:1")
    assert code(raised) == ("ClientException", "TaskDefinition is inactive")
    with pytest.raises(ClientError) as raised:
        incident.update(taskDefinition=f"{FAMILY}:9")
    assert code(raised) == ("ClientException", "Unable to describe task definition.")
    with pytest.raises(ClientError) as raised:
        incident.client.update_service(cluster=CLUSTER, service="nobody", desiredCount=1)
    assert code(raised) == ("ServiceNotFoundException", "Service not found.")
    with pytest.raises(ClientError) as raised:
        incident.client.update_service(cluster="nowhere", service=SERVICE, desiredCount=1)
    assert code(raised) == ("ClusterNotFoundException", "Cluster not found.")


def test_an_image_that_is_gone_from_ecr_cannot_be_pulled(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    aws.client("ecr").batch_delete_image(repositoryName=FAMILY, imageIds=[{"imageTag": "1.1"}])
    incident.update(taskDefinition=f"{FAMILY}:2")
    incident.after(minutes=5)
    primary = incident.service()["deployments"][0]
    assert (primary["rolloutState"], primary["runningCount"]) == ("IN_PROGRESS", 0)
    assert primary["failedTasks"] == 10
    assert any("unable to consistently start tasks" in message for message in incident.messages())


def test_scaling_is_no_deployment(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.update(taskDefinition=f"{FAMILY}:2")
    incident.after(minutes=1)
    incident.update(desiredCount=3)
    assert incident.deployments() == [("PRIMARY", "2", "COMPLETED", 2, 1)]
    incident.after(minutes=1)
    assert incident.deployments() == [("PRIMARY", "2", "COMPLETED", 3, 0)]
    incident.update(desiredCount=1)
    assert incident.deployments() == [("PRIMARY", "2", "COMPLETED", 1, 0)]
    assert len(incident.history()) == 4


def test_less_than_full_health_lets_old_tasks_go_before_new_ones_run(aws: EmbeddedAws) -> None:
    incident = Incident(aws, maximumPercent=100, minimumHealthyPercent=50)
    assert incident.deployments() == [("PRIMARY", "3", "IN_PROGRESS", 0, 1), ("ACTIVE", "2", "COMPLETED", 1, 0)]


# -- the circuit breaker -----------------------------------------------------------------------------------------------


def test_the_circuit_breaker_fails_a_deployment_after_three_failed_tasks(aws: EmbeddedAws) -> None:
    incident = Incident(aws, **NO_ROLLBACK)
    assert incident.deployments() == [("PRIMARY", "3", "FAILED", 0, 0), ("ACTIVE", "2", "COMPLETED", 2, 0)]
    primary = incident.service()["deployments"][0]
    assert primary["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert 3 <= primary["failedTasks"] <= 4
    described = incident.current()
    assert described["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert described["deploymentCircuitBreaker"]["threshold"] == 3
    before = primary["failedTasks"]
    incident.after(hours=1)
    assert incident.service()["deployments"][0]["failedTasks"] == before


def test_with_rollback_the_circuit_breaker_brings_the_last_steady_revision_back(aws: EmbeddedAws) -> None:
    incident = Incident(aws, **BREAKER)
    assert incident.deployments() == [("PRIMARY", "2", "COMPLETED", 2, 0)]
    assert incident.statuses() == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL", "SUCCESSFUL"]
    described = incident.current()
    assert described["statusReason"] == "ECS deployment circuit breaker: tasks failed to start."
    back = incident.revision(described["rollback"]["serviceRevisionArn"])
    assert back["taskDefinition"].endswith(f"{FAMILY}:2")
    assert any("rolling back to deployment ecs-svc/" in message for message in incident.messages())
    assert any("deployment failed: tasks failed to start." in message for message in incident.messages())


def test_a_rollback_of_the_circuit_breaker_can_be_seen_under_way(aws: EmbeddedAws) -> None:
    incident = Incident(aws, **BREAKER)
    ecs.script(aws, f"{FAMILY}:3", steady_after=None)
    incident.update(taskDefinition=f"{FAMILY}:3")
    incident.after(seconds=121)
    assert incident.statuses()[0] == "ROLLBACK_IN_PROGRESS"
    primary = incident.service()["deployments"][0]
    assert primary["taskDefinition"].endswith(f"{FAMILY}:2")
    assert primary["rolloutStateReason"].startswith("ECS deployment circuit breaker: rolling back to deploymentId")
    incident.after(seconds=31)
    assert incident.statuses()[0] == "ROLLBACK_SUCCESSFUL"


# -- StopServiceDeployment ---------------------------------------------------------------------------------------------


def test_stopping_with_rollback_goes_through_its_states_to_the_old_revision(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    arn = incident.history(status=["IN_PROGRESS"])[0]["serviceDeploymentArn"]
    assert incident.service()["currentServiceDeployment"] == arn
    answered = incident.client.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    assert answered["serviceDeploymentArn"] == arn
    assert incident.statuses()[0] == "ROLLBACK_REQUESTED"
    incident.client.stop_service_deployment(serviceDeploymentArn=arn)
    incident.after(seconds=6)
    assert incident.statuses()[0] == "ROLLBACK_IN_PROGRESS"
    assert incident.deployments()[0] == ("PRIMARY", "2", "IN_PROGRESS", 0, 2)
    incident.after(seconds=31)
    assert incident.statuses()[0] == "ROLLBACK_SUCCESSFUL"
    assert incident.deployments() == [("PRIMARY", "2", "COMPLETED", 2, 0)]
    assert incident.current()["finishedAt"] - incident.current()["rollback"]["startedAt"] == timedelta(seconds=30)
    assert "currentServiceDeployment" not in incident.service()


def test_a_finished_or_unknown_service_deployment_cannot_be_stopped(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    finished = incident.history()[1]["serviceDeploymentArn"]
    with pytest.raises(ClientError) as raised:
        incident.client.stop_service_deployment(serviceDeploymentArn=finished)
    assert code(raised)[0] == "ConflictException"
    with pytest.raises(ClientError) as raised:
        incident.client.stop_service_deployment(serviceDeploymentArn=finished + "x")
    assert code(raised)[0] == "ServiceDeploymentNotFoundException"


def test_aborting_leaves_the_tasks_and_stops_the_service_deployment(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    incident.client.stop_service_deployment(
        serviceDeploymentArn=incident.history()[0]["serviceDeploymentArn"], stopType="ABORT"
    )
    assert incident.statuses()[0] == "STOP_REQUESTED"
    incident.after(seconds=6)
    assert incident.statuses()[0] == "STOPPED"


def test_there_is_nothing_to_roll_back_to_when_nothing_was_ever_steady(aws: EmbeddedAws) -> None:
    ecs.cluster(aws, CLUSTER)
    ecs.register(aws, FAMILY, "public.ecr.aws/x/report:1", container=FAMILY, port=8000)
    ecs.script(aws, f"{FAMILY}:1", steady_after=None)
    ecs.deploy(aws, CLUSTER, SERVICE, f"{FAMILY}:1", desiredCount=2, minutes_ago=5)
    client = aws.client("ecs")
    (listed,) = client.list_service_deployments(cluster=CLUSTER, service=SERVICE)["serviceDeployments"]
    client.stop_service_deployment(serviceDeploymentArn=listed["serviceDeploymentArn"])
    aws.clock.advance(seconds=6)
    (listed,) = client.list_service_deployments(cluster=CLUSTER, service=SERVICE)["serviceDeployments"]
    assert listed["status"] == "ROLLBACK_FAILED"


# -- lists, descriptions, failures -------------------------------------------------------------------------------------


def test_the_history_is_newest_first_filtered_and_paged(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    assert incident.statuses() == ["IN_PROGRESS", "SUCCESSFUL", "SUCCESSFUL"]
    created = [each["createdAt"] for each in incident.history()]
    assert created == sorted(created, reverse=True)
    assert len(incident.history(status=["SUCCESSFUL"])) == 2
    assert len(incident.history(createdAt={"after": created[1]})) == 1
    page = incident.client.list_service_deployments(cluster=CLUSTER, service=SERVICE, maxResults=2)
    assert len(page["serviceDeployments"]) == 2
    rest = incident.client.list_service_deployments(
        cluster=CLUSTER, service=SERVICE, maxResults=2, nextToken=page["nextToken"]
    )
    assert len(rest["serviceDeployments"]) == 1
    assert "nextToken" not in rest
    assert all("finishedAt" in each for each in incident.history(status=["SUCCESSFUL"]))


def test_task_definitions_are_listed_in_both_orders_and_by_status(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    prefix = f"arn:aws:ecs:eu-central-1:123456789012:task-definition/{FAMILY}"
    listed = incident.client.list_task_definitions(familyPrefix=FAMILY)["taskDefinitionArns"]
    assert listed == [f"{prefix}:{number}" for number in (1, 2, 3)]
    newest = incident.client.list_task_definitions(familyPrefix=FAMILY, sort="DESC", maxResults=1)
    assert newest["taskDefinitionArns"] == [f"{prefix}:3"]
    incident.client.deregister_task_definition(taskDefinition=f"{FAMILY}:2")
    assert incident.client.list_task_definitions(status="INACTIVE")["taskDefinitionArns"] == [f"{prefix}:2"]
    described = incident.client.describe_task_definition(taskDefinition=f"{FAMILY}:2")["taskDefinition"]
    assert described["status"] == "INACTIVE"
    assert described["deregisteredAt"] is not None
    with pytest.raises(ClientError) as raised:
        incident.client.describe_task_definition(taskDefinition="nobody")
    assert code(raised) == ("ClientException", "Unable to describe task definition.")


def test_a_registered_definition_comes_back_as_it_was_given(aws: EmbeddedAws) -> None:
    client = aws.client("ecs")
    container = {"name": "web", "image": "nginx", "portMappings": [{"containerPort": 80}], "secrets": []}
    made = client.register_task_definition(
        family="web", containerDefinitions=[container], cpu="256", tags=[{"key": "a", "value": "b"}]
    )
    assert made["taskDefinition"]["revision"] == 1
    described = client.describe_task_definition(taskDefinition="web", include=["TAGS"])
    assert described["taskDefinition"]["containerDefinitions"][0].items() >= container.items()
    assert described["taskDefinition"]["cpu"] == "256"
    assert described["tags"] == [{"key": "a", "value": "b"}]


def test_what_is_missing_is_among_the_failures(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    client = incident.client
    answered = client.describe_services(cluster=CLUSTER, services=[SERVICE, "nobody"])
    assert [each["serviceName"] for each in answered["services"]] == [SERVICE]
    assert answered["failures"] == [
        {"arn": f"arn:aws:ecs:eu-central-1:123456789012:service/{CLUSTER}/nobody", "reason": "MISSING"}
    ]
    assert client.describe_clusters(clusters=["nobody"])["failures"][0]["reason"] == "MISSING"
    assert client.describe_tasks(cluster=CLUSTER, tasks=["a" * 32])["failures"][0]["reason"] == "MISSING"
    arn = f"arn:aws:ecs:eu-central-1:123456789012:service-revision/{CLUSTER}/{SERVICE}/1"
    assert client.describe_service_revisions(serviceRevisionArns=[arn])["failures"] == [
        {"arn": arn, "reason": "MISSING"}
    ]


def test_services_are_found_by_arn_too(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    arns = incident.client.list_services(cluster=CLUSTER)["serviceArns"]
    cluster = incident.client.describe_clusters(clusters=[CLUSTER])["clusters"][0]
    assert cluster["activeServicesCount"] == 1
    found = incident.client.describe_services(cluster=cluster["clusterArn"], services=arns)["services"]
    assert [each["serviceArn"] for each in found] == arns


def test_a_service_is_deleted_when_it_is_scaled_down_or_forced(aws: EmbeddedAws) -> None:
    incident = Incident(aws)
    with pytest.raises(ClientError) as raised:
        incident.client.delete_service(cluster=CLUSTER, service=SERVICE)
    assert code(raised)[0] == "InvalidParameterException"
    incident.client.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    assert incident.service()["status"] == "INACTIVE"
    assert incident.client.list_services(cluster=CLUSTER)["serviceArns"] == []
    with pytest.raises(ClientError) as raised:
        incident.update(desiredCount=1)
    assert code(raised)[0] == "ServiceNotActiveException"


@pytest.mark.parametrize(("controller", "tool"), [("CODE_DEPLOY", "AWS CodeDeploy"), ("EXTERNAL", "task set")])
def test_another_controllers_service_is_not_updated_here(aws: EmbeddedAws, controller: str, tool: str) -> None:
    incident = Incident(aws)
    ecs.deploy(
        aws, CLUSTER, "theirs", f"{FAMILY}:2", desiredCount=1, deploymentController={"type": controller}, minutes_ago=9
    )
    (service,) = incident.client.describe_services(cluster=CLUSTER, services=["theirs"])["services"]
    assert service["deploymentController"] == {"type": controller}
    assert "rolloutState" not in service["deployments"][0]
    with pytest.raises(ClientError, match=tool) as raised:
        incident.client.update_service(cluster=CLUSTER, service="theirs", taskDefinition=f"{FAMILY}:1")
    assert code(raised)[0] == "InvalidParameterException"


# -- honesty -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("run_task", {"taskDefinition": "x"}),
        ("list_container_instances", {}),
        ("update_service", {"service": SERVICE, "cluster": CLUSTER, "platformVersion": "1.4.0"}),
        ("create_service", {"serviceName": "x", "cluster": CLUSTER, "deploymentConfiguration": {"strategy": "CANARY"}}),
    ],
)
def test_what_is_not_faked_says_so(aws: EmbeddedAws, method: str, arguments: dict[str, Any]) -> None:
    incident = Incident(aws)
    arguments = {**arguments, **({"taskDefinition": FAMILY} if method == "create_service" else {})}
    with pytest.raises(ClientError) as raised:
        getattr(incident.client, method)(**arguments)
    assert code(raised)[0] == "NotImplemented"
    assert len(aws.defects) == 1


def test_the_same_scenario_has_the_same_ids(aws: EmbeddedAws) -> None:
    def ids() -> list[str]:
        incident = Incident(aws)
        incident.update(taskDefinition=f"{FAMILY}:2")
        tasks = incident.client.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"]
        return [
            *(each["id"] for each in incident.service()["deployments"]),
            *(each["serviceDeploymentArn"] for each in incident.history()),
            *tasks,
        ]

    first = ids()
    aws.reset()
    assert ids() == first
    assert len(set(first)) == len(first)


def test_each_region_has_its_own_clusters(aws: EmbeddedAws) -> None:
    Incident(aws)
    assert aws.client("ecs", "eu-west-1").list_clusters()["clusterArns"] == []
