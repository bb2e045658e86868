"""What the vocabulary promises: closed, immutable, hashed to the byte."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.model import Change, Irreversible, Mode, Plan, Proof, ResultRef, RunInput, SecretRef, reference


def change(**more: Any) -> Change:
    values: dict[str, Any] = {
        "phase": "Roll the service back",
        "operation": "ecs:UpdateService",
        "parameters": {"cluster": "prod", "taskDefinition": "report:2"},
        "was": "report:3",
        "becomes": "report:2",
        "undo": Irreversible(irreversible="a test"),
        "proof": Proof(operation="ecs:DescribeServices", parameters={}, path="services[0]", equals="report:2"),
    }
    return Change.model_validate(values | more)


def plan(*changes: Change, **more: Any) -> Plan:
    values: dict[str, Any] = {"runbook": "r", "targets": ("t",), "resolved": {}, "changes": changes}
    return Plan.model_validate(values | more)


def test_a_run_plans_unless_it_is_told_to_execute() -> None:
    assert RunInput(reason="why", requested_by="alice").mode is Mode.PLAN


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": "  "},
        {"reason": 7},
        {"requested_by": None},
        {"mode": "Execute"},
        {"region": "Frankfurt"},
        {"unknown": 1},
    ],
)
def test_input_that_does_not_fit_is_refused_and_not_coerced(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunInput.model_validate({"reason": "why", "requested_by": "alice"} | wrong)


def test_the_hash_covers_everything_that_decides_what_runs() -> None:
    base = plan(change())
    others = [
        plan(change(parameters={"cluster": "prod", "taskDefinition": "report:1"})),
        plan(change(region="us-east-1")),
        plan(change(), change()),
        plan(change(), targets=("another",)),
        plan(change(), resolved={"task_definition": "report:1"}),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 6


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    turned = {"taskDefinition": "report:2", "cluster": "prod"}
    assert plan(change()).hash == plan(change(parameters=turned)).hash


def test_a_plan_read_back_from_its_json_has_the_same_hash() -> None:
    original = plan(change())
    assert Plan.model_validate_json(original.model_dump_json()).hash == original.hash


def test_references_are_told_from_literals() -> None:
    secret, result = SecretRef(secret="arn:s", version_id="v1"), ResultRef(change=1, path="Cluster.Arn")
    assert reference(secret.as_parameter()) == secret
    assert reference(result.as_parameter()) == result
    assert reference({"Name": "x"}) is None
    with pytest.raises(ValueError, match="is no reference"):
        reference({"$env": "HOME"})
