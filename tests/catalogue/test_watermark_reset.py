"""Every branch of the decision, as a table of facts -> decision, without AWS."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.catalogue.watermark_reset.decide import decide, position, watermark_is_set
from runbooks.catalogue.watermark_reset.facts import Facts, Table, Watermark, unreported
from runbooks.catalogue.watermark_reset.input import Input
from runbooks.model import Severity, Undo, Verdict

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
KEY = {"source_table": "customers", "watermark_column": "updated_at"}
TABLE = Table(arn="arn:t", status="ACTIVE", key_types={"source_table": "S", "watermark_column": "S"})
OLD, NEW = "2026-11-16T02:00:00Z", "2026-11-13T00:00:00Z"
SAME = "2026-11-13T01:00:00+01:00"
"""The new moment, in another time zone."""


def given(**more: Any) -> Input:
    values = {"mode": "execute", "reason": "INC-1", "requested_by": "alice", "table": "marks", "key": KEY, "value": NEW}
    return Input.model_validate(values | more)


def facts(held: str | None = OLD, kind: str | None = "S", **more: Any) -> Facts:
    watermark = Watermark(type=kind, value=held) if kind else None
    return Facts.model_validate({"table": TABLE, "watermark": watermark} | more)


def table(**more: Any) -> Table:
    return TABLE.model_copy(update=more)


@dataclass(frozen=True)
class Case:
    name: str
    facts: Facts
    verdict: Verdict
    says: str
    given: Input = field(default_factory=given)


CASES = [
    Case("no table", Facts(table=None), Verdict.HAND_OFF, "There is no table marks"),
    Case("a table being made", facts(table=table(status="CREATING")), Verdict.REFUSED, "is CREATING"),
    Case(
        "the guide's key",
        facts(kind=None),
        Verdict.REFUSED,
        "The key of marks is source_table and watermark_column, but the input gives query_name",
        given(key={"query_name": "customers"}),
    ),
    Case("half a key", facts(), Verdict.REFUSED, "but the input gives source_table", given(key={"source_table": "c"})),
    Case(
        "a binary key",
        facts(table=table(key_types={**TABLE.key_types, "source_table": "B"})),
        Verdict.REFUSED,
        "binary",
    ),
    Case("no timestamp", facts(), Verdict.REFUSED, "'Friday' is no timestamp", given(value="Friday")),
    Case("no zone", facts(), Verdict.REFUSED, "no time zone", given(value="2026-11-13T00:00:00")),
    Case("no date", facts(), Verdict.REFUSED, "is no date", given(value=NEW, format="date")),
    Case("no number", facts(), Verdict.REFUSED, "is no integer", given(value="4e3", format="integer")),
    Case("the present", facts(), Verdict.REMEDIABLE, "set it to", given(value="2026-11-21T03:00:00Z")),
    Case("the future", facts(), Verdict.REFUSED, "lies in the future", given(value="2026-11-21T03:00:01Z")),
    Case("already there", facts(NEW), Verdict.HEALTHY, f"The watermark of customers/updated_at is {NEW}"),
    Case(
        "moved on past ours",
        facts("2026-11-14T00:00:00Z"),
        Verdict.HEALTHY,
        "has moved on to 2026-11-14",
        given(replaces=OLD),
    ),
    Case("made by us and moved on", facts(OLD), Verdict.HEALTHY, "has moved on", given(replaces="absent")),
    Case(
        "moved, but not past ours",
        facts("2026-11-01T00:00:00Z"),
        Verdict.REFUSED,
        f"is 2026-11-01T00:00:00Z, not {OLD}",
        given(replaces=OLD),
    ),
    Case("an extraction runs", facts(running=("the execution x",)), Verdict.REFUSED, "running (the execution x)"),
    Case("another type", facts("x", "M"), Verdict.REFUSED, "is of the type M"),
    Case("a number, asked as a time", facts("52000", "N"), Verdict.REFUSED, "is a number (52000)"),
    Case("backwards", facts(), Verdict.REMEDIABLE, f"is {OLD}; set it to {NEW}"),
    Case("from where the input says", facts(), Verdict.REMEDIABLE, f"is {OLD}; set it to {NEW}", given(replaces=OLD)),
    Case("from no text", facts("x"), Verdict.REFUSED, f"is x, not {OLD}", given(replaces=OLD)),
    Case("in other words", facts(SAME), Verdict.REFUSED, f"is {SAME}, not {OLD}", given(replaces=OLD)),
    Case(
        "a number that has moved on",
        facts("43000", "N"),
        Verdict.HEALTHY,
        "was set to 41000 and has moved on to 43000",
        given(value="41000", replaces="52000", format="integer"),
    ),
    Case(
        "a number in other words",
        facts("041000"),
        Verdict.REFUSED,
        "is 041000, not 52000",
        given(value="41000", replaces="52000", format="integer"),
    ),
    Case("no item", facts(kind=None), Verdict.REMEDIABLE, "is absent; set it to"),
    Case(
        "an item without a watermark",
        Facts(table=TABLE, watermark=Watermark(type=None, value=None)),
        Verdict.REMEDIABLE,
        "is absent",
    ),
    Case("in another format", facts("yesterday"), Verdict.REMEDIABLE, "is yesterday"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_situation_is_decided_with_its_reason(case: Case) -> None:
    decision = decide(case.given, case.facts, NOW)
    assert decision.verdict is case.verdict
    assert case.says in decision.reason
    assert bool(decision.command) == (case.verdict is Verdict.HAND_OFF)
    assert len(decision.changes) == (case.verdict is Verdict.REMEDIABLE)


@pytest.mark.parametrize(
    ("held", "wanted", "finding", "severity", "evidence"),
    [
        (OLD, NEW, "duplicates", Severity.WARNING, "backwards by 3 d 2 h"),
        (NEW, OLD, "gap", Severity.CRITICAL, "forwards by 3 d 2 h"),
        ("2026-11-13T00:00:00.500Z", NEW, "duplicates", Severity.WARNING, "backwards by less than 1 s, from"),
        ("yesterday", NEW, "watermark-format", Severity.WARNING, "yesterday is no timestamp"),
        (SAME, NEW, "spelt-otherwise", Severity.INFO, f"{SAME} and {NEW} are the same timestamp"),
        (None, NEW, "watermark-not-found", Severity.CRITICAL, "customers/updated_at has no watermark"),
    ],
)
def test_what_a_reset_duplicates_or_skips_is_found_with_its_size(
    held: str | None, wanted: str, finding: str, severity: Severity, evidence: str
) -> None:
    (found,) = decide(given(value=wanted), facts(held), NOW).findings
    assert (found.id, found.severity) == (finding, severity)
    assert evidence in found.evidence


def test_the_distance_of_numbers_is_counted() -> None:
    (found,) = decide(given(value="41000", format="integer"), facts("52000", "N"), NOW).findings
    assert "backwards by 11000 numbers" in found.evidence


def test_one_attribute_is_set_on_the_condition_that_it_has_the_diagnosed_value() -> None:
    (change,) = decide(given(), facts(), NOW).changes
    assert change.parameters["UpdateExpression"] == "SET #watermark = :new"
    assert change.parameters["ConditionExpression"] == "#watermark = :old"
    assert change.parameters["ExpressionAttributeValues"] == {":new": {"S": NEW}, ":old": {"S": OLD}}
    assert change.parameters["Key"] == {name: {"S": value} for name, value in KEY.items()}
    assert change.repeat_harmless
    assert isinstance(change.undo, Undo)
    for proof in (change.proof, change.undo.proof):
        assert proof.parameters["ConsistentRead"] is True


def test_a_number_stays_a_number() -> None:
    (change,) = decide(given(value="41000", format="integer"), facts("52000", "N"), NOW).changes
    assert change.parameters["ExpressionAttributeValues"] == {":new": {"N": "41000"}, ":old": {"N": "52000"}}


@pytest.mark.parametrize(
    ("found", "operation", "undoes"),
    [
        (facts(), "dynamodb:UpdateItem", "SET #watermark = :old"),
        (facts(kind=None), "dynamodb:DeleteItem", None),
        (Facts(table=TABLE, watermark=Watermark(type=None, value=None)), "dynamodb:UpdateItem", "REMOVE #watermark"),
    ],
)
def test_the_undo_restores_what_was_there_only_while_our_value_is(
    found: Facts, operation: str, undoes: str | None
) -> None:
    (change,) = decide(given(), found, NOW).changes
    assert isinstance(change.undo, Undo)
    assert change.undo.operation == operation
    assert change.undo.parameters.get("UpdateExpression") == undoes
    assert change.undo.parameters["ConditionExpression"] == "#watermark = :ours"


def test_an_attribute_with_an_odd_name_is_looked_up_by_that_name() -> None:
    (change,) = decide(given(attribute='high-"water"'), facts(), NOW).changes
    assert change.proof.path == 'Item."high-\\"water\\"".S'


def test_a_missing_table_is_handed_off_with_the_command_that_makes_it() -> None:
    command = decide(given(), Facts(table=None), NOW).command or ""
    assert "aws dynamodb create-table --table-name marks" in command
    assert "AttributeName=source_table,KeyType=HASH AttributeName=watermark_column,KeyType=RANGE" in command


def test_the_wait_ends_at_once_or_says_that_the_watermark_is_gone() -> None:
    assert watermark_is_set(given(), facts(NEW)).state == "settled"
    assert watermark_is_set(given(), facts(kind=None)).state == "failed"


def test_moments_compare_across_time_zones() -> None:
    assert position("2026-11-13T01:00:00+01:00", "timestamp") == position("2026-11-13T00:00:00Z", "timestamp")


@pytest.mark.parametrize(
    ("messages", "running"),
    [
        ([], []),
        (["START RequestId: a Version: 1"], ["a"]),
        (["START RequestId: a Version: 1", "END RequestId: a", "REPORT RequestId: a\tDuration: 1 ms"], []),
        (["REPORT RequestId: a\tDuration: 1 ms", "START RequestId: b Version: 1"], ["b"]),
        (['{"type": "platform.start", "record": {"requestId": "a"}}'], ["a"]),
        (
            [
                '{"type": "platform.start", "record": {"requestId": "a"}}',
                '{"type": "platform.report", "record": {"requestId": "a"}}',
            ],
            [],
        ),
        (["{not json", "RESTART RequestId: a", "START of something else", '{"level": "INFO"}'], []),
    ],
)
def test_an_invocation_runs_when_its_log_has_a_start_and_no_report(messages: list[str], running: list[str]) -> None:
    assert unreported(messages) == running


@pytest.mark.parametrize(
    "wrong",
    [{"key": {}}, {"key": {"a": "1", "b": "2", "c": "3"}}, {"key": {"a": 1}}, {"format": "epoch"}, {"value": ""}],
)
def test_input_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        given(**wrong)
