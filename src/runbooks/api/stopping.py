"""`POST /runs/{run_id}/stop`: an execution is stopped, and who stopped it is on record before that."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from runbooks import clock
from runbooks.api.app import answers, app, caller
from runbooks.api.http import JSON, Problem
from runbooks.api.runs import RunId, run_named
from runbooks.api.views import Stopped
from runbooks.aws.failures import translate
from runbooks.aws.redaction import redact
from runbooks.errors import RunClosed
from runbooks.frame.advice import with_next_step
from runbooks.frame.step import frame
from runbooks.model import Model

STATE = "Stop"
"""The state that audit entries of a stop carry."""


class Reason(Model):
    """Why a run is stopped."""

    reason: str = Field("", max_length=500)


@app.post("/runs/<run_id>/stop", summary="Stop a run", responses=answers(Stopped, 404, 409, status=202, title="Told"))
def stop_run(run_id: RunId, why: Annotated[Reason, Body()]) -> Response[Stopped]:
    """Nothing more is changed, and nothing is undone: the run's end says what is left at the target."""
    identity = caller()
    run = run_named(run_id)
    reason = str(redact(why.reason))
    try:
        if run.status == "closed":
            raise RunClosed(f"{run_id} ended {run.ended_at} as {run.outcome}")
        frame().ledger.record(run, "run.stopped", {"reason": reason}, state=STATE, now=clock.utc_now(), actor=identity)
    except RunClosed as closed:
        raise Problem(409, "The run has ended", str(closed)) from None
    client = frame().client("stepfunctions")
    cause = with_next_step("RunAborted", f"Stopped by {identity}: {reason or 'no reason given'}", run_id)
    try:
        client.stop_execution(executionArn=run.execution_arn, error="Stopped", cause=cause)
    except client.exceptions.ExecutionDoesNotExist:
        raise Problem(409, "The run has ended", f"AWS does not know the execution of {run_id} any more") from None
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "states:StopExecution") from failure
    return Response(202, JSON, Stopped(run_id=run_id, stopped_by=identity))
