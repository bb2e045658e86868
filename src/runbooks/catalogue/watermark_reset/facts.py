"""What is read of a watermark before it is reset."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from runbooks.aws.session import AwsSession
from runbooks.catalogue.watermark_reset.input import Input
from runbooks.model import Model

_START_OR_REPORT = '?"START RequestId" ?"REPORT RequestId" ?"platform.start" ?"platform.report"'

_LOOK_BACK = timedelta(minutes=15)
"""The longest that a Lambda function can run: an extraction that started before cannot be running any more."""


class Table(Model):
    """`key_types` are the key's attributes with their types (S, N or B), partition key first."""

    arn: str
    status: str
    key_types: dict[str, str]


class Watermark(Model):
    """The item's watermark attribute as DynamoDB holds it: its type (S or N) and the value; null if it is not set."""

    type: str | None
    value: str | None


class Facts(Model):
    """`table` is null if it does not exist, `watermark` if the item does not. `running` names what extracts now."""

    table: Table | None
    watermark: Watermark | None = None
    running: tuple[str, ...] = ()


def gather(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the table's key schema, the watermark, and whether an extraction runs.

    Calls: dynamodb DescribeTable, GetItem; stepfunctions ListExecutions; lambda GetFunctionConfiguration;
    logs FilterLogEvents.
    """
    table = _table(given, aws)
    if table is None:
        return Facts(table=None)
    types = table.key_types
    readable = table.status == "ACTIVE" and types.keys() == given.key.keys() and "B" not in types.values()
    return Facts(
        table=table,
        watermark=_watermark(given, types, aws) if readable else None,
        running=(*_executions(given, aws), *_invocations(given, aws, now)),
    )


def recheck(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read again what can move: the watermark, and whether an extraction runs. As `gather`, but for DescribeTable."""
    running = (*_executions(given, aws), *_invocations(given, aws, now))
    return Facts(table=None, watermark=_watermark(given, given.key_types or {}, aws), running=running)


def watch(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the watermark and nothing else. Calls: dynamodb GetItem."""
    return Facts(table=None, watermark=_watermark(given, given.key_types or {}, aws))


def typed_key(given: Input, types: Mapping[str, str]) -> dict[str, JsonValue]:
    """The key as DynamoDB takes it, typed by the table's own key schema."""
    return {name: {types[name]: value} for name, value in given.key.items()}


def _table(given: Input, aws: AwsSession) -> Table | None:
    dynamodb = aws.client("dynamodb")
    try:
        described = dynamodb.describe_table(TableName=given.table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return None
    types = {item["AttributeName"]: item["AttributeType"] for item in described["AttributeDefinitions"]}
    schema = sorted(described["KeySchema"], key=lambda part: part["KeyType"])
    return Table(
        arn=described["TableArn"],
        status=described["TableStatus"],
        key_types={part["AttributeName"]: types[part["AttributeName"]] for part in schema},
    )


def _watermark(given: Input, types: Mapping[str, str], aws: AwsSession) -> Watermark | None:
    answer = aws.client("dynamodb").get_item(TableName=given.table, Key=typed_key(given, types), ConsistentRead=True)
    if "Item" not in answer:
        return None
    held: dict[str, Any] = answer["Item"].get(given.attribute, {})
    for kind, value in held.items():
        return Watermark(type=kind, value=str(value))
    return Watermark(type=None, value=None)


def _executions(given: Input, aws: AwsSession) -> tuple[str, ...]:
    if given.extraction_machine is None:
        return ()
    listed = aws.client("stepfunctions").list_executions(
        stateMachineArn=given.extraction_machine, statusFilter="RUNNING"
    )
    return tuple(f"the execution {execution['name']}" for execution in listed["executions"])


def _invocations(given: Input, aws: AwsSession, now: datetime) -> tuple[str, ...]:
    """Invocations with a START and no REPORT in the function's log, and within the function's timeout."""
    if given.extraction_function is None:
        return ()
    function = aws.client("lambda").get_function_configuration(FunctionName=given.extraction_function)
    group = function.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{given.extraction_function}")
    since = now - min(timedelta(seconds=function["Timeout"]), _LOOK_BACK)
    logs = aws.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(since.timestamp() * 1000), filterPattern=_START_OR_REPORT
    )
    try:
        messages = [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return ()
    return tuple(f"the invocation {request}" for request in unreported(messages))


def unreported(messages: Iterable[str]) -> list[str]:
    """Request ids that a function's log shows a START of and no REPORT, in either of Lambda's log formats."""
    started: dict[str, None] = {}
    reported: set[str] = set()
    for message in messages:
        match _event(message):
            case "START", request:
                started[request] = None
            case "REPORT", request:
                reported.add(request)
    return [request for request in started if request not in reported]


def _event(message: str) -> tuple[str, str]:
    if message.startswith("{"):
        try:
            entry = json.loads(message)
        except ValueError:
            return "", ""
        kind = {"platform.start": "START", "platform.report": "REPORT"}.get(entry.get("type"), "")
        return kind, str(entry.get("record", {}).get("requestId", ""))
    word, _, rest = message.partition(" RequestId: ")
    return word, (rest.split(maxsplit=1) or [""])[0]
