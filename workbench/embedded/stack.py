"""The stack: every resource of the translated template, made or knowingly left out, and what it resolves to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.embedded.calls import Call, ServiceError
from workbench.embedded.functions import FunctionSpec
from workbench.embedded.gateway import API_ID, Route
from workbench.embedded.patterns import Pattern
from workbench.embedded.states import States
from workbench.embedded.template import Resolver, TemplateError

SUFFIX = "EMBEDDED"
"""What stands where CloudFormation puts twelve random characters into a name."""

NOT_MADE: dict[str, str] = {
    "AWS::ApiGatewayV2::Stage": "there is one, and it is neither throttled nor logged",
    "AWS::Athena::NamedQuery": "nothing queries; the tests run the queries on another engine",
    "AWS::CloudWatch::Alarm": "nothing measures",
    "AWS::CloudWatch::CompositeAlarm": "nothing measures",
    "AWS::CloudWatch::Dashboard": "nothing measures",
    "AWS::Glue::Database": "see the named queries",
    "AWS::Glue::Table": "see the named queries",
    "AWS::IAM::ManagedPolicy": "nothing is authorised; tests prove the policies against the calls that were made",
    "AWS::IAM::Policy": "see managed policies",
    "AWS::IAM::Role": "nothing assumes it; its ARN stands in the functions and machines",
    "AWS::Lambda::Permission": "nothing is authorised",
    "AWS::Logs::LogGroup": "what functions print is read with EmbeddedAws.log",
    "AWS::Logs::MetricFilter": "nothing measures",
    "AWS::Logs::QueryDefinition": "nothing queries logs",
    "AWS::S3::BucketPolicy": "nothing is authorised",
    "AWS::SNS::TopicPolicy": "nothing is authorised",
    "AWS::SQS::QueuePolicy": "nothing is authorised",
}
"""Resources that are left out, and why that loses nothing. Any other type that is not made is an error."""


@dataclass(frozen=True)
class Resource:
    """What a resource resolves to: `ref` for Ref, `attributes` for GetAtt."""

    type: str
    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """An EventBridge rule or schedule: its pattern or rate, and the functions that it calls.

    `input` is what a schedule of EventBridge Scheduler hands over, before its context attributes are filled in.
    """

    name: str
    arn: str
    pattern: Pattern | None
    schedule: str | None
    targets: tuple[str, ...]
    input: str | None = None


@dataclass(frozen=True)
class EventSource:
    """An event source mapping from a table's stream to a function."""

    stream: str
    function: str
    filters: tuple[Pattern, ...]
    parked_at: str | None = None
    """The ARN of the queue for what the function could not handle."""


@dataclass
class Machinery:
    """What a stack is made with: clients of the endpoint, and the parts of the embedded AWS that moto does not have."""

    client: Callable[[str], Any]
    states: States
    account: str
    region: str
    api_url: str
    """Where the API really answers."""


