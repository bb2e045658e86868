"""Amazon ECS, as far as rolling updates go: clusters, task definitions, services and their deployments.

It answers as the service does, or raises NotImplementedError, which callers see as a 501. What tasks do is scripted
per task definition; the building blocks for scenarios stand at the end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.ecr.models import ecr_backends

from workbench.embedded.calls import Call, ServiceError
from workbench.embedded.clock import VirtualClock
from workbench.embedded.ecs.rollout import (
    Deployment,
    Failing,
    Revision,
    Script,
    Service,
    ServiceDeployment,
    Task,
    TaskDefinition,
)

if TYPE_CHECKING:
    from workbench.embedded.aws import EmbeddedAws

__all__ = ["Ecs", "Failing", "Script", "cluster", "deploy", "push_image", "register", "script"]

DEPLOYMENT_DEFAULTS = {
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}
SETTINGS = (
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "deploymentController",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
    "launchType",
    "loadBalancers",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "propagateTags",
    "schedulingStrategy",
    "serviceRegistries",
)
"""Fields of a service that are kept and told as they were given."""
UPDATABLE = {
    "cluster",
    "deploymentConfiguration",
    "desiredCount",
    "enableExecuteCommand",
    "forceNewDeployment",
    "healthCheckGracePeriodSeconds",
    "service",
    "taskDefinition",
}
OTHER_TOOLS = {"CODE_DEPLOY": "AWS CodeDeploy", "EXTERNAL": "the task set API"}
PAGE = 100

Given = Mapping[str, Any]


@dataclass
class Cluster:
    """A cluster, with its services by name."""

    name: str
    arn: str
    services: dict[str, Service] = field(default_factory=dict)


class Ecs:
    """The service in one account and region."""

    def __init__(self, clock: VirtualClock, account: str, region: str) -> None:
        self._clock = clock
        self._account = account
        self._region = region
        self._lock = threading.RLock()
        self._moment: datetime | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._clusters: dict[str, Cluster] = {}
            self._families: dict[str, list[TaskDefinition]] = {}
            self._scripts: dict[str, Script] = {}

    def answer(self, call: Call) -> dict[str, Any]:
        """Answers one API call. Raises ServiceError as ECS would, NotImplementedError for what is not faked."""
        return self.do(call.operation, json.loads(call.body or b"{}"))

    def do(self, operation: str, given: Given, at: datetime | None = None) -> dict[str, Any]:
        """The operation with boto3's parameters, as of a moment in the past if one is given.

        The past must be told in order: what a service did later cannot be undone by an earlier operation.
        """
        handler = _OPERATIONS.get(operation)
        if handler is None:
            raise NotImplementedError(f"{operation} is not among the operations of the embedded ECS")
        with self._lock:
            self._moment = at
            try:
                return handler(self, given)
            finally:
                self._moment = None

    def set_script(self, definition: str, script: Script) -> None:
        """What tasks of that task definition (`family:revision` or ARN) do in deployments that start from now on."""
        with self._lock:
            self._scripts[self._definition(definition).arn] = script

    def _now(self) -> datetime:
        """The time in milliseconds, which is what a caller gets to see and may ask for again."""
        moment = self._moment or self._clock.now()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    # -- clusters ------------------------------------------------------------------------------------------------------

    def _create_cluster(self, given: Given) -> dict[str, Any]:
        name = given.get("clusterName", "default")
        if name not in self._clusters:
            self._clusters[name] = Cluster(name, self._arn(f"cluster/{name}"))
        return {"cluster": self._described_cluster(self._clusters[name])}

    def _describe_clusters(self, given: Given) -> dict[str, Any]:
        found, failures = [], []
        for wanted in given.get("clusters") or ["default"]:
            cluster = self._clusters.get(wanted.rpartition("/")[2])
            if cluster is None:
                arn = wanted if wanted.startswith("arn:") else self._arn(f"cluster/{wanted}")
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(self._described_cluster(cluster))
        return {"clusters": found, "failures": failures}

    def _list_clusters(self, given: Given) -> dict[str, Any]:
        return _page("clusterArns", [cluster.arn for cluster in self._clusters.values()], given)

    def _described_cluster(self, cluster: Cluster) -> dict[str, Any]:
        active = [service for service in cluster.services.values() if service.status == "ACTIVE"]
        for service in active:
            service.catch_up(self._now())
        return {
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": "ACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(service.count(running=True) for service in active),
            "pendingTasksCount": sum(service.count(running=False) for service in active),
            "activeServicesCount": len(active),
        }

    def _cluster(self, given: Given) -> Cluster:
        cluster = self._clusters.get(str(given.get("cluster", "default")).rpartition("/")[2])
        if cluster is None:
            raise ServiceError("ClusterNotFoundException", "Cluster not found.")
        return cluster

    # -- task definitions ----------------------------------------------------------------------------------------------

    def _register_task_definition(self, given: Given) -> dict[str, Any]:
        family = given["family"]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", family):
            raise ServiceError("ClientException", "Family contains invalid characters.")
        if not given["containerDefinitions"]:
            raise ServiceError("ClientException", "Container list cannot be empty.")
        revisions = self._families.setdefault(family, [])
        number = len(revisions) + 1
        content = {key: value for key, value in given.items() if key not in ("family", "tags")}
        content["containerDefinitions"] = [
            {"cpu": 0, "essential": True, "environment": [], "mountPoints": [], "volumesFrom": [], **container}
            for container in given["containerDefinitions"]
        ]
        arn = self._arn(f"task-definition/{family}:{number}")
        made = TaskDefinition(arn, family, number, content, self._now(), tags=list(given.get("tags", [])))
        revisions.append(made)
        return {"taskDefinition": self._described_definition(made), "tags": made.tags}

    def _deregister_task_definition(self, given: Given) -> dict[str, Any]:
        wanted = given["taskDefinition"]
        if not re.search(r":\d+$", wanted):
            raise ServiceError("InvalidParameterException", "Task definition must specify a revision.")
        definition = self._definition(wanted, "The specified task definition does not exist.")
        if definition.deregistered is None:
            definition.deregistered = self._now()
        return {"taskDefinition": self._described_definition(definition)}

    def _describe_task_definition(self, given: Given) -> dict[str, Any]:
        definition = self._definition(given["taskDefinition"])
        tags = definition.tags if "TAGS" in given.get("include", []) else []
        return {"taskDefinition": self._described_definition(definition), "tags": tags}

    def _list_task_definitions(self, given: Given) -> dict[str, Any]:
        prefix, status = given.get("familyPrefix"), given.get("status", "ACTIVE")
        arns = [
            definition.arn
            for family in sorted(self._families)
            if prefix is None or family == prefix
            for definition in self._families[family]
            if definition.status == status
        ]
        if given.get("sort") == "DESC":
            arns.reverse()
        return _page("taskDefinitionArns", arns, given)

    def _definition(self, wanted: str, complaint: str = "Unable to describe task definition.") -> TaskDefinition:
        """The revision of that `family:revision` or ARN; a family alone means its latest active revision."""
        family, _, number = wanted.rpartition("/")[2].partition(":")
        revisions = self._families.get(family, [])
        if wanted.startswith("arn:") and not wanted.startswith(self._arn("task-definition/")):
            revisions = []
        if number:
            found = [definition for definition in revisions if str(definition.revision) == number]
        else:
            found = [definition for definition in revisions if definition.status == "ACTIVE"][-1:]
        if not found:
            raise ServiceError("ClientException", complaint)
        return found[0]

    def _deployable(self, wanted: str) -> TaskDefinition:
        definition = self._definition(wanted)
        if definition.status != "ACTIVE":
            raise ServiceError("ClientException", "TaskDefinition is inactive")
        return definition

    def _described_definition(self, definition: TaskDefinition) -> dict[str, Any]:
        described = {
            **definition.content,
            "taskDefinitionArn": definition.arn,
            "family": definition.family,
            "revision": definition.revision,
            "status": definition.status,
            "volumes": definition.content.get("volumes", []),
            "placementConstraints": definition.content.get("placementConstraints", []),
            "registeredAt": definition.registered,
        }
        if definition.deregistered is not None:
            described["deregisteredAt"] = definition.deregistered
        return described

    # -- services ------------------------------------------------------------------------------------------------------

    def _create_service(self, given: Given) -> dict[str, Any]:
        cluster, name = self._cluster(given), given["serviceName"]
        unknown = set(given) - {*SETTINGS, "cluster", "serviceName", "taskDefinition", "desiredCount"}
        unknown -= {"deploymentConfiguration", "clientToken", "tags"}
        if unknown:
            raise NotImplementedError(f"CreateService with {', '.join(sorted(unknown))}")
        if given.get("schedulingStrategy", "REPLICA") != "REPLICA":
            raise NotImplementedError("services with the DAEMON strategy")
        existing = cluster.services.get(name)
        if existing is not None and existing.status == "ACTIVE":
            raise ServiceError("InvalidParameterException", "Creation of service was not idempotent.")
        definition = self._deployable(given["taskDefinition"])
        now = self._now()
        settings = {key: given[key] for key in SETTINGS if key in given}
        settings.setdefault("deploymentController", {"type": "ECS"})
        settings["deploymentConfiguration"] = _deployment_configuration({}, given)
        settings["tags"] = list(given.get("tags", []))
        service = Service(cluster.name, name, now, int(given.get("desiredCount", 0)), settings)
        cluster.services[name] = service
        self._roll(service, definition, now)
        return {"service": self._described_service(cluster, service)}

    def _update_service(self, given: Given) -> dict[str, Any]:
        unknown = set(given) - UPDATABLE
        if unknown:
            raise NotImplementedError(f"UpdateService with {', '.join(sorted(unknown))}")
        cluster = self._cluster(given)
        service = self._service(cluster, given["service"])
        if service.status != "ACTIVE":
            raise ServiceError("ServiceNotActiveException", "Service was not ACTIVE.")
        now = self._now()
        wanted = self._deployable(given["taskDefinition"]) if "taskDefinition" in given else None
        controller = service.settings["deploymentController"]["type"]
        if controller != "ECS" and (wanted is not None or given.get("forceNewDeployment")):
            raise ServiceError(
                "InvalidParameterException",
                f"Unable to update task definition on services with a {controller} deployment controller. "
                f"Use {OTHER_TOOLS[controller]} to trigger a new deployment.",
            )
        service.settings["deploymentConfiguration"] = _deployment_configuration(
            service.settings["deploymentConfiguration"], given
        )
        for name in ("healthCheckGracePeriodSeconds", "enableExecuteCommand"):
            if name in given:
                service.settings[name] = given[name]
        present = service.primary.revision.definition
        if given.get("forceNewDeployment") or (wanted is not None and wanted is not present):
            service.desired = int(given.get("desiredCount", service.desired))
            self._roll(service, wanted or present, now)
        elif "desiredCount" in given and given["desiredCount"] != service.desired:
            service.scale(int(given["desiredCount"]), now)
        return {"service": self._described_service(cluster, service)}

    def _delete_service(self, given: Given) -> dict[str, Any]:
        cluster = self._cluster(given)
        service = self._service(cluster, given["service"])
        if service.desired and not given.get("force"):
            raise ServiceError("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
        service.drain(self._now())
        return {"service": self._described_service(cluster, service)}

    def _describe_services(self, given: Given) -> dict[str, Any]:
        cluster = self._cluster(given)
        if not given["services"]:
            raise ServiceError("InvalidParameterException", "Services cannot be empty.")
        found, failures = [], []
        for wanted in given["services"]:
            service = cluster.services.get(wanted.rpartition("/")[2])
            if service is None:
                arn = wanted if wanted.startswith("arn:") else self._arn(f"service/{cluster.name}/{wanted}")
                failures.append({"arn": arn, "reason": "MISSING"})
                continue
            service.catch_up(self._now())
            described = self._described_service(cluster, service)
            if "TAGS" in given.get("include", []):
                described["tags"] = service.settings["tags"]
            found.append(described)
        return {"services": found, "failures": failures}

    def _list_services(self, given: Given) -> dict[str, Any]:
        cluster = self._cluster(given)
        arns = [
            self._arn(f"service/{cluster.name}/{service.name}")
            for service in cluster.services.values()
            if service.status == "ACTIVE"
        ]
        return _page("serviceArns", arns, given, size=10)

    def _service(self, cluster: Cluster, wanted: str) -> Service:
        service = cluster.services.get(wanted.rpartition("/")[2])
        if service is None:
            raise ServiceError("ServiceNotFoundException", "Service not found.")
        service.catch_up(self._now())
        return service

    def _roll(self, service: Service, definition: TaskDefinition, now: datetime) -> None:
        images = [
            (container["name"], container["image"], self._digest(container["image"]))
            for container in definition.content["containerDefinitions"]
        ]
        script = self._scripts.get(definition.arn, Script())
        if any(digest is None and self._ours(image) for _, image, digest in images):
            script = Script(steady_after=None, failing=Failing.CANNOT_PULL, fails_after=script.fails_after)
        service.deploy(definition, script, images, now)

    def _ours(self, image: str) -> bool:
        """Whether the image is in a registry of the embedded AWS, which knows what it has."""
        return bool(re.match(rf"{self._account}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/", image))

    def _digest(self, image: str) -> str | None:
        """The image's digest in ECR; None if it is not there, or in another registry."""
        parts = re.match(
            r"(?P<account>\d+)\.dkr\.ecr\.(?P<region>[^.]+)\.amazonaws\.com/(?P<name>[^:@]+)(?P<at>.*)", image
        )
        if parts is None or parts["account"] != self._account:
            return None
        repository = ecr_backends[self._account][parts["region"]].repositories.get(parts["name"])
        if repository is None:
            return None
        wanted = parts["at"][1:] or "latest"
        for candidate in repository.images:
            digest = str(candidate.get_image_digest())
            if wanted in (digest, *candidate.image_tags):
                return digest
        return None

    def _described_service(self, cluster: Cluster, service: Service) -> dict[str, Any]:
        arn = self._arn(f"service/{cluster.name}/{service.name}")
        rolling = service.settings["deploymentController"]["type"] == "ECS"
        described = {
            **{key: value for key, value in service.settings.items() if key != "tags"},
            "serviceArn": arn,
            "serviceName": service.name,
            "clusterArn": cluster.arn,
            "status": service.status,
            "desiredCount": service.desired,
            "runningCount": service.count(running=True),
            "pendingCount": service.count(running=False),
            "taskDefinition": service.primary.revision.definition.arn,
            "deployments": [self._described_deployment(each, rolling) for each in service.deployments],
            "events": [{"id": key, "createdAt": at, "message": message} for key, at, message in service.events],
            "createdAt": service.created,
            "loadBalancers": service.settings.get("loadBalancers", []),
            "serviceRegistries": service.settings.get("serviceRegistries", []),
            "schedulingStrategy": "REPLICA",
            "launchType": service.settings.get("launchType", "FARGATE"),
            "propagateTags": service.settings.get("propagateTags", "NONE"),
            "enableExecuteCommand": service.settings.get("enableExecuteCommand", False),
        }
        if rolling:
            current = [self._counted(cluster, service, each) for each in service.deployments if each.alive()]
            described["currentServiceRevisions"] = current
            if service.current.open:
                described["currentServiceDeployment"] = self._deployment_arn(cluster, service, service.current)
        return described

    @staticmethod
    def _described_deployment(deployment: Deployment, rolling: bool) -> dict[str, Any]:
        described = {
            "id": deployment.id,
            "status": deployment.status,
            "taskDefinition": deployment.revision.definition.arn,
            "desiredCount": deployment.desired,
            "pendingCount": len(deployment.alive(running=False)),
            "runningCount": len(deployment.alive(running=True)),
            "failedTasks": deployment.failed,
            "createdAt": deployment.created,
            "updatedAt": deployment.updated,
            "launchType": "FARGATE",
        }
        if rolling:
            described["rolloutState"] = deployment.rollout
            described["rolloutStateReason"] = deployment.reason
        return described

    # -- service deployments -------------------------------------------------------------------------------------------

    def _list_service_deployments(self, given: Given) -> dict[str, Any]:
        cluster = self._cluster(given)
        service = self._rolling(self._service(cluster, given["service"]))
        created = given.get("createdAt", {})
        found = [
            record
            for record in reversed(service.history)
            if (not given.get("status") or record.status in given["status"])
            and ("before" not in created or record.created < _moment(created["before"]))
            and ("after" not in created or record.created > _moment(created["after"]))
        ]
        brief = [
            {
                "serviceDeploymentArn": self._deployment_arn(cluster, service, record),
                "serviceArn": self._arn(f"service/{cluster.name}/{service.name}"),
                "clusterArn": cluster.arn,
                "startedAt": record.created,
                "createdAt": record.created,
                "targetServiceRevisionArn": self._revision_arn(cluster, service, record.target),
                "status": record.status,
                **_present(finishedAt=record.finished, statusReason=record.reason),
            }
            for record in found
        ]
        return _page("serviceDeployments", brief, given)

    def _describe_service_deployments(self, given: Given) -> dict[str, Any]:
        found, failures = [], []
        for arn in _at_most_20(given["serviceDeploymentArns"]):
            located = self._located(arn, "service-deployment")
            if located is None:
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(self._described_service_deployment(*located))
        return {"serviceDeployments": found, "failures": failures}

    def _described_service_deployment(
        self, cluster: Cluster, service: Service, record: ServiceDeployment
    ) -> dict[str, Any]:
        breaker = record.configuration.get("deploymentCircuitBreaker") or {}
        running = [each for each in service.deployments if each.revision is record.target]
        tasks = running[0] if running else None
        described = {
            "serviceDeploymentArn": self._deployment_arn(cluster, service, record),
            "serviceArn": self._arn(f"service/{cluster.name}/{service.name}"),
            "clusterArn": cluster.arn,
            "createdAt": record.created,
            "startedAt": record.created,
            "sourceServiceRevisions": [
                {
                    "arn": self._revision_arn(cluster, service, revision),
                    "requestedTaskCount": requested,
                    "runningTaskCount": count,
                    "pendingTaskCount": 0,
                }
                for revision, requested, count in record.sources
            ],
            "targetServiceRevision": {
                "arn": self._revision_arn(cluster, service, record.target),
                "requestedTaskCount": tasks.desired if tasks else service.desired,
                "runningTaskCount": len(tasks.alive(running=True)) if tasks else 0,
                "pendingTaskCount": len(tasks.alive(running=False)) if tasks else 0,
            },
            "status": record.status,
            "deploymentConfiguration": record.configuration,
            "deploymentCircuitBreaker": {
                "status": _breaker_status(breaker, record),
                "failureCount": record.failures,
                "threshold": service.threshold,
            },
            **_present(
                finishedAt=record.finished,
                stoppedAt=record.stopped,
                updatedAt=record.updated,
                statusReason=record.reason,
            ),
        }
        if record.rollback is not None:
            described["rollback"] = {
                "reason": record.rollback.reason,
                "startedAt": record.rollback.started,
                "serviceRevisionArn": self._revision_arn(cluster, service, record.rollback.revision),
            }
        return described

    def _describe_service_revisions(self, given: Given) -> dict[str, Any]:
        found, failures = [], []
        for arn in _at_most_20(given["serviceRevisionArns"]):
            located = self._located(arn, "service-revision")
            if located is None:
                failures.append({"arn": arn, "reason": "MISSING"})
                continue
            cluster, service, revision = located
            found.append(
                {
                    "serviceRevisionArn": self._revision_arn(cluster, service, revision),
                    "serviceArn": self._arn(f"service/{cluster.name}/{service.name}"),
                    "clusterArn": cluster.arn,
                    "taskDefinition": revision.definition.arn,
                    "launchType": service.settings.get("launchType", "FARGATE"),
                    "loadBalancers": service.settings.get("loadBalancers", []),
                    "containerImages": [
                        {"containerName": name, "image": image, **_present(imageDigest=digest)}
                        for name, image, digest in revision.images
                    ],
                    "guardDutyEnabled": False,
                    "createdAt": revision.created,
                }
            )
        return {"serviceRevisions": found, "failures": failures}

    def _stop_service_deployment(self, given: Given) -> dict[str, Any]:
        arn = given["serviceDeploymentArn"]
        located = self._located(arn, "service-deployment")
        if located is None:
            raise ServiceError("ServiceDeploymentNotFoundException", "Service deployment not found.")
        _, service, record = located
        if not record.open:
            raise ServiceError(
                "ConflictException", f"Service deployment {arn} is in {record.status} state and cannot be stopped."
            )
        service.stop(self._now(), roll_back=given.get("stopType", "ROLLBACK") == "ROLLBACK")
        return {"serviceDeploymentArn": arn}

    @staticmethod
    def _rolling(service: Service) -> Service:
        controller = service.settings["deploymentController"]["type"]
        if controller != "ECS":
            raise NotImplementedError(f"service deployments with the deployment controller {controller}")
        return service

    def _located(self, arn: str, kind: str) -> tuple[Cluster, Service, Any] | None:
        prefix = self._arn(f"{kind}/")
        if not arn.startswith("arn:"):
            raise ServiceError("InvalidParameterException", f"Invalid identifier: {arn}")
        cluster_name, _, rest = arn.removeprefix(prefix).partition("/")
        service_name, _, number = rest.partition("/")
        cluster = self._clusters.get(cluster_name)
        service = None if cluster is None else cluster.services.get(service_name)
        if cluster is None or service is None or not arn.startswith(prefix):
            return None
        service.catch_up(self._now())
        of_kind: Sequence[Any] = service.history if kind == "service-deployment" else service.revisions
        found = next((each for each in of_kind if each.number == number), None)
        return None if found is None else (cluster, service, found)

    def _counted(self, cluster: Cluster, service: Service, deployment: Deployment) -> dict[str, Any]:
        return {
            "arn": self._revision_arn(cluster, service, deployment.revision),
            "requestedTaskCount": deployment.desired,
            "runningTaskCount": len(deployment.alive(running=True)),
            "pendingTaskCount": len(deployment.alive(running=False)),
        }

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _list_tasks(self, given: Given) -> dict[str, Any]:
        unknown = set(given) - {"cluster", "serviceName", "family", "desiredStatus", "nextToken", "maxResults"}
        if unknown:
            raise NotImplementedError(f"ListTasks with {', '.join(sorted(unknown))}")
        cluster = self._cluster(given)
        if given.get("serviceName"):
            services = [self._service(cluster, given["serviceName"])]
        else:
            services = list(cluster.services.values())
        wanted = given.get("desiredStatus", "RUNNING")
        arns = []
        for service in services:
            service.catch_up(self._now())
            for task in service.tasks():
                desired = "STOPPED" if task.stopped is not None else "RUNNING"
                if desired == wanted and given.get("family") in (None, task.deployment.revision.definition.family):
                    arns.append(self._arn(f"task/{cluster.name}/{task.id}"))
        return _page("taskArns", arns, given)

    def _describe_tasks(self, given: Given) -> dict[str, Any]:
        cluster = self._cluster(given)
        if not given["tasks"]:
            raise ServiceError("InvalidParameterException", "Tasks cannot be empty.")
        for service in cluster.services.values():
            service.catch_up(self._now())
        known = {task.id: (service, task) for service in cluster.services.values() for task in service.tasks()}
        found, failures = [], []
        for wanted in given["tasks"]:
            located = known.get(wanted.rpartition("/")[2])
            if located is None:
                arn = wanted if wanted.startswith("arn:") else self._arn(f"task/{cluster.name}/{wanted}")
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(self._described_task(cluster, *located))
        return {"tasks": found, "failures": failures}

    def _described_task(self, cluster: Cluster, service: Service, task: Task) -> dict[str, Any]:
        definition = task.deployment.revision.definition
        arn = self._arn(f"task/{cluster.name}/{task.id}")
        failing = task.code is not None and task.reason == Failing.HEALTH_CHECK.value[1]
        health = "HEALTHY" if task.healthy else "UNHEALTHY" if failing else "UNKNOWN"
        containers = [
            {
                "containerArn": f"{arn}/{name}",
                "taskArn": arn,
                "name": name,
                "image": image,
                "lastStatus": task.status,
                "healthStatus": health,
                **_present(
                    imageDigest=digest,
                    exitCode=task.exit_code,
                    reason=task.reason if task.code == "TaskFailedToStart" else None,
                ),
            }
            for name, image, digest in task.deployment.revision.images
        ]
        return {
            "taskArn": arn,
            "clusterArn": cluster.arn,
            "taskDefinitionArn": definition.arn,
            "group": f"service:{service.name}",
            "startedBy": task.deployment.id,
            "lastStatus": task.status,
            "desiredStatus": "STOPPED" if task.stopped is not None else "RUNNING",
            "healthStatus": health,
            "launchType": "FARGATE",
            "createdAt": task.created,
            "containers": containers,
            "version": 1,
            **_present(startedAt=task.running, stoppedAt=task.stopped, stopCode=task.code, stoppedReason=task.reason),
        }

    # -- names ---------------------------------------------------------------------------------------------------------

    def _arn(self, rest: str) -> str:
        return f"arn:aws:ecs:{self._region}:{self._account}:{rest}"

    def _deployment_arn(self, cluster: Cluster, service: Service, record: ServiceDeployment) -> str:
        return self._arn(f"service-deployment/{cluster.name}/{service.name}/{record.number}")

    def _revision_arn(self, cluster: Cluster, service: Service, revision: Revision) -> str:
        return self._arn(f"service-revision/{cluster.name}/{service.name}/{revision.number}")


