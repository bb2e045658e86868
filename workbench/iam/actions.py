"""The reviewed table: which IAM actions each AWS operation needs, on what, the ones that no call shows included.

An operation enters it when somebody has read in the service's part of the Service Authorization Reference what it is
authorised as. An operation that is not here fails the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

EVERYTHING = "*"

FILE = "workbench/iam/actions.py"


class Unreviewed(LookupError):
    """An operation is not in the table; the message says what to do."""


@dataclass(frozen=True)
class Need:
    """What a role must allow: an action, on a resource, with what IAM is told about the request.

    `resource` is an ARN, `*` for what IAM takes no resource for, or None if the request does not show it.
    """

    action: str
    resource: str | None
    context: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Request:
    """One call. `operation` is `service:Operation` with boto3's names; `keys` has each resource's KMS key, by ARN."""

    operation: str
    parameters: Mapping[str, Any]
    region: str
    account: str
    keys: Mapping[str, str] = field(default_factory=dict)

    def arn(self, service: str, kind: str, name: str) -> str:
        """The ARN of what a parameter names, which may be an ARN already."""
        return name if name.startswith("arn:") else f"arn:aws:{service}:{self.region}:{self.account}:{kind}{name}"


Rule = Callable[[Request], Iterable[Need]]
Resources = Callable[[Request], Iterable[str | None]]


def needs_of(request: Request) -> set[Need]:
    """What a role must allow for the call to succeed. Raises Unreviewed."""
    rules = _TABLE.get(request.operation)
    if rules is None:
        raise Unreviewed(
            f"{request.operation} is not in the reviewed table of operations; look up which IAM actions it needs, on"
            f" which resources and with which dependent actions, and add a line to {FILE}"
        )
    return {need for rule in rules for need in rule(request)}


def operations() -> list[str]:
    """The operations that are reviewed, in alphabetical order."""
    return sorted(_TABLE)


# -- rules -------------------------------------------------------------------------------------------------------------


def _may(action: str, resources: Resources) -> Rule:
    def rule(request: Request) -> Iterator[Need]:
        for resource in resources(request):
            yield Need(action, resource)

    return rule


def _through_key(service: str, actions: tuple[str, ...], resources: Resources) -> Rule:
    """The service uses the resource's customer managed key in the caller's name."""

    def rule(request: Request) -> Iterator[Need]:
        via = frozenset({("kms:ViaService", f"{service}.{request.region}.amazonaws.com")})
        for resource in resources(request):
            key = request.keys.get((resource or "").partition("/index/")[0])
            if key is not None:
                for action in actions:
                    yield Need(action, key, via)

    return rule


def _passes_roles(to: str, when: str) -> Rule:
    """With the parameter `when` the call hands roles to a service; the call does not show which."""

    def rule(request: Request) -> Iterator[Need]:
        if when in request.parameters:
            yield Need("iam:PassRole", None, frozenset({("iam:PassedToService", to)}))

    return rule


# -- resources ---------------------------------------------------------------------------------------------------------


def _everything(_: Request) -> list[str | None]:
    return [EVERYTHING]


def _hidden(_: Request) -> list[str | None]:
    return [None]


def _named(service: str, kind: str, parameter: str) -> Resources:
    """The resources of that kind that a parameter names; nothing if it is absent."""

    def resources(request: Request) -> list[str | None]:
        value = request.parameters.get(parameter, [])
        names = [value] if isinstance(value, str) else value
        return [request.arn(service, kind, name) for name in names]

    return resources


def _in_cluster(kind: str, parameter: str) -> Resources:
    """Services or tasks, whose ARN has the cluster's name in it."""

    def resources(request: Request) -> Iterable[str | None]:
        cluster = str(request.parameters.get("cluster", "default")).rpartition("/")[2]
        return _named("ecs", f"{kind}/{cluster}/", parameter)(request)

    return resources


def _repository(request: Request) -> list[str | None]:
    registry = request.parameters.get("registryId", request.account)
    return [f"arn:aws:ecr:{request.region}:{registry}:repository/{request.parameters['repositoryName']}"]


def _parameter(request: Request) -> list[str | None]:
    return [request.arn("ssm", "parameter/", str(request.parameters["Name"]).removeprefix("/"))]


def _log_group(parameter: str, otherwise: str = "") -> Resources:
    """IAM sees a log group as its streams; for a list of groups the name is the prefix that was asked for, or empty."""

    def resources(request: Request) -> list[str | None]:
        name = str(request.parameters.get(parameter, otherwise))
        return [f"{request.arn('logs', 'log-group:', name).removesuffix(':*')}:log-stream:"]

    return resources


def _table(request: Request) -> list[str | None]:
    table = request.arn("dynamodb", "table/", str(request.parameters["TableName"]))
    index = request.parameters.get("IndexName")
    return [f"{table}/index/{index}" if index else table]


# -- DynamoDB, whose batches and transactions are authorised item by item ----------------------------------------------

_ITEM_KEY = ("kms:Decrypt",)
"""DynamoDB decrypts the table's own key in the caller's name, for reads and for writes. It made that key under a grant
that it got when the table was created, so whoever only uses the table needs neither Encrypt nor GenerateDataKey."""


def _on_items(action: str) -> tuple[Rule, ...]:
    return _may(f"dynamodb:{action}", _table), _through_key("dynamodb", _ITEM_KEY, _table)


