"""Which answers of AWS may be retried, and which are for good: told apart here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from runbooks.errors import (
    AccessDenied,
    AwsRejected,
    AwsThrottled,
    AwsUnavailable,
    PlanStale,
    RunbookError,
    TargetBusy,
)

_THROTTLED = frozenset(
    [
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "ModelNotReadyException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    ]
) - {"LimitExceededException"}
_DENIED = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthorizationError",
        "ExpiredToken",
        "ExpiredTokenException",
        "Forbidden",
        "ForbiddenException",
        "InvalidClientTokenId",
        "NotAuthorized",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    ]
)
_BUSY = frozenset(
    [
        "InvalidDBClusterSnapshotStateFault",
        "InvalidDBClusterStateFault",
        "InvalidDBInstanceState",
        "InvalidResourceStateFault",
    ]
)
"""The resource is being created, changed or backed up; the same call is taken when that is over."""
_BUSY_SAYS = ("Cannot update in-progress endpoint",)
"""How a service says the same that has no code of its own for it: SageMaker's ValidationException is for anything."""
_PRECONDITION = frozenset(["ConditionalCheckFailedException", "PreconditionFailed"])
_QUOTES_ITS_TARGET = frozenset(["ModelError"])
"""The messages of these have what a model has answered in them, which is data and does not belong into a trail."""
_UNAVAILABLE = frozenset(
    ["InternalError", "InternalFailure", "InternalServerError", "ServerException", "ServiceUnavailable"]
)
_SERVER_ERROR = 500


def translate(failure: BotoCoreError | ClientError, operation: str) -> RunbookError:
    """The error of the closed set that an AWS failure of `service:Operation` means."""
    if isinstance(failure, ParamValidationError):
        return AwsRejected(f"{operation} was not sent: {failure}")
    if not isinstance(failure, ClientError):
        return AwsUnavailable(f"{operation} got no answer: {failure}")
    code = failure.response.get("Error", {}).get("Code", "Unknown")
    message = failure.response.get("Error", {}).get("Message", "")
    if code in _QUOTES_ITS_TARGET:
        answer, log = failure.response.get("OriginalStatusCode"), failure.response.get("LogStreamArn")
        message = f"the container answered {answer}; what it said is in its log, {log}"
    status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{operation}: {code}: {message}"
    if code in _THROTTLED:
        return AwsThrottled(f"AWS throttled {said}")
    if code in _BUSY or (code == "ValidationException" and message.startswith(_BUSY_SAYS)):
        return TargetBusy(f"the target is not ready for {said}")
    if code in _PRECONDITION:
        return PlanStale(f"the target is not as the call expects it: {said}")
    if code in _DENIED:
        return AccessDenied(f"AWS denied {said}")
    if code in _UNAVAILABLE or status >= _SERVER_ERROR:
        return AwsUnavailable(f"AWS failed in {said}")
    return AwsRejected(f"AWS rejected {said}")


@contextmanager
def translated(operation: str = "a read") -> Iterator[None]:
    """Raise AWS failures inside the block as errors of the closed set."""
    try:
        yield
    except (BotoCoreError, ClientError) as failure:
        name = getattr(failure, "operation_name", None)
        raise translate(failure, name or operation) from failure
