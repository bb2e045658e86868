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


def _may_create(action: str, resources: Resources) -> Rule:
    """The same, and S3 tells IAM whether it is to be written only where nothing is."""

    def rule(request: Request) -> Iterator[Need]:
        only = request.parameters.get("IfNoneMatch")
        for resource in resources(request):
            yield Need(action, resource, frozenset({("s3:if-none-match", only)} if only else ()))

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


def _may_in_own_account(action: str, resources: Resources) -> Rule:
    """As `_may`, where IAM is told whose the resource is. A bucket's ARN does not show that; it is our own here."""

    def rule(request: Request) -> Iterator[Need]:
        for resource in resources(request):
            yield Need(action, resource, frozenset({("aws:ResourceAccount", request.account)}))

    return rule


def _through_buckets_key(*actions: str) -> Rule:
    """S3 uses the bucket's customer managed key in the caller's name."""

    def rule(request: Request) -> Iterator[Need]:
        via = frozenset({("kms:ViaService", f"s3.{request.region}.amazonaws.com")})
        key = request.keys.get(f"arn:aws:s3:::{request.parameters['Bucket']}")
        for action in actions if key is not None else ():
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


def _alarms(request: Request) -> Iterable[str | None]:
    """Composite alarms are returned only to whom may see all alarms; the others by their names."""
    if "CompositeAlarm" in request.parameters.get("AlarmTypes", ()):
        return [EVERYTHING]
    return _named("cloudwatch", "alarm:", "AlarmNames")(request)


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


def _stack(request: Request) -> list[str | None]:
    """IAM is asked for the stack with its id, which a request that names the stack does not have."""
    return [request.arn("cloudformation", "stack/", f"{request.parameters['StackName']}/{EVERYTHING}")]


def _bucket(request: Request) -> list[str | None]:
    return [f"arn:aws:s3:::{request.parameters['Bucket']}"]


def _object(request: Request) -> list[str | None]:
    return [f"arn:aws:s3:::{request.parameters['Bucket']}/{request.parameters['Key']}"]


def _of_endpoint(kind: str, parameter: str) -> Resources:
    """What belongs to SageMaker endpoints: their names are in lower case in ARNs."""

    def resources(request: Request) -> list[str | None]:
        return [request.arn("sagemaker", f"{kind}/", str(request.parameters[parameter]).lower())]

    return resources


def _key(request: Request) -> list[str | None]:
    """IAM is asked for the key, also where the request names an alias of it."""
    named = str(request.parameters["KeyId"])
    return [request.keys.get(named) or request.arn("kms", "key/", named)]


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


def _puts_events(request: Request) -> Iterator[Need]:
    """IAM is asked for each entry's bus, and told its source."""
    for entry in request.parameters["Entries"]:
        bus = request.arn("events", "event-bus/", entry.get("EventBusName", "default"))
        yield Need("events:PutEvents", bus, frozenset({("events:source", entry["Source"])}))


# -- RDS, whose operations name several resources at once --------------------------------------------------------------

_CLUSTER = "cluster:"
_CLUSTER_SNAPSHOT = "cluster-snapshot:"
_INSTANCE = "db:"


def _of_rds(kind: str, parameter: str) -> Resources:
    """The resource that a parameter names, or any of the kind: a listing is authorised on all of them."""

    def resources(request: Request) -> list[str | None]:
        return [request.arn("rds", kind, str(request.parameters.get(parameter) or EVERYTHING))]

    return resources


def _rds(action: str, **kinds: str) -> tuple[Rule, ...]:
    """`kinds` are parameters and the kinds of what they name; what a request does not have is not asked for."""

    def rule(request: Request) -> Iterator[Need]:
        for parameter, kind in kinds.items():
            if request.parameters.get(parameter):
                yield Need(f"rds:{action}", request.arn("rds", kind, str(request.parameters[parameter])))

    return (rule,)


