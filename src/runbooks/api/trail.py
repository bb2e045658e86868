"""`GET /runs/{run_id}/audit` and `.../verification`: what happened, and whether the record of it is whole."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from runbooks.api.app import answers, app, caller
from runbooks.api.http import Problem
from runbooks.api.runs import RunId
from runbooks.api.views import Trail, Verification
from runbooks.frame.step import frame
from runbooks.store import audit
from runbooks.store.listing import Listing


@app.get("/runs/<run_id>/audit", summary="Read a run's audit trail", responses=answers(Trail, 404))
def read_trail(
    run_id: RunId,
    after: Annotated[int, Query(ge=0, le=1_000_000, description="entries with numbers above this one")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="how many at most")] = 100,
) -> Trail:
    """The entries, oldest first."""
    caller()
    found = Listing(frame().tables).entries(run_id, after=after, limit=limit + 1)
    if not found and after == 0:
        raise Problem(404, "No such run", f"there is no run {run_id}")
    page = found[:limit]
    return Trail(run_id=run_id, entries=page, next=page[-1].seq if len(found) > limit else None)


@app.get(
    "/runs/<run_id>/audit/verification", summary="Verify a run's audit trail", responses=answers(Verification, 404)
)
def verify_trail(run_id: RunId) -> Verification:
    """Reads the whole trail and computes every hash again. A trail whose run has not ended is not closed."""
    caller()
    entries = frame().ledger.trail(run_id)
    if not entries:
        raise Problem(404, "No such run", f"there is no run {run_id}")
    faults = audit.faults(entries)
    return Verification(run_id=run_id, whole=not faults, entries=len(entries), head=entries[-1].hash, faults=faults)
