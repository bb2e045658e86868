"""How SageMaker says that something is not there."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession


def describe_configuration(aws: AwsSession, name: str) -> dict[str, Any] | None:
    """The endpoint configuration of that name; None if there is none. Calls: sagemaker DescribeEndpointConfig.

    An empty name is that of none.
    """
    if not name:
        return None
    try:
        found: dict[str, Any] = aws.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    except ClientError as failure:
        if not is_missing(failure):
            raise
        return None
    return found


def is_missing(failure: ClientError) -> bool:
    """SageMaker has no error of its own for what does not exist."""
    error = failure.response["Error"]
    return error["Code"] == "ValidationException" and error["Message"].startswith("Could not find")
