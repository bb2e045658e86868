"""Steps that are run in this process, against the embedded AWS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from runbooks import clock
from runbooks.frame.step import Execution, Frame, Step, StepEvent
from runbooks.settings import Settings
from runbooks.store.runs import Run

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
GIVEN = {
    "mode": "execute",
    "reason": "INC-1",
    "requested_by": "alice",
    "cluster": "snowflake-analytics-cluster",
    "service": "snowflake-report-service",
}


@dataclass(frozen=True)
class Steps:
    """Makes the steps of one run that started at 03:00."""

    frame: Frame

    def of(
        self,
        step: str,
        *,
        document: Any = None,
        token: str = "",
        phase: str = "",
        minutes: float = 0,
        runbook: str = RUNBOOK,
    ) -> Step:
        """A step of the run, so many minutes after its start."""
        execution = Execution(
            id="arn:aws:states:eu-central-1:123456789012:execution:m:x", name="x", started=clock.iso(NOW)
        )
        event = StepEvent(
            execution=execution, runbook=runbook, state=step, step=step, document=document, token=token, phase=phase
        )
        now = NOW + timedelta(minutes=minutes)
        return Step(event=event, frame=self.frame, now=now, over_at=now + timedelta(minutes=1))

    def begun(self, step: str, given: dict[str, Any] = GIVEN, **more: Any) -> Step:
        """The same, with the run written."""
        made = self.of(step, **more)
        run = Run(
            run_id=made.run_id,
            runbook=made.event.runbook,
            execution_arn=made.event.execution.id,
            started_at=clock.iso(NOW),
            requested_by="alice",
            targets=(
                "arn:aws:ecs:eu-central-1:123456789012:service/snowflake-analytics-cluster/snowflake-report-service",
            ),
            given=given,
            approval_required=True,
        )
        made.ledger.begin(run, state="Begin run", detail={}, now=NOW)
        return made


@pytest.fixture
def steps(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Steps:
    environment = {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_METRICS_NAMESPACE": "Runbooks",
        "POWERTOOLS_SERVICE_NAME": "runbooks",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        state_table=aws.outputs["StateTableName"],
        audit_table=aws.outputs["AuditTableName"],
        policy_parameter=aws.outputs["PolicyParameterName"],
        topic_arn=aws.outputs["TopicArn"],
        stage="dev",
        system=aws.stack_name,
        account=aws.account_id,
        region=aws.region,
        accounts={},
    )
    return Steps(Frame(settings))
