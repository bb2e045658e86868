"""What the template allows each function, and what Lambda itself does with a function's role."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from workbench.embedded.aws import TEMPLATE
from workbench.embedded.stack import Stack
from workbench.embedded.template import Resolver, TemplateError, read, translated
from workbench.iam.actions import EVERYTHING, Need

_EXACT = {"Bool", "StringEquals"}
_COMPARED = {"ArnEquals", "ArnLike", "Null", "StringLike", *_EXACT}
"""The condition operators that the proof understands. Of those that compare, only the exact ones know no wildcards."""
_ENCRYPTED = {"Bool": {"aws:SecureTransport": "false"}}
"""The condition of what speaks of requests over HTTP without TLS, which no function of the stack makes."""


@dataclass(frozen=True)
class Condition:
    """A statement applies only if what IAM is told under `key` is one of the values."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: frozenset[tuple[str, str]]) -> bool:
        """Whether it holds for a request. What the request does not have does not match."""
        told = dict(context).get(self.key)
        if self.operator == "Null":
            return (told is None) == (self.values == ("true",))
        if told is None:
            return False
        if self.operator in _EXACT:
            return told in self.values
        return any(matches(value, told) for value in self.values)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, with everything resolved."""

    sid: str
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()

    def covers(self, need: Need) -> bool:
        """Whether the statement speaks of this. A resource that is not known is allowed by any, and denied by none."""
        if need.resource is None:
            found = self.allows
        else:
            found = any(matches(resource, need.resource) for resource in self.resources)
        return found and need.action in self.actions and all(each.holds(need.context) for each in self.conditions)


@dataclass(frozen=True)
class Function:
    """A function of the stack. `runs_with` is what Lambda itself does with the role, by the reason for it."""

    name: str
    role: str
    statements: tuple[Statement, ...]
    runs_with: Mapping[str, frozenset[Need]]

    def allows(self, need: Need) -> bool:
        """Whether the role allows it: one statement does, and none denies it."""
        covering = [statement for statement in self.statements if statement.covers(need)]
        return bool(covering) and all(statement.allows for statement in covering)


def matches(pattern: str, value: str) -> bool:
    """Whether IAM's pattern (`*` for anything, `?` for one character) matches the value."""
    return _compiled(pattern).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def translation_of(stack: Stack) -> dict[str, Any]:
    """The template as CloudFormation gets it, with the parameters that the stack was deployed with."""
    return translated(read(TEMPLATE), stack.parameters, stack.machinery.region)


def functions_of(stack: Stack, template: Mapping[str, Any]) -> dict[str, Function]:
    """The functions by name. `template` is translated; its names resolve to what the stack made of them.

    Raises TemplateError for a role whose policies are not all in the template, and for what the proof cannot read.
    """
    return _Reader(stack, template).functions()


def roles_of(stack: Stack, template: Mapping[str, Any]) -> dict[str, tuple[Statement, ...]]:
    """What every role of the stack is allowed and denied, also those of machines and schedules, by its logical id."""
    return _Reader(stack, template).roles()


def policy_of(stack: Stack, template: Mapping[str, Any], logical: str) -> dict[str, Any]:
    """The document of a managed policy of the stack, as IAM gets it."""
    return _Reader(stack, template).policy(logical)


def keys_of(stack: Stack, template: Mapping[str, Any]) -> dict[str, str]:
    """The ARN of the customer managed key of each table, topic, bucket and alias of the stack, by its ARN or name."""
    return _Reader(stack, template).keys()


