"""A cluster that clients could reach under the target's name is never deleted before a snapshot has what they wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.catalogue.aurora_snapshot_restore.tags import FINAL, PART
from workbench import scenario
from workbench.embedded import rds
from workbench.incident import Incident, run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.embedded.rds.state import Snapshot

NAME = "aurora-snapshot-restore"
UNDO = "Undo the changes"
WHILE_UNDOING = "Wait for the undo"


def run(aws: EmbeddedAws, name: str, **more: Any) -> Incident:
    return run_scenario(aws, NAME, replace(scenario.of(NAME)[name], **more))


def somebody_orders(aws: EmbeddedAws, _execution: str = "") -> None:
    """A client writes to the cluster under the target's name; the snapshot that it was restored from has three rows."""
    rds.sql(aws, "orders", "insert into sales.orders values (4, 99)", database="app")


def finals(aws: EmbeddedAws) -> list[Snapshot]:
    tagged = {"Key": PART, "Value": FINAL}
    return [each for each in aws.rds.region.snapshots.values() if tagged in each.tags]


def restored_from(aws: EmbeddedAws, snapshot: Snapshot) -> None:
    """Somebody makes the cluster `found` of the snapshot, instead of the one that was there."""
    aws.rds.region.clusters.pop("found", None)
    rds.script(aws, "cluster", "restore", takes=0)
    given = {"DBClusterIdentifier": "found", "SnapshotIdentifier": snapshot.name, "Engine": "aurora-postgresql"}
    aws.rds.do("RestoreDBClusterFromSnapshot", given | {"DBSubnetGroupName": "db"})


def orders_in(aws: EmbeddedAws, snapshot: Snapshot) -> list[list[str | None]]:
    """What somebody finds who restores the snapshot."""
    restored_from(aws, snapshot)
    return rds.sql(aws, "found", "select id::text from sales.orders order by id", database="app")


def test_when_users_cannot_be_set_up_under_the_targets_own_name(aws: EmbeddedAws) -> None:
    ended = run(aws, "users-fail", on_state={"Set up the database users": somebody_orders})
    assert ended.unexpected() == []
    (final,) = finals(aws)
    assert final.life.status == "available"
    assert final.name.startswith("orders-final-")
    assert orders_in(aws, final) == [["1"], ["2"], ["3"], ["4"]]


def test_also_what_they_write_while_the_undo_has_begun(aws: EmbeddedAws) -> None:
    ended = run(aws, "users-fail", on_state={UNDO: somebody_orders})
    assert ended.unexpected() == []
    (final,) = finals(aws)
    assert orders_in(aws, final) == [["1"], ["2"], ["3"], ["4"]]


def test_when_a_swap_cannot_be_verified(aws: EmbeddedAws) -> None:
    from workbench.scenarios.aurora_snapshot_restore import verification_is_denied

    def meanwhile(embedded: EmbeddedAws, execution: str) -> None:
        somebody_orders(embedded)
        embedded.faults.after("rds:CreateDBClusterSnapshot", orders_on, times=1)
        verification_is_denied(embedded, execution)

    def orders_on(embedded: EmbeddedAws) -> None:
        rds.sql(embedded, "orders", "insert into sales.orders values (5, 99)", database="app")

    ended = run(aws, "swap-cannot-be-verified", on_state={"Verify": meanwhile})
    assert ended.unexpected() == []
    first, second = sorted(finals(aws), key=lambda each: each.created)
    assert {first.life.status, second.life.status} == {"available"}
    assert orders_in(aws, first) == [["1"], ["2"], ["3"], ["4"]]
    assert orders_in(aws, second) == [["1"], ["2"], ["3"], ["4"], ["5"]]
    assert rds.sql(aws, "orders", "select count(*)::text from sales.orders", database="app") == [["3"]]


@pytest.mark.parametrize("status", ["backing-up", "modifying", "failing-over"])
def test_what_is_busy_when_it_is_to_be_undone_is_waited_for(aws: EmbeddedAws, status: str) -> None:
    def busy(embedded: EmbeddedAws, _execution: str) -> None:
        somebody_orders(embedded)
        rds.put_into(embedded, "cluster", "orders", status)
        rds.put_into(embedded, "instance", "orders-1", status)

    def ready(embedded: EmbeddedAws, _execution: str) -> None:
        embedded.clock.advance(minutes=10)
        rds.put_into(embedded, "cluster", "orders", "available")

    ended = run(aws, "users-fail", on_state={UNDO: busy, WHILE_UNDOING: ready})
    assert ended.unexpected() == []
    (final,) = finals(aws)
    assert orders_in(aws, final) == [["1"], ["2"], ["3"], ["4"]]


def test_where_no_snapshot_can_be_made_in_time_the_cluster_stays_for_a_person_to_look_at(aws: EmbeddedAws) -> None:
    def busy(embedded: EmbeddedAws, _execution: str) -> None:
        rds.put_into(embedded, "cluster", "orders", "modifying")
        # So that not every look of four hours is waited for.
        embedded.faults.before("lambda:Invoke", lambda later: later.clock.advance(minutes=30))

    ended = run(aws, "users-fail", on_state={UNDO: busy})
    assert (ended.status, ended.error) == ("FAILED", "UndoFailed")
    assert finals(aws) == []
    assert aws.rds.region.clusters["orders"].life.status == "modifying"


def test_what_was_written_to_a_replaced_cluster_until_its_retention_is_over_is_in_its_last_snapshot(
    aws: EmbeddedAws,
) -> None:
    def written_to_since(embedded: EmbeddedAws) -> None:
        scenario.of(NAME)["nightly"].arrange(embedded)
        rds.sql(embedded, "reporting-replaced-october", "create table late as select 7 as seven", database="app")

    ended = run(aws, "nightly", arrange=written_to_since)
    assert ended.unexpected() == []
    assert "reporting-replaced-october" not in aws.rds.region.clusters
    (last,) = [each for each in aws.rds.region.snapshots.values() if each.name.startswith("reporting-last-")]
    assert last.life.status == "available"
    restored_from(aws, last)
    assert rds.sql(aws, "found", "select seven::text from late", database="app") == [["7"]]


def test_a_swap_that_fails_before_the_new_cluster_has_the_name_leaves_no_snapshot_behind(aws: EmbeddedAws) -> None:
    def swap_with_a_wrong_password(embedded: EmbeddedAws) -> None:
        scenario.of(NAME)["swap"].arrange(embedded)
        secret = embedded.client("secretsmanager")
        secret.put_secret_value(SecretId="orders/admin", SecretString='{"username": "postgres", "password": "no"}')

    ended = run(aws, "swap", arrange=swap_with_a_wrong_password)
    assert (ended.status, ended.error) == ("FAILED", "RemediationFailed")
    assert ended.world_after == ended.world_before
    assert finals(aws) == []


def test_a_cluster_that_never_served_leaves_no_snapshot_behind(aws: EmbeddedAws) -> None:
    for name in ("restore-fails", "restore-takes-too-long", "key-lost-while-restoring"):
        aws.reset()
        ended = run(aws, name)
        assert ended.unexpected() == []
        assert finals(aws) == []
