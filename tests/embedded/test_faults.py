"""Faults and the log of calls."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from workbench.embedded import EmbeddedAws
from workbench.embedded.calls import ServiceError

from .conftest import Small


def error_of(client: Any, method: str, **arguments: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as raised:
        getattr(client, method)(**arguments)
    response = raised.value.response
    return (
        response["Error"]["Code"],
        response["Error"]["Message"],
        response["ResponseMetadata"]["HTTPStatusCode"],
    )


@pytest.mark.parametrize(
    ("service", "method", "operation", "arguments"),
    [
        ("ecs", "list_clusters", "ecs:ListClusters", {}),
        ("dynamodb", "list_tables", "dynamodb:ListTables", {}),
        ("ssm", "get_parameter", "ssm:GetParameter", {"Name": "x"}),
        ("sns", "list_topics", "sns:ListTopics", {}),
        ("rds", "describe_db_clusters", "rds:DescribeDBClusters", {}),
        ("ec2", "describe_instances", "ec2:DescribeInstances", {}),
        ("s3", "list_buckets", "s3:ListBuckets", {}),
        ("s3", "get_object", "s3:GetObject", {"Bucket": "bucket", "Key": "a/key"}),
        ("lambda", "list_functions", "lambda:ListFunctions", {}),
        ("stepfunctions", "list_state_machines", "states:ListStateMachines", {}),
        ("cloudwatch", "list_metrics", "monitoring:ListMetrics", {}),
        ("sts", "get_caller_identity", "sts:GetCallerIdentity", {}),
        ("secretsmanager", "list_secrets", "secretsmanager:ListSecrets", {}),
        ("glue", "get_jobs", "glue:GetJobs", {}),
    ],
)
def test_a_fault_has_the_services_own_shape(
    aws: EmbeddedAws, service: str, method: str, operation: str, arguments: dict[str, Any]
) -> None:
    aws.faults.fail(operation, code="Oddly<Broken>", message="It is & stays broken.", status=418)
    client = aws.client(service)
    assert error_of(client, method, **arguments) == ("Oddly<Broken>", "It is & stays broken.", 418)


def test_a_fault_lasts_as_many_calls_as_it_is_told(aws: EmbeddedAws) -> None:
    client = aws.client("sns")
    aws.faults.fail("sns:ListTopics", code="Throttling", times=2, skip=1)
    client.list_topics()
    for _ in range(2):
        assert error_of(client, "list_topics")[0] == "Throttling"
    client.list_topics()
    aws.faults.fail("sns:*", code="Down", status=503)
    for _ in range(3):
        assert error_of(client, "list_topics") == ("Down", "A fault was injected.", 503)
    aws.faults.clear()
    client.list_topics()


def test_a_fault_can_be_meant_for_one_function(small: Small) -> None:
    small.aws.faults.fail("sts:GetCallerIdentity", code="AccessDenied", status=403, only_from="-echo")
    small.aws.client("sts").get_caller_identity()
    with pytest.raises(Exception, match="AccessDenied"):
        small.aws.invoke("EchoFunction", {"do": "call", "service": "sts", "method": "get_caller_identity"})


def test_hooks_run_before_and_after_and_can_refuse(aws: EmbeddedAws) -> None:
    seen: list[tuple[str, int]] = []

    def clusters(aws: EmbeddedAws) -> int:
        return len(aws.ecs.do("ListClusters", {})["clusterArns"])

    aws.faults.before("ecs:CreateCluster", lambda aws: seen.append(("before", clusters(aws))), times=1)
    aws.faults.after("ecs:CreateCluster", lambda aws: seen.append(("after", clusters(aws))), times=1)
    aws.client("ecs").create_cluster(clusterName="one")
    aws.client("ecs").create_cluster(clusterName="two")
    assert seen == [("before", 0), ("after", 1)]

    def refuse(aws: EmbeddedAws) -> None:
        raise ServiceError("AccessDeniedException", "No.")

    aws.faults.after("ecs:CreateCluster", refuse)
    assert error_of(aws.client("ecs"), "create_cluster", clusterName="three")[0] == "AccessDeniedException"
    assert clusters(aws) == 3


@pytest.mark.parametrize("took_effect", [True, False])
def test_a_call_can_be_lost_with_or_without_effect(aws: EmbeddedAws, took_effect: bool) -> None:
    aws.faults.lose("ecs:CreateCluster", took_effect=took_effect)
    client = aws.client("ecs")
    with pytest.raises(ConnectionClosedError):
        client.create_cluster(clusterName="one")
    assert len(client.list_clusters()["clusterArns"]) == took_effect
    client.create_cluster(clusterName="two")
    assert [call.status for call in aws.calls if call.operation == "ecs:CreateCluster"] == [0, 200]


def test_a_misspelt_operation_is_refused(aws: EmbeddedAws) -> None:
    with pytest.raises(ValueError, match="is no operation"):
        aws.faults.fail("UpdateService", code="X")


def test_every_call_is_logged_with_its_caller_and_status(small: Small) -> None:
    small.aws.client("sns").list_topics()
    error_of(small.aws.client("ssm"), "get_parameter", Name="nowhere")
    small.run()
    assert ("sns:ListTopics", "client", 200) in small.aws.calls
    assert ("ssm:GetParameter", "client", 400) in small.aws.calls
    assert ("stepfunctions:StartExecution", "client", 200) in small.aws.calls
    assert ("lambda:Invoke", "states", 200) in small.aws.calls
    assert ("dynamodb:UpdateItem", "small-step", 200) in small.aws.calls


def test_what_moto_does_not_do_is_a_defect_and_no_error_that_aws_would_answer(aws: EmbeddedAws) -> None:
    code, message, status = error_of(aws.client("glue"), "update_job", JobName="x", JobUpdate={})
    assert (code, status) == ("NotImplemented", 501)
    assert "glue:UpdateJob" in message
    (defect,) = aws.defects
    assert defect.startswith("glue:UpdateJob from client")
    aws.reset()
    assert aws.defects == []


def test_request_ids_are_counted(aws: EmbeddedAws) -> None:
    def ids() -> list[str]:
        client = aws.client("ecs")
        return [client.list_clusters()["ResponseMetadata"]["RequestId"] for _ in range(2)]

    first = ids()
    aws.reset()
    assert ids() == first
    assert len(set(first)) == 2
