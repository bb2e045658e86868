"""Roll an ECS service back to the newest revision that ever was steady, and wait until it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PAUSE = 15.0
"""Seconds between two looks."""
LOOKS = 80


def main(client: Callable[[str], Any], sleep: Callable[[float], None], given: Mapping[str, Any]) -> None:
    """Raises RuntimeError if there is no way back, or the service does not become steady."""
    ecs = client("ecs")
    cluster, name = given["cluster"], given["service"]

    def described() -> dict[str, Any]:
        service: dict[str, Any] = ecs.describe_services(cluster=cluster, services=[name])["services"][0]
        return service

    current = described()["taskDefinition"]
    history = ecs.list_service_deployments(cluster=cluster, service=name)["serviceDeployments"]
    arns = list(dict.fromkeys(each["targetServiceRevisionArn"] for each in history))
    revisions = ecs.describe_service_revisions(serviceRevisionArns=arns)["serviceRevisions"]
    runs = {revision["serviceRevisionArn"]: revision["taskDefinition"] for revision in revisions}
    steady = [runs[each["targetServiceRevisionArn"]] for each in history if each["status"] == "SUCCESSFUL"]
    back_to = next((revision for revision in steady if revision != current), None)
    if back_to is None:
        raise RuntimeError(f"no earlier revision of {name} was steady")
    definition = ecs.describe_task_definition(taskDefinition=back_to)["taskDefinition"]
    if definition["status"] != "ACTIVE":
        raise RuntimeError(f"{back_to} is {definition['status']}")
    for container in definition["containerDefinitions"]:
        _, _, path = container["image"].partition("/")
        repository, _, tag = path.partition(":")
        client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    ecs.update_service(cluster=cluster, service=name, taskDefinition=back_to)
    for _ in range(LOOKS):
        sleep(PAUSE)
        service = described()
        deployments = service["deployments"]
        if len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED":
            return
    raise RuntimeError(f"{name} does not become steady")
