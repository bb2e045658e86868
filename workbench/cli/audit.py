"""`audit`: read the trail of a run, find runs, export trails, and check an export offline."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.accounts import opened
from workbench.cli.failures import Stop
from workbench.cli.output import print_json, say, stderr, stdout, table, working
from workbench.cli.reference import MACHINES, runbook_named
from workbench.cli.texts import DEFAULT_STACK, Endpoint, Json, Profile, Region, Stack, Target, example

if TYPE_CHECKING:
    from runbooks.store.audit import Entry
    from workbench.cli.account import Account
    from workbench.evidence.export import Document
    from workbench.evidence.keys import Trusted
    from workbench.evidence.report import Checked
    from workbench.evidence.search import Criteria, Summary
    from workbench.evidence.verify import Verdict

_A_RUN = "ecs-service-rollback-20261121T030000Z-7f3a1c2e"
_PAGE = 25
_AS_HELP = "SUCCEEDED, FAILED, ABORTED, TIMED_OUT, standing.given or standing.revoked."
_AFTER_THE_END = ("run.attributed", "run.sealed")

TheRun = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]
FromFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Read the trail from an export, without any AWS.")
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="KEYFILE",
        help="The public key that you trust, or its fingerprint as sha256:...; may be repeated."
        " Without one those are trusted that RUNBOOK_AUDIT_KEY or ~/.config/runbook/config.toml pins.",
    ),
]
FirstDay = Annotated[str | None, typer.Option("--from", metavar="DAY", help="The first day (UTC), e.g. 2026-11-21.")]
LastDay = Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day, which is included.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    commands: dict[str, tuple[Callable[..., None], list[str]]] = {
        "show": (show, [f"runbook audit show {_A_RUN}", f"runbook audit show {_A_RUN} --file trail.json --full"]),
        "search": (
            search,
            [
                "runbook audit search --runbook ecs-service-rollback --outcome FAILED",
                "runbook audit search --actor alice --from 2026-11-01 --to 2026-11-30",
                "runbook audit search --approved-by bob",
            ],
        ),
        "export": (
            export,
            [
                f"runbook audit export {_A_RUN} --out trail.json",
                "runbook audit export --from 2026-11-01 --to 2026-11-30 --out november.json",
            ],
        ),
        "key": (key, ["runbook audit key --out key.pem"]),
        "verify": (
            verify,
            ["runbook audit verify trail.json --key key.pem", "runbook audit verify trail.json --key sha256:4f1c..."],
        ),
        "report": (
            report,
            [f"runbook audit report {_A_RUN}", f"runbook audit report {_A_RUN} --file trail.json --key key.pem"],
        ),
    }
    audit = typer.Typer(
        help="What happened in runs: read it, find it, export it, and check that nobody has changed it.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog=example(f"runbook audit show {_A_RUN}", "runbook audit verify trail.json --key key.pem"),
    )
    for name, (command, examples) in commands.items():
        audit.command(name, epilog=example(*examples))(command)
    app.add_typer(audit, name="audit")


# -- one run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _About:
    """What is told of a run before its entries."""

    run_id: str
    targets: Sequence[str]
    ended: str
    mode: str
    requested_by: str
    identity: str
    attributed_to: str | None
    started_at: str
    reason: str
    ticket: str | None
    error: str | None
    cause: str | None
    going_on: bool


def show(
    run: TheRun,
    full: Annotated[bool, typer.Option("--full", help="Everything that each entry says.")] = False,
    file: FromFile = None,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Show what happened in a run, and with which error it ended.

    Checks that no entry was changed or left out, and ends with 1 if one was.
    """
    from workbench.cli import words
    from workbench.cli.story import timeline

    if file is not None:
        trail = _from_file(file, run)
    else:
        account = opened(stack, region, profile, endpoint_url)
        trail = account.ledger.trail(run)
        if not trail:
            account.run(run)
    about, broken = _about(run, trail), _broken(trail)
    if as_json:
        entries = [entry.model_dump(mode="json") for entry in trail]
        print_json(
            {
                "run_id": run,
                "error": about.error,
                "cause": about.cause,
                "requested_by": about.requested_by,
                "identity": about.identity,
                "attributed_to": about.attributed_to,
                "entries": entries,
                "faults": broken,
                "audit_verified": not broken,
                "signature_checked": False,
            }
        )
    else:
        console = stdout()
        for line in _head(about):
            say(console, line)
        console.print()
        console.print(_full(trail) if full else timeline(console, trail), soft_wrap=full and not console.is_terminal)
        say(console, f"\n{words.verified(trail, broken)}{'' if broken else _still(trail, about)}")
        if file is not None:
            say(console, f"signature not checked: runbook audit verify {file} --key KEYFILE")
    if broken:
        raise typer.Exit(1)