class _Reader:
    def __init__(self, stack: Stack, template: Mapping[str, Any]) -> None:
        self._stack = stack
        self._resources: Mapping[str, Mapping[str, Any]] = template["Resources"]
        machinery = stack.machinery
        self._region, self._account = machinery.region, machinery.account
        pseudo = {
            "AWS::StackName": stack.name,
            "AWS::Region": machinery.region,
            "AWS::AccountId": machinery.account,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": stack.id,
        }
        self._resolve = Resolver(template, stack.parameters, pseudo, self._attribute).resolve

    def _attribute(self, logical: str, attribute: str | None) -> Any:
        resource = self._stack.resources[logical]
        return resource.ref if attribute is None else resource.attributes[attribute]

    def _of_type(self, *kinds: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for logical, resource in self._resources.items():
            if resource["Type"] in kinds and logical in self._stack.resources:
                yield logical, resource.get("Properties", {})

    def functions(self) -> dict[str, Function]:
        for logical, _ in self._of_type("AWS::IAM::Policy", "AWS::IAM::RolePolicy"):
            raise TemplateError(f"{logical} gives a role a policy from outside; write it into the role")
        found = {}
        for logical, properties in self._of_type("AWS::Lambda::Function"):
            role = properties["Role"]["Fn::GetAtt"][0]
            name = self._stack.resources[logical].ref
            statements = tuple(self._statements(role))
            found[name] = Function(name, role, statements, self._runs_with(logical, properties))
        return found

    def policy(self, logical: str) -> dict[str, Any]:
        document: dict[str, Any] = self._resolve(self._resources[logical]["Properties"]["PolicyDocument"])
        return document

    def roles(self) -> dict[str, tuple[Statement, ...]]:
        return {logical: tuple(self._statements(logical)) for logical, _ in self._of_type("AWS::IAM::Role")}

    def _statements(self, role: str) -> Iterator[Statement]:
        properties = self._resources[role]["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
        for managed in properties.get("ManagedPolicyArns", ()):
            if not (isinstance(managed, dict) and managed.get("Ref") in self._resources):
                raise TemplateError(f"{role} has a policy that is not of this template: {managed}")
            documents.append(self._resources[managed["Ref"]]["Properties"]["PolicyDocument"])
        for document in documents:
            for statement in self._resolve(document)["Statement"]:
                yield _statement(role, statement)
        yield from self._by_keys(role)
        yield from self._by_buckets(role)

    def _by_keys(self, role: str) -> Iterator[Statement]:
        """What the policies of keys allow the role itself: in the same account that is enough."""
        arn = self._stack.resources[role].attributes["Arn"]
        for logical, properties in self._of_type("AWS::KMS::Key"):
            key = self._stack.resources[logical].attributes["Arn"]
            for statement in self._resolve(properties["KeyPolicy"])["Statement"]:
                if arn in _listed(statement["Principal"].get("AWS", ())):
                    own = {name: value for name, value in statement.items() if name != "Principal"}
                    yield _statement(f"the policy of {logical}", own | {"Resource": key})

    def _by_buckets(self, role: str) -> Iterator[Statement]:
        """What the policies of buckets deny the role, and allow it itself."""
        arn = self._stack.resources[role].attributes["Arn"]
        for logical, properties in self._of_type("AWS::S3::BucketPolicy"):
            for statement in self._resolve(properties["PolicyDocument"])["Statement"]:
                principal, condition = statement["Principal"], dict(statement.get("Condition", {}))
                named = principal == "*" or arn in _listed(principal.get("AWS", ()))
                spared = condition.pop("ArnNotEquals", {})
                if set(spared) - {"aws:PrincipalArn"}:
                    raise TemplateError(f"{logical} compares {', '.join(spared)}, which the proof cannot read")
                if not named or condition == _ENCRYPTED or arn in _listed(spared.get("aws:PrincipalArn", ())):
                    continue
                own = {name: value for name, value in statement.items() if name not in {"Condition", "Principal"}}
                yield _statement(f"the policy of {logical}", own | ({"Condition": condition} if condition else {}))

    # What Lambda does with the role before and after the function's own code

    def _runs_with(self, logical: str, properties: Mapping[str, Any]) -> dict[str, frozenset[Need]]:
        found: dict[str, frozenset[Need]] = {}
        group = self._resolve(properties["LoggingConfig"]["LogGroup"])
        streams = f"arn:aws:logs:{self._region}:{self._account}:log-group:{group}:log-stream:any"
        found["(its log)"] = frozenset(Need(f"logs:{name}", streams) for name in ("CreateLogStream", "PutLogEvents"))
        if properties.get("TracingConfig", {}).get("Mode") == "Active":
            names = ("PutTelemetryRecords", "PutTraceSegments")
            found["(its traces)"] = frozenset(Need(f"xray:{name}", EVERYTHING) for name in names)
        polled = frozenset(
            need
            for _, mapping in self._of_type("AWS::Lambda::EventSourceMapping")
            if mapping["FunctionName"] == {"Ref": logical}
            for need in self._polls(mapping)
        )
        left = frozenset(
            Need("sqs:SendMessage", self._queue(config))
            for _, config in self._of_type("AWS::Lambda::EventInvokeConfig")
            if config["FunctionName"] == {"Ref": logical} and self._queue(config) is not None
        )
        return (
            found
            | ({"(its event source)": polled} if polled else {})
            | ({"(events that it cannot handle)": left} if left else {})
        )

    def _queue(self, failing: Mapping[str, Any]) -> str | None:
        """Where Lambda sends what failed. Raises TemplateError if that is not a queue."""
        place: str | None = self._resolve(failing.get("DestinationConfig", {})).get("OnFailure", {}).get("Destination")
        if place is not None and ":sqs:" not in place:
            raise TemplateError(f"the proof does not know what Lambda needs to send what failed to {place}")
        return place

    def _polls(self, mapping: Mapping[str, Any]) -> Iterator[Need]:
        stream = self._resolve(mapping["EventSourceArn"])
        if ":dynamodb:" not in stream:
            raise TemplateError(f"the proof does not know what Lambda needs to poll {stream}")
        for name in ("DescribeStream", "GetRecords", "GetShardIterator"):
            yield Need(f"dynamodb:{name}", stream)
        yield Need("dynamodb:ListStreams", EVERYTHING)
        key = self.keys().get(stream.partition("/stream/")[0])
        if key is not None:
            yield Need("kms:Decrypt", key, frozenset({("kms:ViaService", f"dynamodb.{self._region}.amazonaws.com")}))
        queue = self._queue(mapping)
        if queue is not None:
            yield Need("sqs:SendMessage", queue)

    # Keys

    def keys(self) -> dict[str, str]:
        arns: dict[str, str] = {}
        for logical, _ in self._of_type("AWS::KMS::Key"):
            key = self._stack.resources[logical]
            arns |= {key.ref: key.attributes["Arn"], key.attributes["Arn"]: key.attributes["Arn"]}
        found = {}
        for logical, properties in self._of_type("AWS::DynamoDB::Table"):
            named = properties.get("SSESpecification", {}).get("KMSMasterKeyId")
            if named is not None:
                found[self._stack.resources[logical].attributes["Arn"]] = arns[self._resolve(named)]
        for logical, properties in self._of_type("AWS::SNS::Topic"):
            named = properties.get("KmsMasterKeyId")
            if named is not None:
                found[self._stack.resources[logical].ref] = arns[self._resolve(named)]
        for logical, properties in self._of_type("AWS::S3::Bucket"):
            for rule in properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", ()):
                named = rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID")
                if named is not None:
                    found[self._stack.resources[logical].attributes["Arn"]] = arns[self._resolve(named)]
        for logical, _ in self._of_type("AWS::KMS::Alias"):
            alias = self._stack.resources[logical]
            found[alias.ref] = arns[alias.attributes["TargetKeyId"]]
        return found


def _statement(role: str, statement: Mapping[str, Any]) -> Statement:
    sid = statement.get("Sid", "no Sid")
    unread = set(statement) - {"Action", "Condition", "Effect", "Resource", "Sid"}
    if unread:
        raise TemplateError(
            f"the statement {sid} of {role} has {', '.join(sorted(unread))}, which the proof cannot read"
        )
    conditions = []
    for operator, keys in statement.get("Condition", {}).items():
        if operator not in _COMPARED:
            raise TemplateError(
                f"the statement {sid} of {role} has the condition {operator}, which the proof cannot read"
            )
        conditions += [Condition(operator, key, _listed(values)) for key, values in keys.items()]
    return Statement(
        sid=sid,
        allows=statement["Effect"] == "Allow",
        actions=_listed(statement["Action"]),
        resources=_listed(statement["Resource"]),
        conditions=tuple(conditions),
    )


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else (str(value),)
