"""References of a plan: resolved at the moment of the call, and from what earlier changes answered."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.errors import StepFailed
from runbooks.frame.changes import resolve, results_wanted
from runbooks.model import Change, Irreversible, Plan, Proof, ResultRef, SecretRef
from runbooks.store.runs import ChangeRecord, ChangeStatus
from tests.frame.toy import change, undo

ARN = ResultRef(change=1, path="Cluster.Arn")
SECRET = SecretRef(secret="arn:s", version_id="v", key="password")


class Vault:
    """A session that knows one secret."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.hidden: list[str] = []

    def reveal(self, secret: str, version_id: str) -> str:
        assert (secret, version_id) == ("arn:s", "v")
        return self.content

    def hide(self, value: str) -> None:
        self.hidden.append(value)


def done(**response: Any) -> dict[int, ChangeRecord]:
    record = ChangeRecord(number=1, status=ChangeStatus.DONE, attempt=1, deadline="x", response=response)
    return {1: record}


def plan(*parameters: dict[str, Any]) -> Plan:
    proof = Proof(operation="rds:DescribeDBClusters", parameters={}, path="x", equals=None)
    changes = tuple(
        Change(
            phase="p",
            operation="rds:CreateDBCluster",
            parameters=each,
            was="a",
            becomes="b",
            undo=Irreversible(irreversible="x"),
            proof=proof,
        )
        for each in parameters
    )
    return Plan(runbook="r", targets=(), resolved={}, changes=changes)


def test_a_result_of_an_earlier_change_is_filled_in_at_any_depth() -> None:
    records = done(**{"Cluster.Arn": "arn:new"})
    assert resolve({"a": [{"b": ARN.as_parameter()}], "c": 1}, records, None) == {"a": [{"b": "arn:new"}], "c": 1}


def test_a_result_that_is_not_there_stops_the_step() -> None:
    with pytest.raises(StepFailed, match="change 1 has no result"):
        resolve({"a": ARN.as_parameter()}, {}, None)


def test_only_results_that_somebody_refers_to_are_kept() -> None:
    wanted = results_wanted(plan({"x": 1}, {"x": [ARN.as_parameter()], "y": SECRET.as_parameter()}), 1)
    assert wanted == {"Cluster.Arn"}


@pytest.mark.parametrize("where", ["proof", "only_if", "when"])
def test_what_an_inverse_looks_at_may_refer_to_a_result(where: str) -> None:
    looks = Proof(operation="toy:Get", parameters={"name": ARN.as_parameter()}, path="value", equals="old")
    of = change("a", undo=undo("a", "old").model_copy(update={where: looks}))
    assert results_wanted(Plan(runbook="r", targets=(), resolved={}, changes=(of,)), 1) == {"Cluster.Arn"}


def test_for_showing_a_secret_stays_a_reference() -> None:
    assert resolve({"p": SECRET.as_parameter()}, {}, None) == {"p": SECRET.as_parameter()}


def test_for_calling_a_key_of_the_secret_is_read_and_hidden() -> None:
    vault: Any = Vault('{"password": "hunter2"}')
    assert resolve({"p": SECRET.as_parameter()}, {}, vault) == {"p": "hunter2"}
    assert vault.hidden == ["hunter2"]


@pytest.mark.parametrize("content", ["plain", '{"user": "app"}', "[1]"])
def test_a_secret_without_that_key_is_named_and_not_shown(content: str) -> None:
    vault: Any = Vault(content)
    with pytest.raises(StepFailed, match="arn:s is no JSON object with the key 'password'") as failure:
        resolve({"p": SECRET.as_parameter()}, {}, vault)
    assert content not in str(failure.value)