_OPERATIONS: dict[str, Callable[[Ecs, Given], dict[str, Any]]] = {
    "CreateCluster": Ecs._create_cluster,
    "CreateService": Ecs._create_service,
    "DeleteService": Ecs._delete_service,
    "DeregisterTaskDefinition": Ecs._deregister_task_definition,
    "DescribeClusters": Ecs._describe_clusters,
    "DescribeServiceDeployments": Ecs._describe_service_deployments,
    "DescribeServiceRevisions": Ecs._describe_service_revisions,
    "DescribeServices": Ecs._describe_services,
    "DescribeTaskDefinition": Ecs._describe_task_definition,
    "DescribeTasks": Ecs._describe_tasks,
    "ListClusters": Ecs._list_clusters,
    "ListServiceDeployments": Ecs._list_service_deployments,
    "ListServices": Ecs._list_services,
    "ListTaskDefinitions": Ecs._list_task_definitions,
    "ListTasks": Ecs._list_tasks,
    "RegisterTaskDefinition": Ecs._register_task_definition,
    "StopServiceDeployment": Ecs._stop_service_deployment,
    "UpdateService": Ecs._update_service,
}


def _deployment_configuration(before: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """The configuration with its defaults. Raises NotImplementedError for what the rollout does not do."""
    wanted = given.get("deploymentConfiguration", {})
    if wanted.get("strategy", "ROLLING") != "ROLLING":
        raise NotImplementedError(f"the deployment strategy {wanted['strategy']}")
    if (wanted.get("alarms") or {}).get("enable"):
        raise NotImplementedError("deployments that alarms can fail")
    breaker = wanted.get("deploymentCircuitBreaker") or {}
    if set(breaker) - {"enable", "rollback"}:
        raise NotImplementedError("circuit breakers with a threshold of their own")
    configuration = {**DEPLOYMENT_DEFAULTS, **before, **wanted}
    configuration.setdefault("deploymentCircuitBreaker", {"enable": False, "rollback": False})
    return configuration


def _breaker_status(breaker: Mapping[str, Any], record: ServiceDeployment) -> str:
    if not breaker.get("enable"):
        return "DISABLED"
    if record.open and record.rollback is None:
        return "MONITORING"
    return "MONITORING_COMPLETE" if record.status == "SUCCESSFUL" else "TRIGGERED"


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _moment(value: Any) -> datetime:
    """A timestamp of a request."""
    return value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)


