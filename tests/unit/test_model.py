"""What the vocabulary promises: closed, immutable, hashed to the byte."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.model import (
    Change,
    Irreversible,
    Mode,
    Model,
    Phase,
    Plan,
    Proof,
    ResultRef,
    Risk,
    Runbook,
    RunInput,
    SecretRef,
    healthy,
    reference,
    settled,
)


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


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({}, True),
        ({"repeat_harmless": True}, True),
        ({"proof": None, "repeat_harmless": True}, True),
        ({"proof": None}, False),
        ({"adopts": True}, True),
        ({"proof": None, "adopts": True, "repeat_harmless": True}, False),
    ],
)
def test_a_change_can_be_looked_at_unless_a_repeat_is_harmless_and_makes_what_is_there(
    more: dict[str, Any], fits: bool
) -> None:
    if fits:
        assert change(**more).reversible is False
    else:
        with pytest.raises(ValidationError, match="ecs:UpdateService needs a proof"):
            change(**more)


def test_the_changes_of_a_phase_keep_their_numbers_in_the_plan() -> None:
    of = plan(change(phase="One"), change(phase="Two"), change(phase="One"))
    assert [number for number, _ in of.of_phase("One")] == [1, 3]
    assert of.of_phase("Three") == []


def phase(name: str, *, after_verification: bool = False) -> Phase:
    return Phase(
        name=name,
        question=f"Is {name} done?",
        settled=lambda given, facts: settled("it is"),
        rests_on=lambda facts: None,
        within=timedelta(minutes=1),
        after_verification=after_verification,
    )


def runbook(*phases: Phase) -> Runbook:
    return Runbook(
        name="toy",
        title="A toy",
        risk=Risk.REPAIRS,
        input=RunInput,
        facts=Model,
        targets=lambda given, account, region: ["t"],
        gather=lambda given, aws, now: Model(),
        decide=lambda given, facts, now: healthy("it is"),
        phases=phases,
    )


def test_the_phases_of_a_runbook_are_those_that_mend_and_then_those_that_tidy() -> None:
    mend, tidy = phase("Mend"), phase("Tidy", after_verification=True)
    toy = runbook(mend, tidy)
    assert (toy.mending, toy.tidying) == ((mend,), (tidy,))
    assert toy.phase("Tidy") is tidy
    with pytest.raises(KeyError):
        toy.phase("Look")
    with pytest.raises(ValidationError, match="toy: the phases after the verification come last"):
        runbook(tidy, mend)


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
    for literal in ({"Name": "x"}, {}, {"$env": "HOME", "$result": 1}, "$env", None):
        assert reference(literal) is None
    with pytest.raises(ValueError, match="is no reference"):
        reference({"$env": "HOME"})
