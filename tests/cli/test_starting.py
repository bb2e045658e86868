"""The start input: what is refused here, before AWS sees it. Nothing in this file reaches an AWS."""

from __future__ import annotations

import json

import pytest

from runbooks import catalogue
from workbench.cli import starting
from workbench.cli.failures import Stop

ROLLBACK = catalogue.load("ecs-service-rollback")
FIT = {"cluster": "analytics", "service": "report-service", "reason": "INC-4711", "requested_by": "alice"}


def start(runbook, document, *more):
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    return runbook("start", "ecs-service-rollback", "--input", "-", *more, typed=text)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{", "standard input is not JSON: "),
        ('{\n  "mode": plan\n}', "standard input is not JSON: Expecting value at line 2, column 11."),
        ("", "standard input is not JSON: Expecting value at line 1, column 1."),
        ('{"reason": NaN}', "standard input is not JSON: NaN is no JSON value."),
        (b"\xff\xfe{}", "standard input is not UTF-8 text: byte 0 cannot be read."),
        ("[" * 100_000, "standard input is nested too deeply."),
        ([], "the input must be a JSON object, but it is an array"),
        ("null", "the input must be a JSON object, but it is null"),
        ({**FIT, "mode": "exeggute"}, "mode: Input should be 'plan' or 'execute' (got 'exeggute')"),
        ({**FIT, "service": "no such name!"}, "service: String should match pattern"),
        ({**FIT, "servcie": "report-service"}, "servcie: Extra inputs are not permitted"),
        ({"requested_by": "alice"}, "reason: Field required; cluster: Field required; service: Field required"),
        ({**FIT, "reason": 5}, "reason: Input should be a valid string (got 5)"),
        ({**FIT, "reason": "x" * 262_144}, "bytes, and an execution's input has 262,144 at most."),
        ({**FIT, "region": 10**30}, "The input does not fit ecs-service-rollback: "),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_input_that_cannot_be_started_is_refused_with_the_reason(runbook, document, complaint):
    answer = start(runbook, document)
    assert answer.code == 2
    assert complaint in answer.complaint
    assert answer.stdout == ""


def test_the_size_that_is_too_much_is_named(runbook):
    document = json.dumps({**FIT, "reason": "é" * 200_000}, ensure_ascii=False)
    answer = start(runbook, document.encode())
    assert f"{len(document.encode()):,} bytes" in answer.complaint


def test_a_file_that_is_not_there_is_named(runbook):
    answer = runbook("start", "ecs-service-rollback", "--input", "/nowhere/incident.json")
    assert answer.code == 2
    assert answer.complaint == "/nowhere/incident.json cannot be used: no such file or directory."


def test_who_has_not_signed_in_is_told_of_a_missing_field_first(runbook):
    answer = runbook("start", "ecs-service-rollback", "--reason", "INC-4711")
    assert "cluster: Field required" in answer.complaint


def test_who_has_not_signed_in_is_told_so(runbook):
    answer = start(runbook, FIT, "--region", "eu-central-1")
    assert answer.code == 2
    assert answer.complaint.startswith("There are no AWS credentials to use.")


def test_fields_are_set_one_by_one():
    document = starting.with_fields({"mode": "plan"}, ["cluster=analytics", "service=a=b", "mode=execute"], ROLLBACK)
    assert document == {"mode": "execute", "cluster": "analytics", "service": "a=b"}


@pytest.mark.parametrize(
    ("document", "pair", "complaint"),
    [
        ({}, "cluster", "--field takes key=value"),
        ({}, "=x", "--field takes key=value"),
        ({}, "claster=x", "ecs-service-rollback has no field 'claster'. It has: mode, "),
        ([], "cluster=x", "--field sets a field of an object"),
    ],
)
def test_a_field_that_cannot_be_set_is_refused(document, pair, complaint):
    with pytest.raises(Stop, match=complaint.replace("(", r"\(")):
        starting.with_fields(document, [pair], ROLLBACK)


@pytest.mark.parametrize(
    ("name", "complaint"), [("a b", "' ' cannot stand in"), ("x" * 81, "this one has 81"), ("", "this one has 0")]
)
def test_a_name_that_step_functions_would_refuse_is_refused(name, complaint):
    with pytest.raises(Stop, match=complaint):
        starting.execution_name(name, lambda: "made-up")


def test_a_name_is_made_up_only_if_none_is_given():
    assert starting.execution_name("INC-4711", lambda: "made-up") == "INC-4711"
    assert starting.execution_name(None, lambda: "made-up") == "made-up"
