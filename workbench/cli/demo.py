"""`demo`: an incident on the embedded AWS, mended before your eyes."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workbench.cli.failures import Stop, sentence
from workbench.cli.output import print_json, stderr, stdout, working
from workbench.cli.reference import runbook_named, runbooks_like
from workbench.cli.texts import Json, example

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.incident import Incident
    from workbench.scenario import Scenario

FIRST = "ecs-service-rollback"
"""What is shown when nothing is named."""
PACE = 0.4
"""Real seconds that a wait lasts on a terminal, so that it can be seen."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    examples = (
        "runbook demo",
        "runbook demo ecs-service-rollback --plan",
        "runbook demo --export trail.json --key-out key.pem",
        "runbook demo --all --json",
    )
    app.command("demo", epilog=example(*examples))(demo)


def demo(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help=f"The runbook; {FIRST} if none is named.", autocompletion=runbooks_like),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="The incident; the runbook's standard incident if none is named.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="The approver says no.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every incident of the runbook, or of all of them; one line each.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the run's sealed audit trail to a file.")
    ] = None,
    key_out: Annotated[
        Path | None, typer.Option("--key-out", metavar="KEYFILE", help="Write the public key that it is sealed with.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Break an AWS in this process and watch a runbook mend it. Needs no account and no network.

    Ends with 0 if the run ended as the incident says it must.
    """
    if plan and deny:
        raise Stop("With --plan nobody is asked, so nobody can --deny. Give one of them.")
    if everything and scenario:
        raise Stop("--all runs every scenario, and --scenario one. Give one of them.")
    if everything and (export or key_out):
        raise Stop("--all runs every scenario, and --export and --key-out are about one. Leave out --all.")
    for option, file in (("--export", export), ("--key-out", key_out)):
        if file is not None:
            _can_be_written(option, file)
    chosen = _chosen(name, scenario, everything=everything)
    mode: Literal["plan"] | None = "plan" if plan else None
    decision: Literal["deny"] | None = "deny" if deny else None
    watched = not everything and not as_json
    with embedded(PACE if watched and sys.stdout.isatty() else 0.0) as aws:
        if watched:
            ((runbook, only),) = chosen
            results: list[Result] = [_watch(aws, runbook, only, mode, decision)]
        else:
            results = _each(aws, chosen, mode, decision, lines=everything and not as_json)
        if export or key_out:
            _keep(aws, results[0], export, key_out)
    if as_json:
        documents = [result.document() for result in results]
        print_json(documents if everything else documents[0])
    if not all(result.is_as_expected(told=everything and not as_json) for result in results):
        raise typer.Exit(1)


def _can_be_written(option: str, file: Path) -> None:
    """Raises Stop for a file that cannot be, before an incident is run for it."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise Stop(f"{option} {file}: there is no folder {folder}. Make it, or name a file in another one.")
    if file.is_dir():
        raise Stop(f"{option} {file} is a folder. Name a file in it.")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise Stop(f"{option} {file} cannot be written: permission denied. Name another file.")


def _keep(aws: EmbeddedAws, result: Result, file: Path | None, key_file: Path | None) -> None:
    """Writes the trail, once it is sealed, and the key."""
    from workbench.evidence.export import export
    from workbench.evidence.keys import pem_of
    from workbench.evidence.left import left_by

    incident = result.incident
    if incident is None:
        raise Stop(f"There is no trail to export. {' '.join(result.wrong())}")
    left = left_by(aws, incident)
    if key_file is not None:
        key_file.write_bytes(pem_of(left.key))
    if file is not None:
        file.write_bytes(export({left.run_id: left.trail}))


@dataclass(frozen=True)
class Result:
    """A scenario and what came of it; `problem` says why nothing did."""

    runbook: str
    scenario: Scenario
    seconds: float
    incident: Incident | None = None
    problem: str = ""

    def wrong(self) -> list[str]:
        """Sentences on what is not as the scenario says."""
        return self.incident.unexpected() if self.incident else [f"It could not be run: {self.problem}"]

    def is_as_expected(self, *, told: bool) -> bool:
        """Whether it ended as it must; if not, and nobody was told yet, stderr says so."""
        wrong = self.wrong()
        if wrong and not told:
            print(f"{self.runbook} {self.scenario.name} did not end as it must.", *wrong, file=sys.stderr)
        return not wrong

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        about = {"runbook": self.runbook, "scenario": self.scenario.name, "unexpected": self.wrong()}
        incident = self.incident
        if incident is None:
            return about
        return {
            "run_id": incident.run_id,
            **about,
            "status": incident.status,
            "outcome": incident.outcome,
            "error": incident.error,
            "cause": incident.cause,
            "states": incident.states,
            "changes": [asdict(change) for change in incident.changes],
            "audit": [entry.model_dump(mode="json") for entry in incident.audit],
            "audit_verified": incident.audit_verified,
        }


def _chosen(name: str | None, scenario: str | None, *, everything: bool) -> list[tuple[str, Scenario]]:
    """The runbooks and scenarios that are meant. Raises Stop listing what there is."""
    from runbooks import catalogue
    from workbench import scenario as scenarios

    names = [name] if name else catalogue.names() if everything else [FIRST]
    for each in names:
        runbook_named(each)
    there_are = {each: scenarios.of(each) for each in names}
    if everything:
        chosen = [(each, one) for each, of in there_are.items() for one in of.values()]
        if not chosen:
            raise Stop(f"{', '.join(names)} has no scenarios to show.")
        return chosen
    only = names[0]
    if not there_are[only]:
        raise Stop(f"{only} has no scenarios to show.")
    wanted = scenario or next(iter(there_are[only]))
    if wanted not in there_are[only]:
        raise Stop(f"{only} has no scenario {wanted!r}. There are: {', '.join(there_are[only])}.")
    return [(only, there_are[only][wanted])]


def chosen_scenario(name: str | None, scenario: str | None) -> Scenario:
    """The scenario that is meant. Raises Stop listing what there is."""
    ((_, only),) = _chosen(name, scenario, everything=False)
    return only


@contextmanager
def embedded(pace: float, *, api_port: int = 0) -> Iterator[EmbeddedAws]:
    """An embedded AWS for a command: quiet, and announced as it boots. Raises OSError if the API's port is taken."""
    with working("Starting an AWS in this process and deploying the runbooks to it"):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        from workbench.embedded import EmbeddedAws

        aws = EmbeddedAws(stage="dev", region="eu-central-1", pace=pace, api_port=api_port)
    with aws:
        yield aws


def _each(
    aws: EmbeddedAws,
    chosen: list[tuple[str, Scenario]],
    mode: Literal["plan"] | None,
    decision: Literal["deny"] | None,
    *,
    lines: bool,
) -> list[Result]:
    from workbench.incident import run_scenario

    results = []
    for position, (runbook, scenario) in enumerate(chosen):
        if position:
            aws.reset()
        began, incident, problem = time.monotonic(), None, ""
        with working(f"{runbook}: {scenario.title}", quiet=not stderr().is_terminal):
            try:
                incident = run_scenario(aws, runbook, scenario, mode=mode, decision=decision)
            except Exception as failure:  # noqa: BLE001 - the other scenarios are still worth running
                problem = sentence(failure) or f"{type(failure).__name__}: {failure}"
        results.append(Result(runbook, scenario, time.monotonic() - began, incident, problem))
        if lines:
            _line(results[-1], max(len(f"{each}  {one.name}") for each, one in chosen))
    return results


def _line(result: Result, width: int) -> None:
    from rich.text import Text

    from workbench.cli.output import columns, marks

    console = stdout()
    done, failed, _ = marks(console)
    wrong, incident = result.wrong(), result.incident
    entries = len(incident.audit) if incident else 0
    cells: list[Text | str] = [
        Text(failed if wrong else done, "red" if wrong else "green"),
        f"{result.runbook}  {result.scenario.name}",
        (incident.error or incident.status) if incident else "",
        " ".join(wrong) or f"as it must end; {entries} audit entries, {result.seconds:.0f} s",
    ]
    console.print(columns(console, cells, [max(len(done), len(failed)), width, len("RemediationFailed")]))


def _watch(
    aws: EmbeddedAws,
    runbook: str,
    scenario: Scenario,
    mode: Literal["plan"] | None,
    decision: Literal["deny"] | None,
) -> Result:
    from workbench.cli import words
    from workbench.cli.story import Story
    from workbench.incident import run_scenario

    console, began = stdout(), time.monotonic()
    console.print(f"{scenario.title}\n")
    with Story(console, runbook) as story:
        incident = run_scenario(aws, runbook, scenario, mode=mode, decision=decision, observe=story.observe)
    console.print()
    story.states(incident.visits)
    story.trail(incident.audit)
    trail = words.verified(incident.audit, incident.audit_faults)
    ended = words.ending(incident.run, incident.seconds)
    console.print()
    word = incident.error or incident.status
    story.end(word, f"{ended}, {trail}", good=incident.status == "SUCCEEDED")
    return Result(runbook, scenario, time.monotonic() - began, incident)
