"""`GET /runs` and `GET /runs/{run_id}`: which runs there are, and all that is known of one."""

from __future__ import annotations

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from runbooks import catalogue
from runbooks.api.app import answers, app, caller
from runbooks.api.catalogue import runbook_named
from runbooks.api.http import Problem
from runbooks.api.views import RunList, RunShown, listed, shown
from runbooks.frame.step import frame
from runbooks.store.listing import Listing, Place
from runbooks.store.runs import Run

RunId = Annotated[str, Path(max_length=200, description="the run's id")]
Status = Literal["open", "closed", "SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"]


def run_named(run_id: str) -> Run:
    """The run. Raises Problem 404."""
    run = frame().ledger.find(run_id)
    if run is None:
        raise Problem(404, "No such run", f"there is no run {run_id}")
    return run


@app.get("/runs", summary="List runs", responses=answers(RunList, 404))
def list_runs(
    runbook: Annotated[str | None, Query(max_length=100, description="only this runbook's")] = None,
    target: Annotated[
        str | None, Query(max_length=500, pattern="^arn:", description="only those whose first target is this ARN")
    ] = None,
    status: Annotated[Status | None, Query(description="only those in this state, or that ended so")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="how many at most")] = 25,
    cursor: Annotated[str | None, Query(max_length=500, alias="next", description="`next` of the last page")] = None,
) -> RunList:
    """Runs, newest first. A page may be shorter than `limit`, or empty, and still have a next one."""
    caller()
    try:
        after = Place.of(cursor)
    except ValueError as invalid:
        raise Problem(400, "Invalid request", f"next: {invalid}") from None
    runbooks = catalogue.names() if runbook is None else [runbook_named(runbook).name]
    page, last = Listing(frame().tables).runs(runbooks, target=target, status=status, after=after, limit=limit)
    return RunList(runs=[listed(run) for run in page], next=last.cursor() if last else None)


@app.get("/runs/<run_id>", summary="Show a run", responses=answers(RunShown, 404))
def show_run(run_id: RunId) -> RunShown:
    """Findings, plan, approval, where the run stands, and where to go on."""
    caller()
    run, ledger = run_named(run_id), frame().ledger
    return shown(
        run,
        ledger.diagnosis(run_id),
        ledger.approval(run_id),
        ledger.changes(run_id),
        Listing(frame().tables).last_entry(run_id),
        frame().settings,
    )
