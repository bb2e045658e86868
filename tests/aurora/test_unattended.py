"""The page on unattended runs gives a nightly restore whose plans the standing approval beside it covers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks.catalogue.aurora_snapshot_restore.input import Input
from workbench import scenario
from workbench.incident import run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

NAME = "aurora-snapshot-restore"
PAGE = (Path(__file__).parents[2] / "docs" / "unattended.md").read_text()


def schedule() -> dict[str, Any]:
    """The input that the page gives the schedule, with the time and the name filled in as they are."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    filled: dict[str, Any] = json.loads(text.replace("<aws.scheduler.scheduled-time>", "2026-11-21T00:05:00Z"))
    return filled | {"requested_by": "schedule/runbooks-nightly-restore"}


def bounds() -> dict[str, Any]:
    """The bounds of the standing approval that the page gives."""
    body = next(text for text in re.findall(r"-d '(\{.*?\})' ", PAGE) if "bounds" in text)
    found: dict[str, Any] = json.loads(body)["bounds"]
    return found


def test_the_nightly_restore_of_the_page_looks_into_the_new_cluster_before_it_takes_the_old_ones_place() -> None:
    given = Input.model_validate_json(json.dumps(schedule()))
    assert given.replace == "swap"
    assert given.admin_secret is not None
    assert given.checks is not None
    assert given.checks.rows


def test_the_standing_approval_of_the_page_covers_the_nightly_plan_and_no_operation_more(aws: EmbeddedAws) -> None:
    ended = run_scenario(aws, NAME, scenario.of(NAME)["nightly"], mode="plan")
    assert ended.diagnosis is not None
    assert ended.diagnosis.plan is not None
    planned = ended.diagnosis.plan.changes
    assert {change.operation for change in planned} <= set(bounds()["operations"])
    assert len(planned) <= bounds()["most_changes"]
    # A copy is made only if the snapshot lies elsewhere, or under another key.
    assert set(bounds()["operations"]) - {change.operation for change in planned} == {"rds:CopyDBClusterSnapshot"}
