"""What is read of an ECS service before it is rolled back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic import Field

from runbooks.aws.session import AwsSession
from runbooks.catalogue.ecs_service_rollback.input import Input
from runbooks.model import Model

_STEADY = "SUCCESSFUL"
_STOPPED_TASKS_SHOWN = 5


class Deployment(Model):
    """One entry of a service's `deployments`: what ECS is running, or trying to run. Times are ISO 8601 UTC."""

    id: str
    status: str
    task_definition: str
    rollout_state: str
    rollout_reason: str
    desired: int
    running: int
    pending: int
    failed_tasks: int
    since: str


class Revision(Model):
    """A task definition that this service has run, as far as ECS still knows it."""

    task_definition: str
    steady_until: str = Field(description="when the deployment after it began; ISO 8601 UTC")
    active: bool | None = Field(None, description="None: the task definition does not exist any more")
    missing_images: tuple[str, ...] = ()


class ServiceDeployment(Model):
    """One deployment in the service's history."""

    arn: str
    status: str
    task_definition: str | None
    source_task_definition: str | None = None
    created_at: str


class Service(Model):
    """A service as ECS describes it; `desired` and `running` count tasks."""

    arn: str
    name: str
    status: str
    controller: str
    task_definition: str
    desired: int
    running: int
    circuit_breaker: bool
    deployments: tuple[Deployment, ...]

    @property
    def primary(self) -> Deployment | None:
        return next((deployment for deployment in self.deployments if deployment.status == "PRIMARY"), None)

    @property
    def steady(self) -> bool:
        """One deployment, completed, with every wanted task running: what ECS calls a steady state."""
        primary = self.primary
        return (
            primary is not None
            and len(self.deployments) == 1
            and primary.rollout_state == "COMPLETED"
            and self.running == self.desired
        )


class Facts(Model):
    """`history` is newest first; `candidate` is the revision that a rollback would go to."""

    service: Service | None
    history: tuple[ServiceDeployment, ...] = ()
    candidate: Revision | None = None
    stopped_tasks: tuple[str, ...] = ()


def short(task_definition: str) -> str:
    """`family:revision` of a task definition's ARN."""
    return task_definition.rpartition("/")[2]