class Stack:
    """A deployed template. `functions`, `rules`, `sources` and `parked_at` are for the other parts to act on.

    `parked_at` has the ARN of the queue for asynchronous invocations that failed, by the function's name.
    """

    def __init__(
        self,
        name: str,
        source: Mapping[str, Any],
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        folder: Path,
        machinery: Machinery,
    ) -> None:
        """`source` is the SAM template, `template` its translation, `folder` where DefinitionUri starts."""
        self.name = name
        self.functions: list[FunctionSpec] = []
        self.rules: list[Rule] = []
        self.sources: list[EventSource] = []
        self.routes: list[Route] = []
        self.parked_at: dict[str, str] = {}
        self.resources: dict[str, Resource] = {}
        self.outputs: dict[str, str] = {}
        self.parameters = dict(parameters)
        self.created: datetime | None = None
        self._source = source
        self._template = template
        self._folder = folder
        self.machinery = machinery
        self._under_way: list[str] = []
        pseudo = {
            "AWS::StackName": name,
            "AWS::Region": machinery.region,
            "AWS::AccountId": machinery.account,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": self.id,
        }
        self._resolver = Resolver(template, parameters, pseudo, self._attribute)

    @property
    def code(self) -> Path:
        """The folder of the functions' code."""
        return self._folder / str(self._source.get("Globals", {}).get("Function", {}).get("CodeUri", "src/"))

    @property
    def id(self) -> str:
        machinery = self.machinery
        return f"arn:aws:cloudformation:{machinery.region}:{machinery.account}:stack/{self.name}/{SUFFIX.lower()}"

    def deploy(self, now: datetime) -> None:
        """Makes all resources whose condition holds, and resolves the outputs. Raises TemplateError.

        May be called again, after everything was forgotten: names and ARNs are the same each time.
        """
        self.created = now
        self.functions, self.rules, self.sources, self.routes = [], [], [], []
        self.parked_at, self.resources, self.outputs = {}, {}, {}
        for logical in self._template["Resources"]:
            if self._wanted(self._template["Resources"][logical]):
                self._resource(logical)
        for name, output in self._template.get("Outputs", {}).items():
            if self._wanted(output):
                value = str(self._resolver.resolve(output["Value"]))
                self.outputs[name] = value.replace(self.api_endpoint, self.machinery.api_url)

    # -- resolving -----------------------------------------------------------------------------------------------------

    def _wanted(self, declared: Mapping[str, Any]) -> bool:
        return "Condition" not in declared or self._resolver.condition(declared["Condition"])

    def _attribute(self, logical: str, attribute: str | None) -> Any:
        resource = self._resource(logical)
        if attribute is None:
            return resource.ref
        if attribute not in resource.attributes:
            raise TemplateError(f"{resource.type} {logical} has no attribute {attribute} in the embedded AWS")
        return resource.attributes[attribute]

    def _resource(self, logical: str) -> Resource:
        if logical in self.resources:
            return self.resources[logical]
        if logical not in self._template["Resources"]:
            raise TemplateError(f"{logical} is neither a parameter nor a resource of the template")
        if logical in self._under_way:
            raise TemplateError(f"the resources {' -> '.join([*self._under_way, logical])} need each other")
        declared = self._template["Resources"][logical]
        make = MADE.get(declared["Type"])
        if make is None and declared["Type"] not in NOT_MADE:
            raise TemplateError(
                f"{logical} is a {declared['Type']}, which the embedded AWS neither makes nor knowingly leaves out"
            )
        self._under_way.append(logical)
        try:
            needs = declared.get("DependsOn", [])
            for other in [needs] if isinstance(needs, str) else needs:
                self._resource(other)
            if make is None:
                made = self._left_out(logical, declared)
            else:
                made = make(self, logical, self._resolver.resolve(declared.get("Properties", {})))
        finally:
            self._under_way.pop()
        self.resources[logical] = made
        return made

    def _left_out(self, logical: str, declared: Mapping[str, Any]) -> Resource:
        """Names and ARNs only; the properties are not even resolved, but for the name."""
        kind, properties = declared["Type"], declared.get("Properties", {})
        name = self._resolver.resolve(
            next((properties[key] for key in _NAME_PROPERTIES if key in properties), self.generated(logical))
        )
        machinery = self.machinery
        if kind in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
            word = "role" if kind == "AWS::IAM::Role" else "policy"
            arn = f"arn:aws:iam::{machinery.account}:{word}/{name}"
            if word == "role":
                return Resource(kind, name, {"Arn": arn, "RoleId": f"AROA{logical.upper():X<17.17}"})
            return Resource(kind, arn, {"PolicyArn": arn})
        if kind == "AWS::Logs::LogGroup":
            return Resource(kind, name, {"Arn": self.arn("logs", f"log-group:{name}:*")})
        if kind == "AWS::CloudWatch::Alarm":
            return Resource(kind, name, {"Arn": self.arn("cloudwatch", f"alarm:{name}")})
        return Resource(kind, name)

    @property
    def api_endpoint(self) -> str:
        """Where AWS would have the API answer. No name server leads there; the port that does takes its place."""
        return f"https://{API_ID}.execute-api.{self.machinery.region}.amazonaws.com"

    # -- names ---------------------------------------------------------------------------------------------------------

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.machinery.region}:{self.machinery.account}:{rest}"

    def generated(self, logical: str) -> str:
        """The name that CloudFormation makes up for a resource without one."""
        return f"{self.name}-{logical}-{SUFFIX}"

    def definition(self, logical: str, properties: Mapping[str, Any]) -> str:
        """A machine's definition from the file that DefinitionUri names, with its substitutions in it."""
        uri = self._source["Resources"][logical].get("Properties", {}).get("DefinitionUri")
        if isinstance(uri, str):
            text = (self._folder / uri).read_text()
        else:
            text = properties.get("DefinitionString") or json.dumps(properties["Definition"])
        for name, value in properties.get("DefinitionSubstitutions", {}).items():
            text = text.replace("${" + name + "}", str(value))
        missing = re.search(r"\$\{([A-Za-z0-9]+)\}", text)
        if missing:
            raise TemplateError(f"{logical} gives no substitution for ${{{missing[1]}}} in its definition")
        return text

    # -- CloudFormation's API ------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> dict[str, Any] | None:
        """Answers CloudFormation's questions about this stack; None for another stack, which is moto's."""
        wanted = call.params.get("StackName")
        if wanted not in (self.name, self.id):
            return None
        match call.operation:
            case "DescribeStacks":
                return {"Stacks": [self._described()]}
            case "ListStackResources":
                return {"StackResourceSummaries": [self._listed(name) for name in self.resources]}
            case "DescribeStackResources":
                wanted_id = call.params.get("LogicalResourceId")
                names = [name for name in self.resources if wanted_id in (None, name)]
                return {"StackResources": [{**self._listed(name), "Timestamp": self.created} for name in names]}
            case "DescribeStackResource":
                logical = call.params["LogicalResourceId"]
                if logical not in self.resources:
                    text = f"Resource {logical} does not exist for stack {self.name}"
                    raise ServiceError("ValidationError", text)
                return {"StackResourceDetail": self._listed(logical)}
            case _:
                raise NotImplementedError(f"{call.operation} of the deployed stack")

    def _described(self) -> dict[str, Any]:
        return {
            "StackId": self.id,
            "StackName": self.name,
            "CreationTime": self.created,
            "StackStatus": "CREATE_COMPLETE",
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()],
        }

    def _listed(self, logical: str) -> dict[str, Any]:
        resource = self.resources[logical]
        return {
            "LogicalResourceId": logical,
            "PhysicalResourceId": resource.ref,
            "ResourceType": resource.type,
            "LastUpdatedTimestamp": self.created,
            "ResourceStatus": "CREATE_COMPLETE",
            "StackName": self.name,
            "StackId": self.id,
        }


