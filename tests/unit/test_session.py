"""The audited session: reads are recorded, and nothing is changed outside the open change."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from runbooks.aws.failures import translated
from runbooks.aws.session import AwsSession
from runbooks.errors import AccessDenied, AwsRejected, AwsThrottled, AwsUnavailable, MutationRefused, PlanStale
from runbooks.errors import RunbookError as AnyRunbookError

REGION = "eu-central-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.client("ecs", region_name=REGION).create_cluster(clusterName="prod")
        yield AwsSession(REGION)


def clusters() -> list[str]:
    return [arn.rpartition("/")[2] for arn in boto3.client("ecs", region_name=REGION).list_clusters()["clusterArns"]]


def test_a_read_is_recorded_with_its_request_id_status_and_duration(aws: AwsSession) -> None:
    aws.client("ecs").describe_clusters(clusters=["prod"])
    (call,) = aws.take_calls()
    assert (call.operation, call.parameters, call.status) == ("ecs:DescribeClusters", {"clusters": ["prod"]}, 200)
    assert call.request_id
    assert call.duration_ms is not None
    assert aws.take_calls() == []


def test_a_failed_read_is_recorded_with_its_error_code(aws: AwsSession) -> None:
    with pytest.raises(AwsRejected), translated():
        aws.client("ecs").describe_services(cluster="absent", services=["x"])
    (call,) = aws.take_calls()
    assert call.error == "ClusterNotFoundException"


def test_a_mutation_outside_an_open_change_is_refused_and_does_not_happen(aws: AwsSession) -> None:
    with pytest.raises(MutationRefused, match="ecs:DeleteCluster is not on the list of reads"):
        aws.client("ecs").delete_cluster(cluster="prod")
    assert clusters() == ["prod"]


def test_a_call_that_reveals_a_secret_counts_as_no_read(aws: AwsSession) -> None:
    with pytest.raises(MutationRefused):
        aws.client("secretsmanager").get_secret_value(SecretId="x")


def test_within_an_open_change_exactly_that_call_is_made(aws: AwsSession) -> None:
    with aws.open_change("ecs:CreateCluster", {"clusterName": "new"}):
        with pytest.raises(MutationRefused):
            aws.change("ecs:CreateCluster", {"clusterName": "another"})
        with pytest.raises(MutationRefused):
            aws.change("ecs:DeleteCluster", {"cluster": "prod"})
        aws.change("ecs:CreateCluster", {"clusterName": "new"})
    assert clusters() == ["prod", "new"]


def test_two_changes_are_never_open_at_once(aws: AwsSession) -> None:
    with (
        aws.open_change("ecs:DeleteCluster", {}),
        pytest.raises(MutationRefused, match="still open"),
        aws.open_change("ecs:CreateCluster", {}),
    ):
        pass


def test_a_revealed_secret_is_redacted_from_everything_recorded_afterwards(aws: AwsSession) -> None:
    secrets = boto3.client("secretsmanager", region_name=REGION)
    created = secrets.create_secret(Name="db", SecretString="correct horse")
    assert aws.reveal(created["ARN"], created["VersionId"]) == "correct horse"
    aws.client("ecs").describe_clusters(clusters=["correct horse"])
    recorded = str(aws.take_calls())
    assert "correct horse" not in recorded
    assert aws.redact("login with correct horse") == "login with [redacted]"


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 400, AwsThrottled),
        ("RequestLimitExceeded", 503, AwsThrottled),
        ("AccessDeniedException", 400, AccessDenied),
        ("UnauthorizedOperation", 403, AccessDenied),
        ("ServerException", 500, AwsUnavailable),
        ("SomethingNew", 502, AwsUnavailable),
        ("InvalidParameterException", 400, AwsRejected),
        ("ConditionalCheckFailedException", 400, PlanStale),
    ],
)
def test_aws_failures_are_told_apart(code: str, status: int, expected: type[AnyRunbookError]) -> None:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(expected, match="UpdateService"), translated():
        raise ClientError(answer, "UpdateService")


def test_no_answer_leaves_the_effect_unknown() -> None:
    from botocore.exceptions import ReadTimeoutError

    with pytest.raises(AwsUnavailable, match="got no answer"), translated("ecs:UpdateService"):
        raise ReadTimeoutError(endpoint_url="x")


@pytest.mark.parametrize(
    ("service", "changing", "patience"), [("sagemaker-runtime", True, 70), ("sagemaker", True, 20), ("ecs", False, 10)]
)
def test_a_model_gets_the_time_that_it_may_take_and_everything_else_is_given_up_sooner(
    aws: AwsSession, service: str, changing: bool, patience: int
) -> None:
    config = aws._client(service, REGION, None, changing=changing).meta.config
    assert config.read_timeout == patience
    assert config.connect_timeout == 3


def test_an_invocation_is_sent_once(aws: AwsSession) -> None:
    config = aws._client("sagemaker-runtime", REGION, None, changing=True).meta.config
    assert config.retries["total_max_attempts"] == 1


def test_a_call_that_was_never_sent_had_no_effect(aws: AwsSession) -> None:
    with pytest.raises(AwsRejected, match="was not sent"), translated("ecs:DescribeClusters"):
        aws.client("ecs").describe_clusters(clusters=7)
