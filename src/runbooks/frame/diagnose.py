"""The reading steps of a runbook: `Diagnose`, `Look: ...`, `Verify`, and what the reaper asks. They never mutate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from runbooks import clock
from runbooks.aws.redaction import redact
from runbooks.errors import DeadlineExceeded, NotVerified, PhaseFailed, PlanUnsafe, TargetBusy
from runbooks.frame.changes import happened
from runbooks.frame.polling import look_again_in
from runbooks.frame.reading import fingerprint, gather, reads
from runbooks.frame.step import Step, given_of, step_handler
from runbooks.model import Decision, Plan, Runbook, RunInput, Verdict
from runbooks.policy import person
from runbooks.store.runs import ChangeStatus, Diagnosis, Run
from runbooks.store.standing import StandingApproval

VERIFY_AGAIN = timedelta(minutes=1)
"""When to verify again a target that is busy with something that passes by itself."""


def plan_of(runbook: Runbook, run: Run, given: RunInput, decision: Decision) -> Plan | None:
    """The plan that a decision means, with every input made literal.

    Raises:
        PlanUnsafe: a change holds what redaction would alter, so it can neither be shown nor stored as it runs.
        ValueError: the runbook planned a change for a phase that it does not declare.
    """
    if decision.verdict is not Verdict.REMEDIABLE:
        return None
    for change in decision.changes:
        if change.phase not in {phase.name for phase in runbook.phases}:
            raise ValueError(f"{runbook.name} planned a change in the unknown phase {change.phase!r}")
        plain = change.model_dump(mode="json")
        if redact(plain) != plain:
            raise PlanUnsafe(
                f"{change.operation} carries a secret in clear; refer to it in Secrets Manager and plan the reference"
            )
    resolved = given.model_dump(mode="json", exclude_none=True) | decision.resolved
    return Plan(
        runbook=runbook.name,
        targets=run.targets,
        resolved=given_of(runbook, resolved).model_dump(mode="json", exclude_none=True),
        changes=decision.changes,
    )


def diagnose(step: Step) -> dict[str, Any]:
    """Gather, decide, store. Delivered again, it answers with what it stored."""
    run = step.open_run()
    if run.verdict is None:
        run = _diagnose(step, run)
    verdict = run.verdict.value if run.verdict else None
    plan = step.diagnosis().plan
    needs = step.runbook.needs(plan) if plan else {}
    return step.document(run, verdict=verdict, approval_needed=run.approval_needed, needs=needs)


def _diagnose(step: Step, run: Run) -> Run:
    runbook = step.runbook
    given = given_of(runbook, run.given or {})
    aws = step.target(given)
    facts = gather(step, run, aws, given)
    decision = runbook.decide(given, facts, step.now)
    plan = plan_of(runbook, run, given, decision)
    irreversible = plan is not None and not all(change.reversible for change in plan.changes)
    needs_approval = plan is not None and (run.approval_required or irreversible)
    standing, objection = _standing(step, run, plan) if plan and needs_approval else (None, None)
    diagnosis = Diagnosis(
        facts=redact(facts.model_dump(mode="json")),
        decision=decision,
        plan=plan,
        fingerprints={phase.name: fingerprint(phase, facts) for phase in runbook.phases},
    )
    return step.record(
        run,
        "diagnosis.made",
        {
            "verdict": decision.verdict.value,
            "reason": decision.reason,
            "findings": [finding.model_dump(mode="json", exclude_none=True) for finding in decision.findings],
            "plan": plan.model_dump(mode="json") if plan else None,
            "plan_hash": plan.hash if plan else None,
            "approval": objection or (_by(standing) if standing else "needed" if needs_approval else "not needed"),
            "standing": [{"id": each.id, "hash": each.head} for each in standing or ()],
            "reads": reads(aws),
        },
        updates={
            "verdict": decision.verdict,
            "decision_reason": decision.reason,
            "plan_hash": plan.hash if plan else None,
            "approval_needed": needs_approval and standing is None,
            "approved_by": tuple(each.given_by for each in standing or ()),
        },
        also=[step.ledger.diagnosis_item(run.run_id, diagnosis)],
    )


def _standing(step: Step, run: Run, plan: Plan) -> tuple[list[StandingApproval] | None, str | None]:
    """The standing approvals that cover the plan, one for each target; or None, with the reason if there is one.

    Whoever asks for the run is never the one who has approved it.
    """
    found = []
    for target in plan.targets:
        standing = step.frame.standing.find(run.runbook, target)
        if standing is None:
            return None, None
        if objection := standing.objection(plan, run.given or {}, step.now):
            return None, objection
        if run.vouching_required and run.identity == "unverified" and run.attributed_to is None:
            return None, f"nobody vouches for {run.requested_by}, who could be {standing.given_by}"
        if person(standing.given_by) == person(run.requested_by):
            return None, f"the standing approval was given by {standing.given_by}, who asks for this run"
        found.append(standing)
    return found, None


def _by(standing: list[StandingApproval]) -> str:
    given = ", ".join(f"{each.given_by} until {each.expires_at} ({each.id})" for each in standing)
    return f"standing, given by {given}"


def _resolved(step: Step) -> RunInput:
    diagnosis = step.diagnosis()
    plan = diagnosis.plan
    given: RunInput = given_of(step.runbook, plan.resolved if plan else step.open_run().given or {})
    return given


def look(step: Step) -> dict[str, Any]:
    """Whether the phase has settled, and if not, when to look again; the lock is kept until then.

    Raises PhaseFailed when it cannot settle any more, DeadlineExceeded when it took too long.
    """
    run = step.open_run()
    phase = step.runbook.phase(step.event.phase)
    given = _resolved(step)
    aws = step.target(given)
    progress = phase.settled(given, gather(step, run, aws, given, only=phase.watch))
    left = (clock.parse(run.deadlines[phase.name]) - step.now).total_seconds()
    elapsed = phase.within.total_seconds() - left
    wait = look_again_in(progress, elapsed, left) if progress.state == "pending" else 0
    detail = {
        "phase": phase.name,
        "progress": progress.state,
        "reason": progress.reason,
        "percent": progress.percent,
        "elapsed": round(elapsed),
        "within": round(phase.within.total_seconds()),
        "look_again_in": wait,
        "reads": reads(aws),
    }
    until = clock.utc_now() + timedelta(seconds=wait)
    run = step.keep_locks(run, until, "phase.looked", detail, progress=progress.reason)
    match progress.state:
        case "settled":
            return step.document(run, settled=True, wait_seconds=0)
        case "failed":
            raise PhaseFailed(f"{phase.name}: {progress.reason}")
        case "pending":
            if left <= 0:
                minutes = round(phase.within.total_seconds() / 60)
                raise DeadlineExceeded(f"{phase.name} did not settle within {minutes} minutes: {progress.reason}")
            return step.document(run, settled=False, wait_seconds=wait)
        case _:
            assert_never(progress.state)


def verify(step: Step) -> dict[str, Any]:
    """The diagnosis again, on the resolved input: it must now say healthy.

    Raises TargetBusy if it cannot be told for now, NotVerified otherwise.
    """
    run = step.open_run()
    given = _resolved(step)
    aws = step.target(given)
    decision = step.runbook.decide(given, gather(step, run, aws, given), step.now)
    is_healthy = decision.verdict is Verdict.HEALTHY
    detail = {"verdict": decision.verdict.value, "reason": decision.reason, "reads": reads(aws)}
    event = "verified" if is_healthy else "verification.waits" if decision.for_now else "not.verified"
    # An attempt to verify that is retried must find the locks still held.
    until = clock.utc_now() + (VERIFY_AGAIN if decision.for_now else timedelta(0))
    run = step.keep_locks(run, until, event, detail, verified=is_healthy)
    if decision.for_now:
        raise TargetBusy(f"whether it is healthy cannot be told yet: {decision.reason}")
    if not is_healthy:
        raise NotVerified(f"after the changes the diagnosis says {decision.verdict.value}: {decision.reason}")
    return step.document(run, verified=True)


def inspect(step: Step) -> dict[str, Any]:
    """What exists now, for a run whose execution is gone: its open changes settled by looking, and the diagnosis.

    Returns `settled` (sentences), `now` (one sentence) and `next` (what the next run would change, in its order).
    """
    run = step.open_run()
    diagnosis = step.ledger.diagnosis(run.run_id)
    plan = diagnosis.plan if diagnosis else None
    given = given_of(step.runbook, plan.resolved if plan else run.given or {})
    aws = step.target(given)
    sentences: list[str] = []
    for number, record in sorted(step.ledger.changes(run.run_id).items()):
        if plan is None or record.status not in {ChangeStatus.INTENDED, ChangeStatus.UNKNOWN}:
            continue
        if step.now < clock.parse(record.deadline):
            continue
        change = plan.changes[number - 1]
        has_happened = happened(aws, change, step.ledger.changes(run.run_id))
        if has_happened is None:
            sentences.append(f"change {number} {change.operation} may have happened, which cannot be told by reading")
            continue
        status = ChangeStatus.DONE if has_happened else ChangeStatus.NO_EFFECT
        sentence = f"change {number} {change.operation} {'has happened' if has_happened else 'has not happened'}"
        settled = record.model_copy(update={"status": status, "note": "settled by looking"})
        item = step.ledger.change_item(run.run_id, settled, replaces=record)
        run = step.record(run, "change.settled", {"number": number, "status": status.value}, also=[item])
        sentences.append(sentence)
    decision = step.runbook.decide(given, gather(step, run, aws, given), step.now)
    following = [
        f"{change.operation} {'(adopted) ' if change.adopts else ''}{change.was} -> {change.becomes}"
        for change in decision.changes
    ]
    now = f"{decision.verdict.value}: {decision.reason}"
    return {"settled": sentences, "now": now, "next": following, "reads": reads(aws)}


_STEPS = {"diagnose": diagnose, "look": look, "verify": verify, "inspect": inspect}


def read(step: Step) -> dict[str, Any]:
    """The reading step that the event asks for."""
    return _STEPS[step.event.step](step)


handler = step_handler(read)
