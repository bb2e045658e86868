"""Applying one change, and undoing it: intent before, outcome after, and looking when the outcome is unknown."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jmespath
from pydantic import JsonValue

from runbooks import clock
from runbooks.aws.adapters import adapter_of
from runbooks.aws.failures import translated
from runbooks.aws.session import AwsSession
from runbooks.errors import (
    AccessDenied,
    AwsRejected,
    AwsThrottled,
    ChangeUnsettled,
    CheckFailed,
    PlanStale,
    RunbookError,
    StepFailed,
    TargetBusy,
)
from runbooks.frame.step import LEASE, Step
from runbooks.model import (
    Change,
    Contained,
    Irreversible,
    NothingToUndo,
    Plan,
    Proof,
    ResultRef,
    SecretRef,
    Undo,
    reference,
)
from runbooks.store.runs import ChangeRecord, ChangeStatus, Run
from runbooks.store.tables import ConditionFailed

Records = dict[int, ChangeRecord]

_NO_EFFECT = (AwsThrottled, AccessDenied, AwsRejected, CheckFailed, PlanStale, TargetBusy)
"""After these the call has surely changed nothing."""


def resolve(value: JsonValue, records: Records, aws: AwsSession | None) -> Any:
    """A parameter with its references replaced: results from the step ledger, secrets from Secrets Manager.

    Without a session secrets stay references, for showing. Raises StepFailed for a result that is not there.
    """
    match reference(value):
        case SecretRef() as secret:
            return value if aws is None else _reveal(secret, aws)
        case ResultRef() as result:
            record = records.get(result.change)
            if record is None or result.path not in record.response:
                raise StepFailed(f"change {result.change} has no result {result.path!r}")
            return record.response[result.path]
        case None:
            pass
    if isinstance(value, dict):
        return {key: resolve(item, records, aws) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, records, aws) for item in value]
    return value


def _reveal(secret: SecretRef, aws: AwsSession) -> str:
    with translated("secretsmanager:GetSecretValue"):
        whole = aws.reveal(secret.secret, secret.version_id)
    if secret.key is None:
        return whole
    try:
        value = str(json.loads(whole)[secret.key])
    except (ValueError, KeyError, TypeError):
        raise StepFailed(f"the secret {secret.secret} is no JSON object with the key {secret.key!r}") from None
    aws.hide(value)
    return value


def results_wanted(plan: Plan, number: int) -> set[str]:
    """The paths into the response of a change that later changes, or any undo or proof, refer to."""
    wanted: set[str] = set()

    def walk(value: Any) -> None:
        match reference(value):
            case ResultRef(change=change, path=path) if change == number:
                wanted.add(path)
            case _ if isinstance(value, dict):
                for item in value.values():
                    walk(item)
            case _ if isinstance(value, list):
                for item in value:
                    walk(item)

    for change in plan.changes:
        walk(change.parameters)
        walk(change.proof.parameters if change.proof else {})
        for call in change.undo.calls if isinstance(change.undo, Undo) else ():
            walk(call.parameters)
            for proof in (call.proof, call.only_if, call.when):
                walk(proof.parameters if proof else {})
    return wanted


def proves(aws: AwsSession, proof: Proof, records: Records, change: Change) -> bool:
    """Whether the world shows what the proof says, where the change is made. What does not exist counts as null."""
    try:
        with translated(proof.operation):
            parameters = resolve(proof.parameters, records, None)
            response = aws.read(proof.operation, parameters, change.region, change.account)
    except AwsRejected:
        response = {}
    return bool(jmespath.search(proof.path, response) == proof.equals)


def happened(aws: AwsSession, change: Change, records: Records) -> bool | None:
    """Whether an unknown change has happened, by looking; None if that cannot be told, and a repeat is harmless."""
    return proves(aws, change.proof, records, change) if change.proof else None


def apply_change(step: Step, run: Run, aws: AwsSession, plan: Plan, number: int) -> Run:
    """Apply the change of that number, or find that it has been applied.

    Raises:
        ChangeUnsettled: an earlier attempt may still be running.
        LeaseLost: the lock has gone to another run.
        AccessDenied, AwsRejected, AwsThrottled, CheckFailed, TargetBusy: the call had no effect.
        AwsUnavailable: whether it had one is unknown; the next delivery looks.
        PlanStale: what the change adopts is not there any more, or not ours.
    """
    change, records = plan.changes[number - 1], step.ledger.changes(run.run_id)
    record = records.get(number)
    if record is not None:
        match record.status:
            case ChangeStatus.DONE:
                return run
            case ChangeStatus.INTENDED | ChangeStatus.UNKNOWN:
                _wait_out(record)
                if happened(aws, change, records):
                    return _settle(step, run, record, ChangeStatus.DONE, "change.recognised", "settled by looking")
            case ChangeStatus.NO_EFFECT:
                pass
            case _:
                raise StepFailed(f"change {number} is being undone; it is not applied again")
    if change.adopts:
        return _adopt(step, run, aws, change, number, records)
    intent = ChangeRecord(
        number=number,
        status=ChangeStatus.INTENDED,
        attempt=record.attempt + 1 if record else 1,
        deadline=clock.iso(step.over_at),
    )
    parameters = resolve(change.parameters, records, aws)
    described = {
        "number": number,
        "phase": change.phase,
        "operation": change.operation,
        "parameters": aws.redact(resolve(change.parameters, records, None)),
        "was": change.was,
        "becomes": change.becomes,
        "attempt": intent.attempt,
    }
    run = _intend(step, run, "change.intended", described, intent, replaces=record)
    in_doubt = record is not None and record.status in {ChangeStatus.INTENDED, ChangeStatus.UNKNOWN}
    response, run = _call(step, run, aws, change, change.operation, parameters, intent, described, in_doubt=in_doubt)
    values = {path: _plain(jmespath.search(path, response)) for path in results_wanted(plan, number)}
    done = intent.model_copy(update={"status": ChangeStatus.DONE, "response": aws.redact(values)})
    answer = {"answer": aws.redact(_plain(response))} if adapter_of(change.operation) else {}
    return step.record(
        run,
        "change.done",
        described | answer | {"calls": _calls(aws)},
        also=[step.ledger.change_item(run.run_id, done, replaces=intent)],
    )


def _adopt(step: Step, run: Run, aws: AwsSession, change: Change, number: int, records: Records) -> Run:
    """Take on what an earlier run has made: from here on it is ours, to go on with and to undo."""
    if not happened(aws, change, records):
        raise PlanStale(f"{change.operation}: what an earlier run had made is not there any more, or is not ours")
    note = "made by an earlier run, and adopted by its tag"
    adopted = ChangeRecord(
        number=number, status=ChangeStatus.DONE, attempt=1, deadline=clock.iso(step.over_at), note=note
    )
    line = step.ledger.change_item(run.run_id, adopted, replaces=records.get(number))
    detail = {"number": number, "phase": change.phase, "operation": change.operation, "note": note}
    try:
        return step.record(run, "change.adopted", detail, also=[line])
    except ConditionFailed as failure:
        raise ChangeUnsettled(f"another delivery of this step has taken on change {number}") from failure


def undo_change(step: Step, run: Run, aws: AwsSession, plan: Plan, record: ChangeRecord) -> Run:
    """Go one call further in taking one change back, if the world still shows it.

    What cannot be taken back is marked as left. A call whose effect is not there yet leaves the change `undoing`, and
    the next pass looks again. Raises like `apply_change`.
    """
    change, records = plan.changes[record.number - 1], step.ledger.changes(run.run_id)
    if record.status not in {ChangeStatus.DONE, ChangeStatus.SETTLING}:
        _wait_out(record)
    if record.status in {ChangeStatus.INTENDED, ChangeStatus.UNKNOWN} and happened(aws, change, records) is False:
        return _settle(step, run, record, ChangeStatus.NO_EFFECT, "change.settled", "it had not happened")
    match change.undo:
        case Irreversible() if change.proof is not None and not proves(aws, change.proof, records, change):
            return _settle(step, run, record, ChangeStatus.UNDONE, "undo.recognised", "the target has gone back itself")
        case Irreversible(irreversible=why):
            return _settle(step, run, record, ChangeStatus.LEFT, "undo.impossible", why)
        case Contained(goes_with=container):
            note = f"it is inside what change {container} made, and goes with it"
            return _settle(step, run, record, ChangeStatus.UNDONE, "undo.contained", note)
        case NothingToUndo(nothing_to_undo=why):
            return _settle(step, run, record, ChangeStatus.UNDONE, "undo.needless", why)
        case Undo():
            return _undo_call(step, run, aws, change, record, records)


def _undo_call(step: Step, run: Run, aws: AwsSession, change: Change, record: ChangeRecord, records: Records) -> Run:
    calls = change.undo.calls if isinstance(change.undo, Undo) else ()
    undo = calls[record.undone_calls]
    if proves(aws, undo.proof, records, change):
        event = "undo.settled" if record.status is ChangeStatus.SETTLING else "undo.recognised"
        return _undone(step, run, record, len(calls), event, "the target shows it")
    if record.status is ChangeStatus.SETTLING:
        if clock.utc_now() < clock.parse(record.settles_by or record.deadline):
            return run
        note = f"{undo.operation} was accepted, and had no effect by {record.settles_by}"
        return _settle(step, run, record, ChangeStatus.LEFT, "undo.impossible", note)
    if undo.only_if is not None and not proves(aws, undo.only_if, records, change):
        return _undone(step, run, record, len(calls), "undo.omitted", f"{undo.operation} is not needed")
    if undo.when is not None and not proves(aws, undo.when, records, change):
        return _await(step, run, record, undo)
    if change.proof is not None and not proves(aws, change.proof, records, change):
        note = "the target shows neither our value nor the one before; somebody else has changed it"
        return _settle(step, run, record, ChangeStatus.LEFT, "undo.impossible", note)
    settles_by = record.settles_by or clock.iso(clock.utc_now() + time_to_undo(step, change, record))
    intent = record.model_copy(
        update={
            "status": ChangeStatus.UNDOING,
            "attempt": record.attempt + 1,
            "deadline": clock.iso(step.over_at),
            "settles_by": settles_by,
        }
    )
    described = {
        "number": record.number,
        "operation": undo.operation,
        "parameters": aws.redact(resolve(undo.parameters, records, None)),
        "was": change.becomes,
        "becomes": change.was,
        "attempt": intent.attempt,
    }
    run = _intend(step, run, "undo.intended", described, intent, replaces=record)
    try:
        parameters = resolve(undo.parameters, records, aws)
        _, run = _call(step, run, aws, change, undo.operation, parameters, intent, described)
    except TargetBusy as failure:
        current, run = step.ledger.changes(run.run_id)[record.number], step.open_run()
        if clock.utc_now() < clock.parse(settles_by):
            return run
        return _settle(step, run, current, ChangeStatus.LEFT, "undo.impossible", str(failure))
    except (AccessDenied, AwsRejected, CheckFailed, PlanStale) as failure:
        current = step.ledger.changes(run.run_id)[record.number]
        return _settle(step, step.open_run(), current, ChangeStatus.LEFT, "undo.impossible", str(failure))
    settling = intent.model_copy(update={"status": ChangeStatus.SETTLING})
    run = step.record(
        run,
        "undo.done",
        described | {"calls": _calls(aws)},
        also=[step.ledger.change_item(run.run_id, settling, replaces=intent)],
    )
    if proves(aws, undo.proof, records, change):
        return _undone(step, run, settling, len(calls), "undo.settled", "the target shows it")
    return run


def time_to_undo(step: Step, change: Change, record: ChangeRecord) -> timedelta:
    """How long the call of the inverse that comes next may take to have its effect."""
    calls = change.undo.calls if isinstance(change.undo, Undo) else ()
    own = calls[record.undone_calls].within if record.undone_calls < len(calls) else None
    return own or step.runbook.phase(change.phase).within


def _await(step: Step, run: Run, record: ChangeRecord, undo: Undo) -> Run:
    """The target is not ready for the inverse: the next pass looks again, until it has had time enough."""
    if record.settles_by is None:
        # What is under way may take as long as the inverse after it.
        within = time_to_undo(step, step.plan().changes[record.number - 1], record)
        waiting = record.model_copy(update={"settles_by": clock.iso(clock.utc_now() + 2 * within)})
        note = f"{undo.operation} waits until the target is ready for it"
        return _settle(step, run, record, record.status, "undo.awaits", note, waiting)
    if clock.utc_now() < clock.parse(record.settles_by):
        return run
    note = f"the target was not ready for {undo.operation} by {record.settles_by}"
    return _settle(step, run, record, ChangeStatus.LEFT, "undo.impossible", note)


def _undone(step: Step, run: Run, record: ChangeRecord, calls: int, event: str, note: str) -> Run:
    """One call of the inverse is over: the next one follows, or the change is undone."""
    made = record.undone_calls + 1
    status = ChangeStatus.UNDONE if made == calls else ChangeStatus.DONE
    further = record.model_copy(update={"undone_calls": made, "settles_by": None})
    return _settle(step, run, record, status, event, note, further)


def _wait_out(record: ChangeRecord) -> None:
    # Reads can be older than a call that is still on its way, so looking before the deadline proves nothing.
    if clock.utc_now() < clock.parse(record.deadline):
        raise ChangeUnsettled(
            f"attempt {record.attempt} at change {record.number} may be running until {record.deadline}"
        )


def _intend(
    step: Step, run: Run, event: str, detail: dict[str, Any], intent: ChangeRecord, *, replaces: ChangeRecord | None
) -> Run:
    """Make the intent durable, on the condition that the run is open and every lock is still ours."""
    renewals = step.ledger.renewals(run, step.over_at + LEASE)
    line = step.ledger.change_item(run.run_id, intent, replaces=replaces)
    try:
        return step.record(run, event, detail, also=[*renewals, line])
    except ConditionFailed as failure:
        step.ledger.still_ours(failure, len(renewals))
        raise ChangeUnsettled(f"another delivery of this step has taken on change {intent.number}") from failure


def _call(
    step: Step,
    run: Run,
    aws: AwsSession,
    change: Change,
    operation: str,
    parameters: dict[str, Any],
    intent: ChangeRecord,
    described: dict[str, Any],
    *,
    in_doubt: bool = False,
) -> tuple[dict[str, Any], Run]:
    """`in_doubt`: an earlier attempt may have had its effect, so that a rejection of this one says nothing of that."""
    aws.take_calls()
    try:
        with aws.open_change(operation, parameters), translated(operation):
            return aws.change(operation, parameters, change.region, change.account), run
    except Exception as failure:
        certain = isinstance(failure, _NO_EFFECT)
        undoing = intent.status is ChangeStatus.UNDOING
        if certain and not in_doubt:
            status = ChangeStatus.DONE if undoing else ChangeStatus.NO_EFFECT
        else:
            status = ChangeStatus.UNDOING if undoing else ChangeStatus.UNKNOWN
        line = intent.model_copy(update={"status": status})
        cause = aws.redact(f"{type(failure).__name__}: {failure}")
        step.record(
            run,
            f"{'undo' if undoing else 'change'}.{'rejected' if certain else 'unknown'}",
            described | {"cause": cause, "calls": _calls(aws)},
            also=[step.ledger.change_item(run.run_id, line, replaces=intent)],
        )
        if isinstance(failure, RunbookError):
            # The error goes on into the execution's history, and a service may quote what it was given.
            raise type(failure)(aws.redact(str(failure))) from None
        raise


def _settle(
    step: Step,
    run: Run,
    record: ChangeRecord,
    status: ChangeStatus,
    event: str,
    note: str,
    becomes: ChangeRecord | None = None,
) -> Run:
    settled = (becomes or record).model_copy(update={"status": status, "note": note})
    return step.record(
        run,
        event,
        {"number": record.number, "status": status.value, "note": note},
        also=[step.ledger.change_item(run.run_id, settled, replaces=record)],
    )


def _calls(aws: AwsSession) -> list[JsonValue]:
    return [call.model_dump(mode="json", exclude_none=True) for call in aws.take_calls()]


def _plain(value: Any) -> JsonValue:
    plain: JsonValue = json.loads(json.dumps(value, default=str))
    return plain
