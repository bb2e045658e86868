"""Whether what an event is about is there and can be worked on: one read, before a run is spent on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.aws.failures import translate
from runbooks.aws.session import AwsSession

_UNDER_WAY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


def obstacle(aws: AwsSession, runbook: str, fields: Mapping[str, str]) -> str | None:
    """Why a run of the runbook could only be refused, as a sentence; None if nothing is in its way.

    `fields` are those of its input that name the target. Calls: ecs DescribeServices, or sagemaker DescribeEndpoint.

    Raises:
        AccessDenied, AwsRejected: the target cannot be looked at.
        AwsThrottled, AwsUnavailable: look again.
    """
    return _LOOKS[runbook](aws, fields)


def _service(aws: AwsSession, fields: Mapping[str, str]) -> str | None:
    cluster, service, ecs = fields["cluster"], fields["service"], aws.client("ecs")
    try:
        described = ecs.describe_services(cluster=cluster, services=[service])["services"]
    except ecs.exceptions.ClusterNotFoundException:
        return f"there is no cluster {cluster} in {aws.region}"
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "ecs:DescribeServices") from failure
    if not described:
        return f"there is no service {service} in the cluster {cluster} in {aws.region}"
    status = described[0]["status"]
    return None if status == "ACTIVE" else f"the service {service} of the cluster {cluster} is {status}"


def _endpoint(aws: AwsSession, fields: Mapping[str, str]) -> str | None:
    name = fields["endpoint"]
    try:
        status = aws.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"]
    except ClientError as failure:
        error = failure.response["Error"]
        # SageMaker has no error of its own for what does not exist.
        if error["Code"] == "ValidationException" and error["Message"].startswith("Could not find"):
            return f"there is no endpoint {name} in {aws.region}"
        raise translate(failure, "sagemaker:DescribeEndpoint") from failure
    except BotoCoreError as failure:
        raise translate(failure, "sagemaker:DescribeEndpoint") from failure
    if status not in _UNDER_WAY:
        return None
    return f"the endpoint {name} is {status}, and SageMaker does one thing at a time"


_LOOKS: dict[str, Callable[[AwsSession, Mapping[str, str]], str | None]] = {
    "ecs-service-rollback": _service,
    "sagemaker-endpoint-rollback": _endpoint,
    "sagemaker-variant-fix": _endpoint,
}
