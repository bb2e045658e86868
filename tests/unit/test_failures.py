"""Which answers of AWS may be retried, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.session import get_session

from runbooks.aws.failures import translate, translated
from runbooks.errors import AccessDenied, AwsRejected, AwsThrottled, AwsUnavailable, PlanStale, RunbookError, TargetBusy


def answered(code: str, message: str = "no", status: int = 400, **members: Any) -> ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **members}
    return ClientError(response, "Operation")


@pytest.mark.parametrize(
    ("code", "status", "means"),
    [
        ("ThrottlingException", 400, AwsThrottled),
        ("AccessDeniedException", 400, AccessDenied),
        ("ConditionalCheckFailedException", 400, PlanStale),
        ("InternalFailure", 400, AwsUnavailable),
        ("Whatever", 503, AwsUnavailable),
        ("Whatever", 500, AwsUnavailable),
        ("Whatever", 499, AwsRejected),
        ("ValidationException", 400, AwsRejected),
        ("ModelError", 424, AwsRejected),
        ("ModelNotReadyException", 429, AwsThrottled),
    ],
)
def test_an_answer_is_transient_or_for_good_by_its_code_and_status(
    code: str, status: int, means: type[Exception]
) -> None:
    assert type(translate(answered(code, status=status), "service:Operation")) is means


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("CreateDBClusterSnapshot", "InvalidDBClusterStateFault"),
        ("CopyDBClusterSnapshot", "InvalidDBClusterSnapshotStateFault"),
        ("DeleteDBInstance", "InvalidDBInstanceState"),
        ("EnableHttpEndpoint", "InvalidResourceStateFault"),
        ("DisableHttpEndpoint", "InvalidResourceStateFault"),
    ],
)
def test_what_another_operation_has_in_its_hands_is_busy_and_the_call_is_taken_later(operation: str, code: str) -> None:
    shapes = get_session().get_service_model("rds").operation_model(operation).error_shapes
    assert code in {shape.error_code for shape in shapes}
    assert type(translate(answered(code), f"rds:{operation}")) is TargetBusy


def test_an_endpoint_that_is_being_changed_is_busy_and_its_call_is_taken_later() -> None:
    said = 'Cannot update in-progress endpoint "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/churn".'
    assert type(translate(answered("ValidationException", said), "sagemaker:UpdateEndpoint")) is TargetBusy

    assert type(translate(answered("ConflictException", said), "sagemaker:UpdateEndpoint")) is AwsRejected


@pytest.mark.parametrize(
    ("failure", "given", "says"),
    [
        (answered("AccessDenied"), (), "AWS denied Operation: AccessDenied: no"),
        (answered("AccessDenied"), ("s3:GetObject",), "AWS denied Operation: AccessDenied: no"),
        (EndpointConnectionError(endpoint_url="http://x"), ("s3:GetObject",), "s3:GetObject got no answer: Could not"),
        (EndpointConnectionError(endpoint_url="http://x"), (), "a read got no answer: Could not"),
    ],
)
def test_a_failure_names_the_operation_if_the_sdk_knows_it_and_what_was_done_otherwise(
    failure: Exception, given: tuple[str, ...], says: str
) -> None:
    with pytest.raises(RunbookError) as raised, translated(*given):
        raise failure
    assert str(raised.value).startswith(says)


def test_what_a_model_has_answered_is_not_told() -> None:
    log = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/sagemaker/Endpoints/churn"
    said = 'Received server error (500) from primary with message "customer 4711 is unknown".'
    failure = answered("ModelError", said, 424, OriginalStatusCode=500, OriginalMessage=said, LogStreamArn=log)
    told = str(translate(failure, "sagemaker-runtime:InvokeEndpoint"))
    assert "4711" not in told
    assert "the container answered 500" in told
    assert log in told
