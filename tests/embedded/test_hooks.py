"""Hooks that choose their calls, stand before functions, and answer with nonsense; and pauses that cost no time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.embedded.conftest import Small
from workbench.embedded.calls import ServiceError
from workbench.embedded.faults import Garbled
from workbench.embedded.functions import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.embedded import EmbeddedAws


def refuse(aws: EmbeddedAws) -> None:
    raise ServiceError("ThrottlingException", "Rate exceeded")


def test_a_hook_can_be_meant_for_some_calls_of_an_operation(aws: EmbeddedAws) -> None:
    aws.faults.before("ecs:CreateCluster", refuse, times=1, where=lambda call: call.params["clusterName"] == "two")
    client = aws.client("ecs")
    client.create_cluster(clusterName="one")
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.create_cluster(clusterName="two")
    client.create_cluster(clusterName="two")


def test_an_answer_can_be_one_that_no_sdk_can_read(aws: EmbeddedAws) -> None:
    def garble(aws: EmbeddedAws) -> None:
        raise Garbled

    aws.faults.after("ecs:CreateCluster", garble, times=1)
    client = aws.client("ecs")
    assert "cluster" not in client.create_cluster(clusterName="one")
    assert len(client.list_clusters()["clusterArns"]) == 1


def test_what_stands_before_a_function_can_invoke_it_twice_and_answer_otherwise(small: Small) -> None:
    events: list[Any] = []
    tries: list[int] = []

    def wrapped(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        events.append(event)
        first, second = invoke(), invoke()
        tries.extend(json.loads(each.payload)["tries"] for each in (first, second))
        return Invocation(second.request_id, '{"wait_seconds": 0, "said": "otherwise"}', failed=False)

    small.aws.faults.around("StepFunction", wrapped)
    ended = small.run({"given": 1})
    assert json.loads(ended["output"])["said"] == "otherwise"
    assert [event["document"] for event in events] == [{"given": 1}]
    assert tries == [1, 2]
    small.aws.faults.clear()
    assert "said" not in json.loads(small.run({"given": 1})["output"])


def test_the_pauses_of_the_sdk_cost_no_time(small: Small) -> None:
    assert small.aws.invoke("EchoFunction", {"do": "call again in an hour"}) == 1
    assert sum(call.operation == "sts:GetCallerIdentity" for call in small.aws.calls) == 2
