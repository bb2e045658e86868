"""What the API answers with. Times are ISO 8601 UTC."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue

from runbooks.model import Change, Decision, Finding, Mode, Model, Plan
from runbooks.settings import Settings
from runbooks.store.audit import Entry
from runbooks.store.runs import Approval, ChangeRecord, Diagnosis, Run


class Listed(Model):
    """A run in a list."""

    run_id: str
    runbook: str
    targets: tuple[str, ...]
    status: str = Field(description="open, SUCCEEDED, FAILED, ABORTED or TIMED_OUT")
    error: str | None
    mode: Mode | None
    started_at: str
    ended_at: str | None
    requested_by: str
    identity: Literal["verified", "unverified"]
    attributed_to: str | None = Field(description="who started it, by CloudTrail; null before that is known")
    reason: str
    ticket: str | None


class RunList(Model):
    """A page of runs, newest first. `next` asks for the next page; null on the last one."""

    runs: list[Listed]
    next: str | None


class ChangeShown(Model):
    """A change of the plan, and where it stands; `status` is null until the run comes to it."""

    number: int
    phase: str
    operation: str
    was: str
    becomes: str
    way_back: str
    status: str | None


class PlanShown(Model):
    """What the run would do. `hash` is what an approval is given for."""

    hash: str
    changes: list[ChangeShown]
    exact: dict[str, JsonValue] = Field(description="the whole plan: every parameter, and every inverse")


class ApprovalShown(Model):
    """The request for a decision, and the decision."""

    status: str
    plan_hash: str
    requested_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    comment: str


class Now(Model):
    """The last thing on record. `progress` and the rest are those of a wait, in seconds and percent."""

    state: str
    event: str
    at: str
    progress: str | None
    percent: int | None
    elapsed: int | None
    within: int | None
    look_again_in: int | None


class RunShown(Listed):
    """All that is known of a run."""

    execution_arn: str
    given: dict[str, JsonValue] | None
    cause: str | None
    verdict: str | None
    decision_reason: str
    findings: list[Finding]
    plan: PlanShown | None
    approval: ApprovalShown | None
    verified: bool
    now: Now | None
    links: dict[str, str]


class Trail(Model):
    """A page of a run's audit trail, oldest entry first. `next` is the `after` of the next page; null on the last."""

    run_id: str
    entries: list[Entry]
    next: int | None


class Verification(Model):
    """Whether the chain of entries is whole and closed, and if not, where it is not."""

    run_id: str
    whole: bool
    entries: int
    head: str = Field(description="the hash of the last entry; keep it, and nobody can shorten the trail")
    faults: list[str]


class Started(Model):
    """A run that was started. It is in the list a moment later."""

    run_id: str
    execution_arn: str
    runbook: str
    mode: Mode
    requested_by: str
    links: dict[str, str]


class Decided(Model):
    """A decision that is on record."""

    run_id: str
    decision: str
    decided_by: str
    plan_hash: str


class Stopped(Model):
    """A run that was told to stop. What it has changed so far is named at its end."""

    run_id: str
    stopped_by: str


def links_of(run_id: str, execution_arn: str, settings: Settings) -> dict[str, str]:
    """Where to go on from a run: paths of this API, and the console's page of the execution."""
    host = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}.get(
        execution_arn.split(":")[1], "console.aws.amazon.com"
    )
    run, region = f"/runs/{run_id}", settings.region
    return {
        "self": run,
        "audit": f"{run}/audit",
        "verification": f"{run}/audit/verification",
        "approval": f"{run}/approval",
        "stop": f"{run}/stop",
        "rerun": f"{run}/rerun",
        "console": f"https://{region}.{host}/states/home?region={region}#/v2/executions/details/{execution_arn}",
    }


def listed(run: Run) -> Listed:
    """A run as the list has it."""
    return Listed(**_common(run))


def shown(
    run: Run,
    diagnosis: Diagnosis | None,
    approval: Approval | None,
    changes: dict[int, ChangeRecord],
    last: Entry | None,
    settings: Settings,
) -> RunShown:
    """A run with all that is known of it. The task token is not."""
    decision: Decision | None = diagnosis.decision if diagnosis else None
    plan = diagnosis.plan if diagnosis else None
    return RunShown(
        **_common(run),
        execution_arn=run.execution_arn,
        given=run.given,
        cause=run.error_cause,
        verdict=run.verdict.value if run.verdict else None,
        decision_reason=run.decision_reason,
        findings=list(decision.findings) if decision else [],
        plan=_plan(plan, changes) if plan else None,
        approval=ApprovalShown(**approval.model_dump(exclude={"token"})) if approval else None,
        verified=run.verified,
        now=_now(last) if last else None,
        links=links_of(run.run_id, run.execution_arn, settings),
    )


def _common(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "runbook": run.runbook,
        "targets": run.targets,
        "status": run.outcome or run.status,
        "error": run.error_name,
        "mode": run.mode,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "requested_by": run.requested_by,
        "identity": run.identity,
        "attributed_to": run.attributed_to,
        "reason": run.reason,
        "ticket": run.ticket,
    }


def _plan(plan: Plan, changes: dict[int, ChangeRecord]) -> PlanShown:
    return PlanShown(
        hash=plan.hash,
        changes=[_change(number, change, changes.get(number)) for number, change in enumerate(plan.changes, 1)],
        exact=plan.model_dump(mode="json"),
    )


def _change(number: int, change: Change, record: ChangeRecord | None) -> ChangeShown:
    return ChangeShown(
        number=number,
        phase=change.phase,
        operation=change.operation,
        was=change.was,
        becomes=change.becomes,
        way_back=change.way_back,
        status=record.status.value if record else None,
    )


def _now(last: Entry) -> Now:
    of_wait: dict[str, Any] = last.detail if last.event == "phase.looked" else {}
    return Now(
        state=last.state,
        event=last.event,
        at=last.at,
        progress=of_wait.get("reason"),
        percent=of_wait.get("percent"),
        elapsed=of_wait.get("elapsed"),
        within=of_wait.get("within"),
        look_again_in=of_wait.get("look_again_in"),
    )
