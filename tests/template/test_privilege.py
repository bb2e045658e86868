"""Who may do what. Read from the translated template, so that what SAM adds is seen too."""

from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Resources, of_type

UNSCOPABLE = {
    "dynamodb:ListStreams",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTasks",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that IAM does not take a resource for."""

LEDGER = {
    "dynamodb:ConditionCheckItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
}
EVERY_FUNCTION = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
READS_OF_ECS_ROLLBACK = {
    "ecr:DescribeImages",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListServiceDeployments",
    "ecs:ListTasks",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements_of(resources: Resources, role: str) -> list[dict[str, Any]]:
    properties = resources[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
    for managed in properties["ManagedPolicyArns"]:
        assert set(managed) == {"Ref"}, f"{role} has a policy that is not of this stack: {managed}"
        documents.append(resources[managed["Ref"]]["Properties"]["PolicyDocument"])
    return [statement for document in documents for statement in document["Statement"]]


def actions_of(resources: Resources, role: str) -> set[str]:
    return {action for statement in statements_of(resources, role) for action in listed(statement["Action"])}


def roles(resources: Resources) -> list[str]:
    return list(of_type(resources, "AWS::IAM::Role"))


def all_statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            yield role, statement
    for name, properties in of_type(resources, "AWS::KMS::Key").items():
        for statement in properties["KeyPolicy"]["Statement"]:
            yield name, statement
    for name, properties in of_type(resources, "AWS::SNS::TopicPolicy").items():
        for statement in properties["PolicyDocument"]["Statement"]:
            yield name, statement


def test_no_action_is_a_wildcard(resources: Resources) -> None:
    for owner, statement in all_statements(resources):
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{owner} is granted {action}"


def test_no_role_is_granted_what_it_is_not_granted(resources: Resources) -> None:
    for owner, statement in all_statements(resources):
        assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), owner


def test_only_what_cannot_be_scoped_is_granted_on_everything(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if "*" in listed(statement["Resource"]):
                assert set(listed(statement["Action"])) <= UNSCOPABLE, role


def test_nobody_updates_or_deletes_audit_entries(resources: Resources) -> None:
    audit = {"Fn::GetAtt": ["AuditTable", "Arn"]}
    for role in roles(resources):
        for statement in statements_of(resources, role):
            granted = {action for action in listed(statement["Action"]) if action.startswith("dynamodb:")}
            if audit in listed(statement["Resource"]):
                assert granted == {"dynamodb:PutItem"}, role
            if "*" in listed(statement["Resource"]):
                assert granted <= {"dynamodb:ListStreams"}, role


def test_nobody_deletes_items(resources: Resources) -> None:
    for role in roles(resources):
        assert not {"dynamodb:DeleteItem", "dynamodb:BatchWriteItem"} & actions_of(resources, role), role


@pytest.mark.parametrize(
    ("role", "own"),
    [
        ("BeginRole", LEDGER | {"ssm:GetParameter"}),
        ("LockRole", LEDGER | {"ssm:GetParameter"}),
        ("ApprovalRole", LEDGER | {"sns:Publish"}),
        ("FinishRole", LEDGER | {"sns:Publish"}),
        ("FailRole", LEDGER | {"sns:Publish"}),
        ("ReapRole", LEDGER | {"sns:Publish", "states:DescribeExecution", "lambda:InvokeFunction"}),
        (
            "TamperRole",
            {
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "sns:Publish",
                "sqs:SendMessage",
            },
        ),
        ("ApiRole", LEDGER | {"states:SendTaskSuccess"}),
        ("EcsServiceRollbackDiagnoseRole", LEDGER | READS_OF_ECS_ROLLBACK),
        (
            "EcsServiceRollbackActRole",
            LEDGER
            | READS_OF_ECS_ROLLBACK
            | {"ssm:GetParameter", "ecs:StopServiceDeployment", "ecs:UpdateService", "iam:PassRole"},
        ),
    ],
)
def test_a_function_may_do_exactly_this(resources: Resources, role: str, own: set[str]) -> None:
    assert actions_of(resources, role) == EVERY_FUNCTION | own


def test_every_function_has_a_role_of_its_own(resources: Resources) -> None:
    used = [
        function["Role"]["Fn::GetAtt"][0]
        for function in [
            *of_type(resources, "AWS::Lambda::Function").values(),
        ]
    ]
    used += [
        machine["RoleArn"]["Fn::GetAtt"][0]
        for machine in of_type(resources, "AWS::StepFunctions::StateMachine").values()
    ]
    assert sorted(used) == sorted(roles(resources))


def test_a_machine_calls_its_own_functions_only(resources: Resources) -> None:
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine").items():
        callable_ = [
            resource["Fn::GetAtt"][0]
            for statement in statements_of(resources, machine["RoleArn"]["Fn::GetAtt"][0])
            if statement["Action"] == "lambda:InvokeFunction"
            for resource in listed(statement["Resource"])
        ]
        called = [value["Fn::GetAtt"][0] for value in machine["DefinitionSubstitutions"].values()]
        assert sorted(callable_) == sorted(called), name


def test_the_key_is_used_through_the_services_only(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if any(action.startswith("kms:") for action in listed(statement["Action"])):
                assert statement["Resource"] == {"Fn::GetAtt": ["Key", "Arn"]}, role
                assert "kms:ViaService" in statement["Condition"]["StringEquals"], role


def test_roles_are_passed_to_tasks_only(resources: Resources) -> None:
    for role in roles(resources):
        for statement in statements_of(resources, role):
            if "iam:PassRole" in listed(statement["Action"]):
                assert statement["Condition"]["StringEquals"] == {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def test_services_use_the_key_for_this_stack_only(resources: Resources) -> None:
    for statement in resources["Key"]["Properties"]["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            assert statement["Condition"], statement["Sid"]
