"""What a swap cannot take over is said before anybody approves, and what would break by it is not swapped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from workbench import scenario
from workbench.incident import run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

NAME = "aurora-snapshot-restore"


def test_the_plan_comes_with_what_stays_behind(aws: EmbeddedAws) -> None:
    ended = run_scenario(aws, NAME, scenario.of(NAME)["swap-unlike-the-defaults"], mode="plan")
    assert ended.diagnosis is not None
    found = {finding.id: finding.evidence for finding in ended.diagnosis.decision.findings}
    assert found["endpoints-stay"] == "orders has the custom endpoints reports"
    assert found["roles-stay"].endswith("role/orders-import (s3Import)")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("GlobalClusterIdentifier", "worldwide", "a member of the global database worldwide"),
        (
            "ReplicationSourceIdentifier",
            "arn:aws:rds:eu-west-1:123456789012:cluster:orders",
            "a replica of arn:aws:rds:eu-west-1:123456789012:cluster:orders",
        ),
    ],
)
def test_a_cluster_that_is_part_of_something_larger_is_not_swapped(
    aws: EmbeddedAws, field: str, value: str, says: str
) -> None:
    swap = scenario.of(NAME)["swap"]

    def arrange(embedded: EmbeddedAws) -> None:
        swap.arrange(embedded)
        embedded.rds.region.clusters["orders"].settings[field] = value

    ended = run_scenario(aws, NAME, replace(swap, arrange=arrange))
    assert (ended.status, ended.error) == ("FAILED", "Refused")
    assert says in (ended.cause or "")
    assert ended.changes == []
    assert ended.world_after == ended.world_before