def _broken(trail: Sequence[Entry]) -> list[str]:
    """What is wrong with the chain. That a run which is going on has not been closed is not."""
    from runbooks.store import audit

    return [fault for fault in audit.faults(trail) if not fault.startswith("the trail is not closed")]


def _head(about: _About) -> list[str]:
    from runbooks.evidence import manifest
    from workbench.cli import words

    if (day := manifest.day_of(about.run_id)) is not None:
        return [f"{about.run_id}  the runs that were sealed on {day}"]
    targets = ", ".join(words.short_target(target) for target in about.targets) or "no target"
    asker = words.asker(about.requested_by, about.identity, about.attributed_to)
    asked = f"asked by {asker} on {about.started_at[:10]}"
    ticket = f", ticket {about.ticket}" if about.ticket else ""
    told = f'{about.ended}, {about.mode}, {asked}: "{about.reason}"{ticket}'
    return [f"{about.run_id}  on {targets}", told, *([about.cause] if about.cause else [])]


def _about(run_id: str, trail: Sequence[Entry]) -> _About:
    """What the trail itself says; the State table is not asked, since it is no evidence."""
    from runbooks.store.audit import STANDING

    first = next((entry for entry in trail if entry.event == "run.started"), None)
    detail: dict[str, Any] = dict(first.detail) if first else {}
    given = detail.get("input")
    given = given if isinstance(given, dict) else {}
    if trail and trail[0].event.startswith(STANDING):
        return _about_standing(run_id, trail[0])
    closed = next((entry for entry in trail if entry.event in {"run.closed", "manifest.sealed"}), None)
    end: dict[str, Any] = dict(closed.detail) if closed else {}
    named: dict[str, Any] = next((dict(entry.detail) for entry in trail if entry.event == "run.attributed"), {})
    return _About(
        run_id=run_id,
        targets=detail.get("targets", ()),
        ended=str(end.get("error") or end.get("outcome") or "open"),
        mode=str(given.get("mode", "no mode")),
        requested_by=first.actor if first else "",
        identity=str(detail.get("identity", "unverified")),
        attributed_to=str(named.get("on_behalf_of") or named.get("caller")) if named else None,
        started_at=first.at if first else "",
        reason=str(given.get("reason", "")),
        ticket=given.get("ticket"),
        error=end.get("error"),
        cause=end.get("cause"),
        going_on=closed is None,
    )


def _about_standing(run_id: str, entry: Entry) -> _About:
    return _About(
        run_id=run_id,
        targets=[str(entry.detail.get("target"))],
        ended=entry.event.partition(".")[2],
        mode="standing approval",
        requested_by=entry.actor,
        identity="verified",  # it is given through the API alone, which knows by whom
        attributed_to=None,
        started_at=entry.at,
        reason=str(entry.detail.get("comment", "")),
        ticket=None,
        error=None,
        cause=None,
        going_on=False,
    )


def _still(trail: Sequence[Entry], about: _About) -> str:
    if about.going_on:
        return f", the {'day' if trail and trail[0].event.startswith('manifest.') else 'run'} has not ended"
    return ", sealed" if _is_sealed(trail) else ", not sealed yet"


