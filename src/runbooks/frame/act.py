"""The changing steps of a runbook: a phase of the approved plan, or the inverse of one change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runbooks import clock
from runbooks.errors import ApprovalDenied, ChangeUnsettled, PlanStale
from runbooks.frame.changes import apply_change, time_to_undo, undo_change
from runbooks.frame.outcome import reported_error
from runbooks.frame.polling import look_again_in
from runbooks.frame.reading import fingerprint, gather, reads
from runbooks.frame.step import Step, given_of, step_handler
from runbooks.model import Plan, pending
from runbooks.policy import change_forbidden
from runbooks.store.runs import ChangeRecord, ChangeStatus, Run

_BEING_UNDONE = {ChangeStatus.UNDOING, ChangeStatus.SETTLING, ChangeStatus.UNDONE, ChangeStatus.LEFT}

_OVER = {ChangeStatus.NO_EFFECT, ChangeStatus.UNDONE, ChangeStatus.LEFT}

_UNDO_PAUSE = 5
"""Seconds between two inverses, so that a service that has just been changed is ready for the next call."""


def _approved_plan(step: Step, run: Run) -> Plan:
    """The plan that may be applied. Raises ApprovalDenied unless it is, to the byte, what was approved."""
    plan = step.diagnosis().plan
    if plan is None or plan.hash != run.plan_hash:
        raise PlanStale("the stored plan is not the one that was made; start the run again")
    if run.approval_needed:
        approval = step.ledger.approval(run.run_id)
        if approval is None or approval.status != "approved" or approval.plan_hash != plan.hash:
            raise ApprovalDenied(f"plan {plan.hash[:12]} was not approved")
    return plan


def apply(step: Step) -> dict[str, Any]:
    """Check again all that the plan rests on, then apply the phase's changes in order. Twice is once.

    Raises:
        PlanStale: the world moved since the plan was made; nothing of this phase was applied.
        ChangeFreeze: a freeze window or the kill switch came in between.
        ChangeUnsettled: another delivery of this step is at it.
    """
    run = step.open_run()
    runbook, phase = step.runbook, step.runbook.phase(step.event.phase)
    plan = _approved_plan(step, run)
    if forbidden := change_forbidden(step.frame.policy(), step.now):
        raise forbidden
    given = given_of(runbook, plan.resolved)
    aws = step.target(given)
    numbers = [number for number, _ in plan.of_phase(phase.name)]
    if not step.ledger.changes(run.run_id).keys() & set(numbers):
        now_fingerprint = fingerprint(phase, gather(step, run, aws, given, only=phase.recheck))
        stale = now_fingerprint != step.diagnosis().fingerprints[phase.name]
        if stale and step.ledger.changes(run.run_id).keys() & set(numbers):
            raise ChangeUnsettled(f"another delivery of this step has begun {phase.name!r}; it may be what moved")
        detail = {"phase": phase.name, "stale": stale, "reads": reads(aws)}
        run = step.record(run, "phase.stale" if stale else "phase.started", detail)
        if stale:
            raise PlanStale(f"the target changed after the plan was made, so {phase.name!r} was not applied")
    for number in numbers:
        run = apply_change(step, run, aws, plan, number)
    if phase.name not in run.deadlines:
        now = clock.utc_now()
        until = clock.iso(now + phase.within)
        run = step.keep_locks(
            run,
            now + phase.at_least,
            "phase.applied",
            {"phase": phase.name, "settles_by": until},
            deadlines=run.deadlines | {phase.name: until},
        )
    return step.document(run, settled=False, wait_seconds=int(phase.at_least.total_seconds()))


def undo(step: Step) -> dict[str, Any]:
    """Go on taking back the latest change that is not yet taken back; `undone` says whether nothing more can be."""
    run = step.open_run()
    records = step.ledger.changes(run.run_id)
    left = any(record.status is ChangeStatus.LEFT for record in records.values())
    todo = [record for record in records.values() if record.status not in _OVER]
    if left or not todo:
        return step.document(run, undone=True, wait_seconds=0)
    plan = step.plan()
    if not any(record.status in _BEING_UNDONE for record in records.values()):
        name, cause = reported_error(step.event.document) or ("StepFailed", "")
        run = step.record(run, "undo.started", {"error": name, "cause": cause, "changes": len(todo)})
    given = given_of(step.runbook, plan.resolved)
    latest = max(todo, key=lambda record: record.number)
    run = undo_change(step, run, step.target(given), plan, latest)
    records = step.ledger.changes(run.run_id)
    over = all(record.status in _OVER for record in records.values())
    wait = 0 if over else _pause(step, records[latest.number])
    if wait:
        run = step.keep_locks(run, clock.utc_now() + timedelta(seconds=wait), "undo.waits", {"seconds": wait})
    return step.document(run, undone=over, wait_seconds=wait)


def _pause(step: Step, record: ChangeRecord) -> int:
    """Seconds until the next pass: longer the longer the inverse has taken to have its effect."""
    if record.settles_by is None:
        return _UNDO_PAUSE
    within = time_to_undo(step, step.plan().changes[record.number - 1], record).total_seconds()
    left = (clock.parse(record.settles_by) - clock.utc_now()).total_seconds()
    # An inverse that waits for its target has that long for the wait, and as long again for itself.
    return look_again_in(pending("undoing"), (within if left <= within else 2 * within) - left, left)


_STEPS = {"apply": apply, "undo": undo}


def act(step: Step) -> dict[str, Any]:
    """The changing step that the event asks for."""
    return _STEPS[step.event.step](step)


handler = step_handler(act)
