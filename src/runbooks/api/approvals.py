"""`POST /runs/{run_id}/approval`: a person's decision on exactly the plan that they saw."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import Field

from runbooks import clock
from runbooks.api.app import answers, app, caller
from runbooks.api.http import Problem, somebody
from runbooks.api.runs import RunId
from runbooks.api.views import Decided
from runbooks.aws.redaction import redact
from runbooks.errors import LedgerUnavailable, RunClosed
from runbooks.frame.approval import wake
from runbooks.frame.step import frame
from runbooks.model import Model
from runbooks.policy import person
from runbooks.store.runs import Approval, Ledger, Run
from runbooks.store.tables import ConditionFailed, Conflict

STATE = "Wait for approval"
"""The state that audit entries of a decision carry."""
_ATTEMPTS = 5
_STATUS: dict[str, Literal["approved", "denied", "revoked"]] = {
    "approve": "approved",
    "deny": "denied",
    "revoke": "revoked",
}


class Ballot(Model):
    """What the approver sends. `plan_hash` is the whole hash of the plan that they looked at.

    `revoke` takes an approval back, whoever gave it, as long as the run has not begun its first change.
    """

    decision: Literal["approve", "deny", "revoke"]
    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    comment: str = Field("", max_length=500)


@app.post("/runs/<run_id>/approval", summary="Approve, deny or revoke", responses=answers(Decided, 404, 409))
def vote(run_id: RunId, ballot: Annotated[Ballot, Body()]) -> Decided:
    """Decide on the plan of that hash. Whoever asked for the run cannot, and who could be them can only deny."""
    identity, here = caller(), frame()
    # Nobody needs a valid policy to say no.
    unverified = ballot.decision == "approve" and here.policy().unverified_may_be_approved(here.settings.stage)
    run, approval = decide(here.ledger, run_id, ballot, identity, unverified=unverified)
    if approval.status != "revoked":
        # The token is read after the decision: a request that is made again exchanges it only while nobody has decided.
        wake(here, here.ledger.approval(run_id))
    return Decided(run_id=run.run_id, decision=approval.status, decided_by=identity, plan_hash=approval.plan_hash)


def decide(
    ledger: Ledger, run_id: str, ballot: Ballot, identity: str, *, unverified: bool = False
) -> tuple[Run, Approval]:
    """Record the decision. The same decision by the same person again changes nothing and is answered alike.

    `unverified`: whether a run may be approved whose requester is only claimed.

    Raises Problem: 404 no such run, 409 decided or expired or closed or another plan, 403 own run or nobody's,
    or a yes of an identity that is nobody in particular.
    """
    run = ledger.find(run_id)
    if run is None:
        raise Problem(404, "No such run", f"there is no run {run_id}")
    if run.status == "closed":
        raise Problem(409, "The run has ended", f"{run_id} ended {run.ended_at} as {run.outcome}; start it again")
    now = clock.utc_now()
    approval = ledger.approval(run_id)
    status = _STATUS[ballot.decision]
    if approval is None:
        raise Problem(409, "Nothing to decide", f"{run_id} has not asked for approval")
    if approval.status == status and approval.decided_by == identity and approval.plan_hash == ballot.plan_hash:
        return run, approval
    if ballot.plan_hash != approval.plan_hash:
        raise Problem(409, "Another plan", f"the plan to decide on is {approval.plan_hash}; look at it again")
    decided = approval.model_copy(
        update={
            "status": status,
            "decided_by": identity,
            "decided_at": clock.iso(now),
            "comment": redact(ballot.comment),
        }
    )
    if ballot.decision == "revoke":
        return _revoke(ledger, run, approval, decided, now), decided
    if approval.status != "pending":
        raise Problem(409, "Already decided", f"the request is {approval.status}")
    if clock.iso(now) >= approval.expires_at:
        raise Problem(409, "Expired", f"the request expired at {approval.expires_at}; start the run again")
    for asker in filter(None, (run.requested_by, run.attributed_to)):
        if person(identity) == person(asker):
            raise Problem(403, "Own run", f"{asker} asked for this run, so somebody else must decide on it")
    if ballot.decision == "approve":
        somebody(identity)
    vouched = run.identity != "unverified" or run.attributed_to is not None
    if ballot.decision == "approve" and not vouched and not unverified:
        raise Problem(
            403,
            "Requester unverified",
            f"nobody vouches for {run.requested_by}, who could be you; start the run through the API, or wait until"
            " CloudTrail has named its caller",
        )
    return _record(ledger, run, approval, decided, now), decided


def _record(ledger: Ledger, run: Run, approval: Approval, decided: Approval, now: datetime) -> Run:
    detail = {"decision": decided.status, "plan_hash": decided.plan_hash, "comment": decided.comment}
    item = ledger.approval_item(run.run_id, decided, replaces=approval.status)
    actor = decided.decided_by or ""
    updates = {"approved_by": (actor,)} if decided.status == "approved" else {}
    try:
        return ledger.record(
            run, "approval.decided", detail, state=STATE, now=now, actor=actor, updates=updates, also=[item]
        )
    except ConditionFailed:
        raise Problem(409, "Already decided", "somebody else decided at the same moment") from None
    except RunClosed as closed:
        raise Problem(409, "The run has ended", str(closed)) from None


def _revoke(ledger: Ledger, run: Run, approval: Approval, revoked: Approval, now: datetime) -> Run:
    """Take the approval back, and the locks with it, so that a step which has seen it before cannot change anything.

    A change is only made under the lock, and what is written here is only written if none has begun since we looked.
    """
    if approval.status != "approved":
        raise Problem(409, "Nothing to revoke", f"the request is {approval.status}")
    detail = {"decision": "revoked", "plan_hash": revoked.plan_hash, "comment": revoked.comment}
    for _ in range(_ATTEMPTS):
        if ledger.changes(run.run_id):
            raise Problem(409, "Too late", "the run has begun its first change; stop it instead")
        also = [ledger.approval_item(run.run_id, revoked, replaces="approved"), *ledger.releases(run)]
        try:
            return ledger.record(
                run,
                "approval.revoked",
                detail,
                state=STATE,
                now=now,
                actor=revoked.decided_by or "",
                also=also,
                unless_moved=True,
            )
        except (Conflict, ConditionFailed):
            try:
                run = ledger.open_run(run.run_id)
            except RunClosed as closed:
                raise Problem(409, "The run has ended", str(closed)) from None
        except RunClosed as closed:
            raise Problem(409, "The run has ended", str(closed)) from None
    raise LedgerUnavailable(f"{run.run_id} kept moving while its approval was to be revoked")