def _each(parts: Callable[[Request], Iterable[tuple[str, str]]]) -> tuple[Rule, ...]:
    """`parts` gives action and table of each item that the call touches."""

    def tables(request: Request) -> list[str | None]:
        return [request.arn("dynamodb", "table/", table) for _, table in parts(request)]

    def rule(request: Request) -> Iterator[Need]:
        for action, table in parts(request):
            yield Need(f"dynamodb:{action}", request.arn("dynamodb", "table/", table))

    return rule, _through_key("dynamodb", _ITEM_KEY, tables)


_ACTION_OF = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


def _transacted(request: Request) -> Iterator[tuple[str, str]]:
    for item in request.parameters["TransactItems"]:
        for kind, part in item.items():
            yield _ACTION_OF[kind], part["TableName"]


def _batched(action: str) -> Callable[[Request], Iterator[tuple[str, str]]]:
    def parts(request: Request) -> Iterator[tuple[str, str]]:
        for table in request.parameters["RequestItems"]:
            yield action, table

    return parts


# -- the table ---------------------------------------------------------------------------------------------------------

_SERVICE = _in_cluster("service", "service")

_TABLE: dict[str, tuple[Rule, ...]] = {
    "dynamodb:BatchGetItem": _each(_batched("BatchGetItem")),
    "dynamodb:BatchWriteItem": _each(_batched("BatchWriteItem")),
    "dynamodb:DeleteItem": _on_items("DeleteItem"),
    "dynamodb:DescribeTable": (_may("dynamodb:DescribeTable", _table),),
    "dynamodb:GetItem": _on_items("GetItem"),
    "dynamodb:PutItem": _on_items("PutItem"),
    "dynamodb:Query": _on_items("Query"),
    "dynamodb:Scan": _on_items("Scan"),
    "dynamodb:TransactGetItems": _each(_transacted),
    "dynamodb:TransactWriteItems": _each(_transacted),
    "dynamodb:UpdateItem": _on_items("UpdateItem"),
    "ecr:DescribeImages": (_may("ecr:DescribeImages", _repository),),
    "ecs:DescribeServiceDeployments": (
        _may("ecs:DescribeServiceDeployments", _named("ecs", "service-deployment/", "serviceDeploymentArns")),
    ),
    "ecs:DescribeServiceRevisions": (
        _may("ecs:DescribeServiceRevisions", _named("ecs", "service-revision/", "serviceRevisionArns")),
    ),
    "ecs:DescribeServices": (_may("ecs:DescribeServices", _in_cluster("service", "services")),),
    "ecs:DescribeTaskDefinition": (_may("ecs:DescribeTaskDefinition", _everything),),
    "ecs:DescribeTasks": (_may("ecs:DescribeTasks", _in_cluster("task", "tasks")),),
    "ecs:ListServiceDeployments": (_may("ecs:ListServiceDeployments", _SERVICE),),
    "ecs:ListTasks": (_may("ecs:ListTasks", _everything),),
    # ECS's own rollback starts the tasks under the permissions of ECS: no role is passed by the caller.
    "ecs:StopServiceDeployment": (
        _may("ecs:StopServiceDeployment", _named("ecs", "service-deployment/", "serviceDeploymentArn")),
    ),
    "ecs:UpdateService": (
        _may("ecs:UpdateService", _SERVICE),
        _passes_roles("ecs-tasks.amazonaws.com", when="taskDefinition"),
    ),
    "lambda:GetFunctionConfiguration": (
        _may("lambda:GetFunctionConfiguration", _named("lambda", "function:", "FunctionName")),
    ),
    "lambda:Invoke": (_may("lambda:InvokeFunction", _named("lambda", "function:", "FunctionName")),),
    "logs:DeleteRetentionPolicy": (_may("logs:DeleteRetentionPolicy", _log_group("logGroupName")),),
    "logs:DescribeLogGroups": (_may("logs:DescribeLogGroups", _log_group("logGroupNamePrefix")),),
    "logs:FilterLogEvents": (_may("logs:FilterLogEvents", _log_group("logGroupName")),),
    "logs:PutRetentionPolicy": (_may("logs:PutRetentionPolicy", _log_group("logGroupName")),),
    "sns:Publish": (
        _may("sns:Publish", _named("sns", "", "TopicArn")),
        _through_key("sns", ("kms:Decrypt", "kms:GenerateDataKey"), _named("sns", "", "TopicArn")),
    ),
    "ssm:GetParameter": (_may("ssm:GetParameter", _parameter),),
    "stepfunctions:DescribeExecution": (_may("states:DescribeExecution", _named("states", "", "executionArn")),),
    "stepfunctions:ListExecutions": (_may("states:ListExecutions", _named("states", "", "stateMachineArn")),),
    # The token shows no resource; IAM is asked for the state machine that waits with it.
    "stepfunctions:SendTaskSuccess": (_may("states:SendTaskSuccess", _hidden),),
}

UNSCOPABLE = frozenset(
    {
        "dynamodb:ListStreams",
        "ecs:DescribeTaskDefinition",
        "ecs:ListTasks",  # the reference scopes it to container instances only, and Fargate has none
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
)
"""The actions that may be granted on `*`, since IAM takes no resource for them."""
