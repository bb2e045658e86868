"""A mutating call slipped into a runbook's reading is refused, and fails the run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import catalogue
from runbooks.errors import MutationRefused, PlanUnsafe
from runbooks.frame import step as step_module
from runbooks.frame.diagnose import diagnose
from runbooks.model import Runbook
from workbench import scenario
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from runbooks.frame.step import Step
    from workbench.embedded import EmbeddedAws

    from .conftest import Steps

RUNBOOK = "ecs-service-rollback"


@pytest.fixture
def step(aws: EmbeddedAws, steps: Steps) -> Step:
    """`Diagnose`, about to be run in this process on the standard incident."""
    scenario.of(RUNBOOK)["health-checks-fail"].arrange(aws)
    return steps.begun("diagnose")


def instead(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> Runbook:
    """Put other parts into the runbook for this test."""
    changed = catalogue.load(RUNBOOK).model_copy(update=parts)
    monkeypatch.setattr(step_module.catalogue, "load", lambda _: changed)
    return changed


def test_a_mutation_in_gather_is_refused_recorded_and_has_no_effect(
    aws: EmbeddedAws, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = catalogue.load(RUNBOOK)

    def gather(given: Any, session: Any, now: datetime) -> Any:
        session.client("ecs").update_service(cluster=given.cluster, service=given.service, desiredCount=0)
        return real.gather(given, session, now)

    instead(monkeypatch, gather=gather)
    with pytest.raises(MutationRefused, match="ecs:UpdateService is not on the list of reads"):
        diagnose(step)
    assert scenario.of(RUNBOOK)["health-checks-fail"].world(aws)["desiredCount"] == 2
    last = ledger_of(aws.outputs, aws.client("dynamodb")).trail(step.run_id)[-1]
    assert (last.event, last.detail["error"]) == ("reads.failed", "MutationRefused")


def test_a_plan_that_carries_a_secret_in_clear_is_refused_and_not_stored(
    aws: EmbeddedAws, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = catalogue.load(RUNBOOK)

    def decide(given: Any, facts: Any, now: datetime) -> Any:
        decision = real.decide(given, facts, now)
        (change,) = decision.changes
        unsafe = change.model_copy(update={"parameters": change.parameters | {"password": "hunter2"}})
        return decision.model_copy(update={"changes": (unsafe,)})

    instead(monkeypatch, decide=decide)
    with pytest.raises(PlanUnsafe, match="carries a secret in clear"):
        diagnose(step)
    stored = aws.client("dynamodb").scan(TableName=aws.outputs["StateTableName"])["Items"]
    assert "hunter2" not in str(stored)


def test_a_diagnosis_delivered_twice_is_made_once(aws: EmbeddedAws, step: Step) -> None:
    first = diagnose(step)
    assert diagnose(step) == first
    assert first["verdict"] == "remediable"
    trail = ledger_of(aws.outputs, aws.client("dynamodb")).trail(step.run_id)
    assert [entry.event for entry in trail].count("diagnosis.made") == 1


def test_facts_keep_no_environment_of_the_containers(aws: EmbeddedAws, step: Step) -> None:
    ecs = aws.client("ecs")
    definition = ecs.describe_task_definition(taskDefinition="snowflake-report-service:2")["taskDefinition"]
    assert definition["containerDefinitions"]
    diagnose(step)
    diagnosis = step.ledger.diagnosis(step.run_id)
    assert diagnosis is not None
    assert "environment" not in str(diagnosis.facts)
