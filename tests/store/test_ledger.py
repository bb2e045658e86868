"""Runs, locks, step ledger and trail, on the tables of the real template."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.errors import LeaseLost, LedgerUnavailable, Refused, RunClosed, TargetLocked
from runbooks.store import audit
from runbooks.store.runs import ChangeRecord, ChangeStatus, Ledger, Run, run_id_of
from runbooks.store.tables import ConditionFailed
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
LEASE = timedelta(minutes=5)
TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/prod/report"
OTHER = "arn:aws:ecs:eu-central-1:123456789012:service/prod/mail"


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


def begun(ledger: Ledger, name: str = "a", targets: tuple[str, ...] = (TARGET,), **more: Any) -> Run:
    run = Run(
        run_id=name,
        runbook="ecs-service-rollback",
        execution_arn=f"arn:execution:{name}",
        started_at="2026-11-21T03:00:00.000Z",
        requested_by="alice",
        targets=targets,
    ).model_copy(update=more)
    return ledger.begin(run, state="Begin run", detail={}, now=NOW)


def locked(ledger: Ledger, run: Run, now: datetime = NOW, budget: int = 5) -> Run:
    return ledger.lock(run, lease=LEASE, budget=budget, state="Lock the target", now=now)


def closed(ledger: Ledger, run: Run, now: datetime = NOW, **more: Any) -> Run:
    ended = {"outcome": "FAILED", "error_name": "Refused", "error_cause": "because", "detail": {}}
    return ledger.close(run, state="Record failure", now=now, **(ended | more))


def test_the_id_of_a_run_is_its_runbook_start_and_execution() -> None:
    one = run_id_of("ecs-service-rollback", "arn:execution:a", NOW)
    assert one.startswith("ecs-service-rollback-20261121T030000Z-")
    assert one == run_id_of("ecs-service-rollback", "arn:execution:a", NOW)
    assert one != run_id_of("ecs-service-rollback", "arn:execution:b", NOW)
    assert one != run_id_of("ecs-service-rollback", "arn:execution:a", NOW + timedelta(milliseconds=1))


def test_a_run_begun_twice_is_one_run_with_one_first_entry(ledger: Ledger) -> None:
    assert begun(ledger) == begun(ledger)
    assert [entry.event for entry in ledger.trail("a")] == ["run.started"]


def test_what_happens_to_a_run_is_stored_with_its_entry(ledger: Ledger) -> None:
    run = ledger.record(begun(ledger), "looked", {"n": 1}, state="s", now=NOW, updates={"progress": "half"})
    stored = ledger.find("a")
    assert stored == run
    assert stored is not None
    assert (stored.progress, stored.audit_seq) == ("half", 2)
    assert ledger.trail("a")[-1].hash == stored.audit_head


def test_when_a_condition_fails_neither_the_run_nor_the_trail_changes(ledger: Ledger) -> None:
    run = begun(ledger)
    first = ChangeRecord(number=1, status=ChangeStatus.INTENDED, attempt=1, deadline="2026-11-21T03:01:00.000Z")
    item = ledger.change_item("a", first, replaces=None)
    run = ledger.record(run, "change.intended", {}, state="s", now=NOW, also=[item])
    with pytest.raises(ConditionFailed) as failure:
        ledger.record(run, "change.intended", {}, state="s", now=NOW, updates={"progress": "no"}, also=[item])
    assert failure.value.failed == (0,)
    stored = ledger.find("a")
    assert stored is not None
    assert (stored.progress, len(ledger.trail("a"))) == ("", 2)
    assert ledger.changes("a") == {1: first}


def test_two_who_write_to_a_run_at_once_leave_one_unbroken_chain(ledger: Ledger) -> None:
    run = begun(ledger)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ledger.record(run, "looked", {"n": n}, state="s", now=NOW), range(4)))
    run = closed(ledger, ledger.open_run("a"))
    entries = ledger.trail("a")
    assert audit.faults(entries) == []
    assert sorted(entry.detail["n"] for entry in entries if entry.event == "looked") == [0, 1, 2, 3]


def test_nothing_happens_to_a_run_that_has_ended(ledger: Ledger) -> None:
    run = begun(ledger)
    closed(ledger, run)
    with pytest.raises(RunClosed, match="start it again"):
        ledger.record(run, "change.intended", {}, state="s", now=NOW)
    assert [entry.event for entry in ledger.trail("a")] == ["run.started", "run.closed"]


def test_a_run_is_closed_once(ledger: Ledger) -> None:
    run = begun(ledger)
    first = closed(ledger, run)
    assert closed(ledger, run, outcome="SUCCEEDED") == first
    assert audit.faults(ledger.trail("a")) == []


def test_a_run_that_is_not_there_is_said_to_be_missing(ledger: Ledger) -> None:
    assert ledger.find("nothing") is None
    with pytest.raises(LedgerUnavailable, match="nothing is not in the State table"):
        ledger.open_run("nothing")


def test_a_locked_target_names_the_run_that_holds_it(ledger: Ledger) -> None:
    locked(ledger, begun(ledger, "a"))
    with pytest.raises(TargetLocked, match=f"{TARGET} is locked by the run a, until 2026-11-21T03:05:00.000Z"):
        locked(ledger, begun(ledger, "b"))


def test_a_lock_taken_twice_by_the_same_run_is_taken_once(ledger: Ledger) -> None:
    run = locked(ledger, begun(ledger))
    assert locked(ledger, run).tokens == {TARGET: 1}
    assert locked(ledger, ledger.open_run("a")).tokens == {TARGET: 1}
    assert ledger.attempts_today([TARGET], NOW) == {TARGET: 1}


def test_all_targets_are_locked_or_none(ledger: Ledger) -> None:
    locked(ledger, begun(ledger, "a", (TARGET,)))
    with pytest.raises(TargetLocked):
        locked(ledger, begun(ledger, "b", (OTHER, TARGET)))
    assert ledger.holder(OTHER, NOW) is None


def test_of_many_who_want_a_lock_at_once_one_gets_it(ledger: Ledger) -> None:
    runs = [begun(ledger, f"run-{number}") for number in range(12)]

    def attempt(run: Run) -> str:
        try:
            return locked(ledger, run, budget=99).run_id
        except TargetLocked:
            return "locked out"

    with ThreadPoolExecutor(12) as pool:
        winners = [answer for answer in pool.map(attempt, runs) if answer != "locked out"]
    assert len(winners) == 1
    assert ledger.holder(TARGET, NOW) == winners[0]


def test_closing_frees_the_lock_and_the_next_holder_gets_a_higher_token(ledger: Ledger) -> None:
    closed(ledger, locked(ledger, begun(ledger, "a")))
    assert ledger.holder(TARGET, NOW) is None
    assert locked(ledger, begun(ledger, "b")).tokens == {TARGET: 2}


def test_a_stalled_holder_loses_its_lock_and_its_next_intent_is_refused(ledger: Ledger) -> None:
    stalled = locked(ledger, begun(ledger, "a"))
    later = NOW + LEASE + timedelta(seconds=1)
    newcomer = locked(ledger, begun(ledger, "b"), now=later)
    renewals = ledger.renewals(stalled, later + LEASE)
    with pytest.raises(ConditionFailed) as failure:
        ledger.record(stalled, "change.intended", {}, state="s", now=later, also=renewals)
    with pytest.raises(LeaseLost):
        ledger.still_ours(failure.value, len(renewals))
    closed(ledger, stalled, now=later)
    assert ledger.holder(TARGET, later) == newcomer.run_id == "b"


def test_a_renewed_lock_outlives_its_first_lease(ledger: Ledger) -> None:
    run = locked(ledger, begun(ledger))
    later = NOW + timedelta(minutes=4)
    ledger.record(run, "looked", {}, state="s", now=later, also=ledger.renewals(run, later + LEASE))
    assert ledger.holder(TARGET, NOW + timedelta(minutes=8)) == "a"


def test_while_a_function_may_still_act_the_lock_stays_and_then_frees_itself(ledger: Ledger) -> None:
    busy = NOW + timedelta(seconds=40)
    closed(ledger, locked(ledger, begun(ledger, "a")), busy_until=busy)
    with pytest.raises(TargetLocked):
        locked(ledger, begun(ledger, "b"), now=NOW + timedelta(seconds=39))
    assert locked(ledger, begun(ledger, "c"), now=busy).tokens == {TARGET: 2}


def test_a_target_is_acted_on_only_so_often_a_day(ledger: Ledger) -> None:
    for name in ("a", "b"):
        closed(ledger, locked(ledger, begun(ledger, name), budget=2))
    with pytest.raises(Refused, match="2 runs have acted on"):
        locked(ledger, begun(ledger, "c"), budget=2)
    tomorrow = NOW + timedelta(days=1)
    assert locked(ledger, begun(ledger, "d"), now=tomorrow, budget=2).tokens == {TARGET: 3}


def test_runs_are_found_by_runbook_by_target_and_while_they_are_unfinished(ledger: Ledger) -> None:
    one, two = begun(ledger, "a"), begun(ledger, "b", (OTHER,), started_at="2026-11-21T04:00:00.000Z")
    assert [run.run_id for run in ledger.runs_of("ecs-service-rollback")] == ["b", "a"]
    assert [run.run_id for run in ledger.runs_on(OTHER)] == ["b"]
    ended = closed(ledger, one)
    assert [run.run_id for run in ledger.unfinished()] == ["a", "b"]
    ledger.mark_notified(ended)
    assert [run.run_id for run in ledger.unfinished()] == [two.run_id]


def test_the_closing_entry_can_be_found_by_target_actor_outcome_and_day(ledger: Ledger, aws: EmbeddedAws) -> None:
    closed(ledger, begun(ledger))
    dynamodb = aws.client("dynamodb")
    wanted = {
        "by-target": ("target", TARGET),
        "by-actor": ("actor_index", "alice"),
        "by-outcome": ("runbook_outcome", "ecs-service-rollback#FAILED"),
        "by-day": ("day", "2026-11-21"),
    }
    for index, (attribute, value) in wanted.items():
        found = dynamodb.query(
            TableName=aws.outputs["AuditTableName"],
            IndexName=index,
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": attribute},
            ExpressionAttributeValues={":value": {"S": value}},
        )["Items"]
        assert [item["event"]["S"] for item in found] == ["run.closed"], index


def test_of_many_who_would_tell_the_end_of_a_run_one_does_and_the_next_when_it_has_died(ledger: Ledger) -> None:
    ended, until = closed(ledger, begun(ledger)), NOW + timedelta(minutes=1)
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda _: ledger.claim_notice(ended, now=NOW, until=until), range(4)))
    assert claims.count(True) == 1
    later = until + timedelta(seconds=1)
    assert ledger.claim_notice(ended, now=later, until=later + timedelta(minutes=1))
    ledger.mark_notified(ended)
    assert not ledger.claim_notice(ended, now=later + timedelta(hours=1), until=later + timedelta(hours=2))
