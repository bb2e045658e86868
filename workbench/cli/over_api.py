"""`start`, `follow` and `runs` through the HTTP API: the same output as straight from AWS, with fewer permissions."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import typer

from runbooks.store import audit
from workbench.cli import words
from workbench.cli.failures import Stop, if_interrupted
from workbench.cli.gate import Unreachable, moments, visits
from workbench.cli.output import print_json, stderr, stdout
from workbench.cli.story import Story

if TYPE_CHECKING:
    from workbench.cli.gate import Gate

NOTHING_NEW = 200
"""What the API answers where the same request has started the run before."""
PATIENCE = 60.0
"""Seconds for which a run is followed on while the API does not answer."""


def start(gate: Gate, runbook: str, document: dict[str, Any], key: str | None) -> tuple[dict[str, Any], bool]:
    """Start a run: its id, its execution, and the rest of what the API says; and whether it was started now."""
    # An answer that is lost is asked for again, and must not start another run.
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    given = {name: value for name, value in document.items() if name != "requested_by"}
    answer = gate.answer("POST", "/runs", {"runbook": runbook, "input": given}, headers=headers)
    return answer.document, key is None or answer.status != NOTHING_NEW


def follow(gate: Gate, run_id: str, *, poll: float, as_json: bool) -> None:
    """Watch a run to its end; ends the command with 1 if it failed.

    Raises Stop, which ends it with 2, once the API has not answered for PATIENCE seconds.
    """
    gate.patience = PATIENCE
    try:
        _follow(gate, run_id, poll=poll, as_json=as_json)
    except Unreachable as failure:
        raise Stop(
            f"{failure} It was asked again for {PATIENCE:g} s. The run goes on all the same: `runbook follow {run_id}"
            " --api` tells it from the beginning."
        ) from None


def _follow(gate: Gate, run_id: str, *, poll: float, as_json: bool) -> None:
    run = gate.run(run_id, patient=True)
    console = stderr() if as_json else stdout()
    trail: list[audit.Entry] = []
    again, stop = f"runbook follow {run_id} --api", f"runbook stop {run_id} --api"
    on = f"The run goes on: `{again}` tells it from the beginning, `{stop}` stops it."
    with if_interrupted(on), Story(console, run["runbook"]) as story:
        while story.closed is None:
            news = gate.entries(run_id, after=trail[-1].seq if trail else 0)
            for moment in moments(news):
                story.observe(moment)
            story.ask_for_a_decision(gate.options)
            trail += news
            if story.closed is None:
                time.sleep(poll)
    run, faults = gate.run(run_id), audit.faults(trail)
    if as_json:
        print_json(
            {
                "run_id": run_id,
                "execution_arn": run["execution_arn"],
                "runbook": run["runbook"],
                "status": run["status"],
                "outcome": run["status"],
                "error": run["error"],
                "cause": run["cause"],
                "states": [visit.state for visit in visits(trail)],
                "changes": _changes(run),
                "audit": [entry.model_dump(mode="json") for entry in trail],
                "audit_verified": not faults,
            }
        )
    else:
        story.states(visits(trail))
        ended = f"ended after {words.duration(trail[-1].detail.get('seconds'))}"
        why = f"{str(run['cause']).rstrip('.')}; " if run["cause"] else ""
        good = run["status"] == "SUCCEEDED"
        story.end(run["error"] or run["status"], f"{why}{ended}, {words.verified(trail, faults)}", good=good)
    if run["status"] != "SUCCEEDED":
        raise typer.Exit(1)


def _changes(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes that the run has set out to make, as they are told without the API."""
    told = ("number", "operation", "was", "becomes", "status")
    changes = run["plan"]["changes"] if run["plan"] else []
    return [{name: change[name] for name in told} for change in changes if change["status"]]


def runs(gate: Gate, runbook: str | None, target: str | None, *, only_open: bool) -> list[dict[str, Any]]:
    """Runs, the newest first."""
    return list(gate.runs(runbook=runbook, target=target, status="open" if only_open else None))


def run_id_only(run: str) -> str:
    """The API knows runs by their ids. Raises Stop for an execution's ARN."""
    if run.startswith("arn:"):
        raise Stop("The API knows runs by their ids. Give the run's id, or follow the execution without --api.")
    return run
