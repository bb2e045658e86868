"""`Finish run`: only what is verified healthy, or was only asked for as a plan, ends well."""

from __future__ import annotations

from typing import Any

from runbooks import clock
from runbooks.errors import NotVerified
from runbooks.frame.notify import count, tell_end
from runbooks.frame.step import Step, step_handler
from runbooks.model import Mode, Verdict
from runbooks.store.runs import Run


def succeeded(run: Run) -> bool:
    """Whether the run may end SUCCEEDED."""
    planned = run.mode is Mode.PLAN and run.verdict is Verdict.REMEDIABLE
    return run.verified or run.verdict is Verdict.HEALTHY or planned


def finish(step: Step) -> dict[str, Any]:
    """Close the run and tell. Twice is once."""
    run = step.ledger.find(step.run_id) or step.open_run()
    if run.status == "open":
        if not succeeded(run):
            raise NotVerified(f"{run.run_id} was never found healthy")
        now = clock.utc_now()
        seconds = round((now - step.started).total_seconds())
        run = step.ledger.close(
            run,
            outcome="SUCCEEDED",
            error_name=None,
            error_cause=None,
            detail={"reason": run.decision_reason, "verified": run.verified, "seconds": seconds},
            state=step.event.state,
            now=now,
        )
        count("RunsSucceeded")
    if run.outcome != "SUCCEEDED":
        raise NotVerified(f"{run.run_id} was closed as {run.outcome}")
    tell_end(step.frame, run)
    return step.document(run, outcome=run.outcome)


handler = step_handler(finish)