def _tags_new(kind: str, parameter: str) -> Rule:
    """To create something with tags is to tag it."""

    def rule(request: Request) -> Iterator[Need]:
        if request.parameters.get("Tags"):
            yield Need("rds:AddTagsToResource", request.arn("rds", kind, str(request.parameters[parameter])))

    return rule


def _with_key_of_rds(always: bool) -> Rule:
    """RDS uses a customer managed key in the caller's name; without `always` only if the request names one."""

    def rule(request: Request) -> Iterator[Need]:
        named = request.parameters.get("KmsKeyId")
        if named or always:
            via = frozenset({("kms:ViaService", f"rds.{request.region}.amazonaws.com")})
            for action in ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey"):
                # The key that a snapshot is encrypted with does not show in the request.
                yield Need(f"kms:{action}", request.arn("kms", "key/", named) if named else None, via)

    return rule


def _tags_new_configuration(request: Request) -> Iterator[Need]:
    """To create something with tags is to tag it."""
    if request.parameters.get("Tags"):
        told = frozenset({("sagemaker:TaggingAction", "CreateEndpointConfig")})
        for resource in _ENDPOINT_CONFIG(request):
            yield Need("sagemaker:AddTags", resource, told)


def _deletes_own_configuration(request: Request) -> Iterator[Need]:
    """IAM is told the resource's tags; an inverse deletes nothing that has not the tag of its run."""
    tagged = frozenset({("aws:ResourceTag/runbooks:target", "an endpoint")})
    for resource in _ENDPOINT_CONFIG(request):
        yield Need("sagemaker:DeleteEndpointConfig", resource, tagged)


def _with_alarms_and_key_of_sagemaker(request: Request) -> Iterator[Need]:
    """SageMaker looks at the rollback alarms, and makes a grant on the key of the volumes, in the caller's name."""
    for alarm in request.parameters.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {}).get("Alarms", ()):
        yield Need("cloudwatch:DescribeAlarms", request.arn("cloudwatch", "alarm:", alarm["AlarmName"]))
    via = f"sagemaker.{request.region}.amazonaws.com"
    told = frozenset({("kms:ViaService", via), ("kms:GrantIsForAWSResource", "true")})
    # The key shows in the endpoint configuration, not in the request.
    yield Need("kms:CreateGrant", None, told)


def _from_another_region(request: Request) -> Iterator[Need]:
    # SourceRegion is no part of the request: the SDK makes a presigned URL of it.
    source = str(request.parameters["SourceDBClusterSnapshotIdentifier"])
    if source.startswith("arn:") and source.split(":")[3] != request.region:
        yield Need("rds:CrossRegionCommunication", source)


def _group_of_cluster(action: str) -> Rule:
    """The parameter group and the option group are authorised as well, the default ones if none is named."""

    def rule(request: Request) -> Iterator[Need]:
        group = str(request.parameters.get("DBClusterParameterGroupName", "default"))
        yield Need(f"rds:{action}", request.arn("rds", "cluster-pg:", group))
        yield Need(f"rds:{action}", request.arn("rds", "og:", "default"))

    return rule


def _sql(action: str) -> tuple[Rule, ...]:
    """The Data API reads the secret that it connects with in the caller's name."""
    return (
        _may(f"rds-data:{action}", _named("rds", _CLUSTER, "resourceArn")),
        _may("secretsmanager:GetSecretValue", _named("secretsmanager", "secret:", "secretArn")),
    )


def _nothing(_: Request) -> Iterator[Need]:
    """Whoever has credentials may call it."""
    yield from ()


# -- the table ---------------------------------------------------------------------------------------------------------

_SERVICE = _in_cluster("service", "service")
_ENDPOINT = _of_endpoint("endpoint", "EndpointName")
_ENDPOINT_CONFIG = _of_endpoint("endpoint-config", "EndpointConfigName")

