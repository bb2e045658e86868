"""Of every incident of every runbook: the trail is evidence, holds in one form only, and says how the run ended."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from runbooks import catalogue
from runbooks.evidence.seal import fingerprint
from workbench import scenario
from workbench.cli.app import app
from workbench.evidence.export import NotCanonical, export, read
from workbench.evidence.keys import Trusted
from workbench.evidence.left import Left, left_by
from workbench.evidence.verify import verify
from workbench.incident import run_scenario
from workbench.scenario import Scenario

from .sealed import WAYS, Tampered, Way, tamper

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

    from ..conftest import Kept

ALL = [(name, each) for name in catalogue.names() for each in scenario.of(name).values()]
IDS = [f"{name}-{each.name}" for name, each in ALL]
FAILING = [
    (name, next(each for each in scenario.of(name).values() if each.ends == "FAILED")) for name in catalogue.names()
]

Leaves = Callable[[str, Scenario], Left]


@pytest.fixture(scope="module")
def leaves(embedded: EmbeddedAws, kept: Kept) -> Leaves:
    """What an incident has left when its own test ran it; where none has, it is run here."""
    known: dict[tuple[str, str], Left] = {}

    def find(runbook: str, incident: Scenario) -> Left:
        place = runbook, incident.name
        if place not in known and (found := kept.left_by(runbook, incident)) is not None:
            known[place] = found
        if place not in known:
            embedded.reset()
            known[place] = left_by(embedded, run_scenario(embedded, runbook, incident))
        return known[place]

    return find


def exported(*runs: Left) -> tuple[bytes, Trusted]:
    """Their trails in one file, and an auditor who has the keys of all of them."""
    data = export({each.run_id: each.trail for each in runs})
    return data, Trusted({fingerprint(each.key): each.key for each in runs})


def is_refused_where(tampered: Tampered, trusted: Trusted) -> bool:
    """Whether it is refused, with the trail and the entry that somebody was at."""
    try:
        verdict = verify(read(tampered.data), trusted)
    except NotCanonical:
        return not tampered.trail or tampered.entry is None
    named = {(fault.trail, fault.entry) for fault in verdict.faults}
    if tampered.entry is not None:
        return not verdict.verified and (tampered.trail, tampered.entry) in named
    return not verdict.verified and (not tampered.trail or tampered.trail in {trail for trail, _ in named})


@pytest.mark.parametrize(("runbook", "incident"), ALL, ids=IDS)
def test_the_trail_of_any_run_verifies_and_says_how_it_ended(
    leaves: Leaves, tmp_path: Path, runbook: str, incident: Scenario
) -> None:
    left = leaves(runbook, incident)
    data, trusted = exported(left)
    verdict = verify(read(data), trusted)
    assert verdict.verified, [str(fault) for fault in verdict.faults]
    assert verdict.sealed_with == {left.run_id: fingerprint(left.key)}

    file = tmp_path / "trail.json"
    file.write_bytes(data)
    shown = CliRunner().invoke(app, ["audit", "show", left.run_id, "--file", str(file)])
    assert shown.exit_code == 0
    assert (left.error or left.outcome or "never") in shown.stdout
    assert not left.cause or left.cause in shown.stdout
    report = CliRunner().invoke(app, ["audit", "report", left.run_id, "--file", str(file)]).stdout
    assert report.startswith(f"# {left.run_id}: {left.error or left.outcome}")
    assert "```mermaid" in report


@pytest.mark.parametrize(("runbook", "incident"), ALL, ids=IDS)
def test_the_trail_of_any_run_verifies_in_no_other_form_however_it_was_tampered_with(
    leaves: Leaves, runbook: str, incident: Scenario
) -> None:
    """Each way is tried on each trail, which lies in one file with another so that the two can be spliced."""
    other = next(name for name in catalogue.names() if name != runbook)
    data, trusted = exported(leaves(runbook, incident), leaves(other, next(iter(scenario.of(other).values()))))
    for number, way in enumerate(WAYS):
        tampered = tamper(data, way, random.Random(number))
        assert tampered is not None, way
        assert is_refused_where(tampered, trusted), tampered.how


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ALL), st.sampled_from(ALL), st.sampled_from(WAYS), st.integers(0, 2**32))
def test_any_trails_verify_together_and_in_no_other_form_wherever_they_were_tampered_with(
    leaves: Leaves, one: tuple[str, Scenario], other: tuple[str, Scenario], way: Way, seed: int
) -> None:
    data, trusted = exported(leaves(*one), leaves(*other))
    assert verify(read(data), trusted).verified
    tampered = tamper(data, way, random.Random(seed))
    assert tampered is None or is_refused_where(tampered, trusted)


@pytest.mark.parametrize(("runbook", "incident"), FAILING, ids=[f"{name}-{each.name}" for name, each in FAILING])
def test_one_command_shows_the_error_messages_of_a_run_that_failed(
    aws: EmbeddedAws, runbook: str, incident: Scenario
) -> None:
    """What "check the State Table and the Audit Table for error messages" comes to."""
    ended = run_scenario(aws, runbook, incident)
    assert ended.error
    assert ended.cause
    env = {
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": aws.region,
        "AWS_ENDPOINT_URL": aws.endpoint_url,
    }

    def on_aws(*arguments: str) -> Any:
        return CliRunner().invoke(app, arguments, env=env)

    shown = on_aws("audit", "show", ended.run_id)
    assert shown.exit_code == 0
    head = shown.stdout.splitlines()[:3]
    assert head[1].startswith(f"{ended.error}, ")
    assert head[2] == ended.cause
    document = json.loads(on_aws("audit", "show", ended.run_id, "--json").stdout)
    assert (document["error"], document["cause"]) == (ended.error, ended.cause)
