"""`Lock the target`: taken only now, so that an unanswered request for approval blocks nobody."""

from __future__ import annotations

from typing import Any

from runbooks.frame.step import LEASE, Step, step_handler


def lock(step: Step) -> dict[str, Any]:
    """Take every target or none. Raises TargetLocked naming the run that holds one."""
    run = step.open_run()
    budget = step.frame.policy().attempts_per_target_and_day
    run = step.ledger.lock(run, lease=LEASE, budget=budget, state=step.event.state, now=step.now)
    return step.document(run)


handler = step_handler(lock)
