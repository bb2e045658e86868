"""The reading steps of a runbook: `Diagnose`, `Look: ...`, `Verify`, and what the reaper asks. They never mutate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from runbooks import clock
from runbooks.aws.redaction import redact
from runbooks.errors import DeadlineExceeded, NotVerified, PhaseFailed, PlanUnsafe
from runbooks.frame.changes import proves
from runbooks.frame.reading import fingerprint, gather, reads
from runbooks.frame.step import LEASE, Step, given_of, step_handler
from runbooks.model import Decision, Plan, Runbook, RunInput, Verdict
from runbooks.store.runs import ChangeStatus, Diagnosis, Run
from runbooks.store.tables import ConditionFailed


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
    return step.document(run, verdict=verdict, approval_needed=run.approval_needed)


def _diagnose(step: Step, run: Run) -> Run:
    runbook = step.runbook
    given = given_of(runbook, run.given or {})
    aws = step.target(given)
    facts = gather(step, run, aws, given)
    decision = runbook.decide(given, facts, step.now)
    plan = plan_of(runbook, run, given, decision)
    irreversible = plan is not None and not all(change.reversible for change in plan.changes)
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
            "reads": reads(aws),
        },
        updates={
            "verdict": decision.verdict,
            "decision_reason": decision.reason,
            "plan_hash": plan.hash if plan else None,
            "approval_needed": plan is not None and (run.approval_required or irreversible),
        },
        also=[step.ledger.diagnosis_item(run.run_id, diagnosis)],
    )


def _resolved(step: Step) -> RunInput:
    diagnosis = step.diagnosis()
    plan = diagnosis.plan
    given: RunInput = given_of(step.runbook, plan.resolved if plan else step.open_run().given or {})
    return given


def _keeping_the_lock(step: Step, run: Run, wait: int, event: str, detail: dict[str, Any], **updates: Any) -> Run:
    renewals = step.ledger.renewals(run, clock.utc_now() + timedelta(seconds=wait) + LEASE)
    try:
        return step.record(run, event, detail, updates=updates, also=renewals)
    except ConditionFailed as failure:
        step.ledger.still_ours(failure, len(renewals))
        raise


def look(step: Step) -> dict[str, Any]:
    """Whether the phase has settled, and if not, when to look again; the lock is kept until then.

    Raises PhaseFailed when it cannot settle any more, DeadlineExceeded when it took too long.
    """
    run = step.open_run()
    phase = step.runbook.phase(step.event.phase)
    given = _resolved(step)
    aws = step.target(given)
    progress = phase.settled(given, gather(step, run, aws, given, only=phase.watch))
    detail = {"progress": progress.state, "reason": progress.reason, "reads": reads(aws)}
    wait = progress.look_again_in if progress.state == "pending" else 0
    run = _keeping_the_lock(step, run, wait, "phase.looked", detail, progress=progress.reason)
    match progress.state:
        case "settled":
            return step.document(run, settled=True, wait_seconds=0)
        case "failed":
            raise PhaseFailed(f"{phase.name}: {progress.reason}")
        case "pending":
            if step.now >= clock.parse(run.deadlines[phase.name]):
                minutes = round(phase.within.total_seconds() / 60)
                raise DeadlineExceeded(f"{phase.name} did not settle within {minutes} minutes: {progress.reason}")
            return step.document(run, settled=False, wait_seconds=wait)
        case _:
            assert_never(progress.state)


def verify(step: Step) -> dict[str, Any]:
    """The diagnosis again, on the resolved input: it must now say healthy. Raises NotVerified otherwise."""
    run = step.open_run()
    given = _resolved(step)
    aws = step.target(given)
    decision = step.runbook.decide(given, gather(step, run, aws, given), step.now)
    is_healthy = decision.verdict is Verdict.HEALTHY
    detail = {"verdict": decision.verdict.value, "reason": decision.reason, "reads": reads(aws)}
    run = _keeping_the_lock(step, run, 0, "verified" if is_healthy else "not.verified", detail, verified=is_healthy)
    if not is_healthy:
        raise NotVerified(f"after the changes the diagnosis says {decision.verdict.value}: {decision.reason}")
    return step.document(run, verified=True)


def inspect(step: Step) -> dict[str, Any]:
    """What exists now, for a run whose execution is gone: its open changes settled by looking, and the diagnosis.

    Returns `settled` (sentences) and `now` (one sentence).
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
        happened = proves(aws, change.proof, step.ledger.changes(run.run_id), change.region)
        status = ChangeStatus.DONE if happened else ChangeStatus.NO_EFFECT
        sentence = f"change {number} {change.operation} {'has happened' if happened else 'has not happened'}"
        settled = record.model_copy(update={"status": status, "note": "settled by looking"})
        item = step.ledger.change_item(run.run_id, settled, replaces=record)
        run = step.record(run, "change.settled", {"number": number, "status": status.value}, also=[item])
        sentences.append(sentence)
    decision = step.runbook.decide(given, gather(step, run, aws, given), step.now)
    return {"settled": sentences, "now": f"{decision.verdict.value}: {decision.reason}", "reads": reads(aws)}


_STEPS = {"diagnose": diagnose, "look": look, "verify": verify, "inspect": inspect}


def read(step: Step) -> dict[str, Any]:
    """The reading step that the event asks for."""
    return _STEPS[step.event.step](step)


handler = step_handler(read)
