"""`POST /runs/{run_id}/stop`: an execution is stopped; who wants that is on record before, what came of it after."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

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
from runbooks.errors import LedgerUnavailable, RunClosed
from runbooks.frame.advice import with_next_step
from runbooks.frame.step import frame
from runbooks.model import Model
from runbooks.store.runs import Run

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
        _record_once(run, "stop.asked", {"reason": reason}, identity)
    except RunClosed as closed:
        raise Problem(409, "The run has ended", str(closed)) from None
    client = frame().client("stepfunctions")
    cause = with_next_step("RunAborted", f"Stopped by {identity}: {reason or 'no reason given'}", run_id)
    try:
        client.stop_execution(executionArn=run.execution_arn, error="Stopped", cause=cause)
    except client.exceptions.ExecutionDoesNotExist:
        raise Problem(409, "The run has ended", f"AWS does not know the execution of {run_id} any more") from None
    except (BotoCoreError, ClientError) as failure:
        error = translate(failure, "states:StopExecution")
        _tell(
            run, "stop.failed", {"reason": reason, "error": type(error).__name__, "cause": redact(str(error))}, identity
        )
        raise error from failure
    _tell(run, "run.stopped", {"reason": reason}, identity)
    return Response(202, JSON, Stopped(run_id=run_id, stopped_by=identity))


def _tell(run: Run, event: str, detail: dict[str, Any], actor: str) -> None:
    """Record what came of it, unless the trail is closed: then its end says so. The call is made, and is answered."""
    with contextlib.suppress(RunClosed, LedgerUnavailable):
        _record_once(run, event, detail, actor)


def _record_once(run: Run, event: str, detail: dict[str, Any], actor: str) -> None:
    """Record it, unless the same is on the trail already, from an earlier attempt. Raises RunClosed."""
    ledger = frame().ledger
    known = [(entry.event, entry.actor, entry.detail) for entry in ledger.trail(run.run_id) if entry.state == STATE]
    if (event, actor, detail) not in known:
        ledger.record(run, event, detail, state=STATE, now=clock.utc_now(), actor=actor)
