"""`start`, `follow` and `runs`: the runbooks of a stack in an AWS account, or at any endpoint."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.failures import Stop, if_interrupted
from workbench.cli.output import print_json, stderr, stdout, table, working
from workbench.cli.reference import runbook_named, runbooks_like
from workbench.cli.steering import gate_of
from workbench.cli.texts import DEFAULT_STACK, ApiUrl, Endpoint, Json, OverApi, Profile, Region, Stack, Target, example

if TYPE_CHECKING:
    from runbooks.store.runs import Run
    from workbench.cli.account import Account
    from workbench.executions import Moment, Watch

_POLL = 1.0
"""Seconds between two looks at an execution."""
_CLOSING = 15.0
"""Seconds to wait for the run's end to be recorded after the execution's."""
_PERHAPS = "The run may have been started: `runbook runs --open` shows it."
_A_RUN = "ecs-service-rollback-20261121T030000Z-7f3a1c2e"
_EXECUTION = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:execution:[^:]+:[^:]+")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    field = "--field cluster=analytics --field service=report-service --reason INC-4711 --follow"
    app.command(
        "start",
        epilog=example(
            "runbook start ecs-service-rollback --input events/ecs-service-rollback/plan-only.json --follow",
            f"runbook start ecs-service-rollback --mode execute {field}",
        ),
    )(start)
    app.command("follow", epilog=example(f"runbook follow {_A_RUN}"))(follow)
    app.command(
        "runs",
        epilog=example("runbook runs --open", "runbook runs --runbook ecs-service-rollback --stack runbooks-prod"),
    )(runs)


def opened(stack: str, region: str | None, profile: str | None, endpoint_url: str | None) -> Account:
    """The account that the options of a command name."""
    from workbench.cli.account import Account

    return Account.open(stack, region=region, profile=profile, endpoint_url=endpoint_url)


def start(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The runbook.", autocompletion=runbooks_like)],
    source: Annotated[
        str | None, typer.Option("--input", metavar="FILE", help="The input as a JSON file; - reads standard input.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="KEY=VALUE", help="One field of the input; may be repeated.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="plan|execute", help="What the input says, or else plan.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the audit trail.")] = None,
    requested_by: Annotated[
        str | None, typer.Option("--requested-by", help="Who asks; your name in AWS if nobody is named.")
    ] = None,
    execution: Annotated[
        str | None, typer.Option("--name", metavar="EXECUTION", help="The execution's name; a new one if absent.")
    ] = None,
    then_follow: Annotated[bool, typer.Option("--follow", help="Stay until the run has ended.")] = False,
    as_json: Json = False,
    via_api: OverApi = False,
    api_url: ApiUrl = None,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Start a runbook in an AWS account.

    The input is checked here first. Nothing is changed unless its mode is execute. The same --name and input twice are
    one run. Through the API the run is asked for by whoever signs in, and AWS vouches for that.
    """
    from runbooks.store.runs import run_id_of
    from workbench.cli import starting

    runbook = runbook_named(name)
    document = starting.with_fields(starting.document_from(source), field or (), runbook)
    claimed = False
    account = opened(stack, region, profile, endpoint_url)
    if isinstance(document, dict):
        given = {"mode": mode, "reason": reason, "requested_by": requested_by}
        document = document | {key: value for key, value in given.items() if value is not None}
        if via_api or api_url:
            if requested_by is not None:
                raise Stop("The API knows who asks, so --requested-by says nothing there. Leave it out.")
            starting.checked(runbook, document | {"requested_by": "whoever signs in"})
            _start_over_api(account, api_url, name, document, execution, then_follow=then_follow, as_json=as_json)
            return
        claimed = "requested_by" in document
        if not claimed:
            # The rest is checked first: who is told that a field is missing should not have to sign in for it.
            starting.checked(runbook, document | {"requested_by": "unknown"})
            document["requested_by"] = account.caller()
    text = starting.checked(runbook, document)
    new = execution is None or not _was_started(account, name, execution)
    execution = starting.execution_name(execution, lambda: str(uuid.uuid4()))
    with if_interrupted(_PERHAPS):
        started = _started(account, name, execution, text)
    if claimed:
        _say_whose_name(account, document["requested_by"])
    arn = started["executionArn"]
    run_id = run_id_of(name, arn, started["startDate"].astimezone(UTC))
    if then_follow:
        _follow(account, name, run_id, arn, as_json=as_json)
    else:
        _say_started(run_id, arn, name, document.get("mode", "plan"), new=new, as_json=as_json)


