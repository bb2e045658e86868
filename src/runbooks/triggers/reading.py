"""What an event asks for: a runbook and its input, or nothing, and then why. Pure.

The shapes are those that the services document: CloudWatch's "Alarm events and EventBridge", Amazon ECS's "service
deployment state change events" and "task state change events", and SageMaker's "endpoint state change".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runbooks.model import Model

Event = Mapping[str, Any]

ROLL_BACK = ("ecs-service-rollback",)
MEND_ENDPOINT = ("sagemaker-endpoint-rollback", "sagemaker-variant-fix")
"""Runbooks by preference; the first that is deployed is taken."""

_ENDED_BADLY = {"FAILED", "OUTOFSERVICE", "UPDATEROLLBACKFAILED"}
"""What an endpoint has come to rest in. While it is rolling back SageMaker takes no other change."""
_IN_SERVICE = "INSERVICE"
_FAILED_TO_RUN = {"EssentialContainerExited", "TaskFailedToStart"}


class Wish(Model):
    """What an event asks for. `source` is the ARN of what has sent it, and stands for whoever asks.

    `fields` are those of the runbook's input that name its target.
    """

    runbooks: tuple[str, ...]
    fields: dict[str, str]
    reason: str
    source: str


class Nothing(Exception):
    """The event asks for nothing that there is; the message says why."""


def read(event: Event) -> Wish:
    """What the event asks for. Raises Nothing."""
    kind = str(event.get("detail-type"))
    reader = _READERS.get((str(event.get("source")), kind))
    if reader is None:
        raise Nothing(f"no runbook is for events of the kind {kind!r} from {event.get('source')}")
    try:
        return reader(event, event["detail"])
    except (KeyError, TypeError, IndexError) as missing:
        raise Nothing(f"the event is not as {kind!r} is documented: {missing} is missing") from None


def _alarm(event: Event, detail: Mapping[str, Any]) -> Wish:
    name, state = detail["alarmName"], detail["state"]
    if state["value"] != "ALARM":
        raise Nothing(f"the alarm {name} is {state['value']}")
    source, reason = event["resources"][0], f"alarm {name}: {state.get('reason', 'no reason given')}"
    configuration = detail.get("configuration", {})
    seen = []
    for each in configuration.get("metrics", ()):
        metric = each.get("metricStat", {}).get("metric", {})
        namespace, dimensions = metric.get("namespace"), metric.get("dimensions", {})
        if namespace in {"AWS/ECS", "ECS/ContainerInsights"} and {"ClusterName", "ServiceName"} <= set(dimensions):
            fields = {"cluster": dimensions["ClusterName"], "service": dimensions["ServiceName"]}
            return Wish(runbooks=ROLL_BACK, fields=fields, reason=reason, source=source)
        if namespace in {"AWS/SageMaker", "/aws/sagemaker/Endpoints"} and "EndpointName" in dimensions:
            fields = {"endpoint": dimensions["EndpointName"]}
            return Wish(runbooks=MEND_ENDPOINT, fields=fields, reason=reason, source=source)
        if namespace:
            seen.append(f"{namespace} by {', '.join(sorted(dimensions)) or 'nothing'}")
    if not seen:
        raise Nothing(f"the alarm {name} is on no metric that the event shows, as composite alarms are not")
    raise Nothing(f"the alarm {name} is on {'; '.join(seen)}, which no runbook is for")


def _deployment(event: Event, detail: Mapping[str, Any]) -> Wish:
    if detail["eventName"] != "SERVICE_DEPLOYMENT_FAILED":
        raise Nothing(f"the deployment has not failed: {detail['eventName']}")
    source = str(event["resources"][0])
    parts = source.split("/")
    if len(parts) != 3:
        raise Nothing(f"{source} does not name its cluster, as service ARNs of the old format do not")
    reason = f"deployment {detail['deploymentId']} failed: {detail.get('reason', 'no reason given')}"
    return Wish(runbooks=ROLL_BACK, fields={"cluster": parts[1], "service": parts[2]}, reason=reason, source=source)


def _task(event: Event, detail: Mapping[str, Any]) -> Wish:
    source, group = str(detail["taskArn"]), str(detail["group"])
    if detail["lastStatus"] != "STOPPED" or detail.get("stopCode") not in _FAILED_TO_RUN:
        raise Nothing(f"the task did not fail: it is {detail['lastStatus']}, {detail.get('stopCode', 'no stop code')}")
    if not group.startswith("service:"):
        raise Nothing(f"the task belongs to {group}, and no service has it to go back to another revision")
    fields = {"cluster": str(detail["clusterArn"]).rpartition("/")[2], "service": group.removeprefix("service:")}
    reason = f"a task stopped, {detail['stopCode']}: {detail.get('stoppedReason', 'no reason given')}"
    return Wish(runbooks=ROLL_BACK, fields=fields, reason=reason, source=source)


def _endpoint(event: Event, detail: Mapping[str, Any]) -> Wish:
    name, status, failure = detail["EndpointName"], str(detail["EndpointStatus"]), detail.get("FailureReason")
    # The documented example says IN_SERVICE, and the page it refers to for the statuses says InService.
    plain = status.replace("_", "").upper()
    if plain not in _ENDED_BADLY and not (plain == _IN_SERVICE and failure):
        raise Nothing(f"the endpoint {name} is {status}")
    again = " again after an update that failed" if plain == _IN_SERVICE else ""
    reason = f"endpoint {name} is {status}{again}: {failure or 'no reason given'}"
    return Wish(runbooks=MEND_ENDPOINT, fields={"endpoint": name}, reason=reason, source=detail["EndpointArn"])


_READERS: dict[tuple[str, str], Callable[[Event, Mapping[str, Any]], Wish]] = {
    ("aws.cloudwatch", "CloudWatch Alarm State Change"): _alarm,
    ("aws.ecs", "ECS Deployment State Change"): _deployment,
    ("aws.ecs", "ECS Task State Change"): _task,
    ("aws.sagemaker", "SageMaker Endpoint State Change"): _endpoint,
}
