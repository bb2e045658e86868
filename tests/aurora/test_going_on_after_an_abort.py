"""What an aborted restore leaves is known again by its tag, and gone on with instead of made again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from workbench import scenario
from workbench.incident import Incident, run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

NAME = "aurora-snapshot-restore"
LATER = {"arrange": lambda _: None}
"""The world stays as it was left."""


def stopped(aws: EmbeddedAws, name: str, state: str) -> Incident:
    """That incident, stopped by somebody when it comes to that state."""
    from workbench.scenarios.aurora_snapshot_restore import stop

    ended = run_scenario(
        aws, NAME, replace(scenario.of(NAME)[name], on_state={state: stop}, ends="ABORTED"), execution_name="first"
    )
    assert (ended.status, ended.error) == ("ABORTED", "RunAborted")
    assert ended.lock_free
    return ended


def again(aws: EmbeddedAws, name: str, **more: Any) -> Incident:
    changed = {**LATER, "changes": None, **more}
    return run_scenario(aws, NAME, replace(scenario.of(NAME)[name], **changed), execution_name="again")


def adopted(ended: Incident) -> list[str]:
    return [str(entry.detail["operation"]) for entry in ended.audit if entry.event == "change.adopted"]


def test_a_cluster_that_is_still_being_restored_is_waited_for_and_finished(aws: EmbeddedAws) -> None:
    first = stopped(aws, "same-region", "Wait: is the cluster available?")
    assert "change 1 rds:RestoreDBClusterFromSnapshot" in (first.cause or "")
    assert "it is adopted, and what is left is: Create its instances, Hand the cluster over" in (first.cause or "")
    made = aws.rds.region.clusters["orders"].resource_id
    second = again(aws, "same-region")
    assert second.unexpected() == []
    assert adopted(second) == ["rds:RestoreDBClusterFromSnapshot"]
    assert aws.rds.region.clusters["orders"].resource_id == made


@pytest.mark.parametrize(
    ("name", "state", "taken_on"),
    [
        ("same-region", "Wait: are its instances available?", ["RestoreDBClusterFromSnapshot", "CreateDBInstance"]),
        ("other-region", "Wait: is the copy available?", ["CopyDBClusterSnapshot"]),
        (
            "cross-account-default-key",
            "Wait: is it copied in the source account?",
            ["CopyDBClusterSnapshot"],
        ),
        ("with-users", "Check the database", ["RestoreDBClusterFromSnapshot", "CreateDBInstance"]),
        ("swap", "Snapshot the old cluster", ["RestoreDBClusterFromSnapshot", "CreateDBInstance"]),
    ],
)
def test_what_is_there_is_adopted_and_the_rerun_ends_as_the_run_would_have(
    aws: EmbeddedAws, name: str, state: str, taken_on: list[str]
) -> None:
    stopped(aws, name, state)
    # A function that was at work when the run was stopped keeps the lock until it is surely over.
    aws.clock.advance(minutes=5)
    second = again(aws, name)
    assert second.unexpected() == []
    assert adopted(second) == [f"rds:{operation}" for operation in taken_on]


BETWEEN_THE_NAMES = "Wait: has the old cluster stepped aside?"
BEFORE_THE_END = "Wait: has the new cluster its name?"


@pytest.mark.parametrize("state", [BETWEEN_THE_NAMES, BEFORE_THE_END])
def test_a_swap_that_was_stopped_half_way_is_finished_by_the_next_run(aws: EmbeddedAws, state: str) -> None:
    stopped(aws, "swap", state)
    aws.clock.advance(minutes=5)
    second = again(aws, "swap")
    assert second.unexpected() == []
    assert "rds:ModifyDBCluster" in adopted(second)


def test_a_swap_that_was_stopped_half_way_is_undone_by_the_next_run_if_that_fails(aws: EmbeddedAws) -> None:
    """The old cluster gets its name back although it was another run that took it away."""
    from workbench.scenarios.aurora_snapshot_restore import OLD, verification_is_denied

    first = stopped(aws, "swap", BEFORE_THE_END)
    aws.clock.advance(minutes=5)
    second = again(
        aws,
        "swap",
        ends="FAILED",
        error="RemediationFailed",
        world_after={**first.world_before, "clusters": {"orders": {**OLD, "protected": True}}},
        on_state={"Verify": verification_is_denied},
    )
    left = second.world_after["snapshots"].pop("orders-before-<when>")
    assert left["status"] == "available"
    assert second.unexpected() == []


def test_a_run_after_a_finished_one_changes_nothing_and_makes_no_second_cluster(aws: EmbeddedAws) -> None:
    first = run_scenario(aws, NAME, scenario.of(NAME)["swap"], execution_name="first")
    assert first.unexpected() == []
    second = again(aws, "swap", world_after=None, changes=0)
    assert second.unexpected() == []
    assert second.run is not None
    assert second.run.verdict == "healthy"


def test_an_undo_that_begins_in_the_middle_of_a_rename_waits_for_it(aws: EmbeddedAws) -> None:
    """While a cluster is being renamed it answers to neither of its names for certain."""
    from workbench.scenarios.aurora_snapshot_restore import verification_is_denied

    for question in ("has the old cluster stepped aside?", "has the new cluster its name?"):
        aws.reset()
        incident = replace(
            scenario.of(NAME)["swap-cannot-be-verified"],
            on_state={f"Look: {question}": verification_is_denied},
            changes=None,
        )
        ended = run_scenario(aws, NAME, incident)
        assert ended.unexpected() == []
        assert any(entry.event == "undo.awaits" for entry in ended.audit)
