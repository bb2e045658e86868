"""Standing approvals: a person's yes, in advance, to plans for one target that stay within bounds.

There is one for a runbook and a target. Whatever happens to it is on an audit trail of its own, which is found, sealed
and archived like a run's, and carries the hash of what happened to it before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, JsonValue

from runbooks import clock
from runbooks.model import Model, Plan, Text, canonical
from runbooks.policy import person
from runbooks.store import audit
from runbooks.store.audit import Entry
from runbooks.store.runs import Run, waiting_for_its_seal
from runbooks.store.tables import Tables, put

STATE = "Standing approval"
"""The state that audit entries of a standing approval carry."""


class Bounds(Model):
    """What a plan may be, to be applied without asking again."""

    operations: tuple[Text, ...] = Field(min_length=1, description="those that may be in it, e.g. rds:CopyDBSnapshot")
    most_changes: int = Field(ge=1, le=200)
    irreversible: bool = Field(False, description="whether a change may be in it that cannot be undone")
    inputs: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="what a run must have been started with, or what its plan must have made of what was left out; of "
        "an object only the fields that are named, e.g. {'replace': 'swap', 'snapshot': {'prefix': 'orders'}}",
    )

    def exceeded_by(self, plan: Plan, given: Mapping[str, Any]) -> str | None:
        """How the plan of a run that was started with `given` goes beyond the bounds, or None if it does not."""
        strange = sorted({change.operation for change in plan.changes} - set(self.operations))
        if strange:
            return f"the plan has {', '.join(strange)}"
        if len(plan.changes) > self.most_changes:
            return f"the plan has {len(plan.changes)} changes, and at most {self.most_changes} are allowed"
        if not self.irreversible and not all(change.reversible for change in plan.changes):
            return "the plan has a change that cannot be undone"
        for name, wanted in self.inputs.items():
            found = given[name] if name in given else plan.resolved.get(name)
            if not _covers(wanted, found):
                return f"the input {name} is {found!r} instead of {wanted!r}"
        return None


def _covers(wanted: JsonValue, found: Any) -> bool:
    """Whether a value is the wanted one; an object may have more fields than are wanted of it."""
    if isinstance(wanted, dict) and isinstance(found, Mapping):
        return all(name in found and _covers(value, found[name]) for name, value in wanted.items())
    return canonical(wanted) == canonical(found)


class StandingApproval(Model):
    """Who said yes to what, until when. Times are ISO 8601 UTC; `given_by` is the identity that AWS vouches for."""

    runbook: str
    target: str
    bounds: Bounds
    expires_at: str
    given_by: str
    given_at: str
    comment: str = ""
    revoked_by: str | None = None
    seq: int = Field(0, description="how often it was given or revoked")
    head: str = Field(audit.GENESIS, description="the hash of the entry that says so")

    @property
    def id(self) -> str:
        """The id of the audit trail of what has last happened to it."""
        return id_of(self.runbook, self.target, self.seq)

    def objection(self, plan: Plan, given: Mapping[str, Any], now: datetime) -> str | None:
        """Why the plan of a run that was started with `given` needs a person all the same, or None if it is covered."""
        if self.revoked_by is not None:
            return f"the standing approval was revoked by {self.revoked_by}"
        if clock.iso(now) >= self.expires_at:
            return f"the standing approval of {self.given_by} ended {self.expires_at}"
        if beyond := self.bounds.exceeded_by(plan, given):
            return f"the standing approval of {self.given_by} does not cover it: {beyond}"
        return None


def id_of(runbook: str, target: str, number: int) -> str:
    """The id of the trail of what happened, as the `number`th thing, to the approval for a runbook and a target."""
    return f"standing-{runbook}-{hashlib.sha256(target.encode()).hexdigest()[:32]}-{number}"


class StandingApprovals:
    """Reads and writes standing approvals, each write together with its audit entry."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def find(self, runbook: str, target: str) -> StandingApproval | None:
        """The approval for a runbook and a target, also one that has ended or was revoked; None if there is none."""
        item = self._tables.get(self._tables.state, _key(runbook, target))
        return StandingApproval.model_validate_json(item["body"]) if item else None

    def give(self, wanted: StandingApproval, *, now: datetime) -> StandingApproval:
        """Put it in the place of whatever was there. Raises ConditionFailed if somebody else did at this moment."""
        before = self.find(wanted.runbook, wanted.target)
        detail = {
            "runbook": wanted.runbook,
            "target": wanted.target,
            "bounds": wanted.bounds.model_dump(mode="json"),
            "expires_at": wanted.expires_at,
            "comment": wanted.comment,
            "replaces": before is not None and before.revoked_by is None,
        }
        return self._write(before, wanted, "standing.given", detail, wanted.given_by, now)

    def revoke(self, standing: StandingApproval, *, by: str, now: datetime) -> StandingApproval:
        """End it. Raises ConditionFailed if somebody else changed it at this moment."""
        revoked = standing.model_copy(update={"revoked_by": by})
        return self._write(standing, revoked, "standing.revoked", {"target": standing.target}, by, now)

    def _write(
        self,
        before: StandingApproval | None,
        after: StandingApproval,
        event: str,
        detail: dict[str, Any],
        actor: str,
        now: datetime,
    ) -> StandingApproval:
        seq, previous = (before.seq, before.head) if before else (0, audit.GENESIS)
        trail = id_of(after.runbook, after.target, seq + 1)
        entry = audit.next_entry(
            run_id=trail,
            seq=1,
            prev=audit.GENESIS,
            now=now,
            event=event,
            state=STATE,
            actor=actor,
            detail=detail | {"number": seq + 1, "previous": previous},
        )
        written = after.model_copy(update={"seq": seq + 1, "head": entry.hash})
        item = _key(after.runbook, after.target) | {
            "seq": written.seq,
            "body": canonical(json.loads(written.model_dump_json())).decode(),
        }
        summary = {
            "target": after.target,
            "actor_index": person(actor),
            "runbook_outcome": f"{after.runbook}#{event}",
            "day": f"{now:%Y-%m-%d}",
        }
        condition = "attribute_not_exists(#pk)" if before is None else "#seq = :read"
        self._tables.write(
            [
                put(self._tables.state, item, condition, {} if before is None else {"read": before.seq}),
                put(self._tables.audit, audit.as_item(entry) | summary, "attribute_not_exists(#run_id)"),
                put(
                    self._tables.state,
                    waiting_for_its_seal(_over(after.runbook, entry)),
                    "attribute_not_exists(#pk)",
                ),
            ]
        )
        return written


def _over(runbook: str, entry: Entry) -> Run:
    """What the sealer needs to know of the trail, as of a run that has ended and whose starter is known."""
    return Run(
        run_id=entry.run_id,
        runbook=runbook,
        execution_arn="",
        started_at=entry.at,
        ended_at=entry.at,
        status="closed",
        outcome=entry.event,
        requested_by=entry.actor,
        identity="verified",
        attributed_to=entry.actor,
        notified=True,
        audit_seq=entry.seq,
        audit_head=entry.hash,
    )


def _key(runbook: str, target: str) -> dict[str, str]:
    return {"pk": f"STANDING#{target}", "sk": runbook}
