"""Of each runbook, a run that went well and one that failed: the trail is evidence, and says what went wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from runbooks import catalogue
from runbooks.policy import person
from workbench import scenario
from workbench.cli.app import app
from workbench.evidence.export import NotCanonical, read
from workbench.evidence.keys import Trusted
from workbench.evidence.verify import verify
from workbench.incident import run_scenario
from workbench.scenario import Scenario

from .conftest import Auditor
from .sealed import Tampered, new_key, ways

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

SEEDS = range(2)


def chosen() -> list[tuple[str, Scenario]]:
    """The standard incident of each runbook, and its first one that fails."""
    found = []
    for name in catalogue.names():
        scenarios = list(scenario.of(name).values())
        failing = [each for each in scenarios[1:] if each.ends == "FAILED"]
        found += [(name, each) for each in scenarios[:1] + failing[:1]]
    return found


ALL = chosen()


@pytest.fixture
def on_aws(aws: EmbeddedAws) -> Callable[..., Any]:
    env = {
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": aws.region,
        "AWS_ENDPOINT_URL": aws.endpoint_url,
    }
    return lambda *arguments: CliRunner().invoke(app, arguments, env=env)


@pytest.mark.parametrize(("runbook", "incident"), ALL, ids=[f"{name}-{each.name}" for name, each in ALL])
def test_the_trail_of_a_run_verifies_in_no_other_form_and_one_command_says_how_it_ended(
    aws: EmbeddedAws, auditor: Auditor, on_aws: Callable[..., Any], runbook: str, incident: Scenario
) -> None:
    ended = run_scenario(aws, runbook, incident)
    assert ended.run is not None
    aws.cloudtrail(person(ended.run.requested_by) or "unknown", ended.execution_arn)
    aws.invoke("SealFunction", {})
    aws.settle()

    data, trusted = auditor.export(ended.run_id), auditor.trusted
    assert verify(read(data), trusted).verified
    for seed in SEEDS:
        for tampered in ways(data, new_key(), random.Random(seed)):
            assert is_refused_where(tampered, trusted), tampered.how

    shown = on_aws("audit", "show", ended.run_id)
    assert shown.exit_code == 0
    assert (ended.error or "SUCCEEDED") in shown.stdout
    assert not ended.cause or ended.cause in shown.stdout
    document = json.loads(on_aws("audit", "show", ended.run_id, "--json").stdout)
    assert (document["error"], document["cause"]) == (ended.error, ended.cause)
    report = on_aws("audit", "report", ended.run_id).stdout
    assert report.startswith(f"# {ended.run_id}: {ended.error or 'SUCCEEDED'}")
    assert "```mermaid" in report


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
