"""What reaches functions by itself: ended executions, schedules, changes of a table."""

from __future__ import annotations

from typing import Any

from workbench.embedded.patterns import matches

from .conftest import Small


def test_an_ended_execution_is_told_to_the_rules_that_match(small: Small) -> None:
    good = small.run({"a": 1})
    bad = small.run({"fail": {"First step": 9}})
    small.aws.settle()
    first, second = sorted(
        small.seen("Step Functions Execution Status Change"), key=lambda event: event["detail"]["startDate"]
    )
    assert first["source"] == "aws.states"
    assert first["account"] == "123456789012"
    assert first["region"] == "eu-central-1"
    assert first["resources"] == [good["executionArn"]]
    detail = first["detail"]
    assert detail["executionArn"] == good["executionArn"]
    assert detail["stateMachineArn"] == small.machine
    assert detail["name"] == good["name"]
    assert (detail["status"], detail["error"], detail["cause"]) == ("SUCCEEDED", None, None)
    assert detail["input"] == '{"a": 1}'
    assert detail["output"] == good["output"]
    assert detail["startDate"] == round(good["startDate"].timestamp() * 1000)
    assert detail["stopDate"] == round(good["stopDate"].timestamp() * 1000)
    assert second["detail"]["status"] == "FAILED"
    assert second["detail"]["error"] == bad["error"] == "Refused"
    assert second["detail"]["output"] is None


def test_settling_waits_for_what_an_ended_execution_sets_off(small: Small) -> None:
    for _ in range(5):
        small.run()
        small.aws.settle()
        assert len(small.seen("Step Functions Execution Status Change")) == len(
            small.aws.client("stepfunctions").list_executions(stateMachineArn=small.machine)["executions"]
        )


def test_schedules_run_when_they_are_swept_and_not_by_themselves(small: Small) -> None:
    small.aws.clock.advance(days=1)
    assert small.seen("Scheduled Event") == []
    (told,) = [answer for answer in small.aws.sweep() if answer and answer.get("detail-type") == "Scheduled Event"]
    (event,) = small.seen("Scheduled Event")
    assert event == told
    assert event["source"] == "aws.events"
    assert event["detail"] == {}


def test_a_schedule_hands_over_its_input_with_the_time_filled_in_unless_it_is_switched_off(small: Small) -> None:
    now = small.aws.clock.now()
    told = [answer["event"] for answer in small.aws.sweep() if answer and "due" in answer.get("event", {})]
    assert [event["by"] for event in told] == ["arn:aws:scheduler:eu-central-1:123456789012:schedule/default/nightly"]
    assert told[0]["due"][:16] == f"{now:%Y-%m-%dT%H:%M}"


def write(small: Small, **attributes: Any) -> None:
    item = {"id": {"S": "a"}, "seq": {"N": "1"}, **attributes}
    small.aws.client("dynamodb").put_item(TableName=small.outputs["LedgerName"], Item=item)


def test_a_changed_and_a_removed_item_reach_the_mapped_function_and_a_new_one_is_filtered(small: Small) -> None:
    write(small, x={"S": "old"})
    write(small, x={"S": "new"})
    write(small, x={"S": "new"})
    key = {"id": {"S": "a"}, "seq": {"N": "1"}}
    small.aws.client("dynamodb").delete_item(TableName=small.outputs["LedgerName"], Key=key)
    small.aws.settle()
    assert small.seen("INSERT") == []
    (modified,) = small.seen("MODIFY")
    assert modified["eventSource"] == "aws:dynamodb"
    assert f"table/{small.outputs['LedgerName']}/stream/" in modified["eventSourceARN"]
    assert modified["dynamodb"]["Keys"] == key
    assert modified["dynamodb"]["OldImage"] == {**key, "x": {"S": "old"}}
    assert modified["dynamodb"]["NewImage"] == {**key, "x": {"S": "new"}}
    (removed,) = small.seen("REMOVE")
    assert "NewImage" not in removed["dynamodb"]


def test_a_cancelled_transaction_puts_nothing_on_the_stream(small: Small) -> None:
    write(small, x={"S": "old"})
    table, client = small.outputs["LedgerName"], small.aws.client("dynamodb")
    update = {
        "TableName": table,
        "Key": {"id": {"S": "a"}, "seq": {"N": "1"}},
        "UpdateExpression": "SET x = :new",
        "ExpressionAttributeValues": {":new": {"S": "new"}},
    }
    check = {
        "TableName": table,
        "Key": {"id": {"S": "b"}, "seq": {"N": "1"}},
        "ConditionExpression": "attribute_exists(id)",
    }
    try:
        client.transact_write_items(TransactItems=[{"Update": update}, {"ConditionCheck": check}])
    except client.exceptions.TransactionCanceledException:
        small.aws.settle()
    assert small.seen("MODIFY") == []
    client.transact_write_items(TransactItems=[{"Update": update}])
    small.aws.settle()
    assert len(small.seen("MODIFY")) == 1


def test_published_messages_are_kept(small: Small) -> None:
    arguments = {"TopicArn": small.outputs["TopicArn"], "Subject": "Look", "Message": "Here it is."}
    small.aws.client("sns").publish(**arguments)
    small.aws.invoke(
        "EchoFunction",
        {"do": "call", "service": "sns", "method": "publish", "arguments": {**arguments, "Subject": "2"}},
    )
    first, second = small.aws.messages
    assert (first["subject"], first["message"], first["from"]) == ("Look", "Here it is.", "client")
    assert (second["subject"], second["topic"], second["from"]) == ("2", small.outputs["TopicArn"], "small-echo")


def test_event_patterns() -> None:
    event = {"source": "aws.states", "n": 3, "detail": {"status": "FAILED", "tags": ["a", "b"], "nothing": None}}
    assert matches({"source": ["aws.ec2", "aws.states"]}, event)
    assert not matches({"source": ["aws.ec2"]}, event)
    assert matches({"detail": {"status": [{"anything-but": ["SUCCEEDED"]}]}}, event)
    assert matches({"detail": {"status": [{"prefix": "FA"}, {"suffix": "x"}]}}, event)
    assert matches({"detail": {"tags": ["b"], "nothing": [None]}}, event)
    assert matches({"detail": {"absent": [{"exists": False}], "status": [{"exists": True}]}}, event)
    assert not matches({"absent": [None]}, event)
    assert not matches({"n": ["3"]}, event)
    assert matches({"$or": [{"n": [4]}, {"source": ["aws.states"]}]}, event)
    assert not matches({"$or": [{"n": [4]}], "source": ["aws.states"]}, event)
