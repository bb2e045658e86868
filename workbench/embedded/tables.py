"""DynamoDB on moto's tables: one lock over all operations, transactions that are transactions, streams that flow."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    DynamodbException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import StreamShard, Table

from workbench.embedded.calls import Call, Response, ServiceError
from workbench.embedded.clock import VirtualClock
from workbench.embedded.patches import Patches

TOKEN_LIFE = timedelta(minutes=10)
"""How long a ClientRequestToken makes a repeated transaction harmless."""

ChangeListener = Callable[[str, dict[str, Any]], None]
"""Told of the table's name and a stream record, in DynamoDB JSON."""


class Tables:
    """What stands between the endpoint and moto's tables. `lock` is held during every DynamoDB request."""

    def __init__(self, clock: VirtualClock, patches: Patches) -> None:
        self.lock = threading.RLock()
        self.listeners: list[ChangeListener] = []
        self._clock = clock
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._records: list[tuple[str, dict[str, Any]]] = []
        self._sequence = 0
        patches.replace(DynamoDBBackend, "transact_write_items", _transact)
        patches.replace(DynamoDBBackend, "update_item", _undoing(DynamoDBBackend.update_item))
        patches.replace(StreamShard, "add", lambda shard, old, new: self._changed(shard.table, old, new))

    def reset(self) -> None:
        """Forgets tokens and records."""
        with self.lock:
            self._tokens.clear()
            self._records.clear()
            self._sequence = 0

    # -- streams -------------------------------------------------------------------------------------------------------

    def _changed(self, table: Table, old: Any, new: Any) -> None:
        before = old.to_json()["Attributes"] if old is not None else None
        after = new.to_json()["Attributes"] if new is not None else None
        if before == after:
            return  # a write that changes nothing puts nothing on the stream
        item = after or before or {}
        keys = [table.hash_key_attr, *([table.range_key_attr] if table.range_key_attr else [])]
        view = (table.stream_specification or {}).get("StreamViewType", "KEYS_ONLY")
        self._sequence += 1
        change: dict[str, Any] = {
            "ApproximateCreationDateTime": int(self._clock.now().timestamp()),
            "Keys": {name: item[name] for name in keys},
            "SequenceNumber": f"{self._sequence:021d}",
            "SizeBytes": len(json.dumps(item)),
            "StreamViewType": view,
        }
        if after is not None and view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
            change["NewImage"] = after
        if before is not None and view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
            change["OldImage"] = before
        record = {
            "eventID": hashlib.md5(f"{table.table_arn}{self._sequence}".encode(), usedforsecurity=False).hexdigest(),
            "eventName": "INSERT" if before is None else "REMOVE" if after is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": table.region_name,
            "eventSourceARN": table.describe()["TableDescription"].get("LatestStreamArn", ""),
            "dynamodb": change,
        }
        self._records.append((table.name, json.loads(json.dumps(record))))

    def guarded(self, call: Call, answer: Callable[[], Response]) -> Response:
        """Answers one request alone; its records go out if it had an effect."""
        with self.lock:
            self._records.clear()
            response = self._transact(call, answer) if call.operation == "TransactWriteItems" else answer()
            if response[0] == 200:
                for table, record in self._records:
                    for listener in self.listeners:
                        listener(table, record)
            return response

    # -- ClientRequestToken --------------------------------------------------------------------------------------------

    def _transact(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        """Answers TransactWriteItems; a repeated token has no second effect."""
        request = json.loads(call.body)
        token = request.pop("ClientRequestToken", None)
        if token is None:
            return ask_moto()
        content = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        now = self._clock.now()
        known = self._tokens.get(token)
        if known is not None and now - known[1] < TOKEN_LIFE:
            if known[0] != content:
                raise ServiceError(
                    "IdempotentParameterMismatchException",
                    "The request uses the same client token as a previous, but non-identical request.",
                )
            return 200, {"Content-Type": "application/x-amz-json-1.0"}, b"{}"
        response = ask_moto()
        if response[0] == 200:
            self._tokens[token] = (content, now)
        return response


# -- replacements of moto's methods ------------------------------------------------------------------------------------

_Place = tuple[Table, DynamoType, DynamoType | None]


def _place(backend: Any, table_name: str, key: dict[str, Any]) -> _Place:
    table = backend.get_table(table_name)
    hash_key, range_key = backend.get_keys_value(table, key)
    return table, hash_key, range_key


def _image(place: _Place) -> dict[str, Any] | None:
    """A copy of the item's attributes; None if there is no item."""
    item = place[0].get_item(place[1], place[2])
    return None if item is None else json.loads(json.dumps(item.to_json()["Attributes"]))


def _restore(place: _Place, image: dict[str, Any] | None) -> None:
    """Makes the item what it was, without a word on the stream."""
    table, hash_key, range_key = place
    shard, table.stream_shard = table.stream_shard, None
    try:
        if image is None:
            table.delete_item(hash_key, range_key)
        else:
            table.put_item(image, overwrite=True)
    finally:
        table.stream_shard = shard


def _undoing(update_item: Callable[..., Any]) -> Callable[..., Any]:
    def update(self: Any, table_name: str, key: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """An update that fails leaves the item as it was; moto's leaves a new item behind."""
        place = _place(self, table_name, key)
        image = _image(place)
        try:
            return update_item(self, table_name, key, *args, **kwargs)
        except Exception:
            _restore(place, image)
            raise

    return update


def _transact(self: Any, transact_items: list[dict[str, Any]]) -> None:
    """All or nothing: every condition is looked at first, then the writes are applied, or taken back one by one."""
    if len(transact_items) > 100:
        raise TooManyTransactionsException
    operations = [_operation(self, item) for item in transact_items]
    places = [place for _, _, place in operations]
    if len({(place[0].name, str(place[1].value), str(place[2] and place[2].value)) for place in places}) < len(places):
        raise MultipleTransactionsException

    reasons = [_refusal(operation, place) for _, operation, place in operations]
    if any(reasons):
        raise TransactionCanceledException([reason or (None, None, None) for reason in reasons])

    images = [_image(place) for place in places]
    for number, (kind, operation, _) in enumerate(operations):
        try:
            _apply(self, kind, operation)
        except (DynamodbException, JsonRESTError) as error:
            for place, image in zip(places[: number + 1], images, strict=False):
                _restore(place, image)
            failed: list[tuple[str | None, str | None, None]] = [(None, None, None)] * len(operations)
            failed[number] = ("ValidationError", getattr(error, "message", str(error)), None)
            raise TransactionCanceledException(failed) from error


def _operation(backend: Any, item: dict[str, Any]) -> tuple[str, dict[str, Any], _Place]:
    if len(item) != 1:
        raise TransactWriteSingleOpException
    ((kind, operation),) = item.items()
    if kind != "Put":
        return kind, operation, _place(backend, operation["TableName"], operation["Key"])
    table = backend.get_table(operation["TableName"])
    names = [table.hash_key_attr, *([table.range_key_attr] if table.range_key_attr else [])]
    key = {name: operation["Item"][name] for name in names if name in operation["Item"]}
    return kind, operation, _place(backend, operation["TableName"], key)


def _refusal(operation: dict[str, Any], place: _Place) -> tuple[str, str, dict[str, Any] | None] | None:
    condition = operation.get("ConditionExpression")
    if condition is None:
        return None
    table, hash_key, range_key = place
    current = table.get_item(hash_key, range_key)
    names, values = operation.get("ExpressionAttributeNames"), operation.get("ExpressionAttributeValues")
    if get_filter_expression(condition, names, values).expr(current):
        return None
    wants_item = operation.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    item = current.to_json()["Attributes"] if wants_item and current is not None else None
    return "ConditionalCheckFailed", ConditionalCheckFailed().message, item


def _apply(backend: Any, kind: str, operation: dict[str, Any]) -> None:
    if kind == "Put":
        backend.put_item(operation["TableName"], operation["Item"])
    elif kind == "Delete":
        backend.delete_item(operation["TableName"], operation["Key"])
    elif kind == "Update":
        backend.update_item(
            operation["TableName"],
            operation["Key"],
            update_expression=operation["UpdateExpression"],
            expression_attribute_names=operation.get("ExpressionAttributeNames"),
            expression_attribute_values=operation.get("ExpressionAttributeValues"),
        )
    elif kind != "ConditionCheck":
        raise NotImplementedError(f"{kind} in a transaction")
