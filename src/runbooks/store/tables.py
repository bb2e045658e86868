"""DynamoDB, as the stores use it: plain values in and out, and one kind of failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runbooks.aws.connection import connect
from runbooks.errors import LedgerUnavailable

_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})

Item = dict[str, Any]


class ConditionFailed(Exception):
    """A conditional write did not hold. `failed` has the positions of the conditions that were false."""

    def __init__(self, failed: Sequence[int]) -> None:
        super().__init__(f"conditions {list(failed)} did not hold")
        self.failed = tuple(failed)


class Conflict(Exception):
    """Another transaction touched the same items at the same moment; nothing was written."""


def packed(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB takes it."""
    return {key: _serialize(value) for key, value in item.items()}


def unpacked(item: Mapping[str, Any]) -> Item:
    """An item as Python has it; numbers are whole ones."""
    return {key: _deserialize(value) for key, value in item.items()}


def _serialize(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": str(value)}
        case list() | tuple():
            return {"L": [_serialize(item) for item in value]}
        case dict():
            return {"M": packed(value)}
        case _:
            raise TypeError(f"the ledger stores no {type(value).__name__}")


def _deserialize(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return int(content)
        case "L":
            return [_deserialize(item) for item in content]
        case "M":
            return unpacked(content)
        case _:
            return content


def dynamodb(region: str) -> Any:
    """A DynamoDB client that gives up soon enough for a function to say so."""
    return connect("dynamodb", region, _CONFIG)


class Tables:
    """The two tables, over a DynamoDB client. Every failure of AWS is raised as LedgerUnavailable."""

    def __init__(self, state: str, audit: str, client: Any) -> None:
        self.state = state
        self.audit = audit
        self._client = client

    def get(self, table: str, key: Mapping[str, Any]) -> Item | None:
        """One item, read consistently, or None."""
        try:
            answer = self._client.get_item(TableName=table, Key=packed(key), ConsistentRead=True)
        except (BotoCoreError, ClientError) as failure:
            raise LedgerUnavailable(f"{table} could not be read: {failure}") from failure
        return unpacked(answer["Item"]) if "Item" in answer else None

    def query(self, table: str, *, index: str | None = None, consistent: bool = False, **arguments: Any) -> list[Item]:
        """All items of a query, over all its pages. `values` are plain."""
        if index is not None:
            arguments["IndexName"] = index
        return list(self.each(table, ConsistentRead=consistent, **arguments))

    def each(self, table: str, *, size: int | None = None, **arguments: Any) -> Iterator[Item]:
        """The items of a query one by one; a page of `size` is asked for when the one before is used up."""
        arguments["ExpressionAttributeValues"] = packed(arguments.pop("values"))
        config = {} if size is None else {"PageSize": size}
        try:
            pages = self._client.get_paginator("query").paginate(TableName=table, PaginationConfig=config, **arguments)
            for page in pages:
                yield from map(unpacked, page["Items"])
        except (BotoCoreError, ClientError) as failure:
            raise LedgerUnavailable(f"{table} could not be queried: {failure}") from failure

    def write(self, actions: Sequence[dict[str, Any]]) -> None:
        """All of the actions or none, in one transaction.

        Raises:
            ConditionFailed: at least one condition did not hold.
            Conflict: another transaction was at the same items.
            LedgerUnavailable: DynamoDB failed otherwise.
        """
        try:
            self._client.transact_write_items(TransactItems=list(actions))
        except ClientError as failure:
            reasons = [reason.get("Code") for reason in failure.response.get("CancellationReasons", [])]
            failed = [position for position, code in enumerate(reasons) if code == "ConditionalCheckFailed"]
            if failed:
                raise ConditionFailed(failed) from failure
            if "TransactionConflict" in reasons:
                raise Conflict from failure
            raise LedgerUnavailable(f"the ledger could not be written: {failure}") from failure
        except BotoCoreError as failure:
            raise LedgerUnavailable(f"the ledger could not be written: {failure}") from failure


def put(
    table: str, item: Mapping[str, Any], condition: str | None = None, values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A Put for `Tables.write`."""
    action: dict[str, Any] = {"TableName": table, "Item": packed(item)}
    return {"Put": action | _conditional(condition, values or {})}


def update(
    table: str,
    key: Mapping[str, Any],
    *,
    changes: Mapping[str, Any] | None = None,
    removes: Sequence[str] = (),
    adds: Mapping[str, int] | None = None,
    condition: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An Update for `Tables.write`: set `changes`, remove `removes`, add `adds`. Names are escaped."""
    names: dict[str, str] = {}
    bound: dict[str, Any] = {}

    def named(attribute: str) -> str:
        alias = f"#u{len(names)}"
        names[alias] = attribute
        return alias

    def set_to(attribute: str, value: Any) -> str:
        alias = named(attribute)
        bound[f":u{alias[2:]}"] = _serialize(value)
        return alias

    clauses = []
    if changes:
        clauses.append("SET " + ", ".join(f"{(n := set_to(k, v))} = :u{n[2:]}" for k, v in changes.items()))
    if removes:
        clauses.append("REMOVE " + ", ".join(named(k) for k in removes))
    if adds:
        clauses.append("ADD " + ", ".join(f"{(n := set_to(k, v))} :u{n[2:]}" for k, v in adds.items()))
    action: dict[str, Any] = {"TableName": table, "Key": packed(key), "UpdateExpression": " ".join(clauses)}
    conditional = _conditional(condition, values or {})
    action["ExpressionAttributeNames"] = names | conditional.pop("ExpressionAttributeNames", {})
    if all_values := bound | conditional.pop("ExpressionAttributeValues", {}):
        action["ExpressionAttributeValues"] = all_values
    return {"Update": action | conditional}


def _conditional(condition: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """The condition's fields. In it `#name` stands for the attribute `name`, and `:value` for one of `values`."""
    if condition is None:
        return {}
    words = condition.replace("(", " ").replace(")", " ").replace(",", " ").split()
    names = {word: word[1:] for word in words if word.startswith("#")}
    fields: dict[str, Any] = {"ConditionExpression": condition}
    if names:
        fields["ExpressionAttributeNames"] = names
    if values:
        fields["ExpressionAttributeValues"] = {f":{name}": _serialize(value) for name, value in values.items()}
    return fields
