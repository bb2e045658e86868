"""Functions run as on Lambda: processes of their own, its error contract, its timeout."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedFunctionError

from .conftest import Small


def test_a_function_sees_its_own_environment_and_not_that_of_another(small: Small) -> None:
    environment = small.aws.invoke("EchoFunction", {"do": "environment"})
    assert environment["OWN"] == "echo"
    assert "TOPIC" not in environment
    assert environment["TABLE"] == small.outputs["TableName"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "small-echo"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert environment["AWS_ENDPOINT_URL"] == small.aws.endpoint_url
    assert os.environ.get("OWN") is None


def test_intrinsic_functions_are_resolved_as_cloudformation_does(small: Small) -> None:
    environment = small.aws.invoke("EchoFunction", {"do": "environment"})
    table = f"arn:aws:dynamodb:eu-central-1:123456789012:table/{small.outputs['TableName']}"
    assert environment["PLACE"] == f"aws/eu-central-1/123456789012/{table}/${{literal}}"
    assert environment["KIND"] == "playful"
    assert environment["JOINED"] == "small-blue-b"


def test_the_context_tells_what_lambda_tells(small: Small) -> None:
    seen = small.aws.invoke("EchoFunction", {})
    assert seen["name"] == "small-echo"
    assert seen["arn"] == "arn:aws:lambda:eu-central-1:123456789012:function:small-echo"
    assert seen["memory"] == "128"
    assert seen["log_group"] == "/aws/lambda/small-echo"
    assert 0 < seen["left"] <= 20_000


def test_a_worker_stays_warm_until_the_reset(small: Small) -> None:
    first, second = (small.aws.invoke("EchoFunction", {}) for _ in range(2))
    assert (first["count"], second["count"]) == (1, 2)
    assert first["pid"] == second["pid"] != os.getpid()
    small.aws._functions.retire()
    assert small.aws.invoke("EchoFunction", {})["count"] == 1


def test_concurrent_invocations_run_in_workers_of_their_own_up_to_the_limit(small: Small) -> None:
    with ThreadPoolExecutor(24) as threads:
        answers = threads.map(lambda _: small.aws.invoke("EchoFunction", {"do": "sleep", "seconds": 0.3}), range(24))
        pids = {answer["pid"] for answer in answers}
    assert 1 < len(pids) <= 16


def test_an_exception_is_reported_with_its_type_message_and_stack(small: Small) -> None:
    with pytest.raises(EmbeddedFunctionError) as raised:
        small.aws.invoke("EchoFunction", {"do": "raise", "message": "not today"})
    assert (raised.value.error_type, raised.value.message) == ("Refused", "not today")
    (frame,) = raised.value.payload["stackTrace"]
    assert "handlers.py" in frame
    assert "in echo" in frame
    assert "zygote" not in frame


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("unserialisable", "Runtime.MarshalError", "Object of type set is not JSON serializable"),
        ("die", "Runtime.ExitError", "Runtime exited without providing a reason"),
        ("exit", "Runtime.ExitError", "Runtime exited without providing a reason"),
    ],
)
def test_what_the_runtime_itself_reports(small: Small, what: str, kind: str, message: str) -> None:
    with pytest.raises(EmbeddedFunctionError) as raised:
        small.aws.invoke("EchoFunction", {"do": what})
    assert raised.value.error_type == kind
    assert message in raised.value.message
    assert small.aws.invoke("EchoFunction", {})["count"] >= 1


def test_a_module_that_is_missing_is_an_import_error_every_time(small: Small) -> None:
    for _ in range(2):
        with pytest.raises(EmbeddedFunctionError, match="No module named 'nowhere'") as raised:
            small.aws.invoke("MissingFunction", {})
        assert raised.value.error_type == "Runtime.ImportModuleError"


def test_a_decimal_becomes_a_number_as_in_lambdas_runtime(small: Small) -> None:
    assert small.aws.invoke("EchoFunction", {"do": "decimal"}) == 1.5


def test_the_timeout_is_enforced_in_real_time_by_killing_the_worker(small: Small) -> None:
    before = small.aws.invoke("HastyFunction", {})["pid"]
    with pytest.raises(EmbeddedFunctionError, match=r"Task timed out after 2\.00 seconds") as raised:
        small.aws.invoke("HastyFunction", {"do": "sleep", "seconds": 60})
    assert raised.value.error_type == "Sandbox.Timedout"
    assert small.aws.invoke("HastyFunction", {})["pid"] != before


def test_another_threads_clock_does_not_time_a_function_out(small: Small) -> None:
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(small.aws.invoke, "EchoFunction", {"do": "sleep", "seconds": 0.5})
        small.aws.clock.advance(hours=5)
        assert slow.result()["name"] == "small-echo"


def test_what_a_function_prints_is_kept_and_not_shown(small: Small, capfd: pytest.CaptureFixture[str]) -> None:
    small.aws.invoke("EchoFunction", {"do": "print"})
    log = small.aws.log("EchoFunction")
    assert "on stdout" in log
    assert "on stderr" in log
    assert "START RequestId" in log
    assert "on stdout" not in small.aws.log("StepFunction")
    captured = capfd.readouterr()
    assert "on std" not in captured.out + captured.err


def test_functions_cannot_import_the_workbench(small: Small) -> None:
    with pytest.raises(EmbeddedFunctionError, match="No module named 'workbench'"):
        small.aws.invoke("EchoFunction", {"do": "import", "module": "workbench"})


def test_the_api_invokes_by_name_and_arn_and_marks_failures(small: Small) -> None:
    client = small.aws.client("lambda")
    for name in ("small-echo", "arn:aws:lambda:eu-central-1:123456789012:function:small-echo"):
        answer = client.invoke(FunctionName=name, Payload=b'{"a": 1}')
        assert json.load(answer["Payload"])["event"] == {"a": 1}
        assert "FunctionError" not in answer
    answer = client.invoke(FunctionName="small-echo", Payload=b'{"do": "raise"}')
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorType"] == "Refused"


def test_an_asynchronous_invocation_returns_at_once_and_is_tried_three_times(small: Small) -> None:
    answer = small.aws.client("lambda").invoke(FunctionName="small-clumsy", InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202
    small.aws.settle()
    assert small.aws.log("ClumsyFunction").count("START RequestId") == 3
    (undelivered,) = small.aws.undelivered
    assert "as always" in undelivered


def test_an_asynchronous_invocation_that_fails_for_good_goes_to_the_functions_queue(small: Small) -> None:
    client, queues = small.aws.client("lambda"), small.aws.client("sqs")
    client.invoke(FunctionName="small-parking", InvocationType="Event", Payload=b'{"a": 1}')
    small.aws.settle()
    assert small.aws.undelivered == []
    url = queues.get_queue_url(QueueName="small-Parked-EMBEDDED")["QueueUrl"]
    (message,) = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    parked = json.loads(message["Body"])
    assert parked["requestPayload"] == {"a": 1}
    assert parked["requestContext"]["functionArn"].endswith(":function:small-parking:$LATEST")
    assert parked["requestContext"]["condition"] == "RetriesExhausted"
    assert parked["requestContext"]["approximateInvokeCount"] == 3
    assert parked["responseContext"]["functionError"] == "Unhandled"
    assert "as always" in parked["responsePayload"]["errorMessage"]


def test_an_unknown_function_is_not_found(small: Small) -> None:
    with pytest.raises(ClientError) as raised:
        small.aws.client("lambda").invoke(FunctionName="nobody", Payload=b"{}")
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_killing_a_function_from_a_hook_ends_it_as_a_crash(small: Small) -> None:
    small.aws.faults.after("sts:GetCallerIdentity", lambda aws: aws.kill("EchoFunction"))
    with pytest.raises(EmbeddedFunctionError) as raised:
        small.aws.invoke("EchoFunction", {"do": "call", "service": "sts", "method": "get_caller_identity"})
    assert raised.value.error_type == "Runtime.ExitError"
    assert ("sts:GetCallerIdentity", "small-echo", 200) in small.aws.calls
