"""A run that a schedule of this stack asks for: started in the schedule's name, for which this stack vouches."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import Field, JsonValue

from runbooks.frame.start import start
from runbooks.frame.step import Frame, frame, logger
from runbooks.model import Model, Text


class Due(Model):
    """What EventBridge Scheduler hands over: the same for each delivery of one night."""

    runbook: Text
    schedule: Text = Field(description="the schedule's name")
    due: Text = Field(description="<aws.scheduler.scheduled-time>, ISO 8601 UTC")
    input: dict[str, JsonValue] = Field(description="the start input but for `requested_by`, which is the schedule")

    @property
    def execution(self) -> str:
        """The name of the execution."""
        return f"schedule-{hashlib.sha256(f'{self.schedule} {self.due}'.encode()).hexdigest()[:40]}"


def begin(frame: Frame, due: Due) -> str:
    """Start what is due; returns the run's id. Twice is once.

    An input that does not fit is started all the same, so that the run's end says so and people are told.

    Raises NameTaken, NotDeployed, and what `start` may be tried again after.
    """
    document = due.input | {"requested_by": f"schedule/{due.schedule}"}
    begun = start(
        frame,
        runbook=due.runbook,
        document=document,
        execution=due.execution,
        requested_by=str(document["requested_by"]),
    )
    return begun.run_id


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The schedule's input. Raises pydantic's ValidationError if the template's schedule does not fit `Due`."""
    due = Due.model_validate(event)
    run_id = begin(frame(), due)
    logger.info("started", extra={"schedule": due.schedule, "due": due.due, "run_id": run_id})
    return {"started": run_id}
