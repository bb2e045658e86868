"""Searches read what they find and little else, however many runs there are, and page through it without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks import clock
from runbooks.store.runs import Ledger
from workbench.evidence.many import RARE, fill
from workbench.evidence.search import Criteria, Found, Search, Summary

from .conftest import Ended

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/prod/rare"


def searcher(aws: EmbeddedAws) -> Search:
    return Search(aws.client("dynamodb"), aws.outputs["AuditTableName"], [RUNBOOK, "watermark-reset"])


def pages(search: Search, criteria: Criteria, limit: int) -> list[Found]:
    found = [search.find(criteria, limit=limit)]
    while found[-1].before:
        found.append(search.find(criteria, limit=limit, before=found[-1].before))
    return found


def runs(found: list[Found]) -> list[Summary]:
    return [run for page in found for run in page.runs]


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(target=TARGET),
        Criteria(actor="alice"),
        Criteria(runbook=RUNBOOK, outcome="FAILED"),
        Criteria(outcome="FAILED"),
        Criteria(actor="alice", runbook=RUNBOOK, outcome="FAILED", first_day="2026-01-01", last_day="2026-12-31"),
    ],
    ids=["target", "actor", "runbook and outcome", "outcome", "all of them"],
)
def test_the_items_read_do_not_grow_with_the_table(aws: EmbeddedAws, criteria: Criteria) -> None:
    read = {}
    for count in (10, 1000):
        aws.reset()
        fill(aws, count)
        found = searcher(aws).find(criteria, limit=25)
        assert len(found.runs) == RARE
        read[count] = found.items_read
    assert read == {10: RARE, 1000: RARE}


def test_pages_follow_each_other_without_a_gap_or_a_repeat(aws: EmbeddedAws) -> None:
    fill(aws, 100)
    search = searcher(aws)
    found = pages(search, Criteria(runbook=RUNBOOK), 7)
    listed = runs(found)
    assert len(listed) == len({run.run_id for run in listed}) == 100
    assert [run.place for run in listed] == sorted((run.place for run in listed), reverse=True)
    assert {len(page.runs) for page in found[:-1]} == {7}
    assert max(page.items_read for page in found) <= 4 * (7 + 2)


def test_a_run_is_found_by_who_cloudtrail_says_has_started_it_and_by_who_it_claims(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    run = ended("ecs-service-rollback-20261121T030000Z-00000001", outcome="FAILED")
    ended("ecs-service-rollback-20261121T030000Z-00000002")
    aws.clock.advance(minutes=5)
    mallory = "arn:aws:iam::123456789012:user/Mallory"
    ledger.attribute(run, mallory, {"caller": mallory}, state="Attribute", now=aws.clock.now())
    search = searcher(aws)
    (found,) = search.find(Criteria(actor=mallory), limit=25).runs
    assert (found.run_id, found.by, found.outcome, found.error) == (run.run_id, "mallory", "FAILED", "Refused")
    assert clock.parse(found.ended_at) < clock.parse(found.listed_at)
    assert search.find(Criteria(actor="mallory", outcome="SUCCEEDED"), limit=25).runs == []
    assert len(runs(pages(search, Criteria(actor="alice"), 1))) == 2
    assert len(search.find(Criteria(runbook=RUNBOOK), limit=25).runs) == 2


def test_who_started_a_run_is_known_from_its_seal_too_and_that_costs_one_entry(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended
) -> None:
    run = ended("ecs-service-rollback-20261121T030000Z-00000001")
    search = searcher(aws)
    criteria = Criteria(runbook=RUNBOOK, outcome="SUCCEEDED")
    before = search.find(criteria, limit=25)
    alice = "arn:aws:iam::123456789012:user/alice"
    ledger.attribute(run, alice, {"caller": alice}, state="Attribute", now=aws.clock.now())
    aws.invoke("SealFunction", {})
    assert ledger.trail(run.run_id)[-1].event == "run.sealed"
    after = search.find(criteria, limit=25)
    assert [found.runs[0].attributed_to for found in (before, after)] == [None, alice]
    assert [found.items_read for found in (before, after)] == [2, 2]


def test_a_page_of_a_filter_that_few_runs_pass_is_read_in_bounds_and_left_short(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.evidence.search.MOST_READ", 50)
    fill(aws, 200)
    found = pages(searcher(aws), Criteria(runbook=RUNBOOK, target=TARGET.replace("rare", "3"), actor="bob"), 5)
    rare = pages(searcher(aws), Criteria(actor="bob", outcome="FAILED"), 5)
    assert len(runs(found)) == len({run.run_id for run in runs(found)}) > 20
    assert runs(rare) == []
    assert len(rare) > 2
    assert max(page.items_read for page in (*found, *rare)) <= 50 + 6


def test_days_are_read_one_after_the_other_until_a_page_is_full(aws: EmbeddedAws) -> None:
    fill(aws, 720)  # two a day
    days = Criteria(first_day="2026-02-01", last_day="2026-02-28")
    found = pages(searcher(aws), days, 10)
    assert len(runs(found)) == 56
    assert found[0].items_read <= 12
    assert {run.ended_at[:7] for run in runs(found)} == {"2026-02"}


def test_a_target_that_is_named_as_lists_show_it_is_compared_within_bounds(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.evidence.search.MOST_READ", 50)
    fill(aws, 200)
    by_name, by_arn = (pages(searcher(aws), Criteria(target=name), 25) for name in ("service/prod/rare", TARGET))
    assert [run.run_id for run in runs(by_name)] == [run.run_id for run in runs(by_arn)]
    assert len(runs(by_name)) == RARE
    assert max(page.items_read for page in by_name) <= 50 + 10 * 26


def test_what_somebody_approved_is_compared_within_bounds_and_paged_through(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.evidence.search.MOST_READ", 50)
    fill(aws, 200)
    found = pages(searcher(aws), Criteria(approved_by="arn:aws:iam::123456789012:user/Carol"), 25)
    assert len(found) > 1
    assert len(runs(found)) == RARE
    assert {tuple(run.approved_by) for run in runs(found)} == {("carol",)}


def test_runs_that_ended_at_the_same_moment_are_all_found(aws: EmbeddedAws) -> None:
    fill(aws, 20)
    client, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    for item in client.scan(TableName=table)["Items"]:
        client.put_item(TableName=table, Item=item | {"at": {"S": "2026-06-01T00:00:00.000Z"}})
    found = pages(searcher(aws), Criteria(runbook=RUNBOOK), 3)
    assert len({run.run_id for run in runs(found)}) == len(runs(found)) == 20
