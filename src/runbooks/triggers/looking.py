"""Whether what an event is about is there and can be worked on: one read, before a run is spent on it."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.aws.failures import translate
from runbooks.aws.session import AwsSession

_UNDER_WAY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


def obstacle(aws: AwsSession, fields: Mapping[str, str]) -> str | None:
    """Why a run could only be refused, as a sentence; None if nothing is in its way.

    `fields` are those of a runbook's input that name the target. Calls: ecs DescribeServices, or sagemaker
    DescribeEndpoint.

    Raises:
        AccessDenied, AwsRejected: the target cannot be looked at.
        AwsThrottled, AwsUnavailable: look again.
        ValueError: nothing here looks at what such fields name.
    """
    match fields:
        case {"cluster": cluster, "service": service}:
            return _service(aws, cluster, service)
        case {"endpoint": endpoint}:
            return _endpoint(aws, endpoint)
    raise ValueError(f"nothing looks at what {', '.join(sorted(fields))} name")


def _service(aws: AwsSession, cluster: str, service: str) -> str | None:
    ecs = aws.client("ecs")
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


def _endpoint(aws: AwsSession, name: str) -> str | None:
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