_TABLE: dict[str, tuple[Rule, ...]] = {
    "application-autoscaling:DescribeScalableTargets": (
        _may("application-autoscaling:DescribeScalableTargets", _everything),
    ),
    "cloudformation:DescribeStacks": (_may("cloudformation:DescribeStacks", _stack),),
    "cloudwatch:DescribeAlarms": (_may("cloudwatch:DescribeAlarms", _alarms),),
    "cloudwatch:GetMetricData": (_may("cloudwatch:GetMetricData", _everything),),
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
    "ec2:DescribeSecurityGroups": (_may("ec2:DescribeSecurityGroups", _everything),),
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
    "events:PutEvents": (_puts_events,),
    "iam:SimulatePrincipalPolicy": (_may("iam:SimulatePrincipalPolicy", _named("iam", "role/", "PolicySourceArn")),),
    "kms:DescribeKey": (_may("kms:DescribeKey", _named("kms", "key/", "KeyId")),),
    "kms:GetPublicKey": (_may("kms:GetPublicKey", _key),),
    "kms:Sign": (_may("kms:Sign", _key),),
    "lambda:GetFunctionConfiguration": (
        _may("lambda:GetFunctionConfiguration", _named("lambda", "function:", "FunctionName")),
    ),
    "lambda:Invoke": (_may("lambda:InvokeFunction", _named("lambda", "function:", "FunctionName")),),
    "logs:DeleteRetentionPolicy": (_may("logs:DeleteRetentionPolicy", _log_group("logGroupName")),),
    "logs:DescribeLogGroups": (_may("logs:DescribeLogGroups", _log_group("logGroupNamePrefix")),),
    "logs:FilterLogEvents": (_may("logs:FilterLogEvents", _log_group("logGroupName")),),
    "logs:PutRetentionPolicy": (_may("logs:PutRetentionPolicy", _log_group("logGroupName")),),
    "rds-data:BeginTransaction": _sql("BeginTransaction"),
    "rds-data:CommitTransaction": _sql("CommitTransaction"),
    "rds-data:ExecuteStatement": _sql("ExecuteStatement"),
    "rds-data:RollbackTransaction": _sql("RollbackTransaction"),
    "rds:AddTagsToResource": (_may("rds:AddTagsToResource", _named("rds", "", "ResourceName")),),
    "rds:CopyDBClusterSnapshot": (
        *_rds(
            "CopyDBClusterSnapshot",
            SourceDBClusterSnapshotIdentifier=_CLUSTER_SNAPSHOT,
            TargetDBClusterSnapshotIdentifier=_CLUSTER_SNAPSHOT,
        ),
        _tags_new(_CLUSTER_SNAPSHOT, "TargetDBClusterSnapshotIdentifier"),
        _with_key_of_rds(always=False),
        _from_another_region,
    ),
    "rds:CreateDBClusterSnapshot": (
        *_rds(
            "CreateDBClusterSnapshot",
            DBClusterIdentifier=_CLUSTER,
            DBClusterSnapshotIdentifier=_CLUSTER_SNAPSHOT,
        ),
        _tags_new(_CLUSTER_SNAPSHOT, "DBClusterSnapshotIdentifier"),
    ),
    # The key is the cluster's, and RDS has had its grant since that was made.
    "rds:CreateDBInstance": (
        *_rds(
            "CreateDBInstance", DBInstanceIdentifier=_INSTANCE, DBClusterIdentifier=_CLUSTER, DBParameterGroupName="pg:"
        ),
        _tags_new(_INSTANCE, "DBInstanceIdentifier"),
    ),
    "rds:DeleteDBCluster": _rds(
        "DeleteDBCluster", DBClusterIdentifier=_CLUSTER, FinalDBSnapshotIdentifier=_CLUSTER_SNAPSHOT
    ),
    "rds:DeleteDBClusterSnapshot": _rds("DeleteDBClusterSnapshot", DBClusterSnapshotIdentifier=_CLUSTER_SNAPSHOT),
    "rds:DeleteDBInstance": _rds("DeleteDBInstance", DBInstanceIdentifier=_INSTANCE),
    "rds:DescribeAccountAttributes": (_may("rds:DescribeAccountAttributes", _everything),),
    "rds:DescribeDBClusterEndpoints": (
        _may("rds:DescribeDBClusterEndpoints", _of_rds(_CLUSTER, "DBClusterIdentifier")),
        _may("rds:DescribeDBClusterEndpoints", _of_rds("cluster-endpoint:", "DBClusterEndpointIdentifier")),
    ),
    "rds:DescribeDBClusterParameterGroups": (
        _may("rds:DescribeDBClusterParameterGroups", _of_rds("cluster-pg:", "DBClusterParameterGroupName")),
    ),
    "rds:DescribeDBClusterSnapshotAttributes": _rds(
        "DescribeDBClusterSnapshotAttributes", DBClusterSnapshotIdentifier=_CLUSTER_SNAPSHOT
    ),
    "rds:DescribeDBClusterSnapshots": (
        _may("rds:DescribeDBClusterSnapshots", _of_rds(_CLUSTER_SNAPSHOT, "DBClusterSnapshotIdentifier")),
    ),
    "rds:DescribeDBClusters": (_may("rds:DescribeDBClusters", _of_rds(_CLUSTER, "DBClusterIdentifier")),),
    "rds:DescribeDBEngineVersions": (_may("rds:DescribeDBEngineVersions", _everything),),
    "rds:DescribeDBInstances": (_may("rds:DescribeDBInstances", _of_rds(_INSTANCE, "DBInstanceIdentifier")),),
    "rds:DescribeDBParameterGroups": (_may("rds:DescribeDBParameterGroups", _of_rds("pg:", "DBParameterGroupName")),),
    "rds:DescribeDBSubnetGroups": (_may("rds:DescribeDBSubnetGroups", _of_rds("subgrp:", "DBSubnetGroupName")),),
    "rds:DescribeOrderableDBInstanceOptions": (_may("rds:DescribeOrderableDBInstanceOptions", _everything),),
    "rds:DisableHttpEndpoint": (_may("rds:DisableHttpEndpoint", _named("rds", _CLUSTER, "ResourceArn")),),
    "rds:EnableHttpEndpoint": (_may("rds:EnableHttpEndpoint", _named("rds", _CLUSTER, "ResourceArn")),),
    "rds:ModifyDBCluster": _rds(
        "ModifyDBCluster", DBClusterIdentifier=_CLUSTER, DBClusterParameterGroupName="cluster-pg:"
    ),
    "rds:ModifyDBClusterSnapshotAttribute": _rds(
        "ModifyDBClusterSnapshotAttribute", DBClusterSnapshotIdentifier=_CLUSTER_SNAPSHOT
    ),
    "rds:RemoveTagsFromResource": (_may("rds:RemoveTagsFromResource", _named("rds", "", "ResourceName")),),
    "rds:RestoreDBClusterFromSnapshot": (
        *_rds(
            "RestoreDBClusterFromSnapshot",
            DBClusterIdentifier=_CLUSTER,
            SnapshotIdentifier=_CLUSTER_SNAPSHOT,
            DBSubnetGroupName="subgrp:",
        ),
        _group_of_cluster("RestoreDBClusterFromSnapshot"),
        _tags_new(_CLUSTER, "DBClusterIdentifier"),
        _with_key_of_rds(always=True),
    ),
    "s3:GetObject": (_may("s3:GetObject", _object), _through_buckets_key("kms:Decrypt")),
    # Without ListBucket, S3 says 403 of an object that does not exist.
    "s3:HeadObject": (_may_in_own_account("s3:GetObject", _object), _may_in_own_account("s3:ListBucket", _bucket)),
    "s3:ListObjectVersions": (_may("s3:ListBucketVersions", _bucket),),
    "s3:ListObjectsV2": (_may_in_own_account("s3:ListBucket", _bucket),),
    # The object's key is a new data key, and S3 asks for Decrypt as well where one is used for the whole bucket.
    "s3:PutObject": (_may_create("s3:PutObject", _object), _through_buckets_key("kms:Decrypt", "kms:GenerateDataKey")),
    "sagemaker-runtime:InvokeEndpoint": (_may("sagemaker:InvokeEndpoint", _ENDPOINT),),
    "sagemaker:CreateEndpointConfig": (
        _may("sagemaker:CreateEndpointConfig", _ENDPOINT_CONFIG),
        _tags_new_configuration,
    ),
    "sagemaker:DeleteEndpointConfig": (_deletes_own_configuration,),
    "sagemaker:DescribeEndpoint": (_may("sagemaker:DescribeEndpoint", _ENDPOINT),),
    "sagemaker:DescribeEndpointConfig": (_may("sagemaker:DescribeEndpointConfig", _ENDPOINT_CONFIG),),
    "sagemaker:DescribeModel": (_may("sagemaker:DescribeModel", _of_endpoint("model", "ModelName")),),
    "sagemaker:DescribeModelPackage": (
        _may("sagemaker:DescribeModelPackage", _of_endpoint("model-package", "ModelPackageName")),
    ),
    "sagemaker:ListInferenceComponents": (_may("sagemaker:ListInferenceComponents", _everything),),
    "sagemaker:ListTags": (_may("sagemaker:ListTags", _named("sagemaker", "", "ResourceArn")),),
    # The models' own roles are not passed again: they were passed when the models were created.
    "sagemaker:UpdateEndpoint": (
        _may("sagemaker:UpdateEndpoint", _ENDPOINT),
        _may("sagemaker:UpdateEndpoint", _ENDPOINT_CONFIG),
        _with_alarms_and_key_of_sagemaker,
    ),
    "sagemaker:UpdateEndpointWeightsAndCapacities": (_may("sagemaker:UpdateEndpointWeightsAndCapacities", _ENDPOINT),),
    "secretsmanager:DescribeSecret": (
        _may("secretsmanager:DescribeSecret", _named("secretsmanager", "secret:", "SecretId")),
    ),
    "secretsmanager:GetSecretValue": (
        _may("secretsmanager:GetSecretValue", _named("secretsmanager", "secret:", "SecretId")),
    ),
    "sns:Publish": (
        _may("sns:Publish", _named("sns", "", "TopicArn")),
        _through_key("sns", ("kms:Decrypt", "kms:GenerateDataKey"), _named("sns", "", "TopicArn")),
    ),
    "ssm:GetParameter": (_may("ssm:GetParameter", _parameter),),
    "stepfunctions:DescribeExecution": (_may("states:DescribeExecution", _named("states", "", "executionArn")),),
    "stepfunctions:GetExecutionHistory": (_may("states:GetExecutionHistory", _named("states", "", "executionArn")),),
    "stepfunctions:ListExecutions": (_may("states:ListExecutions", _named("states", "", "stateMachineArn")),),
    "stepfunctions:ListStateMachines": (_may("states:ListStateMachines", _everything),),
    # The token shows no resource; IAM is asked for the state machine that waits with it.
    "stepfunctions:SendTaskSuccess": (_may("states:SendTaskSuccess", _hidden),),
    "stepfunctions:StartExecution": (_may("states:StartExecution", _named("states", "", "stateMachineArn")),),
    "stepfunctions:StopExecution": (_may("states:StopExecution", _named("states", "", "executionArn")),),
    "sts:AssumeRole": (_may("sts:AssumeRole", _named("iam", "role/", "RoleArn")),),
    "sts:GetCallerIdentity": (_nothing,),
}

UNSCOPABLE = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "cloudwatch:DescribeAlarms",  # on less than that, it answers with no composite alarm
        "cloudwatch:GetMetricData",
        "dynamodb:ListStreams",
        "ec2:DescribeSecurityGroups",
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
        "rds:DescribeAccountAttributes",
        "rds:DescribeDBEngineVersions",
        "rds:DescribeOrderableDBInstanceOptions",
        "sagemaker:ListInferenceComponents",
        "states:ListStateMachines",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
)
"""The actions that may be granted on `*`, since IAM takes no resource for them, or the answer would lack something."""
