"""Whether a watermark can be set, and what that costs in duplicates or gaps: pure."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

from pydantic import JsonValue

from runbooks.catalogue.watermark_reset.facts import Facts, Table, Watermark, typed_key
from runbooks.catalogue.watermark_reset.input import ABSENT, Input
from runbooks.model import (
    Change,
    Decision,
    Finding,
    Progress,
    Proof,
    Severity,
    Undo,
    failed,
    hand_off,
    healthy,
    refused,
    remediable,
    settled,
)

PHASE = "Set the watermark"
_KEY_TYPES = ("HASH", "RANGE")
_SYMPTOM = "Watermark Management Issues"


def position(text: str, form: str) -> datetime | int:
    """Where a watermark stands, so that two can be compared. Raises ValueError if it is not of that format."""
    if form == "integer":
        return int(text)
    if form == "date":
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("it has no time zone")
    return moment.astimezone(UTC)


def decide(given: Input, facts: Facts, now: datetime) -> Decision:
    """Healthy when the watermark is at the wanted value, or has moved on past the one that was set."""
    table = facts.table
    if table is None:
        return hand_off(f"There is no table {given.table}; nothing else creates it.", command=_create_table(given))
    if table.status != "ACTIVE":
        return refused(
            f"The table {given.table} is {table.status}; start again when it is ACTIVE.",
            for_now=table.status == "UPDATING",
        )
    if given.key.keys() != table.key_types.keys():
        return refused(
            f"The key of {given.table} is {_names(table.key_types)}, but the input gives {_names(given.key)}."
        )
    if "B" in table.key_types.values():
        return refused(f"The key of {given.table} is binary, and this runbook writes texts and numbers.")
    try:
        wanted = position(given.value, given.format)
    except ValueError as wrong:
        return refused(f"The new value {given.value!r} is no {given.format}: {wrong}.")
    if isinstance(wanted, datetime) and wanted > now:
        return refused(f"The new value {given.value} lies in the future; everything until then would be skipped.")
    return _decide(given, facts, table, wanted)


def _decide(given: Input, facts: Facts, table: Table, wanted: datetime | int) -> Decision:
    held = _held(facts.watermark)
    if held == given.value:
        return healthy(f"The watermark of {_item(given)} is {held}.")
    current = _position_or_none(held, given.format)
    if given.replaces is not None and held != given.replaces and _is_past(current, wanted):
        return healthy(f"The watermark of {_item(given)} was set to {given.value} and has moved on to {held} since.")
    if facts.running:
        return refused(f"An extraction is running ({', '.join(facts.running)}); it would overwrite the watermark.")
    if given.replaces is not None and held != given.replaces:
        return refused(f"The watermark of {_item(given)} is {held}, not {given.replaces} as the input says.")
    if facts.watermark is not None and facts.watermark.type not in {None, "S", "N"}:
        return refused(f"{given.attribute} of {_item(given)} is of the type {facts.watermark.type}, no watermark.")
    if facts.watermark is not None and facts.watermark.type == "N" and given.format != "integer":
        return refused(f"The watermark of {_item(given)} is a number ({held}); use the format integer.")
    return remediable(
        f"The watermark of {_item(given)} is {held}; set it to {given.value}.",
        _change(given, facts.watermark, table),
        resolved={"replaces": held, "key_types": dict(table.key_types)},
    ).seeing(findings(given, facts.watermark, current, wanted))


def findings(
    given: Input, watermark: Watermark | None, current: datetime | int | None, wanted: datetime | int
) -> list[Finding]:
    """What the reset means for the data: duplicates backwards, a gap forwards, neither if it is only spelt anew."""
    if watermark is None or watermark.value is None:
        return [
            _finding(
                "watermark-not-found",
                Severity.CRITICAL,
                f"{_item(given)} has no {given.attribute}",
                "the extraction fails, or starts from the beginning",
            )
        ]
    if current is None:
        return [
            _finding(
                "watermark-format",
                Severity.WARNING,
                f"{watermark.value} is no {given.format}",
                "the extraction may not be able to compare it; its distance to the new value is unknown",
            )
        ]
    if current == wanted:
        return [
            _finding(
                "spelt-otherwise",
                Severity.INFO,
                f"{watermark.value} and {given.value} are the same {given.format}",
                "nothing is extracted again or skipped, unless the extraction compares watermarks as texts",
            )
        ]
    size = _distance(current, wanted)
    if _is_past(current, wanted):
        return [
            _finding(
                "duplicates",
                Severity.WARNING,
                f"backwards by {size}, from {watermark.value} to {given.value}",
                f"what changed within {size} is extracted again: duplicates, unless the load merges by key",
            )
        ]
    return [
        _finding(
            "gap",
            Severity.CRITICAL,
            f"forwards by {size}, from {watermark.value} to {given.value}",
            f"what changed within {size} is never extracted: a gap",
        )
    ]


def _finding(name: str, severity: Severity, evidence: str, meaning: str) -> Finding:
    return Finding(id=name, severity=severity, evidence=evidence, meaning=meaning, symptom=_SYMPTOM)


def _change(given: Input, watermark: Watermark | None, table: Table) -> Change:
    """One conditional update of one attribute; every other attribute of the item stays."""
    kind = "N" if watermark is not None and watermark.type == "N" else "S"
    held = watermark.value if watermark else None
    item: dict[str, JsonValue] = {"TableName": given.table, "Key": typed_key(given, table.key_types)}
    names: dict[str, JsonValue] = {"#watermark": given.attribute}
    new: JsonValue = {kind: given.value}
    consistent: dict[str, JsonValue] = item | {"ConsistentRead": True}
    path = f"Item.{json.dumps(given.attribute)}.{kind}"
    ours = item | {"ConditionExpression": "#watermark = :ours", "ExpressionAttributeNames": names}
    if watermark is None:
        condition, values = "attribute_not_exists(#watermark)", {":new": new}
        undo = Undo(
            operation="dynamodb:DeleteItem",
            parameters=ours | {"ExpressionAttributeValues": {":ours": new}},
            proof=Proof(operation="dynamodb:GetItem", parameters=consistent, path="Item", equals=None),
        )
    elif held is None:
        condition, values = "attribute_not_exists(#watermark)", {":new": new}
        undo = Undo(
            operation="dynamodb:UpdateItem",
            parameters=ours | {"UpdateExpression": "REMOVE #watermark", "ExpressionAttributeValues": {":ours": new}},
            proof=Proof(operation="dynamodb:GetItem", parameters=consistent, path=path, equals=None),
        )
    else:
        old: JsonValue = {kind: held}
        condition, values = "#watermark = :old", {":new": new, ":old": old}
        undo = Undo(
            operation="dynamodb:UpdateItem",
            parameters=ours
            | {"UpdateExpression": "SET #watermark = :old", "ExpressionAttributeValues": {":ours": new, ":old": old}},
            proof=Proof(operation="dynamodb:GetItem", parameters=consistent, path=path, equals=held),
        )
    return Change(
        phase=PHASE,
        operation="dynamodb:UpdateItem",
        parameters=item
        | {
            "UpdateExpression": "SET #watermark = :new",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        },
        was=f"{given.attribute} {held or ABSENT}",
        becomes=f"{given.attribute} {given.value}",
        undo=undo,
        proof=Proof(operation="dynamodb:GetItem", parameters=consistent, path=path, equals=given.value),
        repeat_harmless=True,
    )


def watermark_is_set(given: Input, facts: Facts) -> Progress:
    """A conditional write is durable when it is answered; the watermark may have moved on since."""
    held = facts.watermark.value if facts.watermark else None
    if held is None:
        return failed(f"{_item(given)} has no {given.attribute} any more")
    return settled(f"the watermark is {held}")


def what_the_reset_rests_on(facts: Facts) -> JsonValue:
    """The reset is right as long as the watermark is the one that was diagnosed and nothing extracts."""
    return facts.model_dump(mode="json", exclude={"table"})


def _create_table(given: Input) -> str:
    names = list(given.key)
    attributes = " ".join(f"AttributeName={name},AttributeType=S" for name in names)
    schema = " ".join(
        f"AttributeName={name},KeyType={kind}" for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
    )
    return (
        f"aws dynamodb create-table --table-name {given.table} --attribute-definitions {attributes}"
        f" --key-schema {schema} --billing-mode PAY_PER_REQUEST"
    )


def _held(watermark: Watermark | None) -> str:
    return ABSENT if watermark is None or watermark.value is None else watermark.value


def _position_or_none(held: str, form: str) -> datetime | int | None:
    try:
        return position(held, form)
    except ValueError:
        return None


def _is_past(current: datetime | int | None, wanted: datetime | int) -> bool:
    match current, wanted:
        case datetime() as left, datetime() as right:
            return left > right
        case int() as number, int() as other:
            return number > other
        case _:
            return False


def _distance(current: datetime | int, wanted: datetime | int) -> str:
    match current, wanted:
        case datetime() as left, datetime() as right:
            return _duration(abs(left - right))
        case int() as number, int() as other:
            return f"{abs(number - other)} numbers"
        case _:
            return "an unknown distance"


def _duration(length: timedelta) -> str:
    hours, rest = divmod(length.seconds, 3600)
    parts = [(length.days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "less than 1 s"


def _item(given: Input) -> str:
    return "/".join(given.key.values())


def _names(attributes: dict[str, str]) -> str:
    return " and ".join(attributes)
