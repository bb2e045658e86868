"""`PUT` and `DELETE /standing-approvals/{runbook}`: a yes in advance, within bounds, and its end."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import AwareDatetime, Field

from runbooks import clock
from runbooks.api.app import answers, app, caller
from runbooks.api.catalogue import RunbookName, runbook_named
from runbooks.api.http import Problem, somebody
from runbooks.aws.redaction import redact
from runbooks.frame.step import frame
from runbooks.model import Model, Text
from runbooks.store.standing import Bounds, StandingApproval
from runbooks.store.tables import ConditionFailed, Conflict


class Given(Model):
    """What somebody who approves in advance sends. `expires_at` is ISO 8601 with its offset."""

    target: Text = Field(pattern="^arn:", description="the canonical ARN that a run locks, as a plan shows it")
    bounds: Bounds
    expires_at: AwareDatetime
    comment: str = Field("", max_length=500)


class Revoked(Model):
    """What somebody who ends a standing approval sends."""

    target: Text = Field(pattern="^arn:")


class StandingShown(Model):
    """A standing approval, as it is now."""

    id: str = Field(description="the id of the audit trail of what has last happened to it")
    runbook: str
    target: str
    bounds: Bounds
    expires_at: str
    given_by: str
    given_at: str
    comment: str
    revoked_by: str | None


@app.put("/standing-approvals/<runbook>", summary="Approve in advance", responses=answers(StandingShown, 404, 409))
def give(runbook: RunbookName, given: Annotated[Given, Body()]) -> StandingShown:
    """Plans of the runbook for the target, within the bounds, need nobody until then. It replaces an earlier one."""
    identity, now = somebody(caller()), clock.utc_now()
    name = runbook_named(runbook).name
    if given.expires_at <= now:
        raise Problem(400, "Over already", f"expires_at is {clock.iso(given.expires_at)}, and now is {clock.iso(now)}")
    standing = StandingApproval(
        runbook=name,
        target=given.target,
        bounds=given.bounds,
        expires_at=clock.iso(given.expires_at),
        given_by=identity,
        given_at=clock.iso(now),
        comment=redact(given.comment),
    )
    try:
        return _shown(frame().standing.give(standing, now=now))
    except (ConditionFailed, Conflict):
        raise Problem(409, "Changed meanwhile", "somebody else gave or revoked it at the same moment") from None


@app.delete("/standing-approvals/<runbook>", summary="End a yes in advance", responses=answers(StandingShown, 404, 409))
def revoke(runbook: RunbookName, revoked: Annotated[Revoked, Body()]) -> StandingShown:
    """Revoked twice is revoked once."""
    identity, name = caller(), runbook_named(runbook).name
    standing = frame().standing.find(name, revoked.target)
    if standing is None:
        raise Problem(404, "No standing approval", f"there is none of {name} for {revoked.target}")
    if standing.revoked_by is not None:
        return _shown(standing)
    try:
        return _shown(frame().standing.revoke(standing, by=identity, now=clock.utc_now()))
    except (ConditionFailed, Conflict):
        raise Problem(409, "Changed meanwhile", "somebody else gave or revoked it at the same moment") from None


def _shown(standing: StandingApproval) -> StandingShown:
    return StandingShown(id=standing.id, **standing.model_dump(exclude={"seq", "head"}))