def _at_most_20(arns: list[str]) -> list[str]:
    if len(arns) > 20:
        raise ServiceError("InvalidParameterException", "You can specify a maximum of 20 ARNs.")
    return arns


def _page(name: str, items: Sequence[Any], given: Given, size: int = PAGE) -> dict[str, Any]:
    try:
        start = int(base64.b64decode(given["nextToken"], validate=True)) if given.get("nextToken") else 0
    except ValueError as error:
        raise ServiceError("InvalidParameterException", "Invalid token") from error
    end = start + int(given.get("maxResults") or size)
    page: dict[str, Any] = {name: list(items[start:end])}
    if end < len(items):
        page["nextToken"] = base64.b64encode(str(end).encode()).decode()
    return page


# -- building blocks for scenarios -------------------------------------------------------------------------------------


def cluster(aws: EmbeddedAws, name: str) -> str:
    """A cluster; its ARN."""
    return str(aws.ecs.do("CreateCluster", {"clusterName": name})["cluster"]["clusterArn"])


def push_image(aws: EmbeddedAws, repository: str, tag: str) -> str:
    """An image in ECR, in a repository that is made if need be; its URI with the tag."""
    client = aws.client("ecr")
    backend = ecr_backends[aws.account_id][aws.region]
    if repository not in backend.repositories:
        client.create_repository(repositoryName=repository)
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7023, "digest": _sha256(tag)}
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})
    client.put_image(
        repositoryName=repository,
        imageTag=tag,
        imageManifest=manifest,
        imageManifestMediaType=kind,
        imageDigest=_sha256(f"{repository}:{tag}"),
    )
    return f"{aws.account_id}.dkr.ecr.{aws.region}.amazonaws.com/{repository}:{tag}"


