"""The policy simulator as its documentation has it: a deny wins, and what nothing allows is denied without a word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws

ROLE = "arn:aws:iam::123456789012:role/endpoint"
METRICS, LOGS = "cloudwatch:PutMetricData", "logs:PutLogEvents"


def role(aws: EmbeddedAws, *statements: dict[str, Any]) -> None:
    client = aws.client("iam")
    client.create_role(RoleName="endpoint", AssumeRolePolicyDocument="{}")
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    client.put_role_policy(RoleName="endpoint", PolicyName="own", PolicyDocument=document)


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def simulated(aws: EmbeddedAws, *actions: str, **more: Any) -> list[Any]:
    answer = aws.client("iam").simulate_principal_policy(
        PolicySourceArn=ROLE, ActionNames=list(actions) or [METRICS], **more
    )
    assert answer["IsTruncated"] is False
    return list(answer["EvaluationResults"])


def decisions(aws: EmbeddedAws, *actions: str, **more: Any) -> list[str]:
    return [each["EvalDecision"] for each in simulated(aws, *actions, **more)]


def test_what_a_statement_allows_is_allowed_and_all_else_is_denied(aws: EmbeddedAws) -> None:
    role(aws, allow([METRICS, "s3:Get*"], "*"))
    assert decisions(aws, METRICS, "S3:getObject", LOGS) == ["allowed", "allowed", "implicitDeny"]


def test_an_explicit_deny_wins(aws: EmbeddedAws) -> None:
    role(aws, allow("*"), {"Effect": "Deny", "Action": METRICS, "Resource": "*"})
    assert decisions(aws, METRICS, LOGS) == ["explicitDeny", "allowed"]


def test_actions_are_simulated_on_each_resource(aws: EmbeddedAws) -> None:
    role(aws, allow("s3:GetObject", "arn:aws:s3:::models/churn/*"))
    resources = ["arn:aws:s3:::models/churn/model.tar.gz", "arn:aws:s3:::models/other"]
    (result,) = simulated(aws, "s3:GetObject", ResourceArns=resources)
    assert result["EvalResourceName"] == "arn:${Partition}:s3:::${BucketName}/${KeyName}"
    assert result["EvalDecision"] == "implicitDeny"
    found = {each["EvalResourceName"]: each["EvalResourceDecision"] for each in result["ResourceSpecificResults"]}
    assert found == dict(zip(resources, ["allowed", "implicitDeny"], strict=True))


NAMESPACE = "cloudwatch:namespace"


@pytest.mark.parametrize(
    ("told", "decision", "missing"),
    [("AWS/SageMaker", "allowed", []), ("AWS/Lambda", "implicitDeny", []), (None, "implicitDeny", [NAMESPACE])],
)
def test_a_condition_holds_for_what_the_request_is_told_to_be(
    aws: EmbeddedAws, told: str | None, decision: str, missing: list[str]
) -> None:
    role(aws, allow(METRICS, Condition={"StringLike": {NAMESPACE: ["*SageMaker*", "/aws/*"]}}))
    entry = {"ContextKeyName": NAMESPACE, "ContextKeyValues": [told], "ContextKeyType": "string"}
    (result,) = simulated(aws, METRICS, ContextEntries=[entry] if told else [])
    assert (result["EvalDecision"], result["MissingContextValues"]) == (decision, missing)


def test_negated_elements_take_everything_else_in(aws: EmbeddedAws) -> None:
    role(aws, {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    assert decisions(aws, METRICS, "iam:PassRole") == ["allowed", "implicitDeny"]


def test_attached_policies_count(aws: EmbeddedAws) -> None:
    role(aws, allow(LOGS))
    client = aws.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": allow(METRICS)})
    arn = client.create_policy(PolicyName="metrics", PolicyDocument=document)["Policy"]["Arn"]
    client.attach_role_policy(RoleName="endpoint", PolicyArn=arn)
    assert decisions(aws) == ["allowed"]


def test_a_role_that_does_not_exist_is_named(aws: EmbeddedAws) -> None:
    with pytest.raises(ClientError) as raised:
        decisions(aws)
    assert raised.value.response["Error"]["Code"] == "NoSuchEntity"


@pytest.mark.parametrize("more", [{"Condition": {"DateLessThan": {"aws:CurrentTime": "2027-01-01"}}}, {}])
def test_what_is_not_simulated_says_so(aws: EmbeddedAws, more: dict[str, Any]) -> None:
    role(aws, allow(METRICS, **more))
    arguments: dict[str, Any] = {} if more else {"CallerArn": "arn:aws:iam::123456789012:user/alice"}
    with pytest.raises(ClientError) as raised:
        decisions(aws, **arguments)
    assert raised.value.response["Error"]["Code"] == "NotImplemented"
    assert len(aws.defects) == 1
