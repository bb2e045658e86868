"""Handlers of the small stack that the tests of the embedded AWS deploy."""

import decimal
import os
import sys
import time

import boto3

COUNT = 0
SECRET_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Refused(Exception):
    """An error with a name that a machine can catch."""


def echo(event, context):
    """Does what the event says, and tells what it sees."""
    global COUNT
    COUNT += 1
    match event.get("do"):
        case "raise":
            raise Refused(event.get("message", "no"))
        case "sleep":
            time.sleep(event["seconds"])
        case "exit":
            os._exit(1)
        case "sys.exit":
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
            return {name: value for name, value in os.environ.items() if name not in SECRET_ENVIRONMENT}
        case "call":
            client = boto3.client(event["service"])
            return getattr(client, event["method"])(**event.get("arguments", {}))["ResponseMetadata"]["HTTPStatusCode"]
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


def step(event, context):
    """One step of the procedure: fails as often as the document says, then appends its name."""
    document = event["document"]
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    key = {"pk": f"{event['execution']}/{event['state']}"}
    tried = table.update_item(
        Key=key, UpdateExpression="ADD tried :one", ExpressionAttributeValues={":one": 1}, ReturnValues="ALL_NEW"
    )["Attributes"]["tried"]
    if tried <= document.get("fail", {}).get(event["state"], 0):
        raise Refused(f"attempt {tried} of {event['state']}")
    if event["state"] in document.get("sleep", {}):
        time.sleep(document["sleep"][event["state"]])
    return {
        **document,
        "did": [*document.get("did", []), event["state"]],
        "tries": int(tried),
        "started": event["started"],
    }


def ask(event, context):
    """Keeps the token where the test finds it."""
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    table.put_item(Item={"pk": "token", "token": event["token"]})
    boto3.client("sns").publish(TopicArn="arn:aws:sns:eu-central-1:123456789012:nobody", Message="x") if event.get(
        "tell"
    ) else None


def witness(event, context):
    """Writes down what it is told."""
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    for record in event.get("Records", [event]):
        kind = record.get("detail-type", record.get("eventName"))
        key = record.get("id", record.get("eventID"))
        table.put_item(Item={"pk": f"seen/{kind}/{key}", "record": __import__("json").dumps(record)})
    return event
