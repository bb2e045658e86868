"""A mutating call slipped into a runbook's reading is refused, and fails the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import catalogue, clock
from runbooks.errors import MutationRefused, PlanUnsafe
from runbooks.frame import step as step_module
from runbooks.frame.diagnose import diagnose
from runbooks.frame.step import Execution, Frame, Step, StepEvent
from runbooks.model import Runbook
from runbooks.settings import Settings
from runbooks.store.runs import Run
from workbench import scenario
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def step(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Step:
    """`Diagnose`, about to be run in this process on the standard incident."""
    for name, value in {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    scenario.of(RUNBOOK)["health-checks-fail"].arrange(aws)
    settings = Settings(
        state_table=aws.outputs["StateTableName"],
        audit_table=aws.outputs["AuditTableName"],
        policy_parameter="/none",
        topic_arn=aws.outputs["TopicArn"],
        stage="dev",
        system=aws.stack_name,
        account=aws.account_id,
        region=aws.region,
    )
    execution = Execution(id="arn:execution", name="x", started=clock.iso(NOW))
    event = StepEvent(execution=execution, runbook=RUNBOOK, state="Diagnose", step="diagnose")
    step = Step(event=event, frame=Frame(settings), now=NOW, over_at=NOW + timedelta(minutes=1))
    given = {
        "mode": "execute",
        "reason": "INC-1",
        "requested_by": "alice",
        "cluster": "snowflake-analytics-cluster",
        "service": "snowflake-report-service",
    }
    run = Run(
        run_id=step.run_id, runbook=RUNBOOK, execution_arn="arn:execution", started_at=clock.iso(NOW), given=given
    )
    step.ledger.begin(run, state="Begin run", detail={}, now=NOW)
    return step


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
