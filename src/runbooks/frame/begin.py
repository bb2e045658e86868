"""`Begin run`: the input is checked, the policy asked, and the run written. Nothing of the target is read."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from runbooks import clock
from runbooks.aws.redaction import redact
from runbooks.errors import InputInvalid, Refused, RunClosed
from runbooks.frame.step import Step, given_of, step_handler
from runbooks.model import Runbook, RunInput, canonical
from runbooks.policy import explain, objection
from runbooks.store.runs import Run
from runbooks.store.starts import Starts


def parse_input(runbook: Runbook, document: Any) -> RunInput:
    """The start input as the runbook's model. Raises InputInvalid naming each field that is wrong."""
    try:
        canonical(document)
    except ValueError as unsafe:
        raise InputInvalid(f"the input holds what JSON cannot carry safely: {unsafe}") from None
    if not isinstance(document, dict):
        kind = {list: "an array", str: "a string", type(None): "null", bool: "a boolean"}.get(
            type(document), "a number"
        )
        raise InputInvalid(f"the input must be a JSON object, but it is {kind}; see `runbook show {runbook.name}`")
    try:
        given: RunInput = given_of(runbook, document)
    except ValidationError as invalid:
        raise InputInvalid(f"{explain(invalid)}; see `runbook show {runbook.name}`") from None
    return given


def _storable(document: Any) -> Any:
    """The input as the trail keeps it; as text if it has no canonical form to be hashed in."""
    try:
        canonical(document)
    except ValueError:
        return redact(json.dumps(document))
    return redact(document)


def begin(step: Step) -> dict[str, Any]:
    """Write the run, then say whether it may go on. Twice is once."""
    runbook, invalid = step.runbook, None
    try:
        given = parse_input(runbook, step.event.document)
    except InputInvalid as error:
        invalid = error
    run = Run(
        run_id=step.run_id,
        runbook=runbook.name,
        execution_arn=step.event.execution.id,
        started_at=clock.iso(step.started),
    )
    vouched = Starts(step.frame.tables).find(step.event.execution.name)
    if vouched and not vouched.vouches_for(runbook.name, step.event.document, step.started):
        vouched = None
    if invalid is None:
        settings = step.frame.settings
        targets = runbook.targets(given, settings.account, given.region or settings.region)
        run = run.model_copy(
            update={
                "mode": given.mode,
                "reason": redact(given.reason),
                "ticket": redact(given.ticket),
                "requested_by": given.requested_by,
                "identity": "verified" if vouched else "unverified",
                "given": redact(given.model_dump(mode="json", exclude_none=True)),
                "targets": tuple(sorted(targets)),
            }
        )
    detail = {
        "input": _storable(step.event.document),
        "execution": step.event.execution.id,
        "targets": list(run.targets),
        "identity": run.identity,
    }
    run = step.ledger.begin(run, state=step.event.state, detail=detail, now=step.now)
    if run.status == "closed":
        raise RunClosed(f"{run.run_id} ended {run.ended_at} as {run.outcome}; start it again instead of redriving it")
    if invalid is not None:
        raise invalid
    if itself := sorted(set(run.targets) & set(step.frame.settings.own_tables())):
        raise Refused(f"{itself[0]} is the ledger itself, and no runbook works on that")
    policy = step.frame.policy()
    against = objection(
        policy,
        runbook=runbook.name,
        mode=given.mode,
        targets=run.targets,
        attempts=step.ledger.attempts_today(run.targets, step.now),
        now=step.now,
    )
    if against is not None:
        raise against
    required = policy.approval_required(runbook.risk, step.frame.settings.stage)
    if run.audit_seq == 1:
        run = step.record(
            run,
            "policy.passed",
            {"approval_required": required, "stage": step.frame.settings.stage, "risk": runbook.risk.value},
            updates={
                "approval_required": required,
                "vouching_required": not policy.unverified_may_be_approved(step.frame.settings.stage),
            },
        )
    return step.document(run)


handler = step_handler(begin)
