"""`POST /runs/{run_id}/approval`: a person's decision on exactly the plan that they saw.

API Gateway vouches for the caller, so the identity is never taken from the body. Errors are RFC 9457 problems.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import Field, ValidationError

from runbooks import clock
from runbooks.aws.redaction import redact
from runbooks.errors import LedgerUnavailable, RunClosed
from runbooks.frame.step import Frame, frame, logger
from runbooks.model import Model
from runbooks.policy import explain
from runbooks.store.runs import Approval, Ledger, Run
from runbooks.store.tables import ConditionFailed

STATE = "Wait for approval"
"""The state that audit entries of a decision carry."""


class Ballot(Model):
    """What the approver sends. `plan_hash` is the whole hash of the plan that they looked at."""

    decision: Literal["approve", "deny"]
    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    comment: str = Field("", max_length=500)


class Problem(Exception):
    """An answer other than 200, as RFC 9457 has it."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


def person(identity: str) -> str:
    """The person behind an IAM ARN: the user's name, or the session name of an assumed role, in lower case.

    A plain name stays as it is, so that a claimed requester can be compared with a vouched approver.
    """
    return identity.rpartition("/")[2].partition("@")[0].strip().casefold()


def decide(ledger: Ledger, run_id: str, ballot: Ballot, identity: str) -> tuple[Run, Approval]:
    """Record the decision. The same decision by the same person again changes nothing and is answered alike.

    Raises Problem: 404 no such run, 409 decided or expired or closed or another plan, 403 own run.
    """
    try:
        run = ledger.open_run(run_id)
    except RunClosed as closed:
        raise Problem(409, "The run has ended", str(closed)) from None
    except LedgerUnavailable:
        raise Problem(404, "No such run", f"there is no run {run_id}") from None
    now = clock.utc_now()
    approval = ledger.approval(run_id)
    status: Literal["approved", "denied"] = "approved" if ballot.decision == "approve" else "denied"
    if approval is None:
        raise Problem(409, "Nothing to decide", f"{run_id} has not asked for approval")
    if approval.status == status and approval.decided_by == identity and approval.plan_hash == ballot.plan_hash:
        return run, approval
    if approval.status != "pending":
        raise Problem(409, "Already decided", f"the request is {approval.status}")
    if clock.iso(now) >= approval.expires_at:
        raise Problem(409, "Expired", f"the request expired at {approval.expires_at}; start the run again")
    if ballot.plan_hash != approval.plan_hash:
        raise Problem(409, "Another plan", f"the plan to decide on is {approval.plan_hash}; look at it again")
    if person(identity) == person(run.requested_by):
        raise Problem(403, "Own run", f"{run.requested_by} asked for this run, so somebody else must decide on it")
    decided = approval.model_copy(
        update={
            "status": status,
            "decided_by": identity,
            "decided_at": clock.iso(now),
            "comment": redact(ballot.comment),
        }
    )
    detail = {"decision": status, "plan_hash": ballot.plan_hash, "comment": redact(ballot.comment)}
    item = ledger.approval_item(run_id, decided, replaces="pending")
    try:
        run = ledger.record(run, "approval.decided", detail, state=STATE, now=now, actor=identity, also=[item])
    except ConditionFailed:
        raise Problem(409, "Already decided", "somebody else decided at the same moment") from None
    except RunClosed as closed:
        raise Problem(409, "The run has ended", str(closed)) from None
    return run, decided


def wake(frame: Frame, approval: Approval) -> None:
    """End the wait of the state machine. It reads the decision from the State table, so the output says nothing."""
    if approval.token is None:
        return
    try:
        frame.client("stepfunctions").send_task_success(taskToken=approval.token, output="{}")
    except ClientError as failure:
        if failure.response["Error"]["Code"] not in {"TaskTimedOut", "TaskDoesNotExist"}:
            raise


def answer(event: dict[str, Any]) -> dict[str, Any]:
    """The body of a 200. Raises Problem."""
    try:
        ballot = Ballot.model_validate_json(event.get("body") or "{}")
    except ValidationError as invalid:
        raise Problem(400, "Invalid body", explain(invalid)) from None
    identity = event["requestContext"].get("authorizer", {}).get("iam", {}).get("userArn")
    if not identity:
        raise Problem(401, "No identity", "sign the request with your IAM identity")
    run, approval = decide(frame().ledger, event["pathParameters"]["run_id"], ballot, identity)
    wake(frame(), approval)
    return {"run_id": run.run_id, "decision": approval.status, "decided_by": identity, "plan_hash": approval.plan_hash}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An API Gateway HTTP API event, payload version 2.0."""
    try:
        return _response(200, "application/json", answer(event))
    except Problem as problem:
        body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
        logger.info("refused", extra={"problem": body})
        return _response(problem.status, "application/problem+json", body)


def _response(status: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": kind}, "body": json.dumps(body)}