def gather(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the service, its deployment history, and the revision that it would go back to.

    Calls: ecs DescribeServices, ListServiceDeployments, DescribeServiceDeployments, DescribeServiceRevisions,
    DescribeTaskDefinition, ListTasks, DescribeTasks; ecr DescribeImages.
    """
    service = _read_service(given, aws)
    if service is None or service.controller != "ECS" or (service.steady and _is_on(given.task_definition, service)):
        return Facts(service=service)
    ecs = aws.client("ecs")
    history = _history(ecs, given)
    wanted = _wanted(given, service, history)
    return Facts(
        service=service,
        history=history,
        candidate=_revision(aws, *wanted) if wanted else None,
        stopped_tasks=() if service.steady else _stopped_tasks(ecs, given),
    )


def recheck(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the service and the revision that the plan goes back to.

    Calls: ecs DescribeServices, DescribeTaskDefinition; ecr DescribeImages.
    """
    service, back_to = _read_service(given, aws), given.task_definition
    return Facts(service=service, candidate=_revision(aws, back_to, "") if service and back_to else None)


def watch(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the service and nothing else: whether it is steady needs no more. Calls: ecs DescribeServices."""
    return Facts(service=_read_service(given, aws))


def _read_service(given: Input, aws: AwsSession) -> Service | None:
    ecs = aws.client("ecs")
    try:
        described = ecs.describe_services(cluster=given.cluster, services=[given.service])["services"]
    except ecs.exceptions.ClusterNotFoundException:
        return None
    return _service(described[0]) if described else None


def _is_on(task_definition: str | None, service: Service) -> bool:
    return task_definition in {service.task_definition, short(service.task_definition)}


def _service(described: dict[str, Any]) -> Service:
    breaker = described.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
    deployments = tuple(
        Deployment(
            id=deployment["id"],
            status=deployment["status"],
            task_definition=deployment["taskDefinition"],
            rollout_state=deployment.get("rolloutState", "COMPLETED"),
            rollout_reason=deployment.get("rolloutStateReason", ""),
            desired=deployment["desiredCount"],
            running=deployment["runningCount"],
            pending=deployment["pendingCount"],
            failed_tasks=deployment.get("failedTasks", 0),
            since=_iso(deployment["createdAt"]),
        )
        for deployment in described.get("deployments", ())
    )
    return Service(
        arn=described["serviceArn"],
        name=described["serviceName"],
        status=described["status"],
        controller=described.get("deploymentController", {}).get("type", "ECS"),
        task_definition=described.get("taskDefinition", ""),
        desired=described["desiredCount"],
        running=described["runningCount"],
        circuit_breaker=bool(breaker.get("enable") and breaker.get("rollback")),
        deployments=deployments,
    )


def _history(ecs: Any, given: Input) -> tuple[ServiceDeployment, ...]:
    briefs = []
    token: dict[str, str] = {}
    while True:
        page = ecs.list_service_deployments(cluster=given.cluster, service=given.service, **token)
        briefs += page["serviceDeployments"]
        if not page.get("nextToken"):
            break
        token = {"nextToken": page["nextToken"]}
    briefs.sort(key=lambda brief: brief["createdAt"], reverse=True)
    # ECS rolls back only what is under way.
    sources = _sources(ecs, [brief for brief in briefs[:1] if brief["status"] == "IN_PROGRESS"])
    arns = {brief["targetServiceRevisionArn"] for brief in briefs} | {arn for arn in sources.values() if arn}
    task_definitions = _task_definitions(ecs, sorted(arns))
    return tuple(
        ServiceDeployment(
            arn=brief["serviceDeploymentArn"],
            status=brief["status"],
            task_definition=task_definitions.get(brief["targetServiceRevisionArn"]),
            source_task_definition=task_definitions.get(sources.get(brief["serviceDeploymentArn"]) or ""),
            created_at=_iso(brief["createdAt"]),
        )
        for brief in briefs
    )


def _sources(ecs: Any, briefs: list[dict[str, Any]]) -> dict[str, str | None]:
    """The service revision that each deployment came from: ECS's own rollback would go there."""
    if not briefs:
        return {}
    arns = [brief["serviceDeploymentArn"] for brief in briefs]
    deployments = ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]
    return {
        deployment["serviceDeploymentArn"]: next(
            (source["arn"] for source in deployment.get("sourceServiceRevisions", ())), None
        )
        for deployment in deployments
    }


def _task_definitions(ecs: Any, revisions: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for twenty in _batches(revisions, 20):
        described = ecs.describe_service_revisions(serviceRevisionArns=twenty)["serviceRevisions"]
        found |= {revision["serviceRevisionArn"]: revision["taskDefinition"] for revision in described}
    return found


def _wanted(given: Input, service: Service, history: tuple[ServiceDeployment, ...]) -> tuple[str, str] | None:
    """The task definition to go back to, and until when it was steady: the newest that ever was, not simply n-1."""
    since = history[0].created_at if history else ""
    for deployment in history:
        steady = deployment.status == _STEADY and deployment.task_definition is not None
        if steady and given.task_definition is not None:
            if deployment.task_definition is not None and given.task_definition in {
                deployment.task_definition,
                short(deployment.task_definition),
            }:
                return deployment.task_definition, since
        elif (
            steady and deployment.task_definition is not None and deployment.task_definition != service.task_definition
        ):
            return deployment.task_definition, since
        since = deployment.created_at
    return None


def _revision(aws: AwsSession, task_definition: str, steady_until: str) -> Revision:
    try:
        described = aws.client("ecs").describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "ClientException":
            raise
        return Revision(task_definition=task_definition, steady_until=steady_until)
    images = [container["image"] for container in described["containerDefinitions"]]
    return Revision(
        task_definition=task_definition,
        steady_until=steady_until,
        active=described["status"] == "ACTIVE",
        missing_images=tuple(image for image in images if not _exists(aws, image)),
    )


def _exists(aws: AwsSession, image: str) -> bool:
    """Whether ECR still has the image. An image elsewhere cannot be looked up from here, and counts as there."""
    registry, _, path = image.partition("/")
    if ".dkr.ecr." not in registry:
        return True
    account, region = registry.split(".")[0], registry.split(".")[3]
    repository, at, image_digest = path.partition("@")
    if at:
        wanted = {"imageDigest": image_digest}
        repository = repository.partition(":")[0]
    else:
        repository, _, tag = path.partition(":")
        wanted = {"imageTag": tag or "latest"}
    try:
        aws.client("ecr", region).describe_images(registryId=account, repositoryName=repository, imageIds=[wanted])
    except ClientError as failure:
        if failure.response["Error"]["Code"] not in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            raise
        return False
    return True


def _stopped_tasks(ecs: Any, given: Input) -> tuple[str, ...]:
    """Why the newest stopped tasks stopped; ECS remembers them for about an hour."""
    arns = ecs.list_tasks(cluster=given.cluster, serviceName=given.service, desiredStatus="STOPPED")["taskArns"]
    if not arns:
        return ()
    tasks = ecs.describe_tasks(cluster=given.cluster, tasks=arns[:100])["tasks"]
    reasons = [
        f"{short(task['taskDefinitionArn'])}: {task['stoppedReason']}" for task in tasks if task.get("stoppedReason")
    ]
    return tuple(sorted(set(reasons))[:_STOPPED_TASKS_SHOWN])


def _batches(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