def _say_whose_name(account: Account, claimed: str) -> None:
    """Warns whoever asks under a name that is not the one AWS knows them by."""
    from botocore.exceptions import BotoCoreError, ClientError

    from runbooks.policy import person

    try:
        caller = account.caller()
    except (BotoCoreError, ClientError):
        return  # the run has started, and nothing is known against the name
    if person(claimed) != person(caller):
        stderr().print(
            f"The input says that {claimed} asks, and AWS knows you as {caller}. The run is recorded as {claimed}'s,"
            f" unverified, and once CloudTrail has named you that is published as a contradiction. Neither {claimed}"
            " nor you may approve its plan. To ask under your own name, leave requested_by out.",
            soft_wrap=True,
        )


def _start_over_api(
    account: Account,
    api_url: str | None,
    runbook: str,
    document: dict[str, Any],
    key: str | None,
    *,
    then_follow: bool,
    as_json: bool,
) -> None:
    from workbench.cli import over_api

    gate = gate_of(account, api_url)
    with if_interrupted(_PERHAPS):
        started, new = over_api.start(gate, runbook, document, key)
    if then_follow:
        over_api.follow(gate, started["run_id"], poll=_POLL, as_json=as_json)
    else:
        _say_started(started["run_id"], started["execution_arn"], runbook, started["mode"], new=new, as_json=as_json)


def _say_started(run_id: str, arn: str, runbook: str, mode: str, *, new: bool, as_json: bool) -> None:
    if as_json:
        print_json({"run_id": run_id, "execution_arn": arn, "runbook": runbook, "mode": mode})
    else:
        stdout().print(f"{run_id}\n{arn}", soft_wrap=True)
        what = "Started" if new else "Nothing new was started: the same name and input have started this run before"
        stderr().print(f"{what}. See how it goes: runbook follow {run_id}", soft_wrap=True)


def _was_started(account: Account, runbook: str, execution: str) -> bool:
    """Whether an execution of that name is there already, as far as the caller may know."""
    from botocore.exceptions import ClientError

    arn = f"{account.machine(runbook).replace(':stateMachine:', ':execution:')}:{execution}"
    try:
        account.stepfunctions.describe_execution(executionArn=arn)
    except ClientError:
        return False
    return True


def _started(account: Account, runbook: str, execution: str, text: str) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    try:
        answer: dict[str, Any] = account.stepfunctions.start_execution(
            stateMachineArn=account.machine(runbook), name=execution, input=text
        )
    except ClientError as failure:
        match failure.response["Error"]["Code"]:
            case "StateMachineDoesNotExist":
                raise Stop(
                    f"{runbook} is not deployed in the stack {account.stack}. Deploy it with `sam deploy`."
                ) from None
            case "ExecutionAlreadyExists":
                raise Stop(
                    f"An execution named {execution!r} has been started before, and has ended or had another input."
                    " Give another --name."
                ) from None
            case _:
                raise
    return answer


