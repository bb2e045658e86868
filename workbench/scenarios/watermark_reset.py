"""What goes wrong with watermarks, as guide 000 describes it, and what a reset must end in."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.embedded import EmbeddedAws

TABLE, FUNCTION = "snowflake-watermarks", "snowflake-extraction"
CUSTOMERS = {"source_table": {"S": "customers"}, "watermark_column": {"S": "updated_at"}}
INVOICES = {"source_table": {"S": "invoices"}, "watermark_column": {"S": "id"}}


def item(key: dict[str, Any], watermark: dict[str, str]) -> dict[str, Any]:
    """An item as the extraction writes it, with what it keeps beside the watermark."""
    return {
        **key,
        "watermark_value": watermark,
        "last_updated": {"S": "2026-11-16T02:00:07Z"},
        "extraction_count": {"N": "412"},
        "last_row_count": {"N": "1830"},
        "metadata": {"M": {"warehouse": {"S": "REPORTING_WH"}}},
    }


def watermarks(aws: EmbeddedAws) -> None:
    """The table with its real, composite key, and the watermarks of two source tables."""
    dynamodb = aws.client("dynamodb")
    names = ("source_table", "watermark_column")
    dynamodb.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=TABLE, Item=item(CUSTOMERS, {"S": "2026-11-16T02:00:00Z"}))
    dynamodb.put_item(TableName=TABLE, Item=item(INVOICES, {"N": "52000"}))


def nothing(aws: EmbeddedAws) -> None:
    """No Terraform resource creates the table, so in a new account it is not there."""


def set_to(value: str) -> Callable[..., None]:
    """Somebody sets the watermark of customers."""

    def write(aws: EmbeddedAws, _execution: str = "") -> None:
        aws.client("dynamodb").update_item(
            TableName=TABLE,
            Key=CUSTOMERS,
            UpdateExpression="SET watermark_value = :value",
            ExpressionAttributeValues={":value": {"S": value}},
        )

    return write


def already_set(aws: EmbeddedAws) -> None:
    watermarks(aws)
    set_to("2026-11-13T00:00:00Z")(aws)


def extraction(*messages: str) -> Callable[[EmbeddedAws], None]:
    """The extraction's function, with these lines in its log a minute ago."""

    def arrange(aws: EmbeddedAws) -> None:
        watermarks(aws)
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("main.py", "def handler(event, context): ...")
        policy = '{"Version": "2012-10-17", "Statement": []}'
        role = aws.client("iam").create_role(RoleName="extraction", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        aws.client("lambda").create_function(
            FunctionName=FUNCTION,
            Runtime="python3.13",
            Role=role,
            Handler="main.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=600,
        )
        logs, group = aws.client("logs"), f"/aws/lambda/{FUNCTION}"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="one")
        at = int(aws.clock.now().timestamp() * 1000) - 60_000
        events = [{"timestamp": at + number, "message": message} for number, message in enumerate(messages)]
        logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)

    return arrange


STARTED = "START RequestId: 7d6f1a54-3c1e-4b39-8b0e-0d6f6c1a2b3c Version: $LATEST"
REPORTED = "REPORT RequestId: 7d6f1a54-3c1e-4b39-8b0e-0d6f6c1a2b3c\tDuration: 5312.10 ms\tBilled Duration: 5313 ms"


def extracted_by_a_machine(aws: EmbeddedAws) -> str:
    """The extraction's state machine, of which no execution runs; its ARN."""
    watermarks(aws)
    extract = {"Type": "Wait", "Seconds": 600, "End": True}
    made = aws.client("stepfunctions").create_state_machine(
        name=FUNCTION,
        definition=json.dumps({"StartAt": "Extract", "States": {"Extract": extract}}),
        roleArn=f"arn:aws:iam::{aws.account_id}:role/extraction",
    )
    return str(made["stateMachineArn"])


def machine_is_idle(aws: EmbeddedAws) -> None:
    extracted_by_a_machine(aws)


def machine_extracts(aws: EmbeddedAws) -> None:
    """An execution of the extraction is under way."""
    machine = extracted_by_a_machine(aws)
    aws.clock.hold()
    aws.client("stepfunctions").start_execution(stateMachineArn=machine, name="nightly", input="{}")


def let_it_end(aws: EmbeddedAws, _execution: str) -> None:
    aws.clock.release()


def denied(aws: EmbeddedAws) -> None:
    watermarks(aws)
    aws.faults.fail(
        "dynamodb:UpdateItem",
        code="AccessDeniedException",
        message="You are not authorized to perform dynamodb:UpdateItem",
        only_from="-watermark-reset-act",
    )


def verification_is_denied(aws: EmbeddedAws, _execution: str) -> None:
    """Somebody takes the reading role's permission away while the run is under way."""
    aws.faults.fail(
        "dynamodb:DescribeTable",
        code="AccessDeniedException",
        message="You are not authorized to perform dynamodb:DescribeTable",
        only_from="-watermark-reset-diagnose",
    )


