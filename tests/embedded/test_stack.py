"""The template as CloudFormation would deploy it, and what the embedded AWS refuses to pretend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws
from workbench.embedded.stack import MADE, NOT_MADE
from workbench.embedded.template import Resolver, TemplateError, parameters_of

from .conftest import SMALL, Small


def resolver(template: dict[str, Any] | None = None, **parameters: str) -> Resolver:
    return Resolver(
        template or {},
        parameters,
        {"AWS::Region": "eu-central-1", "AWS::Partition": "aws"},
        lambda logical, attribute: f"<{logical}{'.' + attribute if attribute else ''}>",
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Table"}, "<Table>"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "<Table.Arn>"),
        ({"Fn::GetAtt": "Table.Stream.Arn"}, "<Table.Stream.Arn>"),
        ({"Fn::Sub": "${Stage}/${AWS::Region}/${Table}/${Table.Arn}"}, "dev/eu-central-1/<Table>/<Table.Arn>"),
        ({"Fn::Sub": "${!Raw}"}, "${Raw}"),
        ({"Fn::Sub": ["${a}-${Stage}", {"a": {"Ref": "Table"}}]}, "<Table>-dev"),
        ({"Fn::Join": [":", ["a", {"Ref": "Stage"}]]}, "a:dev"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::If": ["IsProd", "yes", "no"]}, "no"),
        ({"Fn::If": ["IsDev", ["x"], "no"]}, ["x"]),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "memory"]}, 512),
        ({"Fn::Base64": "a"}, "YQ=="),
        ({"keep": {"Ref": "AWS::NoValue"}, "list": [1, {"Ref": "AWS::NoValue"}]}, {"list": [1]}),
    ],
)
def test_intrinsic_functions(expression: Any, expected: Any) -> None:
    template = {
        "Conditions": {
            "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
            "IsDev": {"Fn::And": [{"Fn::Not": [{"Condition": "IsProd"}]}, {"Fn::Or": [False, True]}]},
        },
        "Mappings": {"Sizes": {"dev": {"memory": 512}}},
    }
    assert resolver(template, Stage="dev").resolve(expression) == expected


def test_an_unknown_intrinsic_function_is_an_error() -> None:
    with pytest.raises(TemplateError, match="Fn::Cidr"):
        resolver().resolve({"Fn::Cidr": ["10.0.0.0/16", 1]})


def test_parameters_take_the_stage_the_given_value_or_the_default() -> None:
    template = {
        "Parameters": {
            "Environment": {"AllowedValues": ["dev", "prod"]},
            "Days": {"Default": 30},
            "Mail": {"Default": ""},
            "Must": {},
        }
    }
    values = parameters_of(template, "prod", {"Mail": "a@b.example", "Must": "x"})
    assert values == {"Environment": "prod", "Days": "30", "Mail": "a@b.example", "Must": "x"}
    with pytest.raises(TemplateError, match="Must has no default"):
        parameters_of(template, "prod", {})
    with pytest.raises(TemplateError, match="Environment must be one of dev, prod"):
        parameters_of(template, "test", {"Must": "x"})


def deploy(aws: EmbeddedAws, folder: Path, resources: str) -> None:
    template = folder / "template.yaml"
    template.write_text(f"Transform: AWS::Serverless-2016-10-31\nResources:\n{resources}")
    aws.deploy(template, stack_name="other")


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [
        ("  Net: {Type: AWS::EC2::VPC}", "Net is a AWS::EC2::VPC, which the embedded AWS neither makes nor"),
        ("  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref B}}", "B is neither a parameter nor a resource"),
        (
            """
  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref B}}
  B: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref A}}""",
            "A -> B -> A need each other",
        ),
        (
            "  A: {Type: AWS::SNS::Topic}\n  B: {Type: AWS::SNS::Topic, Properties: {TopicName: !GetAtt A.Colour}}",
            "A has no attribute Colour",
        ),
    ],
)
def test_what_cannot_be_deployed_truthfully_is_an_error(
    aws: EmbeddedAws, tmp_path: Path, resources: str, complaint: str
) -> None:
    with pytest.raises(TemplateError, match=complaint):
        deploy(aws, tmp_path, resources)


def test_a_definition_with_a_substitution_that_nobody_gives_is_an_error(aws: EmbeddedAws, tmp_path: Path) -> None:
    (tmp_path / "machine.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "${Who}"}}}')
    machine = "{Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: machine.asl.json, Role: 'arn:x'}}"
    with pytest.raises(TemplateError, match=r"no substitution for \$\{Who\}"):
        deploy(aws, tmp_path, f"  Machine: {machine}")


def test_what_is_left_out_is_left_out_for_a_reason_and_nothing_is_both() -> None:
    assert all(reason for reason in NOT_MADE.values())
    assert not set(MADE) & set(NOT_MADE)


def test_a_condition_that_does_not_hold_leaves_the_resource_out(small: Small) -> None:
    listed = small.aws.client("cloudformation").list_stack_resources(StackName="small")["StackResourceSummaries"]
    names = {each["LogicalResourceId"] for each in listed}
    assert "Table" in names
    assert "OnlyInProd" not in names


def test_cloudformation_describes_the_deployed_stack(aws: EmbeddedAws) -> None:
    client = aws.client("cloudformation")
    (stack,) = client.describe_stacks(StackName=aws.stack_name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]} == aws.outputs
    assert {"ParameterKey": "Environment", "ParameterValue": "dev"} in stack["Parameters"]
    resource = client.describe_stack_resource(StackName=aws.stack_name, LogicalResourceId="ApiFunction")
    assert resource["StackResourceDetail"]["PhysicalResourceId"] == aws.outputs["ApiFunctionName"]
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_stacks(StackName="another")


def test_the_real_template_is_deployed_with_the_environment_that_the_handlers_need(aws: EmbeddedAws) -> None:
    functions = {spec.logical_id: spec for spec in aws.stack.functions}
    begin = functions["BeginFunction"]
    assert begin.name == "runbooks-dev-begin"
    assert begin.environment["STATE_TABLE"] == aws.outputs["StateTableName"]
    assert begin.environment["AUDIT_TABLE"] == aws.outputs["AuditTableName"]
    assert begin.environment["POLICY_PARAMETER"] == aws.outputs["PolicyParameterName"]
    assert begin.environment["TOPIC_ARN"] == aws.outputs["TopicArn"]
    assert begin.environment["STAGE"] == "dev"
    assert begin.environment["SYSTEM"] == "runbooks-dev"
    assert begin.environment["ACCOUNT_ID"] == aws.account_id
    assert functions["ReapFunction"].timeout == 120
    assert functions["EcsServiceRollbackDiagnoseFunction"].environment["RUNBOOK"] == "ecs-service-rollback"


def test_the_real_machines_are_published_under_live_with_their_functions_in_them(aws: EmbeddedAws) -> None:
    client = aws.client("stepfunctions")
    arn = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:runbooks-dev-ecs-service-rollback"
    described = client.describe_state_machine(stateMachineArn=f"{arn}:live")
    assert "function:runbooks-dev-begin" in described["definition"]
    assert "${" not in described["definition"]
    assert arn in {each["stateMachineArn"] for each in client.list_state_machines()["stateMachines"]}


def test_the_policy_is_put_and_removed(aws: EmbeddedAws) -> None:
    client, name = aws.client("ssm"), aws.outputs["PolicyParameterName"]
    aws.policy({"a": 1})
    aws.policy({"a": 2})
    assert client.get_parameter(Name=name)["Parameter"]["Value"] == '{"a": 2}'
    aws.policy(None)
    aws.policy(None)
    with pytest.raises(ClientError, match="ParameterNotFound"):
        client.get_parameter(Name=name)


def test_a_reset_forgets_everything_but_the_stack(small: Small) -> None:
    aws = small.aws
    table = aws.outputs["StateTableName"]
    aws.client("dynamodb").put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    aws.client("ecs").create_cluster(clusterName="c")
    aws.client("sqs").create_queue(QueueName="q")
    aws.client("sns").publish(TopicArn=aws.outputs["TopicArn"], Message="m")
    aws.policy({})
    aws.clock.advance(days=1)
    aws.clock.hold()
    arn = small.start({"wait_seconds": 60})
    outputs = dict(aws.outputs)
    aws.reset()
    assert aws.outputs == outputs
    assert aws.client("dynamodb").scan(TableName=table)["Items"] == []
    assert aws.client("ecs").list_clusters()["clusterArns"] == []
    assert "runbooks-dev" in str(aws.client("sqs").list_queues().get("QueueUrls"))
    assert "/q'" not in str(aws.client("sqs").list_queues().get("QueueUrls"))
    assert (aws.messages, aws.undelivered, aws.clock.held) == ([], [], False)
    assert abs(aws.clock.offset.total_seconds()) < 1
    with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
        small.describe(arn)
    aws.deploy(SMALL, stack_name="small")
    assert small.run()["status"] == "SUCCEEDED"