def follow(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or an execution's ARN.")],
    as_json: Json = False,
    via_api: OverApi = False,
    api_url: ApiUrl = None,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Watch a run to its end. Ends with 0 if it succeeded, 1 if it failed."""
    account = opened(stack, region, profile, endpoint_url)
    if via_api or api_url:
        from workbench.cli import over_api

        over_api.follow(gate_of(account, api_url), over_api.run_id_only(run), poll=_POLL, as_json=as_json)
        return
    if _EXECUTION.fullmatch(run):
        runbook, run_id = account.run_of_execution(run)
        arn = run
    else:
        run_id = run
        runbook, arn = account.execution_of(run)
    _follow(account, runbook, run_id, arn, as_json=as_json)


def _follow(account: Account, runbook: str, run_id: str, arn: str, *, as_json: bool) -> None:
    from runbooks.store import audit
    from workbench.cli import words
    from workbench.cli.story import Story
    from workbench.executions import History, Watch
    from workbench.incident import changes_of

    # With --json the story goes to stderr, so that stdout has one document and nothing else.
    console = stderr() if as_json else stdout()
    history = History(account.stepfunctions, arn)
    watch = Watch(history, account.ledger, run_id)
    on = f"The run goes on: `runbook follow {run_id}` tells it from the beginning, `runbook stop {run_id}` stops it."
    with if_interrupted(on), Story(console, runbook) as story:
        while not history.ended:
            for moment in _news(watch, run_id):
                story.observe(moment)
            story.ask_for_a_decision(account.options)
            if not history.ended:
                time.sleep(_POLL)
        give_up = time.monotonic() + _CLOSING
        while story.closed is None and time.monotonic() < give_up:
            for moment in watch.entries():
                story.observe(moment)
            if story.closed is None:
                time.sleep(_POLL)
    described = account.stepfunctions.describe_execution(executionArn=arn)
    run, trail = account.ledger.find(run_id), account.ledger.trail(run_id)
    faults = audit.faults(trail)
    if as_json:
        changes = changes_of(account.ledger.diagnosis(run_id), account.ledger.changes(run_id))
        print_json(
            {
                "run_id": run_id,
                "execution_arn": arn,
                "runbook": runbook,
                "status": described["status"],
                "outcome": run.outcome if run else None,
                "error": run.error_name if run else described.get("error"),
                "cause": run.error_cause if run else described.get("cause"),
                "states": [visit.state for visit in history.visits],
                "changes": [asdict(change) for change in changes],
                "audit": [entry.model_dump(mode="json") for entry in trail],
                "audit_verified": not faults,
            }
        )
    else:
        story.states(history.visits)
        word = (run.error_name if run else None) or described["status"]
        ended = words.ending(run, _seconds(described))
        story.end(word, f"{ended}, {words.verified(trail, faults)}", good=described["status"] == "SUCCEEDED")
    if story.closed is None:
        stderr().print("The run's end is not recorded yet. The sweep does it within 15 minutes.")
    if described["status"] != "SUCCEEDED":
        raise typer.Exit(1)


def _news(watch: Watch, run_id: str) -> list[Moment]:
    from botocore.exceptions import ClientError

    try:
        return watch.news()
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise
        raise Stop(
            f"AWS does not have the execution of {run_id} any more; it keeps them for 90 days."
            f" What happened is in its audit trail: `runbook audit show {run_id}`."
        ) from None


def _seconds(described: dict[str, Any]) -> int:
    return round((described["stopDate"] - described["startDate"]).total_seconds()) if "stopDate" in described else 0


def runs(
    runbook: Annotated[
        str | None, typer.Option("--runbook", metavar="NAME", help="Only this runbook's.", autocompletion=runbooks_like)
    ] = None,
    target: Target = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    as_json: Json = False,
    via_api: OverApi = False,
    api_url: ApiUrl = None,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """List runs, the newest first."""
    from runbooks import catalogue
    from workbench.cli.words import is_arn, is_target

    if runbook is not None:
        runbook_named(runbook)
    # No index has what lists show of an ARN, so that is compared afterwards.
    arn = target if target is not None and is_arn(target) else None
    account = opened(stack, region, profile, endpoint_url)
    if via_api or api_url:
        from workbench.cli import over_api

        listed = over_api.runs(gate_of(account, api_url), runbook, arn, only_open=only_open)
        wanted = [run for run in listed if target is None or any(is_target(target, each) for each in run["targets"])]
        _show_runs(wanted, target, as_json=as_json)
        return
    ledger = account.ledger
    with working("Reading the State table", quiet=not stderr().is_terminal):
        if only_open:
            found = [run for run in ledger.unfinished() if run.status == "open"]
        elif arn is not None:
            found = ledger.runs_on(arn)
        else:
            found = [run for name in ([runbook] if runbook else catalogue.names()) for run in ledger.runs_of(name)]
    found = [
        run
        for run in found
        if runbook in {None, run.runbook} and (target is None or any(is_target(target, each) for each in run.targets))
    ]
    found.sort(key=lambda run: run.started_at, reverse=True)
    _show_runs([_run_document(run) for run in found], target, as_json=as_json)


def _show_runs(wanted: list[dict[str, Any]], target: str | None, *, as_json: bool) -> None:
    from workbench.cli.words import no_such_runs

    if as_json:
        print_json(wanted)
    elif not wanted:
        stdout().print(no_such_runs(target), soft_wrap=True)
    else:
        _print_runs(wanted)


def _run_document(run: Run) -> dict[str, Any]:
    return {
        "runbook": run.runbook,
        "run_id": run.run_id,
        "targets": list(run.targets),
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


def _print_runs(wanted: list[dict[str, Any]]) -> None:
    from workbench.cli.words import asker, short_person, short_target

    rows = [("RUN", "MODE", "STATUS", "ERROR", "STARTED (UTC)", "BY", "TARGET")]
    rows += [
        (
            run["run_id"],  # begins with the runbook's name
            run["mode"] or "-",
            run["status"],
            run["error"] or "-",
            run["started_at"][:19].replace("T", " "),
            asker(short_person(run["requested_by"]), run["identity"], run["attributed_to"]),
            ", ".join(short_target(target) for target in run["targets"]) or "-",
        )
        for run in wanted
    ]
    table(stdout(), rows)
