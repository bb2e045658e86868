"""What a watermark reset is asked for."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from runbooks.model import RunInput

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
Attribute = Annotated[str, StringConstraints(min_length=1, max_length=255)]
MachineArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:states:.+:stateMachine:.+$")]

ABSENT = "absent"
"""What `replaces` says when there was no watermark."""

Value = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Input(RunInput):
    """The watermark to set: a table, the key of the item, and the new value."""

    table: Name = Field(description="the watermark table's name, e.g. snowflake-watermarks")
    key: dict[Attribute, Value] = Field(
        min_length=1,
        max_length=2,
        description='the item\'s whole key, e.g. {"source_table": "customers", "watermark_column": "updated_at"}',
    )
    value: Value = Field(description="the new watermark, e.g. 2023-01-01T00:00:00Z")
    format: Literal["timestamp", "date", "integer"] = Field(
        "timestamp", description="timestamp: ISO 8601 with a zone; date: 2023-01-31; integer: a sequence number"
    )
    attribute: Attribute = Field("watermark_value", description="the attribute that holds the watermark")
    extraction_function: Name | None = Field(None, description="the Lambda function that extracts, if one does")
    extraction_machine: MachineArn | None = Field(
        None, description="ARN of the state machine that extracts, if one does"
    )
    key_types: dict[Attribute, Literal["S", "N"]] | None = Field(
        None, description="the types of the key's attributes; the diagnosis fills in the table's own"
    )
    replaces: Value | None = Field(
        None, description="the value that must be there now, or absent; the diagnosis fills in what it found"
    )