def _full(trail: Sequence[Entry]) -> str:
    blocks = []
    for entry in trail:
        head = f"{entry.seq}  {entry.at}  {entry.event}  in {entry.state}  by {entry.actor}"
        detail = json.dumps(entry.detail, indent=2, ensure_ascii=False).replace("\n", "\n    ")
        blocks.append(f"{head}\n    {detail}\n    hash {entry.hash}, after {entry.prev}")
    return "\n\n".join(blocks)


def report(
    run: TheRun,
    file: FromFile = None,
    keys: Keys = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it to a file.")] = None,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Write the report on a run in Markdown: what happened, on what evidence, who approved what, and how it went.

    Checks that no entry was changed or left out and, with a key, the signature. If something is wrong, the report says
    so above everything else, and the command ends with 1.
    """
    from workbench.evidence.report import report as written

    trusted, _ = _trusted(keys or ())
    if file is not None:
        trail = _from_file(file, run)
    else:
        account = opened(stack, region, profile, endpoint_url)
        trail = account.ledger.trail(run)
        if not trail:
            account.run(run)
    if trail and trail[0].event.startswith(("manifest.", "standing.")):
        raise Stop(f"{run} is no run; `runbook audit show {run}` has what is on its trail.")
    checked = _checked(run, trail, trusted, exported=file is not None)
    text = written(run, trail, _machine(trail), checked=checked, file=None if file is None else str(file))
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_json:
        print_json(
            {
                "run_id": run,
                "markdown": text,
                "faults": list(checked.faults),
                "audit_verified": not checked.faults,
                "signature_checked": checked.signature,
            }
        )
    elif out is None:
        stdout().print(text, soft_wrap=True, end="")
    if checked.faults:
        where = "the report" if out is None else str(out)
        raise Stop(f"NOT VERIFIED: {where} is no evidence: {'; '.join(checked.faults)}.", code=1)


def _checked(run: str, trail: Sequence[Entry], trusted: Trusted, *, exported: bool) -> Checked:
    """What is wrong with the chain and, if there is a key to trust, with the seal.

    A run in the account may wait for its seal; an export that has none cannot be told from one that was cut off.
    """
    from workbench.evidence.export import export, read
    from workbench.evidence.report import Checked
    from workbench.evidence.verify import verify

    broken = _broken(trail)
    if broken or trusted.none or not (exported or _is_sealed(trail)):
        return Checked(broken)
    # What is reported is what is checked: the entries themselves, wherever they were read.
    verdict = verify(read(export({run: trail})), trusted)
    return Checked([fault.sentence for fault in verdict.faults], signature=True)


def _machine(trail: Sequence[Entry]) -> dict[str, Any] | None:
    """The compiled machine of the run's runbook, as it is here; None if there is none."""
    runbook = trail[0].run_id.rsplit("-", 2)[0] if trail else ""
    compiled = MACHINES / f"{runbook}.asl.json"
    if not compiled.exists():
        return None
    definition: dict[str, Any] = json.loads(compiled.read_text(encoding="utf-8"))
    return definition


# -- many runs ---------------------------------------------------------------------------------------------------------


def search(
    target: Target = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Asked for by this person.")] = None,
    approved_by: Annotated[
        str | None,
        typer.Option("--approved-by", metavar="NAME", help="Whose plan this person approved, or had in advance."),
    ] = None,
    runbook: Annotated[str | None, typer.Option("--runbook", metavar="NAME", help="Of this runbook.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", metavar="OUTCOME", help=_AS_HELP)] = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Runs on a page.")] = _PAGE,
    before: Annotated[str | None, typer.Option("--before", help="What the page before ended with.")] = None,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Find runs that have ended, and what happened to standing approvals, the newest first.

    Reads an index of the Audit table, never all of it.
    """
    from runbooks import catalogue
    from workbench.cli.words import no_such_runs
    from workbench.evidence.search import OUTCOMES, Criteria, Search

    if runbook is not None:
        runbook_named(runbook)
    if outcome is not None and outcome not in OUTCOMES:
        raise Stop(f"A run does not end as {outcome!r}. It ends as one of {', '.join(OUTCOMES)}.")
    first, last = _days(first_day, last_day)
    criteria = Criteria(target, actor, runbook, outcome, first, last, approved_by)
    _some(criteria)
    account = opened(stack, region, profile, endpoint_url)
    with working("Searching the audit trail", quiet=not stderr().is_terminal):
        table = _output(account, "AuditTableName")
        try:
            found = Search(account.client("dynamodb"), table, catalogue.names()).find(
                criteria, limit=limit, before=before
            )
        except ValueError as wrong:
            raise Stop(f"{wrong}.") from None
    if as_json:
        runs = [asdict(run) for run in found.runs]
        print_json({"runs": runs, "before": found.before, "items_read": found.items_read})
    elif not found.runs and found.before:
        stdout().print(f"None of the newest {found.items_read} is one. To go on: add --before {found.before}")
    elif not found.runs:
        stdout().print(no_such_runs(target), soft_wrap=True)
        if actor is not None:
            stdout().print(
                f"--actor is who asked for a run. What {actor} approved: --approved-by {actor}", soft_wrap=True
            )
    else:
        _print_found(found.runs)
        if found.before:
            stderr().print(f"There are more: add --before {found.before}", soft_wrap=True)


def _some(criteria: Criteria) -> None:
    if criteria.target or criteria.actor or criteria.approved_by or criteria.runbook or criteria.outcome:
        return
    if criteria.first_day is None or criteria.last_day is None:
        raise Stop("Give --target, --actor, --approved-by, --runbook or --outcome, or both --from and --to.")


def _print_found(runs: Sequence[Summary]) -> None:
    from workbench.cli.words import asker, short_target

    rows = [("RUN", "MODE", "OUTCOME", "ERROR", "ENDED (UTC)", "BY", "TARGET")]
    rows += [
        (
            run.run_id,
            run.mode or "-",
            run.outcome,
            run.error or "-",
            run.ended_at[:19].replace("T", " "),
            asker(run.by, run.identity, run.attributed_to),
            short_target(run.target) if run.target else "-",
        )
        for run in runs
    ]
    table(stdout(), rows)


def export(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's id; or give --from and --to.")] = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to; else to stdout.")] = None,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Write the trail of a run, or of all runs that were sealed on some days with their manifests, to one file.

    The file is canonical JSON in any case; `runbook audit verify` checks it. With --json and --out, stdout gets what
    was written.
    """
    from workbench.evidence.export import export as exported

    first, last = _days(first_day, last_day)
    if (run is None) == (first is None) or (first is None) != (last is None):
        raise Stop("Give a run, or both --from and --to.")
    account = opened(stack, region, profile, endpoint_url)
    with working("Reading the audit trail", quiet=not stderr().is_terminal):
        trails = {run: account.ledger.trail(run)} if run else _of_days(account, str(first), str(last))
        if run and not trails[run]:
            account.run(run)
        data = exported(trails)
    if out is None:
        typer.echo(data.decode(), nl=False)
        return
    out.write_bytes(data)
    keys = sorted({f"sha256:{trail[-1].detail['key']}" for trail in trails.values() if _is_sealed(trail)})
    unsealed = [name for name, trail in trails.items() if not _is_sealed(trail)]
    if as_json:
        print_json({"file": str(out), "trails": list(trails), "unsealed": unsealed, "keys": keys})
        return
    sealed = f", sealed with the key {' and '.join(keys)}" if keys else ""
    stdout().print(f"{out}: {len(trails)} trail{'' if len(trails) == 1 else 's'}{sealed}", soft_wrap=True)
    for name in unsealed:
        stderr().print(f"{name} is not sealed yet, so it will not verify.", soft_wrap=True)


def _is_sealed(trail: Sequence[Entry]) -> bool:
    return bool(trail) and trail[-1].event.endswith(".sealed")


def _of_days(account: Account, first: str, last: str) -> dict[str, list[Entry]]:
    """The manifests of those days and every run that they list."""
    from runbooks.evidence import manifest

    trails: dict[str, list[Entry]] = {}
    for day in manifest.days(first, last):
        page = account.ledger.trail(manifest.trail_of(day))
        if not page:
            continue
        trails[manifest.trail_of(day)] = page
        for entry in page:
            if entry.event == manifest.LISTED:
                name = str(entry.detail["run_id"])
                trails[name] = account.ledger.trail(name)
    if not trails:
        raise Stop(f"Nothing was sealed from {first} to {last}: there is no manifest of these days.")
    return trails


def key(
    out: Annotated[Path | None, typer.Option("--out", metavar="KEYFILE", help="Where to; else to stdout.")] = None,
    as_json: Json = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Write the public key that trails are sealed with, in PEM. Keep it, or its fingerprint, apart from the trails."""
    from runbooks.evidence.seal import fingerprint
    from workbench.evidence.keys import pem_of

    public = opened(stack, region, profile, endpoint_url).public_key()
    pem, mark = pem_of(public).decode(), f"sha256:{fingerprint(public)}"
    if out is not None:
        out.write_text(pem, encoding="ascii")
    if as_json:
        print_json({"fingerprint": mark, "pem": pem})
    elif out is not None:
        stdout().print(f"{out}: {mark}", soft_wrap=True)
    else:
        stdout().print(pem, end="")
        stderr().print(mark, soft_wrap=True)


# -- offline -----------------------------------------------------------------------------------------------------------


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export, or a folder with a copy of the archive.")],
    keys: Keys = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    full: Annotated[bool, typer.Option("--full", help="Name the key of each seal.")] = False,
    as_json: Json = False,
) -> None:
    """Check, without any AWS, that trails are what was sealed, and say exactly where they are not.

    Ends with 0 if all of it is verified, with 1 if something is wrong, and with 2 if it could not be checked: what is
    no export cannot be, and nothing is verified without a key that comes from somewhere else. When the key has been
    replaced, give all of them: each seal must hold with one. --from and --to name the days that must be there: without
    --from all days from the first that was ever sealed, without --to up to the last that is in it.
    """
    from workbench.evidence.verify import verify as checked

    first, last = _days(first_day, last_day)
    trusted, where = _trusted(keys or ())
    document = _copy(file) if file.is_dir() else _document(file)
    verdict = checked(document, trusted, days=(first, last))
    if as_json:
        print_json(_verdict_document(verdict, where))
    else:
        _print_verdict(file, verdict, last)
        if verdict.verified:
            _print_keys(verdict, trusted, where, full=full)
    if not verdict.trusted:
        raise typer.Exit(2)
    if not verdict.verified:
        raise typer.Exit(1)


def _verdict_document(verdict: Verdict, where: str) -> dict[str, Any]:
    return {
        "verified": verdict.verified,
        "trusted": verdict.trusted,
        "faults": [asdict(fault) for fault in verdict.faults],
        "runs": list(verdict.runs),
        "days": list(verdict.days),
        "entries": verdict.entries,
        "sealed_with": {trail: f"sha256:{key}" for trail, key in verdict.sealed_with.items()},
        "pinned_in": where or None,
    }


def _print_verdict(file: Path, verdict: Verdict, last: str | None) -> None:
    console = stdout()
    for fault in verdict.faults:
        console.print(str(fault), soft_wrap=True)
    runs = f"{len(verdict.runs)} run{'' if len(verdict.runs) == 1 else 's'}"
    days = f", manifests of {verdict.days[0]} to {verdict.days[-1]}" if verdict.days else ", no manifest"
    held = f"{runs}, {verdict.entries} entries{days}"
    if verdict.verified:
        console.print(f"VERIFIED: {held}", soft_wrap=True)
        if verdict.days and last is None:
            span = f"{verdict.days[0]} to {verdict.days[-1]}"
            console.print(f"It is complete from {span} only; give --to to ask for more.", soft_wrap=True)
    elif verdict.trusted:
        console.print(f"NOT VERIFIED: {file} ({held})", soft_wrap=True)
    else:
        console.print(
            f"NOTHING IS VERIFIED: there is no key to trust. {file} ({held}) could have been made by anybody."
            " Give --key with the public key, or its fingerprint, that you have from somewhere else.",
            soft_wrap=True,
        )


def _print_keys(verdict: Verdict, trusted: Trusted, where: str, *, full: bool) -> None:
    """Which key has sealed how much of it or, in full, which one each trail."""
    by_key = Counter(verdict.sealed_with.values())
    for each, seals in by_key.items():
        name = f" ({trusted.names[each]})" if each in trusted.names else ""
        pinned = f", pinned in {where}" if where else ""
        held = f"{seals} seal{'' if seals == 1 else 's'}"
        stdout().print(f"{held} of the key sha256:{each}{name}{pinned}", soft_wrap=True)
    for trail, each in verdict.sealed_with.items() if full else ():
        stdout().print(f"  {trail}  sha256:{each}", soft_wrap=True)


def _trusted(given: Sequence[str]) -> tuple[Trusted, str]:
    """The keys on the command line or, without any there, those that are pinned; and where they are."""
    from workbench.evidence.keys import NotAKey, trusted
    from workbench.evidence.pinned import BadConfiguration, Pinned, pinned

    try:
        found = Pinned(given) if given else pinned(os.environ)
        return trusted(found.keys), found.where
    except (BadConfiguration, NotAKey) as wrong:
        raise Stop(f"{wrong}.") from None


def _document(file: Path) -> Document:
    from workbench.evidence.export import NotAnExport, NotCanonical, read

    try:
        return read(file.read_bytes())
    except NotAnExport as wrong:
        raise Stop(
            f"NOTHING IS VERIFIED: {file} is no export: {wrong}. Give what `runbook audit export --out FILE` has"
            " written, or a folder with a copy of the archive."
        ) from None
    except NotCanonical as wrong:
        raise Stop(f"NOT VERIFIED: {file} is not a canonical export: {wrong}.", code=1) from None


def _copy(folder: Path) -> Document:
    from runbooks.evidence import archive
    from workbench.evidence.export import NotCanonical
    from workbench.evidence.folder import read_folder

    try:
        document = read_folder(folder)
    except NotCanonical as wrong:
        raise Stop(f"NOT VERIFIED: {wrong}.", code=1) from None
    if not document.trails:
        raise Stop(
            f"NOTHING IS VERIFIED: {folder} has no trail in it: no file whose name ends in {archive.SUFFIX}. Give the"
            " folder that the archive was copied to."
        )
    return document


def _from_file(file: Path, run: str) -> list[Entry]:
    from pydantic import ValidationError

    from runbooks.store.audit import Entry

    document = _document(file)
    for trail in document.trails:
        if trail.run_id == run:
            try:
                entries = [Entry.model_validate(raw.content) for raw in trail.entries]
            except ValidationError:
                raise Stop(f"{file} has entries of {run} that are none. `runbook audit verify` says which.") from None
            strange = sorted({entry.run_id for entry in entries} - {run})
            if strange:
                others = ", ".join(strange)
                raise Stop(f"NOT VERIFIED: {file} has, as the trail of {run}, entries of {others}.", code=1)
            return entries
    there = ", ".join(trail.run_id for trail in document.trails) or "nothing"
    raise Stop(f"{file} does not have the run {run!r}. It has {there}.")


# -- shared ------------------------------------------------------------------------------------------------------------


def _day(text: str | None) -> str | None:
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Stop(f"{text!r} is no day. Write it as 2026-11-21.") from None


def _days(first_day: str | None, last_day: str | None) -> tuple[str | None, str | None]:
    """Both days, checked. Raises Stop for a range that would hold nothing, since that reads like nothing happened."""
    first, last = _day(first_day), _day(last_day)
    if first is not None and last is not None and first > last:
        raise Stop(f"--from {first} is after --to {last}, so no day is meant. Give the earlier one as --from.")
    return first, last


def _output(account: Account, name: str) -> str:
    if name not in account.outputs:
        raise Stop(f"The stack {account.stack} has no output {name}; is it the runbooks' stack?")
    return account.outputs[name]
