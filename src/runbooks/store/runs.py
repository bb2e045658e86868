"""Runs and their step ledger: what a run knows, and one transaction for each thing that happens to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, JsonValue

from runbooks import clock
from runbooks.errors import LeaseLost, LedgerUnavailable, Refused, RunClosed, TargetLocked
from runbooks.model import Decision, Mode, Model, Plan, Verdict, canonical
from runbooks.policy import budget_spent, person
from runbooks.store import audit
from runbooks.store.audit import Entry
from runbooks.store.tables import ConditionFailed, Conflict, Item, Tables, put, update

_ATTEMPTS = 8
"""How often a transaction is tried again when somebody else wrote to the same run at the same moment."""

FRAME = "frame"
"""The actor of entries that no person caused."""


UNSEALED = "unsealed"
"""What a closed run has in the index of open runs until it is sealed."""


def run_id_of(runbook: str, execution: str, started: datetime) -> str:
    """The id of the run that an execution is: a name is unique per machine only, and for 90 days."""
    mark = hashlib.sha256(f"{execution}|{clock.iso(started)}".encode()).hexdigest()[:8]
    return f"{runbook}-{started:%Y%m%dT%H%M%SZ}-{mark}"


class Run(Model):
    """What is known of a run. Times are ISO 8601 UTC."""

    run_id: str
    runbook: str
    execution_arn: str
    started_at: str
    status: Literal["open", "closed"] = "open"
    mode: Mode | None = None
    reason: str = ""
    ticket: str | None = None
    requested_by: str = ""
    identity: Literal["verified", "unverified"] = Field(
        "unverified", description="verified: AWS vouches for the requester, since this stack started the run"
    )
    given: dict[str, JsonValue] | None = None
    targets: tuple[str, ...] = ()
    approval_required: bool = False
    vouching_required: bool = Field(
        False, description="whether a plan may only be approved if AWS vouches for the requester"
    )
    verdict: Verdict | None = None
    decision_reason: str = ""
    plan_hash: str | None = None
    approval_needed: bool = False
    approved_by: tuple[str, ...] = Field((), description="who has said yes to the plan, now or in advance")
    tokens: dict[str, int] = Field(default_factory=dict, description="fencing tokens by target, once locked")
    deadlines: dict[str, str] = Field(default_factory=dict, description="by phase, once applied")
    progress: str = ""
    verified: bool = False
    error_name: str | None = None
    error_cause: str | None = None
    outcome: str | None = None
    ended_at: str | None = None
    notified: bool = False
    attributed_to: str | None = Field(None, description="who started it, by CloudTrail")
    sealed_at: str | None = None
    audit_seq: int = 0
    audit_head: str = audit.GENESIS

    @property
    def key(self) -> dict[str, str]:
        return {"pk": f"RUN#{self.run_id}", "sk": "RUN"}

    @property
    def why(self) -> str:
        """The reason, and the ticket if there is one."""
        return f"{self.reason} (ticket {self.ticket})" if self.ticket else self.reason


_JSON_FIELDS = ("given", "tokens", "deadlines")


class Diagnosis(Model):
    """What the diagnosis read and decided. `fingerprints` are hashes of what each phase rests on."""

    facts: dict[str, JsonValue]
    decision: Decision
    plan: Plan | None
    fingerprints: dict[str, str]


class Approval(Model):
    """The request for a person's decision, and the decision. The task token never leaves the State table."""

    status: Literal["pending", "approved", "denied", "expired", "revoked"]
    plan_hash: str
    requested_at: str
    expires_at: str
    token: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    comment: str = ""


class ChangeStatus(StrEnum):
    """Where a change of the plan stands. `intended` and `unknown` may or may not have happened.

    `settling`: the inverse was accepted, and its effect is not there yet.
    """

    INTENDED = "intended"
    DONE = "done"
    UNKNOWN = "unknown"
    NO_EFFECT = "no-effect"
    UNDOING = "undoing"
    SETTLING = "settling"
    UNDONE = "undone"
    LEFT = "left"


