"""What somebody who is asked for a decision is told: the plan as text, and the exact commands. Pure."""

from __future__ import annotations

import json
import shlex
from typing import Any

from runbooks.model import Change, Plan
from runbooks.settings import Settings
from runbooks.store.runs import Approval, Run

DETAIL_TYPE = "Runbook Approval Requested"
"""What the event is called on the bus, where chat tools pick it up."""


def diff(number: int, change: Change) -> str:
    """One change as text: the call, before -> after, and the way back."""
    return f"{number}. {change.phase}: {change.operation}\n   {change.was} -> {change.becomes}\n   {change.way_back}"


def commands(settings: Settings, run_id: str, plan_hash: str) -> dict[str, str]:
    """How to decide: `approve` and `deny` with the CLI; `curl_approve` and `curl_deny` from any shell with AWS
    credentials, which `credentials` puts where curl finds them.
    """
    where = f"--stack {shlex.quote(settings.system)} --region {settings.region}"

    def curl(decision: str, comment: str) -> str:
        ballot = json.dumps({"decision": decision, "plan_hash": plan_hash, "comment": comment})
        return (
            f"curl --aws-sigv4 aws:amz:{settings.region}:execute-api"
            ' --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"'
            ' ${AWS_SESSION_TOKEN:+"-Hx-amz-security-token: $AWS_SESSION_TOKEN"}'
            f" -d '{ballot}' {settings.api_url}/runs/{run_id}/approval"
        )

    return {
        "approve": f"runbook approve {run_id} --plan {plan_hash} --comment seen {where}",
        "deny": f"runbook deny {run_id} --plan {plan_hash} --comment 'not now' {where}",
        "credentials": 'eval "$(aws configure export-credentials --format env)"',
        "curl_approve": curl("approve", "seen"),
        "curl_deny": curl("deny", "not now"),
    }


def text(settings: Settings, run: Run, plan: Plan, approval: Approval, found: str) -> str:
    """The message. It ends with what to paste into a terminal or CloudShell, to approve and to deny."""
    changes = "\n".join(diff(number, change) for number, change in enumerate(plan.changes, 1))
    vouched = "AWS vouches for the name" if run.identity == "verified" else "unverified: the name is only claimed"
    how = commands(settings, run.run_id, plan.hash)
    return (
        f"Run {run.run_id}\nTargets: {', '.join(run.targets)}\nRequested by: {run.requested_by} ({vouched})\n"
        f"Why: {run.why}\nFound: {found}\n\nPlan {plan.hash}\n{changes}\n\n"
        f"Decide before {approval.expires_at}; whoever asked for the run cannot.\n\n"
        f"To approve, in a terminal:\n\n{how['approve']}\n\n"
        f"or in CloudShell:\n\n{how['credentials']}\n{how['curl_approve']}\n\n"
        f"To deny, in a terminal:\n\n{how['deny']}\n\n"
        f"or in CloudShell:\n\n{how['credentials']}\n{how['curl_deny']}\n"
    )


def event(settings: Settings, run: Run, plan: Plan, approval: Approval, found: str) -> dict[str, Any]:
    """The same for programs: an entry for EventBridge's PutEvents. Its source is the name of the stack."""
    detail = {
        "run_id": run.run_id,
        "runbook": run.runbook,
        "stage": settings.stage,
        "targets": list(run.targets),
        "requested_by": run.requested_by,
        "identity": run.identity,
        "reason": run.reason,
        "ticket": run.ticket,
        "found": found,
        "plan_hash": plan.hash,
        "expires_at": approval.expires_at,
        "commands": commands(settings, run.run_id, plan.hash),
        "text": text(settings, run, plan, approval, found),
    }
    return {
        "Source": settings.system,
        "DetailType": DETAIL_TYPE,
        "Resources": [run.execution_arn],
        "Detail": json.dumps(detail),
        "EventBusName": "default",
    }
