"""`GET /runbooks` and `GET /runbooks/{runbook}`: what can be started, and with which input."""

from __future__ import annotations

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import Field, JsonValue

from runbooks import catalogue
from runbooks.api.app import answers, app, caller
from runbooks.api.http import Problem
from runbooks.model import Model, Risk, Runbook

RunbookName = Annotated[str, Path(max_length=100, description="the runbook's name, e.g. ecs-service-rollback")]


class RunbookListed(Model):
    """A runbook in the list."""

    name: str
    title: str
    risk: Risk


class RunbookList(Model):
    """All runbooks, by name."""

    runbooks: list[RunbookListed]


class PhaseShown(Model):
    """A step of the procedure that changes something, and what ends the wait for it. Times are in seconds."""

    name: str
    question: str
    within: int
    only_if: str | None = Field(description="the question whether it is needed, for a phase that a plan may do without")


class RunbookShown(RunbookListed):
    """What a runbook does, and the JSON schema of its input. Who asks is not part of it: the API knows its caller."""

    phases: list[PhaseShown]
    approval_within: int = Field(description="seconds in which a plan must be decided on")
    input_schema: dict[str, JsonValue]


def runbook_named(name: str) -> Runbook:
    """The runbook. Raises Problem 404."""
    if name not in catalogue.names():
        raise Problem(404, "No such runbook", f"{name} is none of {', '.join(catalogue.names())}")
    return catalogue.load(name)


@app.get("/runbooks", summary="List the runbooks", responses=answers(RunbookList))
def list_runbooks() -> RunbookList:
    """All runbooks that are deployed, with what they can hurt."""
    caller()
    runbooks = map(catalogue.load, catalogue.names())
    return RunbookList(runbooks=[RunbookListed(name=each.name, title=each.title, risk=each.risk) for each in runbooks])


@app.get("/runbooks/<runbook>", summary="Describe a runbook", responses=answers(RunbookShown, 404))
def describe_runbook(runbook: RunbookName) -> RunbookShown:
    """The phases of a runbook, and the JSON schema of its input."""
    caller()
    named = runbook_named(runbook)
    return RunbookShown(
        name=named.name,
        title=named.title,
        risk=named.risk,
        phases=[
            PhaseShown(
                name=phase.name,
                question=phase.question,
                within=round(phase.within.total_seconds()),
                only_if=phase.asked,
            )
            for phase in named.phases
        ],
        approval_within=round(named.approval_within.total_seconds()),
        input_schema=_asked_for(named.input.model_json_schema()),
    )


def _asked_for(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {name: value for name, value in schema["properties"].items() if name != "requested_by"}
    required = [name for name in schema.get("required", ()) if name != "requested_by"]
    return schema | {"properties": properties, "required": required}
