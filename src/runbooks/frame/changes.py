"""Applying one change, and undoing it: intent before, outcome after, and looking when the outcome is unknown."""

from __future__ import annotations

import json
from typing import Any

import jmespath
from pydantic import JsonValue

from runbooks import clock
from runbooks.aws.failures import translated
from runbooks.aws.session import AwsSession
from runbooks.errors import AccessDenied, AwsRejected, AwsThrottled, ChangeUnsettled, PlanStale, StepFailed
from runbooks.frame.step import LEASE, Step
from runbooks.model import Change, Irreversible, Plan, Proof, ResultRef, SecretRef, Undo, reference
from runbooks.store.runs import ChangeRecord, ChangeStatus, Run
from runbooks.store.tables import ConditionFailed

Records = dict[int, ChangeRecord]

_NO_EFFECT = (AwsThrottled, AccessDenied, AwsRejected, PlanStale)
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
        walk(change.proof.parameters)
        if isinstance(change.undo, Undo):
            walk(change.undo.parameters)
            walk(change.undo.proof.parameters)
    return wanted


def proves(aws: AwsSession, proof: Proof, records: Records, region: str | None) -> bool:
    """Whether the world shows what the proof says. What AWS says does not exist counts as null."""
    try:
        with translated(proof.operation):
            response = aws.read(proof.operation, resolve(proof.parameters, records, None), region)
    except AwsRejected:
        response = {}
    return bool(jmespath.search(proof.path, response) == proof.equals)


def apply_change(step: Step, run: Run, aws: AwsSession, plan: Plan, number: int) -> Run:
    """Apply the change of that number, or find that it has been applied.

    Raises:
        ChangeUnsettled: an earlier attempt may still be running.
        LeaseLost: the lock has gone to another run.
        AccessDenied, AwsRejected, AwsThrottled: the call had no effect.
        AwsUnavailable: whether it had one is unknown; the next delivery looks.
    """
    change, records = plan.changes[number - 1], step.ledger.changes(run.run_id)
    record = records.get(number)
    if record is not None:
        match record.status:
            case ChangeStatus.DONE:
                return run
            case ChangeStatus.INTENDED | ChangeStatus.UNKNOWN:
                _wait_out(record)
                if proves(aws, change.proof, records, change.region):
                    return _settle(step, run, record, ChangeStatus.DONE, "change.recognised", "settled by looking")
            case ChangeStatus.NO_EFFECT:
                pass
            case _:
                raise StepFailed(f"change {number} is being undone; it is not applied again")
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
    response, run = _call(step, run, aws, change, change.operation, parameters, intent, described)
    values = {path: _plain(jmespath.search(path, response)) for path in results_wanted(plan, number)}
    done = intent.model_copy(update={"status": ChangeStatus.DONE, "response": aws.redact(values)})
    return step.record(
        run,
        "change.done",
        described | {"call": _last_call(aws)},
        also=[step.ledger.change_item(run.run_id, done, replaces=intent)],
    )


def undo_change(step: Step, run: Run, aws: AwsSession, plan: Plan, record: ChangeRecord) -> Run:
    """Take one change back, if the world still shows it; what cannot be taken back is marked as left.

    Raises like `apply_change`.
    """
    change, records = plan.changes[record.number - 1], step.ledger.changes(run.run_id)
    if record.status is not ChangeStatus.DONE:
        _wait_out(record)
    if record.status in {ChangeStatus.INTENDED, ChangeStatus.UNKNOWN} and not proves(
        aws, change.proof, records, change.region
    ):
        return _settle(step, run, record, ChangeStatus.NO_EFFECT, "change.settled", "it had not happened")
    if isinstance(change.undo, Irreversible):
        return _settle(step, run, record, ChangeStatus.LEFT, "undo.impossible", change.undo.irreversible)
    undo = change.undo
    if proves(aws, undo.proof, records, change.region):
        return _settle(step, run, record, ChangeStatus.UNDONE, "undo.recognised", "it was undone already")
    if not proves(aws, change.proof, records, change.region):
        note = "the target shows neither our value nor the one before; somebody else has changed it"
        return _settle(step, run, record, ChangeStatus.LEFT, "undo.impossible", note)
    intent = record.model_copy(
        update={
            "status": ChangeStatus.UNDOING,
            "attempt": record.attempt + 1,
            "deadline": clock.iso(step.over_at),
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
    except (AccessDenied, AwsRejected, PlanStale) as failure:
        current = step.ledger.changes(run.run_id)[record.number]
        return _settle(step, step.open_run(), current, ChangeStatus.LEFT, "undo.impossible", str(failure))
    undone = intent.model_copy(update={"status": ChangeStatus.UNDONE})
    return step.record(
        run,
        "undo.done",
        described | {"call": _last_call(aws)},
        also=[step.ledger.change_item(run.run_id, undone, replaces=intent)],
    )


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
) -> tuple[dict[str, Any], Run]:
    aws.take_calls()
    try:
        with aws.open_change(operation, parameters), translated(operation):
            return aws.change(operation, parameters, change.region), run
    except Exception as failure:
        certain = isinstance(failure, _NO_EFFECT)
        undoing = intent.status is ChangeStatus.UNDOING
        if certain:
            status = ChangeStatus.DONE if undoing else ChangeStatus.NO_EFFECT
        else:
            status = ChangeStatus.UNDOING if undoing else ChangeStatus.UNKNOWN
        line = intent.model_copy(update={"status": status})
        cause = aws.redact(f"{type(failure).__name__}: {failure}")
        step.record(
            run,
            f"{'undo' if undoing else 'change'}.{'rejected' if certain else 'unknown'}",
            described | {"cause": cause, "call": _last_call(aws)},
            also=[step.ledger.change_item(run.run_id, line, replaces=intent)],
        )
        raise


def _settle(step: Step, run: Run, record: ChangeRecord, status: ChangeStatus, event: str, note: str) -> Run:
    settled = record.model_copy(update={"status": status, "note": note})
    return step.record(
        run,
        event,
        {"number": record.number, "status": status.value, "note": note},
        also=[step.ledger.change_item(run.run_id, settled, replaces=record)],
    )


def _last_call(aws: AwsSession) -> JsonValue:
    calls = aws.take_calls()
    return calls[-1].model_dump(mode="json", exclude_none=True) if calls else None


def _plain(value: Any) -> JsonValue:
    plain: JsonValue = json.loads(json.dumps(value, default=str))
    return plain
