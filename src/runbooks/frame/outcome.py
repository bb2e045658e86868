"""What a run that did not succeed has ended as: a pure decision on its error and its step ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runbooks import errors
from runbooks.model import Plan, Verdict
from runbooks.store.runs import ChangeRecord, ChangeStatus, Diagnosis, Run

_CAUSE_LENGTH = 2000
"""Characters of a cause that are kept; Step Functions allows 32,768 bytes."""


_TAKEN_BACK = {ChangeStatus.UNDOING, ChangeStatus.SETTLING, ChangeStatus.UNDONE, ChangeStatus.LEFT}


def reported_error(document: Any) -> tuple[str, str] | None:
    """The error that a Catch put into the document: its name and its message. None when there was none."""
    if not isinstance(document, dict):
        return None
    caught = document.get("error", document)
    if not isinstance(caught, dict) or "Error" not in caught:
        return None
    name, cause = str(caught["Error"]), str(caught.get("Cause", ""))
    try:
        told = json.loads(cause)
    except ValueError:
        told = cause
    message = str(told.get("errorMessage", cause)) if isinstance(told, dict) else str(told)
    if name not in errors.NAMES:
        return "StepFailed", f"{name}: {message}"[:_CAUSE_LENGTH]
    return name, message[:_CAUSE_LENGTH]


def ending(
    run: Run, diagnosis: Diagnosis | None, records: Mapping[int, ChangeRecord], error: tuple[str, str] | None
) -> tuple[str, str]:
    """The name and the sentence that the execution fails with."""
    name, cause = error or _by_verdict(run, diagnosis)
    sentence = f"{name}: {cause.rstrip('.')}"
    left = [record for record in records.values() if record.may_have_happened]
    if (stands := after_verification(run, diagnosis, records)) is not None:
        return name, f"{sentence}. {stands}"
    if left:
        named = "; ".join(describe(record, diagnosis.plan if diagnosis else None) for record in left)
        return "UndoFailed", f"{sentence}. Left at the target, for a human: {named}"
    if any(record.status is ChangeStatus.UNDONE for record in records.values()):
        return (
            "RemediationFailed",
            f"{sentence}. Every change was undone; the target is as it was before",
        )
    return name, cause


def after_verification(run: Run, diagnosis: Diagnosis | None, records: Mapping[int, ChangeRecord]) -> str | None:
    """For a run that was verified and of which nothing was taken back: what stands, is in doubt, and was not done."""
    if not run.verified or any(record.status in _TAKEN_BACK for record in records.values()):
        return None
    plan = diagnosis.plan if diagnosis else None
    doubtful = [
        describe(record, plan)
        for record in records.values()
        if record.may_have_happened and record.status is not ChangeStatus.DONE
    ]
    undone = [
        f"change {number} {change.operation} {change.was} -> {change.becomes}"
        for number, change in enumerate(plan.changes if plan else (), 1)
        if number not in records or records[number].status is ChangeStatus.NO_EFFECT
    ]
    told = "The target was verified healthy before that, and every change"
    told += " that was made stands" if doubtful or undone else " stands"
    if doubtful:
        told += f". In doubt, for a human: {'; '.join(doubtful)}"
    if undone:
        told += f". Not done: {'; '.join(undone)}"
    return told


def describe(record: ChangeRecord, plan: Plan | None) -> str:
    """One change in words, with where it stands."""
    if plan is None:
        return f"change {record.number} ({record.status.value})"
    change = plan.changes[record.number - 1]
    note = f", {record.note}" if record.note else ""
    return f"change {record.number} {change.operation} {change.was} -> {change.becomes} ({record.status.value}{note})"


def _by_verdict(run: Run, diagnosis: Diagnosis | None) -> tuple[str, str]:
    decision = diagnosis.decision if diagnosis else None
    if decision is not None and decision.verdict is Verdict.REFUSED:
        return "Refused", decision.reason
    if decision is not None and decision.verdict is Verdict.HAND_OFF:
        return "HandOff", f"{decision.reason} Next: {decision.command}"
    return "StepFailed", f"{run.run_id} came to its end without an error and without being verified"