def world(aws: EmbeddedAws) -> Any:
    """All that the table holds, which is what a reset must leave alone but for one attribute; None without a table."""
    dynamodb = aws.client("dynamodb")
    if TABLE not in dynamodb.list_tables()["TableNames"]:
        return None
    items = dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]
    return sorted(items, key=lambda each: str(each["source_table"]["S"]))


def holding(customers: str = "2026-11-16T02:00:00Z", invoices: str = "52000") -> list[dict[str, Any]]:
    """The table with these watermarks and everything else as it was."""
    return [item(CUSTOMERS, {"S": customers}), item(INVOICES, {"N": invoices})]


STANDARD = Scenario(
    name="backwards",
    title="Rows are missing: the watermark goes back three days",
    event="backwards",
    arrange=watermarks,
    world=world,
    world_after=holding("2026-11-13T00:00:00Z"),
    changes=1,
    moves=set_to("2026-11-17T02:00:00Z"),
)


def unchanged(name: str, title: str, error: str, **more: Any) -> Scenario:
    """A run that fails and leaves the table as it was, unless `world_after` says otherwise."""
    changed = {"ends": "FAILED", "world_after": None, "changes": 0} | more
    return replace(STANDARD, name=name, title=title, error=error, **changed)


SCENARIOS = (
    STANDARD,
    replace(
        STANDARD,
        name="forwards",
        title="The backlog was loaded by hand: the watermark goes forth, over a gap",
        event="forwards",
        world_after=holding("2026-11-20T00:00:00Z"),
    ),
    replace(
        STANDARD,
        name="not-found",
        title="Watermark not found: the item is made",
        event="not-found",
        world_after=[
            *holding(),
            {
                "source_table": {"S": "orders"},
                "watermark_column": {"S": "updated_at"},
                "watermark_value": {"S": "2026-11-13T00:00:00Z"},
            },
        ],
    ),
    replace(
        STANDARD,
        name="sequence-number",
        title="A watermark that is a number",
        event="sequence-number",
        world_after=holding(invoices="41000"),
    ),
    replace(
        STANDARD,
        name="after-an-extraction",
        title="The last extraction has reported",
        event="while-extracting",
        arrange=extraction(STARTED, REPORTED),
    ),
    replace(
        STANDARD,
        name="machine-is-idle",
        title="A state machine extracts, and none of its executions runs",
        event="machine-is-idle",
        arrange=machine_is_idle,
    ),
    replace(
        STANDARD,
        name="moved-on",
        title="An extraction moves the watermark on after the reset",
        world_after=holding("2026-11-14T00:00:00Z"),
        on_state={"Look: is the watermark set?": set_to("2026-11-14T00:00:00Z")},
    ),
    replace(
        STANDARD,
        name="healthy-already",
        title="The watermark is where it should be",
        arrange=already_set,
        world_after=None,
        changes=0,
    ),
    replace(
        STANDARD, name="plan-only", title="Only a plan is asked for", event="plan-only", world_after=None, changes=0
    ),
    unchanged(
        "while-extracting",
        "An extraction has started and not reported",
        "Refused",
        event="while-extracting",
        arrange=extraction(STARTED),
    ),
    unchanged(
        "machine-extracts",
        "An execution of the extraction is running",
        "Refused",
        event="machine-is-idle",
        arrange=machine_extracts,
        on_state={"Record failure": let_it_end},
    ),
    unchanged("table-missing", "Nothing ever created the table", "HandOff", arrange=nothing),
    unchanged("wrong-key", "The key is the guide's and not the table's", "Refused", event="wrong-key"),
    unchanged("in-the-future", "The new value lies in the future", "Refused", event="in-the-future"),
    unchanged("wrong-format", "The new value is no timestamp", "Refused", event="wrong-format"),
    unchanged("aws-denies", "AWS denies the change", "AccessDenied", arrange=denied),
    unchanged(
        "world-moved",
        "An extraction moves the watermark between plan and approval",
        "PlanStale",
        world_after=holding("2026-11-17T02:00:00Z"),
        on_state={"Wait for approval": set_to("2026-11-17T02:00:00Z")},
    ),
    unchanged(
        "cannot-be-verified",
        "What was set cannot be verified: undone",
        "RemediationFailed",
        changes=1,
        on_state={"Verify": verification_is_denied},
    ),
    unchanged(
        "made-and-not-verified",
        "The item that was made cannot be verified: it is removed again",
        "RemediationFailed",
        event="not-found",
        changes=1,
        on_state={"Verify": verification_is_denied},
    ),
    unchanged(
        "overwritten",
        "Somebody sets the watermark further back: nothing of theirs is overwritten",
        "UndoFailed",
        world_after=holding("2026-11-01T00:00:00Z"),
        changes=1,
        on_state={"Look: is the watermark set?": set_to("2026-11-01T00:00:00Z")},
    ),
)
