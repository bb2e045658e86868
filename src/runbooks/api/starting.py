"""`POST /runs` and `POST /runs/{run_id}/rerun`: starting a run in the name of whoever signs the request."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header
from pydantic import Field, JsonValue

from runbooks.api.app import answers, app, caller
from runbooks.api.catalogue import runbook_named
from runbooks.api.http import JSON, Problem, name_of
from runbooks.api.runs import RunId, run_named
from runbooks.api.views import Started, links_of
from runbooks.aws.redaction import REDACTED, redact
from runbooks.errors import InputInvalid
from runbooks.frame.begin import parse_input
from runbooks.frame.start import LARGEST, NameTaken, NotDeployed, start
from runbooks.frame.step import frame
from runbooks.model import Mode, Model, Text, canonical

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="the same key with the same body gives the same run, however often and at once it is sent",
    ),
]


class Wanted(Model):
    """What to start. `input` is the runbook's input; `requested_by` in it is replaced by whoever signs the request."""

    runbook: str = Field(max_length=100)
    input: dict[str, JsonValue]


class Again(Model):
    """What differs from the run that is started again: nothing, as a rule."""

    mode: Mode | None = None
    reason: Text | None = Field(None, max_length=500)


_ANSWERS = answers(Started, 404, 409, status=201, title="Started") | {
    200: {"description": "Started by the same request before", "content": {JSON: {"model": Started}}}
}


@app.post("/runs", summary="Start a run", responses=_ANSWERS)
def start_run(wanted: Annotated[Wanted, Body()], idempotency_key: IdempotencyKey = None) -> Response[Started]:
    """Without `"mode": "execute"` in its input a run only plans."""
    return _start(wanted.runbook, wanted.input, idempotency_key)


@app.post("/runs/<run_id>/rerun", summary="Start a run again", responses=_ANSWERS)
def rerun(run_id: RunId, again: Annotated[Again, Body()], idempotency_key: IdempotencyKey = None) -> Response[Started]:
    """A new run with the input of an earlier one, asked for by whoever signs this request."""
    caller()
    run = run_named(run_id)
    if run.given is None:
        raise Problem(409, "Nothing to start again", f"the input of {run_id} was invalid: {run.error_cause}")
    if REDACTED in json.dumps(run.given):
        raise Problem(409, "Nothing to start again", f"the input of {run_id} held something secret, which is not kept")
    reason = again.reason or f"again, after {run_id}: {run.reason}"[:500]
    return _start(
        run.runbook,
        run.given | {"reason": reason} | ({"mode": again.mode.value} if again.mode else {}),
        idempotency_key,
    )


def _start(name: str, given: dict[str, Any], key: str | None) -> Response[Started]:
    identity = caller()
    runbook = runbook_named(name)
    document = given | {"requested_by": name_of(identity)}
    try:
        parsed = parse_input(runbook, document)
    except InputInvalid as invalid:
        raise Problem(400, "Invalid input", str(invalid)) from None
    if len(canonical(document)) > LARGEST:
        raise Problem(400, "Invalid input", f"an execution's input has {LARGEST:,} bytes at most")
    if redact(document) != document:
        raise Problem(400, "Invalid input", "it holds what looks like a secret; name it in Secrets Manager instead")
    try:
        begun = start(
            frame(),
            runbook=name,
            document=document,
            execution=execution_name(identity, key),
            requested_by=document["requested_by"],
        )
    except NameTaken as taken:
        raise Problem(409, "Another request", f"Idempotency-Key {key}: {taken}; use another key") from None
    except NotDeployed as absent:
        raise Problem(404, "No such runbook", str(absent)) from None
    return Response(
        201 if begun.new else 200,
        JSON,
        Started(
            run_id=begun.run_id,
            execution_arn=begun.execution_arn,
            runbook=name,
            mode=parsed.mode,
            requested_by=document["requested_by"],
            links=links_of(begun.run_id, begun.execution_arn, frame().settings),
        ),
        {"Location": f"/runs/{begun.run_id}"},
    )


def execution_name(identity: str, key: str | None) -> str:
    """The execution's name: one for each key of each caller, so that nobody meets another's key."""
    if key is None:
        return f"api-{uuid.uuid4().hex}"
    return f"api-{hashlib.sha256(f'{identity} {key}'.encode()).hexdigest()[:40]}"
