"""`approve`, `deny`, `revoke` and `stop`: what people say to a run that is under way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.failures import Stop
from workbench.cli.output import print_json, stderr, stdout
from workbench.cli.texts import DEFAULT_STACK, ApiUrl, Endpoint, Json, OverApi, Profile, Region, Stack, example

if TYPE_CHECKING:
    from workbench.cli.account import Account
    from workbench.cli.gate import Gate

_A_RUN = "ecs-service-rollback-20261121T030000Z-7f3a1c2e"
_SHORTEST = 8
"""Digits of a plan's hash that say which one is meant."""

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
PlanHash = Annotated[
    str | None,
    typer.Option(
        "--plan", metavar="HASH", help="The hash of the plan that you looked at, 8 digits or more; asked for if absent."
    ),
]
Comment = Annotated[str, typer.Option("--comment", help="Why, for the audit trail.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (approve, deny, revoke):
        name = command.__name__
        app.command(name, epilog=example(f'runbook {name} {_A_RUN} --plan 9c41e0d2 --comment "looked at it"'))(command)
    app.command("stop", epilog=example(f'runbook stop {_A_RUN} --reason "wrong service"'))(stop)


def approve(
    run: RunId,
    plan: PlanHash = None,
    comment: Comment = "",
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
    api_url: ApiUrl = None,
) -> None:
    """Approve the plan of a run that somebody else asked for.

    Goes through the HTTP API only, which knows who you are.
    """
    gate = gate_of(opened(stack, region, profile, endpoint_url), api_url)
    _decide(gate, "approve", run, plan, comment, as_json=as_json)


def deny(
    run: RunId,
    plan: PlanHash = None,
    comment: Comment = "",
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
    api_url: ApiUrl = None,
) -> None:
    """Deny the plan of a run that somebody else asked for; the run ends without having changed anything.

    Goes through the HTTP API only, which knows who you are.
    """
    gate = gate_of(opened(stack, region, profile, endpoint_url), api_url)
    _decide(gate, "deny", run, plan, comment, as_json=as_json)


def revoke(
    run: RunId,
    plan: PlanHash = None,
    comment: Comment = "",
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
    api_url: ApiUrl = None,
) -> None:
    """Take an approval back, as long as the run has not begun its first change.

    Goes through the HTTP API only, which knows who you are.
    """
    gate = gate_of(opened(stack, region, profile, endpoint_url), api_url)
    _decide(gate, "revoke", run, plan, comment, as_json=as_json)


def stop(
    run: RunId,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever looks at the run.")] = "",
    as_json: Json = False,
    over_api: OverApi = False,
    api_url: ApiUrl = None,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Stop a run. Nothing more is changed and nothing is undone; its end says what is left at the target."""
    account = opened(stack, region, profile, endpoint_url)
    if over_api or api_url:
        by = str(gate_of(account, api_url).ask("POST", f"/runs/{run}/stop", {"reason": reason})["stopped_by"])
    else:
        by = _stopped(account, run, reason)
    if as_json:
        print_json({"run_id": run, "stopped_by": by})
    else:
        stdout().print(f"{run} was told to stop.", soft_wrap=True)
        stderr().print(f"What it leaves behind: runbook follow {run}", soft_wrap=True)


def opened(stack: str, region: str | None, profile: str | None, endpoint_url: str | None) -> Account:
    """The account that the options mean."""
    from workbench.cli.account import Account

    return Account.open(stack, region=region, profile=profile, endpoint_url=endpoint_url)


def gate_of(account: Account, api_url: str | None) -> Gate:
    """The stack's API."""
    from workbench.cli.gate import Gate

    return Gate(account, api_url)


def _stopped(account: Account, run_id: str, reason: str) -> str:
    run = account.run(run_id)
    if run.status == "closed":
        raise Stop(f"{run_id} has ended already, as {run.outcome}.")
    by = account.caller()
    account.stepfunctions.stop_execution(
        executionArn=run.execution_arn, error="Stopped", cause=f"{by}: {reason or 'no reason given'}"
    )
    return by


def _decide(gate: Gate, decision: str, run_id: str, plan: str | None, comment: str, *, as_json: bool) -> None:
    run = gate.run(run_id)
    if run["plan"] is None:
        raise Stop(
            f"{run_id} has no plan to decide on. It is {run['status']}: {run['cause'] or run['decision_reason']}."
        )
    plan_hash = str(run["plan"]["hash"])
    if plan is None:
        _look(run, decision)
    elif len(plan) < _SHORTEST or not plan_hash.startswith(plan):
        raise Stop(
            f"{plan} is not the plan of {run_id}, so nothing was decided. Look at the plan that it has:"
            f" `runbook {decision} {run_id}` without --plan shows it and asks, on a terminal."
        )
    ballot = {"decision": decision, "plan_hash": plan_hash, "comment": comment}
    decided = gate.ask("POST", f"/runs/{run_id}/approval", ballot)
    if as_json:
        print_json(decided)
    else:
        stdout().print(f"{decided['decision']}: plan {plan_hash} of {run_id}", soft_wrap=True)


def _look(run: dict[str, Any], decision: str) -> None:
    """Shows the plan and asks. Raises Stop if nobody is there to look."""
    if not sys.stdin.isatty():
        raise Stop(f"Say which plan you have looked at: --plan HASH. `runbook follow {run['run_id']}` shows it.")
    console = stderr()
    console.print(f"{run['run_id']}, asked by {run['requested_by']}: {run['reason']}", soft_wrap=True)
    console.print(f"{run['decision_reason']}\nPlan {run['plan']['hash']}", soft_wrap=True)
    for change in run["plan"]["changes"]:
        console.print(
            f"{change['number']}. {change['operation']}: {change['was']} -> {change['becomes']}", soft_wrap=True
        )
        console.print(f"   {change['way_back']}", soft_wrap=True)
    typer.confirm(f"{decision.capitalize()} this plan?", abort=True, err=True)
