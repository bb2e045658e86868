"""Handlers of the small stack that the tests of the embedded AWS deploy."""

import decimal
import json
import os
import sys
import time
from typing import Any

import boto3

COUNT = 0
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Refused(Exception):
    """An error with a name that a machine can catch."""


def echo(event: dict[str, Any], context: Any) -> Any:
    """Does what the event says, and tells what it sees."""
    global COUNT  # noqa: PLW0603  # whether a worker is warm is what the tests want to see
    COUNT += 1
    match event.get("do"):
        case "raise":
            raise Refused(event.get("message", "no"))
        case "sleep":
            time.sleep(event["seconds"])
        case "die":
            os._exit(1)
        case "exit":
            sys.exit(1)
        case "unserialisable":
            return {1, 2}
        case "decimal":
            return decimal.Decimal("1.5")
        case "print":
            print("on stdout")
            print("on stderr", file=sys.stderr)
        case "import":
            __import__(event["module"])
        case "environment":
            return {name: value for name, value in os.environ.items() if name not in SECRETS}
        case "call":
            client: Any = boto3.client(event["service"])
            return getattr(client, event["method"])(**event.get("arguments", {}))["ResponseMetadata"]["HTTPStatusCode"]
        case "call again in an hour":
            sts: Any = boto3.client("sts")
            sts.meta.events.register_first("needs-retry.sts", _in_an_hour)
            return sts.get_caller_identity()["ResponseMetadata"]["RetryAttempts"]
    return {
        "event": event,
        "count": COUNT,
        "pid": os.getpid(),
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "request": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "log_group": context.log_group_name,
        "left": context.get_remaining_time_in_millis(),
    }


def _in_an_hour(attempts: int, **_: Any) -> int | None:
    return 3600 if attempts == 1 else None


def step(event: dict[str, Any], context: Any) -> Any:
    """One step of the procedure: fails as often as the document says, then adds its name."""
    document = event["document"]
    state = event["state"]
    tried = _table().update_item(
        Key={"pk": f"{event['execution']}/{state}"},
        UpdateExpression="ADD tried :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues="ALL_NEW",
    )["Attributes"]["tried"]
    if tried <= document.get("fail", {}).get(state, 0):
        raise Refused(f"attempt {tried} of {state}")
    time.sleep(document.get("sleep", {}).get(state, 0))
    return {**document, "did": [*document.get("did", []), state], "tries": int(tried), "started": event["started"]}


def ask(event: dict[str, Any], context: Any) -> None:
    """Keeps the token where the test finds it."""
    _table().put_item(Item={"pk": "token", "token": event["token"]})


def witness(event: dict[str, Any], context: Any) -> Any:
    """Writes down what it is told."""
    for record in event.get("Records", [event]):
        kind = record.get("detail-type", record.get("eventName"))
        key = record.get("id", record.get("eventID"))
        _table().put_item(Item={"pk": f"seen/{kind}/{key}", "record": json.dumps(record)})
    return event


def clumsy(event: dict[str, Any], context: Any) -> None:
    """Never succeeds."""
    raise Refused("as always")


def _table() -> Any:
    resource: Any = boto3.resource("dynamodb")
    return resource.Table(os.environ["TABLE"])