class ChangeRecord(Model):
    """The step ledger's line for one change. `deadline` is when its last attempt is surely over."""

    number: int
    status: ChangeStatus
    attempt: int
    deadline: str
    response: dict[str, JsonValue] = Field(default_factory=dict)
    note: str = ""
    undone_calls: int = Field(0, description="how many calls of the inverse are over")
    settles_by: str | None = Field(None, description="when the inverse's present call must have had its effect")

    @property
    def may_have_happened(self) -> bool:
        return self.status not in {ChangeStatus.NO_EFFECT, ChangeStatus.UNDONE}


class Ledger:
    """Reads and writes runs. Whatever happens to a run is written together with its audit entry, or not at all."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._state = tables.state
        self._audit = tables.audit

    def find(self, run_id: str) -> Run | None:
        """The run, or None if there is none of that id."""
        item = self._tables.get(self._state, {"pk": f"RUN#{run_id}", "sk": "RUN"})
        return run_of(item) if item else None

    def open_run(self, run_id: str) -> Run:
        """The run, which must be open. Raises RunClosed if it has ended, LedgerUnavailable if it is not there."""
        run = self.find(run_id)
        if run is None:
            raise LedgerUnavailable(f"the run {run_id} is not in the State table")
        if run.status == "closed":
            raise RunClosed(f"{run_id} ended {run.ended_at} as {run.outcome}; start it again instead of redriving it")
        return run

    def begin(self, run: Run, *, state: str, detail: dict[str, Any], now: datetime) -> Run:
        """Write a new run with its first audit entry; the run as stored if it was there already."""
        entry = audit.next_entry(
            run_id=run.run_id,
            seq=1,
            prev=audit.GENESIS,
            now=now,
            event="run.started",
            state=state,
            actor=run.requested_by or "unknown",
            detail=detail,
        )
        begun = run.model_copy(update={"audit_seq": 1, "audit_head": entry.hash})
        item = _item(begun) | {"open": "open", "gsi_runbook": run.runbook}
        if run.targets:
            item["gsi_target"] = run.targets[0]
        try:
            self._tables.write(
                [
                    put(self._state, item, "attribute_not_exists(#pk)"),
                    put(self._audit, audit.as_item(entry), "attribute_not_exists(#run_id)"),
                ]
            )
        except (ConditionFailed, Conflict):
            existing = self.find(run.run_id)
            if existing is None:
                raise LedgerUnavailable(f"{run.run_id} could neither be written nor read") from None
            return existing
        return begun

    def record(
        self,
        run: Run,
        event: str,
        detail: dict[str, Any],
        *,
        state: str,
        now: datetime,
        actor: str = FRAME,
        updates: Mapping[str, Any] | None = None,
        also: Sequence[dict[str, Any]] = (),
        removes: Sequence[str] = (),
        index: Mapping[str, str] | None = None,
        unless_moved: bool = False,
    ) -> Run:
        """Append an audit entry and change the run, and whatever `also` says, in one transaction.

        Raises:
            Conflict: with `unless_moved`, something has happened to the run since it was read.
            RunClosed: the run has ended meanwhile.
            ConditionFailed: a condition of `also` did not hold; positions count from 0 in `also`.
            LedgerUnavailable: it could not be written; nothing was.
        """
        for _ in range(_ATTEMPTS):
            entry, changed = _appended(run, event, detail, state=state, now=now, actor=actor, updates=updates)
            try:
                self._tables.write(
                    [
                        # The run is open, and nobody has appended since we read it: the chain has no forks.
                        self._advance(run, changed, "#status = :open", {"open": "open"}, removes),
                        put(self._audit, audit.as_item(entry) | dict(index or {}), "attribute_not_exists(#run_id)"),
                        *also,
                    ]
                )
            except Conflict:
                if unless_moved:
                    raise
                run = self.open_run(run.run_id)
            except ConditionFailed as failed:
                beyond = [position - 2 for position in failed.failed if position > 1]
                if beyond:
                    raise ConditionFailed(beyond) from failed
                if unless_moved:
                    raise Conflict from failed
                run = self.open_run(run.run_id)
            else:
                return changed
        raise LedgerUnavailable(f"{run.run_id}: {event} could not be appended, others kept writing to the run")

    def attribute(self, run: Run, to: str, detail: dict[str, Any], *, state: str, now: datetime) -> Run:
        """Record who CloudTrail says has started a run, open or closed. What is attributed or sealed stays as it is.

        Raises LedgerUnavailable: it could not be written; nothing was.
        """
        event = "run.attributed"
        for _ in range(_ATTEMPTS):
            if run.attributed_to is not None or run.sealed_at is not None:
                return run
            updates = {"attributed_to": to}
            entry, changed = _appended(run, event, detail, state=state, now=now, actor="cloudtrail", updates=updates)
            # The closing entry is in the index under the name that was claimed; by this one the run is found by whose
            # it is. It follows the closing entry, which has all else.
            differs = run.status == "closed" and person(to) != _indexed_as(run)
            index = {"actor_index": person(to)} if differs else {}
            try:
                self._tables.write(
                    [
                        self._advance(run, changed, "attribute_not_exists(#sealed_at)"),
                        put(self._audit, audit.as_item(entry) | index, "attribute_not_exists(#run_id)"),
                    ]
                )
            except (Conflict, ConditionFailed):
                run = self.find(run.run_id) or run
            else:
                return changed
        raise LedgerUnavailable(f"{run.run_id}: {event} could not be appended, others kept writing to the run")

    def _advance(
        self,
        run: Run,
        changed: Run,
        condition: str,
        values: Mapping[str, Any] | None = None,
        removes: Sequence[str] = (),
    ) -> dict[str, Any]:
        before, after = _item(run), _item(changed)
        return update(
            self._state,
            run.key,
            changes={name: value for name, value in after.items() if before.get(name) != value},
            removes=removes,
            condition=f"{condition} AND #audit_seq = :read",
            values={**(values or {}), "read": run.audit_seq},
        )

    def claim_notice(self, run: Run, *, now: datetime, until: datetime) -> bool:
        """Whether the caller is the one to publish the end of a closed run; nobody else is until the claim lapses."""
        claim = update(
            self._state,
            run.key,
            changes={"telling_until": clock.iso(until)},
            condition="#status = :closed AND #notified = :no"
            " AND (attribute_not_exists(#telling_until) OR #telling_until < :now)",
            values={"closed": "closed", "no": False, "now": clock.iso(now)},
        )
        try:
            self._tables.write([claim])
        except (ConditionFailed, Conflict):
            return False
        return True

    def mark_notified(self, run: Run) -> Run:
        """Note that the end of a closed run has been published; what is left to do is to seal it."""
        changed = run.model_copy(update={"notified": True})
        self._tables.write(
            [
                update(
                    self._state,
                    run.key,
                    changes={"notified": True, "open": UNSEALED},
                    condition="#status = :closed",
                    values={"closed": "closed"},
                )
            ]
        )
        return changed

    def unfinished(self) -> list[Run]:
        """Runs that are open, or closed and not yet notified, oldest first."""
        return self._indexed("open-runs", "open", "open", newest_first=False)

    def unsealed(self) -> list[Run]:
        """Runs that are closed, notified and not yet sealed, oldest first."""
        return self._indexed("open-runs", "open", UNSEALED, newest_first=False)

    def runs_of(self, runbook: str) -> list[Run]:
        """All runs of a runbook, newest first."""
        return self._indexed("by-runbook", "gsi_runbook", runbook)

    def runs_on(self, target: str) -> list[Run]:
        """All runs whose first target is this ARN, newest first."""
        return self._indexed("by-target", "gsi_target", target)

    def _indexed(self, index: str, attribute: str, value: str, *, newest_first: bool = True) -> list[Run]:
        items = self._tables.query(
            self._state,
            index=index,
            KeyConditionExpression="#key = :key",
            ExpressionAttributeNames={"#key": attribute},
            values={":key": value},
            ScanIndexForward=not newest_first,
        )
        return [run_of(item) for item in items]

    def trail(self, run_id: str) -> list[Entry]:
        """The run's audit entries, oldest first."""
        items = self._tables.query(
            self._audit, consistent=True, KeyConditionExpression="run_id = :run", values={":run": run_id}
        )
        return [audit.from_item(item) for item in items]

    # Diagnosis

    def diagnosis(self, run_id: str) -> Diagnosis | None:
        """What the diagnosis stored, or None before it did."""
        item = self._tables.get(self._state, {"pk": f"RUN#{run_id}", "sk": "DIAGNOSIS"})
        return Diagnosis.model_validate_json(item["body"]) if item else None

    def diagnosis_item(self, run_id: str, diagnosis: Diagnosis) -> dict[str, Any]:
        """A write of the diagnosis, for `record(also=...)`. It is written once."""
        body = canonical(diagnosis.model_dump(mode="json")).decode()
        return put(self._state, {"pk": f"RUN#{run_id}", "sk": "DIAGNOSIS", "body": body}, "attribute_not_exists(#pk)")

    # Approval

    def approval(self, run_id: str) -> Approval | None:
        """The approval request, or None if nobody was asked."""
        item = self._tables.get(self._state, {"pk": f"RUN#{run_id}", "sk": "APPROVAL"})
        return Approval.model_validate(_own(item)) if item else None

    def approval_item(self, run_id: str, approval: Approval, *, replaces: str | None) -> dict[str, Any]:
        """A write of the approval. `replaces` is the status it must have now; None: it must not exist.

        The token stays as it is: a request that is made again may have exchanged it meanwhile.
        """
        key, told = {"pk": f"RUN#{run_id}", "sk": "APPROVAL"}, approval.model_dump(mode="json", exclude_none=True)
        if replaces is None:
            return put(self._state, key | told, "attribute_not_exists(#pk)")
        told.pop("token", None)
        return update(self._state, key, changes=told, condition="#status = :status", values={"status": replaces})

    def replace_token(self, run_id: str, token: str) -> None:
        """Keep the task token of a repeated request, if the request is still pending."""
        key = {"pk": f"RUN#{run_id}", "sk": "APPROVAL"}
        pending = {"pending": "pending"}
        self._tables.write(
            [update(self._state, key, changes={"token": token}, condition="#status = :pending", values=pending)]
        )

    # Step ledger

    def changes(self, run_id: str) -> dict[int, ChangeRecord]:
        """The step ledger, by number of the change."""
        items = self._tables.query(
            self._state,
            consistent=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :change)",
            values={":pk": f"RUN#{run_id}", ":change": "CHANGE#"},
        )
        records = [ChangeRecord.model_validate_json(item["body"]) for item in items]
        return {record.number: record for record in records}

    def change_item(self, run_id: str, record: ChangeRecord, *, replaces: ChangeRecord | None) -> dict[str, Any]:
        """A write of a line of the step ledger over the line that was read, or over none."""
        item = {
            "pk": f"RUN#{run_id}",
            "sk": f"CHANGE#{record.number:03d}",
            "status": record.status.value,
            "attempt": record.attempt,
            "body": canonical(record.model_dump(mode="json")).decode(),
        }
        if replaces is None:
            return put(self._state, item, "attribute_not_exists(#pk)")
        # Nobody else has taken this line on since we read it: of two deliveries of a step, one acts.
        return put(
            self._state,
            item,
            "#status = :status AND #attempt = :attempt",
            {"status": replaces.status.value, "attempt": replaces.attempt},
        )

    # Locks

    def lock(self, run: Run, *, lease: timedelta, budget: int, state: str, now: datetime) -> Run:
        """Take the lock on all targets of the run, or none of them. Taking it twice is taking it once.

        Raises:
            TargetLocked: another run holds one; the message names run and target.
            Refused: a target has been acted on too often today.
        """
        until = clock.iso(now + lease)
        day = f"{now:%Y-%m-%d}"
        for _ in range(_ATTEMPTS):
            if run.tokens:
                return run
            held = {target: self._lock_of(target) for target in sorted(run.targets)}
            for target, holding in held.items():
                if self.is_held(holding, now) and holding["holder"] != run.run_id:
                    raise TargetLocked(
                        f"{target} is locked by the run {holding['holder']}, until {holding['lease_until']} at the"
                        " latest; follow that run, or start again when it has ended"
                    )
            tokens = {target: int(holding.get("token", 0)) + 1 for target, holding in held.items()}
            try:
                return self.record(
                    run,
                    "target.locked",
                    {"targets": list(tokens), "tokens": list(tokens.values()), "lease_until": until},
                    state=state,
                    now=now,
                    updates={"tokens": tokens},
                    also=[
                        *(self._take(run, target, token, until, now) for target, token in tokens.items()),
                        *(self._spend(target, day, budget) for target in tokens),
                    ],
                )
            except ConditionFailed as failed:
                spent = [position - len(tokens) for position in failed.failed if position >= len(tokens)]
                if spent:
                    raise Refused(budget_spent(list(tokens)[spent[0]], budget)) from None
                run = self.open_run(run.run_id)
        raise LedgerUnavailable(f"{run.run_id}: the lock was contended too long")

    @staticmethod
    def is_held(holding: Item, now: datetime) -> bool:
        """Whether a lock item names a holder whose lease has not run out."""
        return "holder" in holding and holding["lease_until"] > clock.iso(now)

    def holder(self, target: str, now: datetime) -> str | None:
        """The run that holds the target's lock, or None."""
        holding = self._lock_of(target)
        return str(holding["holder"]) if self.is_held(holding, now) else None

    def renewals(self, run: Run, until: datetime) -> list[dict[str, Any]]:
        """Writes that keep the lock until then, each on the condition that it is still ours."""
        return [
            update(
                self._state,
                _lock_key(target),
                changes={"lease_until": clock.iso(until)},
                condition="#holder = :run AND #token = :token",
                values={"run": run.run_id, "token": token},
            )
            for target, token in run.tokens.items()
        ]

    def attempts_today(self, targets: Sequence[str], now: datetime) -> dict[str, int]:
        """How many runs have acted on each target since midnight UTC."""
        counts = {}
        for target in targets:
            item = self._tables.get(self._state, _budget_key(target, f"{now:%Y-%m-%d}"))
            counts[target] = int(item["attempts"]) if item else 0
        return counts

    def _lock_of(self, target: str) -> Item:
        return self._tables.get(self._state, _lock_key(target)) or {}

    def _take(self, run: Run, target: str, token: int, until: str, now: datetime) -> dict[str, Any]:
        # The lock is as we read it: never taken, or released or run out under the token before ours.
        condition = "attribute_not_exists(#pk)" if token == 1 else "#token = :read"
        values: dict[str, Any] = {} if token == 1 else {"read": token - 1}
        taken = {"holder": run.run_id, "token": token, "lease_until": until, "acquired_at": clock.iso(now)}
        return update(self._state, _lock_key(target), changes=taken, condition=condition, values=values)

    def _spend(self, target: str, day: str, budget: int) -> dict[str, Any]:
        condition = "attribute_not_exists(#attempts) OR #attempts < :budget"
        limit = {"budget": budget}
        return update(self._state, _budget_key(target, day), adds={"attempts": 1}, condition=condition, values=limit)

    def releases(self, run: Run, busy_until: datetime | None = None) -> list[dict[str, Any]]:
        """Writes that free the run's locks, now or when a function that may still be acting is surely over."""
        releases = []
        for target, token in run.tokens.items():
            holding = self._lock_of(target)
            if holding.get("holder") != run.run_id or holding.get("token") != token:
                continue
            # A function may still be at the target: then the lock frees itself when it is surely over.
            changes = {"lease_until": clock.iso(busy_until)} if busy_until else None
            removes = () if busy_until else ("holder", "lease_until")
            key, ours = _lock_key(target), {"token": token}
            releases.append(
                update(self._state, key, changes=changes, removes=removes, condition="#token = :token", values=ours)
            )
        return releases

    # The end

    def close(
        self,
        run: Run,
        *,
        outcome: str,
        error_name: str | None,
        error_cause: str | None,
        detail: dict[str, Any],
        state: str,
        now: datetime,
        busy_until: datetime | None = None,
    ) -> Run:
        """Close the run and its trail and free its locks, in one transaction; a closed run is returned as it is.

        `busy_until`: a function may still be acting until then, so the lock frees itself only at that time.
        """
        day = f"{now:%Y-%m-%d}"
        index = {
            "day": day,
            "actor_index": _indexed_as(run),
            "runbook_outcome": f"{run.runbook}#{outcome}",
        }
        if run.targets:
            index["target"] = run.targets[0]
        told = {
            "outcome": outcome,
            "error": error_name,
            "cause": error_cause,
            # A search reads closing entries alone, and must not show a plan like a recovery, nor a claim like a fact,
            # and who approved is asked of it as well.
            "mode": run.mode,
            "identity": run.identity,
            "attributed_to": run.attributed_to,
            "approved_by": list(run.approved_by),
        }
        for _ in range(_ATTEMPTS):
            try:
                return self.record(
                    run,
                    "run.closed",
                    detail | told,
                    state=state,
                    now=now,
                    updates={
                        "status": "closed",
                        "outcome": outcome,
                        "error_name": error_name,
                        "error_cause": error_cause,
                        "ended_at": clock.iso(now),
                    },
                    also=self.releases(run, busy_until),
                    index=index,
                )
            except RunClosed:
                return self.find(run.run_id) or run
            except ConditionFailed:
                continue
        raise LedgerUnavailable(f"{run.run_id} could not be closed, its locks kept changing")

    def still_ours(self, failure: ConditionFailed, renewals: int) -> None:
        """Raise LeaseLost if one of the first `renewals` conditions was what failed."""
        if any(position < renewals for position in failure.failed):
            raise LeaseLost("the lock on the target has gone to another run; nothing more is changed") from failure


