"""DynamoDB transactions are transactions: atomic, honest about why they were cancelled, flat in cost."""

from __future__ import annotations

import copy
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws
from workbench.embedded.clock import VirtualClock

NEW = "attribute_not_exists(pk)"


@pytest.fixture
def db(aws: EmbeddedAws) -> Any:
    client = aws.client("dynamodb")
    client.create_table(
        TableName="things",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def put(key: str, **options: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "things", "Item": {"pk": {"S": key}, "by": {"S": "transaction"}}, **options}}


def keys(db: Any) -> set[str]:
    pages = db.get_paginator("scan").paginate(TableName="things")
    return {item["pk"]["S"] for page in pages for item in page["Items"]}


def cancelled(db: Any, *items: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        db.transact_write_items(TransactItems=list(items), **arguments)
    response: dict[str, Any] = raised.value.response
    assert response["Error"]["Code"] == "TransactionCanceledException"
    return response


def test_all_writes_of_a_transaction_take_effect(db: Any) -> None:
    db.put_item(TableName="things", Item={"pk": {"S": "old"}})
    db.put_item(TableName="things", Item={"pk": {"S": "counted"}, "n": {"N": "1"}})
    update = {
        "TableName": "things",
        "Key": {"pk": {"S": "counted"}},
        "UpdateExpression": "SET n = n + :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    check = {"TableName": "things", "Key": {"pk": {"S": "nobody"}}, "ConditionExpression": NEW}
    db.transact_write_items(
        TransactItems=[
            put("new", ConditionExpression=NEW),
            {"Delete": {"TableName": "things", "Key": {"pk": {"S": "old"}}}},
            {"Update": update},
            {"ConditionCheck": check},
        ]
    )
    assert keys(db) == {"new", "counted"}
    assert db.get_item(TableName="things", Key={"pk": {"S": "counted"}})["Item"]["n"] == {"N": "2"}


def test_a_cancelled_transaction_has_no_effect_and_says_why_in_order(db: Any) -> None:
    db.put_item(TableName="things", Item={"pk": {"S": "taken"}, "by": {"S": "me"}})
    response = cancelled(
        db,
        put("first"),
        put("taken", ConditionExpression=NEW, ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        put("third", ConditionExpression=NEW),
        put("taken too", ConditionExpression="attribute_exists(pk)"),
    )
    assert response["CancellationReasons"] == [
        {"Code": "None"},
        {
            "Code": "ConditionalCheckFailed",
            "Message": "The conditional request failed",
            "Item": {"pk": {"S": "taken"}, "by": {"S": "me"}},
        },
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"},
    ]
    assert response["Error"]["Message"] == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed, None, ConditionalCheckFailed]"
    )
    assert keys(db) == {"taken"}


def test_a_write_that_cannot_be_applied_takes_the_earlier_ones_back(db: Any) -> None:
    db.put_item(TableName="things", Item={"pk": {"S": "word"}, "n": {"S": "not a number"}})
    update = {
        "TableName": "things",
        "Key": {"pk": {"S": "word"}},
        "UpdateExpression": "SET n = n + :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    response = cancelled(db, put("first"), put("word too"), {"Update": update})
    assert [reason["Code"] for reason in response["CancellationReasons"]] == ["None", "None", "ValidationError"]
    assert keys(db) == {"word"}
    assert db.get_item(TableName="things", Key={"pk": {"S": "word"}})["Item"]["n"] == {"S": "not a number"}


def test_an_update_that_fails_leaves_no_new_item_behind(db: Any) -> None:
    with pytest.raises(ClientError):
        db.update_item(
            TableName="things",
            Key={"pk": {"S": "ghost"}},
            UpdateExpression="SET n = n + :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
    assert keys(db) == set()


def test_one_item_is_written_once_in_a_transaction(db: Any) -> None:
    with pytest.raises(ClientError, match="multiple operations on one item"):
        db.transact_write_items(TransactItems=[put("same"), put("same")])


def test_a_repeated_token_has_no_second_effect_and_another_request_with_it_is_refused(db: Any) -> None:
    transaction = [put("once", ConditionExpression=NEW)]
    for _ in range(2):
        db.transact_write_items(TransactItems=transaction, ClientRequestToken="token")
    with pytest.raises(ClientError) as raised:
        db.transact_write_items(TransactItems=[put("twice")], ClientRequestToken="token")
    assert raised.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"
    assert keys(db) == {"once"}


def test_a_token_is_forgotten_after_ten_minutes(db: Any, aws: EmbeddedAws) -> None:
    transaction = [put("once", ConditionExpression=NEW)]
    db.transact_write_items(TransactItems=transaction, ClientRequestToken="token")
    aws.clock.advance(minutes=11)
    cancelled(db, *transaction, ClientRequestToken="token")


def test_a_race_for_one_key_has_one_winner_and_loses_nobody_elses_writes(db: Any) -> None:
    racers, rounds = 6, 25

    def race(number: int) -> tuple[int, int]:
        won, lost = 0, 0
        for each in range(rounds):
            db.put_item(TableName="things", Item={"pk": {"S": f"unrelated {number} {each}"}})
            try:
                mine = put(f"side {number} {each}")
                db.transact_write_items(TransactItems=[mine, put(f"lock {each}", ConditionExpression=NEW)])
            except db.exceptions.TransactionCanceledException:
                lost += 1
            else:
                won += 1
        return won, lost

    with ThreadPoolExecutor(racers) as threads:
        results = list(threads.map(race, range(racers)))
    assert sum(won for won, _ in results) == rounds
    assert sum(lost for _, lost in results) == rounds * (racers - 1)
    found = keys(db)
    assert {f"unrelated {number} {each}" for number in range(racers) for each in range(rounds)} <= found
    assert len([key for key in found if key.startswith("side ")]) == rounds


def test_a_transaction_costs_the_same_on_a_large_table(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    deepcopy = copy.deepcopy
    monkeypatch.setattr(copy, "deepcopy", lambda x, *memo: copied.append(type(x).__name__) or deepcopy(x, *memo))

    def work(key: str) -> list[str]:
        copied.clear()
        cancelled(db, put(f"{key} a"), put("taken", ConditionExpression=NEW))
        db.transact_write_items(TransactItems=[put(f"{key} b"), put(f"{key} c")])
        return [name for name in copied if name in ("Table", "Item", "DynamoType")]

    db.put_item(TableName="things", Item={"pk": {"S": "taken"}})
    small = work("small")
    for start in range(0, 500, 25):
        batch = [{"PutRequest": {"Item": {"pk": {"S": f"filler {number}"}}}} for number in range(start, start + 25)]
        db.batch_write_item(RequestItems={"things": batch})
    assert work("large") == small
    assert "Table" not in small


def test_moto_s_timestamps_are_virtual(db: Any, aws: EmbeddedAws) -> None:
    aws.clock.advance(days=3)
    aws.client("sqs").create_queue(QueueName="later")
    url = aws.client("sqs").get_queue_url(QueueName="later")["QueueUrl"]
    created = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["CreatedTimestamp"])
    moment = float(created["Attributes"]["CreatedTimestamp"])
    assert abs(moment - aws.clock.now().timestamp()) < 60
    assert moment - VirtualClock().now().timestamp() > 2 * 86400


def test_the_names_of_made_up_things_are_the_same_after_each_reset(aws: EmbeddedAws) -> None:
    def made() -> str:
        return str(aws.client("kms").create_key()["KeyMetadata"]["KeyId"])

    first = made()
    random.seed()
    aws.reset()
    assert made() == first
