"""Executions run, wait, retry, expire and stop as on Step Functions, on virtual time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Small, eventually


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_an_execution_runs_its_functions_and_keeps_its_output(small: Small) -> None:
    ended = small.run({"a": 1})
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["did"] == ["First step"]
    assert ended["input"] == '{"a": 1}'


def test_the_context_objects_start_time_is_the_executions(small: Small) -> None:
    ended = small.run()
    written = ended["startDate"].strftime("%Y-%m-%dT%H:%M:%S.") + f"{ended['startDate'].microsecond // 1000:03d}Z"
    assert json.loads(ended["output"])["started"] == written


def test_a_wait_takes_virtual_time_only(small: Small) -> None:
    ended = small.run({"wait_seconds": 7200})
    assert timedelta(hours=2) <= ended["stopDate"] - ended["startDate"] < timedelta(hours=2, minutes=1)
    assert small.aws.clock.offset > timedelta(hours=1, minutes=59)


def test_retries_back_off_without_jitter_on_virtual_time(small: Small) -> None:
    ended = small.run({"fail": {"First step": 3}})
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["tries"] == 4
    assert timedelta(seconds=60) <= ended["stopDate"] - ended["startDate"] < timedelta(seconds=90)  # 10 + 20 + 30


def test_a_throttled_invocation_is_an_error_of_lambdas(small: Small) -> None:
    small.aws.faults.fail("lambda:Invoke", code="TooManyRequestsException", status=429)
    ended = small.run()
    assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.TooManyRequestsException")


def test_exhausted_retries_are_caught_with_the_functions_own_error_name(small: Small) -> None:
    ended = small.run({"fail": {"First step": 4}})
    assert (ended["status"], ended["error"]) == ("FAILED", "Refused")
    assert "attempt 4 of First step" in ended["cause"]


def test_the_history_is_complete_and_on_virtual_time(small: Small) -> None:
    ended = small.run({"fail": {"First step": 1}, "wait_seconds": 60})
    client = small.aws.client("stepfunctions")
    events = client.get_execution_history(executionArn=ended["executionArn"])["events"]
    kinds = [event["type"] for event in events]
    assert kinds[0] == "ExecutionStarted"
    assert kinds[-1] == "ExecutionSucceeded"
    assert kinds.count("TaskFailed") == 1
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["timestamp"] - events[0]["timestamp"] >= timedelta(seconds=70)

    latest = client.get_execution_history(executionArn=ended["executionArn"], reverseOrder=True, maxResults=2)
    assert [event["id"] for event in latest["events"]] == [len(events), len(events) - 1]
    paginator = client.get_paginator("get_execution_history")
    paged = [
        event["id"]
        for page in paginator.paginate(executionArn=ended["executionArn"], maxResults=3)
        for event in page["events"]
    ]
    assert paged == [event["id"] for event in events]


def test_an_execution_can_be_started_through_the_version_and_the_alias(small: Small) -> None:
    for qualifier in ("1", "live"):
        described = small.ended(small.start(stateMachineArn=f"{small.machine}:{qualifier}"))
        assert described["stateMachineArn"] == small.machine
        assert described["stateMachineVersionArn"] == f"{small.machine}:1"
    assert described["stateMachineAliasArn"] == f"{small.machine}:live"
    with pytest.raises(ClientError) as raised:
        small.start(stateMachineArn=f"{small.machine}:nobody")
    assert code(raised) == "StateMachineDoesNotExist"


def test_a_name_is_used_once(small: Small) -> None:
    small.aws.clock.hold()
    waiting = {"name": "mine", "input": '{"wait_seconds": 60}'}
    first = small.start(**waiting)
    assert small.start(**waiting) == first
    with pytest.raises(ClientError) as raised:
        small.start(name="mine", input="{}")
    assert code(raised) == "ExecutionAlreadyExists"
    small.aws.clock.release()
    small.ended(first)
    with pytest.raises(ClientError) as raised:
        small.start(**waiting)
    assert code(raised) == "ExecutionAlreadyExists"


def test_without_a_name_every_execution_gets_one_of_its_own(small: Small) -> None:
    assert small.start() != small.start()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"input": "not json"}, "InvalidExecutionInput"),
        ({"input": "NaN"}, "InvalidExecutionInput"),
        ({"input": ""}, "InvalidExecutionInput"),
        ({"input": json.dumps("x" * 262_143)}, "ValidationException"),
        ({"input": json.dumps("ü" * 140_000, ensure_ascii=False)}, "InvalidExecutionInput"),
        ({"name": "a b"}, "InvalidName"),
        ({"name": "x" * 81}, "ValidationException"),
        ({"stateMachineArn": "nonsense"}, "InvalidArn"),
    ],
)
def test_what_cannot_start_is_refused_as_aws_does(small: Small, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ClientError) as raised:
        small.start(**arguments)
    assert code(raised) == expected


@pytest.mark.parametrize("text", ['"a string"', "[1, 2]", "17", "null", "true"])
def test_the_input_is_any_json_value(small: Small, text: str) -> None:
    described = small.ended(small.start(input=text))
    assert described["input"] == text
    assert described["status"] == "FAILED"


def test_a_callback_goes_on_once_it_is_answered_and_only_once(small: Small) -> None:
    arn = small.start({"ask": True})
    client, token = small.aws.client("stepfunctions"), small.token()
    assert small.describe(arn)["status"] == "RUNNING"
    client.send_task_success(taskToken=token, output='"yes"')
    assert small.ended(arn)["status"] == "SUCCEEDED"
    with pytest.raises(ClientError) as raised:
        client.send_task_success(taskToken=token, output='"yes"')
    assert code(raised) == "TaskTimedOut"
    with pytest.raises(ClientError) as raised:
        client.send_task_success(taskToken="made up", output='"yes"')
    assert code(raised) == "InvalidToken"


def test_a_callback_can_fail_with_error_and_cause(small: Small) -> None:
    arn = small.start({"ask": True})
    small.aws.client("stepfunctions").send_task_failure(taskToken=small.token(), error="Denied", cause="Not now.")
    ended = small.ended(arn)
    assert (ended["error"], ended["cause"]) == ("Denied", "Not now.")


def test_a_callback_expires_when_the_clock_is_advanced(small: Small) -> None:
    arn = small.start({"ask": True})
    token = small.token()
    small.aws.clock.advance(hours=5)
    assert small.ended(arn)["error"] == "ApprovalExpired"
    with pytest.raises(ClientError) as raised:
        small.aws.client("stepfunctions").send_task_success(taskToken=token, output="1")
    assert code(raised) == "TaskTimedOut"


def test_waits_elsewhere_do_not_hurry_a_callback(small: Small) -> None:
    arn = small.start({"ask": True})
    small.token()
    small.run({"wait_seconds": 3600})
    assert small.describe(arn)["status"] == "RUNNING"
    small.run({"wait_seconds": 14_400})
    assert small.ended(arn)["error"] == "ApprovalExpired"


@pytest.mark.parametrize("document", [{"wait_seconds": 600}, {"ask": True}, {"sleep": {"First step": 15}}])
def test_stopping_interrupts_whatever_the_execution_waits_for(small: Small, document: dict[str, Any]) -> None:
    small.aws.clock.hold()
    arn = small.start(document)
    if "ask" in document:
        small.token()
    elif "wait_seconds" in document:
        eventually(lambda: small.aws.clock.waiting == 1)
    else:
        eventually(lambda: ("dynamodb:UpdateItem", "small-step", 200) in small.aws.calls)
    small.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="By a test.")
    described = small.describe(arn)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Stopped", "By a test.")
    events = small.aws.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    assert events[-1]["type"] == "ExecutionAborted"


def test_the_machines_own_timeout_follows_the_virtual_clock(small: Small) -> None:
    small.aws.clock.hold()
    arn = small.start({"wait_seconds": 500_000})
    eventually(lambda: small.aws.clock.waiting == 1)
    small.aws.clock.advance(hours=25)
    described = small.ended(arn)
    assert described["status"] == "TIMED_OUT"
    assert described["stopDate"] is not None
    events = small.aws.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    assert events[-1]["type"] == "ExecutionTimedOut"


def test_a_slow_function_is_not_timed_out_by_another_runs_waits(small: Small) -> None:
    arn = small.start({"sleep": {"First step": 1}})
    small.run({"wait_seconds": 7200})
    assert small.ended(arn)["status"] == "SUCCEEDED"


def test_executions_are_listed_newest_first_and_by_status(small: Small) -> None:
    good = small.run()["executionArn"]
    bad = small.run({"fail": {"First step": 9}})["executionArn"]
    client = small.aws.client("stepfunctions")
    listed = client.list_executions(stateMachineArn=small.machine)["executions"]
    assert [each["executionArn"] for each in listed] == [bad, good]
    failed = client.list_executions(stateMachineArn=small.machine, statusFilter="FAILED")["executions"]
    assert [each["executionArn"] for each in failed] == [bad]
    assert client.list_executions(stateMachineArn=f"{small.machine}:live")["executions"] == []


def test_an_unknown_execution_does_not_exist(small: Small) -> None:
    with pytest.raises(ClientError) as raised:
        small.describe(small.machine.replace("stateMachine", "execution") + ":nobody")
    assert code(raised) == "ExecutionDoesNotExist"


def test_a_redrive_is_not_faked(small: Small) -> None:
    arn = small.run({"fail": {"First step": 9}})["executionArn"]
    with pytest.raises(ClientError) as raised:
        small.aws.client("stepfunctions").redrive_execution(executionArn=arn)
    assert code(raised) == "NotImplemented"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert small.aws.defects