def _lock_key(target: str) -> dict[str, str]:
    return {"pk": f"LOCK#{target}", "sk": "LOCK"}


def _budget_key(target: str, day: str) -> dict[str, str]:
    return {"pk": f"BUDGET#{target}", "sk": day}


def _appended(
    run: Run,
    event: str,
    detail: dict[str, Any],
    *,
    state: str,
    now: datetime,
    actor: str,
    updates: Mapping[str, Any] | None,
) -> tuple[Entry, Run]:
    """The entry that comes next, and the run with it."""
    entry = audit.next_entry(
        run_id=run.run_id,
        seq=run.audit_seq + 1,
        prev=run.audit_head,
        now=now,
        event=event,
        state=state,
        actor=actor,
        detail=detail,
    )
    return entry, run.model_copy(update={"audit_seq": entry.seq, "audit_head": entry.hash, **(updates or {})})


def _indexed_as(run: Run) -> str:
    """The person under whom a run's closing entry is found."""
    return person(run.attributed_to or run.requested_by) or "unknown"


def _own(item: Item) -> Item:
    return {name: value for name, value in item.items() if name not in {"pk", "sk"}}


def _item(run: Run) -> Item:
    item = run.model_dump(mode="json", exclude_none=True)
    for name in _JSON_FIELDS:
        if name in item:
            item[name] = canonical(item[name]).decode()
    return {"pk": f"RUN#{run.run_id}", "sk": "RUN", **item}


def waiting_for_its_seal(run: Run) -> Item:
    """The item of a closed run that is in no list of runs: all that is left to do with it is to seal its trail."""
    return _item(run) | {"open": UNSEALED}


def run_of(item: Item) -> Run:
    """The run that an item of the State table, or of one of its indexes, holds."""
    values = {name: value for name, value in item.items() if name in Run.model_fields}
    for name in _JSON_FIELDS:
        if name in values:
            values[name] = json.loads(values[name])
    return Run.model_validate(values)
