"""`Wait for approval` and `Read the decision`. The callback's output is not believed; the State table is."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.aws.failures import translate
from runbooks.errors import ApprovalDenied, ApprovalExpired, PlanStale
from runbooks.frame.notify import ask
from runbooks.frame.step import Frame, Step, step_handler
from runbooks.store.runs import Approval
from runbooks.store.tables import ConditionFailed


def said_no(approval: Approval) -> str:
    """Who has denied or revoked, and why, as a sentence."""
    why = f": {approval.comment}" if approval.comment else ""
    if approval.status == "revoked":
        return f"{approval.decided_by} revoked the approval of plan {approval.plan_hash[:12]}{why}"
    return f"{approval.decided_by} denied plan {approval.plan_hash[:12]}{why}"


def wake(frame: Frame, approval: Approval | None) -> None:
    """End the wait of the state machine. It reads the decision from the State table, so the output says nothing."""
    if approval is None or approval.token is None:
        return
    try:
        frame.client("stepfunctions").send_task_success(taskToken=approval.token, output="{}")
    except ClientError as failure:
        if failure.response["Error"]["Code"] not in {"TaskTimedOut", "TaskDoesNotExist"}:
            raise translate(failure, "states:SendTaskSuccess") from failure
    except BotoCoreError as failure:
        raise translate(failure, "states:SendTaskSuccess") from failure


def request(step: Step) -> dict[str, Any]:
    """Ask for a decision on the plan. Asked again, the pending request keeps its expiry and gets the new token."""
    run = step.open_run()
    diagnosis = step.diagnosis()
    if diagnosis.plan is None or diagnosis.plan.hash != run.plan_hash:
        raise PlanStale("the stored plan is not the one that was made; start the run again")
    approval = step.ledger.approval(run.run_id)
    if approval is None:
        approval = Approval(
            status="pending",
            plan_hash=diagnosis.plan.hash,
            requested_at=clock.iso(step.now),
            expires_at=clock.iso(step.now + step.runbook.approval_within),
            token=step.event.token,
        )
        run = step.record(
            run,
            "approval.requested",
            {"plan_hash": approval.plan_hash, "expires_at": approval.expires_at},
            also=[step.ledger.approval_item(run.run_id, approval, replaces=None)],
        )
    elif approval.status == "pending":
        step.ledger.replace_token(run.run_id, step.event.token)
    else:
        # It was decided while this request was still being delivered, so that nobody had the token that is waited for.
        wake(step.frame, approval.model_copy(update={"token": step.event.token}))
        return step.document(run)
    try:
        ask(step.frame, run, diagnosis.plan, approval, run.decision_reason)
    except (BotoCoreError, ClientError) as failure:
        raise translate(failure, "sns:Publish") from failure
    return step.document(run)


def read(step: Step) -> dict[str, Any]:
    """Go on only if the State table says approved. A request that nobody decided in time is void from now on.

    `decided` is false if the wait was ended early and not by a decision, which whoever holds the task token can do.

    Raises ApprovalDenied or ApprovalExpired.
    """
    run = step.open_run()
    approval = step.ledger.approval(run.run_id)
    if approval is not None and approval.status == "pending" and not _is_over(step, approval):
        run = step.record(run, "approval.awaited", {"plan_hash": approval.plan_hash, "expires_at": approval.expires_at})
        return step.document(run, decided=False)
    if approval is not None and approval.status == "pending":
        expired = approval.model_copy(update={"status": "expired", "token": None})
        try:
            step.record(
                run,
                "approval.expired",
                {"plan_hash": approval.plan_hash, "expires_at": approval.expires_at},
                also=[step.ledger.approval_item(run.run_id, expired, replaces="pending")],
            )
            approval = expired
        except ConditionFailed:
            # Somebody decided between our reading and our writing.
            approval = step.ledger.approval(run.run_id)
    if approval is not None and approval.status in {"denied", "revoked"}:
        raise ApprovalDenied(said_no(approval))
    if approval is None or approval.status != "approved" or approval.plan_hash != run.plan_hash:
        raise ApprovalExpired("nobody decided in time; the request is void, start the run again")
    return step.document(run, decided=True)


def _is_over(step: Step, approval: Approval) -> bool:
    """Whether nobody can decide any more. The state's own timeout may come moments before the request's expiry."""
    document = step.event.document
    caught = document.get("error") if isinstance(document, dict) else None
    timed_out = isinstance(caught, dict) and caught.get("Error") == "States.Timeout"
    return timed_out or clock.iso(step.now) >= approval.expires_at


_STEPS = {"request": request, "read": read}


def approve(step: Step) -> dict[str, Any]:
    """The approval step that the event asks for."""
    return _STEPS[step.event.step](step)


handler = step_handler(approve)