def register(
    aws: EmbeddedAws, family: str, image: str, *, container: str, port: int, minutes_ago: float = 0, **fields: Any
) -> str:
    """A revision of a Fargate task definition with one container and a health check; its ARN. `fields` override."""
    definition = {
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": f"arn:aws:iam::{aws.account_id}:role/{family}-execution",
        "taskRoleArn": f"arn:aws:iam::{aws.account_id}:role/{family}-task",
        "containerDefinitions": [
            {
                "name": container,
                "image": image,
                "portMappings": [{"containerPort": port, "hostPort": port, "protocol": "tcp"}],
                "healthCheck": {
                    "command": ["CMD-SHELL", f"curl -f http://localhost:{port}/health || exit 1"],
                    "interval": 10,
                    "timeout": 5,
                    "retries": 3,
                },
            }
        ],
        **fields,
    }
    made = aws.ecs.do("RegisterTaskDefinition", definition, _ago(aws, minutes_ago))
    return str(made["taskDefinition"]["taskDefinitionArn"])


def script(
    aws: EmbeddedAws,
    definition: str,
    *,
    steady_after: float | None,
    failing: Failing = Failing.HEALTH_CHECK,
    fails_after: float = 60.0,
) -> None:
    """What tasks of a task definition (`family:revision` or ARN) do: see `Script`. Seconds."""
    aws.ecs.set_script(definition, Script(steady_after, failing, fails_after))


def deploy(
    aws: EmbeddedAws,
    cluster_name: str,
    service: str,
    definition: str,
    *,
    minutes_ago: float = 0,
    **fields: Any,
) -> None:
    """Creates the service, or updates it to that task definition, as of that many minutes ago.

    `fields` go into CreateService or UpdateService (desiredCount, deploymentConfiguration). Deploy in order of time.
    """
    at = _ago(aws, minutes_ago)
    known = aws.ecs.do("DescribeServices", {"cluster": cluster_name, "services": [service]}, at)["services"]
    target = {"cluster": cluster_name, "taskDefinition": definition, **fields}
    if known:
        aws.ecs.do("UpdateService", {"service": service, **target}, at)
    else:
        aws.ecs.do("CreateService", {"serviceName": service, "launchType": "FARGATE", **target}, at)


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _ago(aws: EmbeddedAws, minutes: float) -> datetime:
    return aws.clock.now() - timedelta(minutes=minutes)
