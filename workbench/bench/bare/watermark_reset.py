"""Set a watermark, if it is still the one that was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def main(client: Callable[[str], Any], sleep: Callable[[float], None], given: Mapping[str, Any]) -> None:
    """Raises RuntimeError if it cannot be set."""
    dynamodb = client("dynamodb")
    table, attribute = given["table"], given.get("attribute", "watermark_value")
    described = dynamodb.describe_table(TableName=table)["Table"]
    types = {each["AttributeName"]: each["AttributeType"] for each in described["AttributeDefinitions"]}
    key = {name: {types[name]: value} for name, value in given["key"].items()}

    def held() -> dict[str, str]:
        item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
        value: dict[str, str] = item.get(attribute, {})
        return value

    old = held()
    if not old:
        raise RuntimeError(f"{table} has no such watermark")
    new = {next(iter(old)): given["value"]}
    dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #watermark = :new",
        ConditionExpression="#watermark = :old",
        ExpressionAttributeNames={"#watermark": attribute},
        ExpressionAttributeValues={":new": new, ":old": old},
    )
    if held() != new:
        raise RuntimeError("it was not set")