_NAME_PROPERTIES = ("RoleName", "ManagedPolicyName", "LogGroupName", "AlarmName", "DashboardName", "Name")

Make = Callable[[Stack, str, dict[str, Any]], Resource]


# -- what is made ------------------------------------------------------------------------------------------------------


def _table(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("TableName", stack.generated(logical))
    accepted = (
        "AttributeDefinitions",
        "KeySchema",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "BillingMode",
        "ProvisionedThroughput",
        "Tags",
    )
    request = {key: given[key] for key in accepted if key in given}
    if "StreamSpecification" in given:
        request["StreamSpecification"] = {"StreamEnabled": True, **given["StreamSpecification"]}
    client = stack.machinery.client("dynamodb")
    made = client.create_table(TableName=name, **request)["TableDescription"]
    expiry = given.get("TimeToLiveSpecification")
    if expiry:
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    return Resource(
        "AWS::DynamoDB::Table", name, {"Arn": made["TableArn"], "StreamArn": made.get("LatestStreamArn", "")}
    )


def _topic(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("TopicName", stack.generated(logical))
    arn = stack.machinery.client("sns").create_topic(Name=name)["TopicArn"]
    return Resource("AWS::SNS::Topic", arn, {"TopicArn": arn, "TopicName": name})


def _subscription(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    client = stack.machinery.client("sns")
    made = client.subscribe(
        TopicArn=given["TopicArn"], Protocol=given["Protocol"], Endpoint=given["Endpoint"], ReturnSubscriptionArn=True
    )
    return Resource("AWS::SNS::Subscription", made["SubscriptionArn"])


def _queue(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("QueueName", stack.generated(logical))
    url = stack.machinery.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return Resource("AWS::SQS::Queue", url, {"Arn": stack.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def _parameter(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("Name", stack.generated(logical))
    stack.machinery.client("ssm").put_parameter(Name=name, Value=str(given["Value"]), Type=given["Type"])
    return Resource("AWS::SSM::Parameter", name, {"Type": given["Type"], "Value": given["Value"]})


def _key(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    accepted = {name: given[name] for name in ("Description", "KeyUsage", "KeySpec") if name in given}
    made = stack.machinery.client("kms").create_key(**accepted)["KeyMetadata"]
    return Resource("AWS::KMS::Key", made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]})


def _key_alias(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    stack.machinery.client("kms").create_alias(AliasName=given["AliasName"], TargetKeyId=given["TargetKeyId"])
    return Resource("AWS::KMS::Alias", given["AliasName"], {"TargetKeyId": given["TargetKeyId"]})


def _bucket(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("BucketName", stack.generated(logical).lower())
    region = {"LocationConstraint": stack.machinery.region}
    client, locked = stack.machinery.client("s3"), bool(given.get("ObjectLockEnabled"))
    client.create_bucket(Bucket=name, CreateBucketConfiguration=region, ObjectLockEnabledForBucket=locked)
    if "VersioningConfiguration" in given:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=given["VersioningConfiguration"])
    if "ObjectLockConfiguration" in given:
        retention = given["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        rule = {"DefaultRetention": {"Mode": retention["Mode"], "Years": int(retention["Years"])}}
        lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return Resource("AWS::S3::Bucket", name, {"Arn": f"arn:aws:s3:::{name}"})


def _function(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("FunctionName", stack.generated(logical))
    arn = stack.arn("lambda", f"function:{name}")
    stack.functions.append(
        FunctionSpec(
            logical_id=logical,
            name=name,
            arn=arn,
            handler=given["Handler"],
            timeout=int(given.get("Timeout", 3)),
            memory=int(given.get("MemorySize", 128)),
            role=given["Role"],
            log_group=given.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}"),
            environment={
                key: str(value).replace(stack.api_endpoint, stack.machinery.api_url)
                for key, value in given.get("Environment", {}).get("Variables", {}).items()
            },
            task_root=str(stack.code),
        )
    )
    return Resource("AWS::Lambda::Function", name, {"Arn": arn})


def _api(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    for path, calls in given["Body"]["paths"].items():
        for method, call in calls.items():
            uri = call["x-amazon-apigateway-integration"]["uri"]
            function = uri.partition("/functions/")[2].removesuffix("/invocations")
            if call.get("security") != [{"AWS_IAM": []}]:
                raise TemplateError(f"{method} {path} of {logical} is not authorised by IAM, which nothing here can do")
            stack.routes.append(Route(method.upper(), path, function))
    return Resource("AWS::ApiGatewayV2::Api", API_ID, {"ApiEndpoint": stack.api_endpoint, "ApiId": API_ID})


def _rule(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("Name", stack.generated(logical))
    arn = stack.arn("events", f"rule/{name}")
    if given.get("State", "ENABLED") == "ENABLED":
        targets = tuple(target["Arn"] for target in given.get("Targets", []))
        stack.rules.append(Rule(name, arn, given.get("EventPattern"), given.get("ScheduleExpression"), targets))
    return Resource("AWS::Events::Rule", name, {"Arn": arn})


def _schedule(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("Name", stack.generated(logical))
    arn = stack.arn("scheduler", f"schedule/default/{name}")
    if given.get("State", "ENABLED") == "ENABLED":
        target = given["Target"]
        stack.rules.append(Rule(name, arn, None, given["ScheduleExpression"], (target["Arn"],), target["Input"]))
    return Resource("AWS::Scheduler::Schedule", name, {"Arn": arn})


def _event_source(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    filters = tuple(json.loads(each["Pattern"]) for each in given.get("FilterCriteria", {}).get("Filters", []))
    queue = given.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    stack.sources.append(EventSource(given["EventSourceArn"], given["FunctionName"], filters, queue))
    return Resource("AWS::Lambda::EventSourceMapping", stack.generated(logical))


def _asynchronous(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    """How asynchronous invocations are tried: three times, at once, whatever it says; and where they go then."""
    queue = given.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if queue is not None:
        stack.parked_at[given["FunctionName"]] = queue
    return Resource("AWS::Lambda::EventInvokeConfig", stack.generated(logical))


def _machine(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    name = given.get("StateMachineName", stack.generated(logical))
    machine = stack.machinery.states.create(name, stack.definition(logical, given), given["RoleArn"])
    attributes = {"Arn": machine.arn, "Name": name, "StateMachineRevisionId": "1"}
    return Resource("AWS::StepFunctions::StateMachine", machine.arn, attributes)


def _machine_version(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    arn = stack.machinery.states.publish(given["StateMachineArn"])
    return Resource("AWS::StepFunctions::StateMachineVersion", arn, {"Arn": arn})


def _machine_alias(stack: Stack, logical: str, given: dict[str, Any]) -> Resource:
    version = given["DeploymentPreference"]["StateMachineVersionArn"]
    arn = stack.machinery.states.point(given["Name"], version)
    return Resource("AWS::StepFunctions::StateMachineAlias", arn, {"Arn": arn})


MADE: dict[str, Make] = {
    "AWS::ApiGatewayV2::Api": _api,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::Rule": _rule,
    "AWS::KMS::Alias": _key_alias,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::EventInvokeConfig": _asynchronous,
    "AWS::Lambda::EventSourceMapping": _event_source,
    "AWS::Lambda::Function": _function,
    "AWS::S3::Bucket": _bucket,
    "AWS::SNS::Subscription": _subscription,
    "AWS::SNS::Topic": _topic,
    "AWS::SQS::Queue": _queue,
    "AWS::SSM::Parameter": _parameter,
    "AWS::Scheduler::Schedule": _schedule,
    "AWS::StepFunctions::StateMachine": _machine,
    "AWS::StepFunctions::StateMachineAlias": _machine_alias,
    "AWS::StepFunctions::StateMachineVersion": _machine_version,
}
"""Resources that are made, by type."""
