"""A run is sealed when its starter is known, or after a set time; each day has its manifest; nothing follows a seal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from runbooks import clock
from runbooks.evidence.manifest import Page
from runbooks.frame import seal
from runbooks.store.runs import Ledger, Run
from runbooks.store.tables import Conflict
from workbench.cli import words
from workbench.embedded.functions import EmbeddedFunctionError

from .conftest import Auditor, Ended

if TYPE_CHECKING:
    from runbooks.frame.step import Frame
    from workbench.embedded import EmbeddedAws

ALICE = "arn:aws:iam::123456789012:user/alice"


def events(ledger: Ledger, run_id: str) -> list[str]:
    return [entry.event for entry in ledger.trail(run_id)]


def attributed(aws: EmbeddedAws, ledger: Ledger, run: Run) -> Run:
    return ledger.attribute(run, ALICE, {"caller": ALICE}, state="Attribute", now=aws.clock.now())


def test_a_run_whose_starter_is_known_is_sealed_in_the_next_round(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    attributed(aws, ledger, ended("a"))
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}
    assert events(ledger, "a") == ["run.started", "run.closed", "run.attributed", "run.sealed"]
    assert auditor.check("a").verified
    assert aws.invoke("SealFunction", {}) == {"sealed": 0}


def test_a_run_whose_starter_stays_unknown_is_sealed_after_two_hours(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    ended("a")
    aws.clock.advance(minutes=119)
    assert aws.invoke("SealFunction", {}) == {"sealed": 0}
    aws.clock.advance(minutes=2)
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}
    assert auditor.check("a").verified
    assert ledger.trail("a")[-1].detail["attributed_to"] is None


def test_a_run_whose_requester_aws_vouches_for_waits_twenty_minutes_for_cloudtrail_and_says_so_in_its_seal(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    ended("a", identity="verified")
    aws.clock.advance(minutes=19)
    assert aws.invoke("SealFunction", {}) == {"sealed": 0}
    aws.clock.advance(minutes=2)
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}
    assert auditor.check("a").verified
    seal = ledger.trail("a")[-1]
    assert (seal.detail["identity"], seal.detail["attributed_to"]) == ("verified", None)
    assert words.of_entry(seal).startswith("asked for by alice, whom AWS vouches for; ")


@pytest.mark.parametrize(("identity", "minutes"), [("verified", 20), ("unverified", 120)])
def test_what_a_run_has_taken_counts_towards_the_wait_for_the_event_of_its_start(
    aws: EmbeddedAws, ended: Ended, identity: str, minutes: int
) -> None:
    """A restore of an hour is sealed in the first round after its end: CloudTrail has had its time."""
    began = aws.clock.now()
    for name, more in (("a", 1), ("b", 0)):
        ended(name, identity=identity, started_at=clock.iso(began - timedelta(minutes=minutes - 1 + more)))
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}
    aws.clock.advance(minutes=1)
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}


def test_a_round_stops_when_another_sealer_has_turned_to_another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is sealed in the round after, under the manifest of the day that it then is."""
    tried: list[str] = []

    class Sealer:
        def __init__(self, *_: object) -> None: ...

        def seal(self, run: Run, page: Page, now: datetime) -> Page:
            tried.append(run.run_id)
            raise Conflict

        def page(self) -> Page:
            return Page(day="2026-11-22", seq=1, head="0" * 64)

    waiting = {
        name: Run(run_id=name, runbook="r", execution_arn=name, started_at="", status="closed", attributed_to="alice")
        for name in ("a", "b")
    }
    frame = SimpleNamespace(
        tables=None, ledger=SimpleNamespace(unsealed=lambda: list(waiting.values()), find=waiting.__getitem__)
    )
    monkeypatch.setattr(seal, "Seals", Sealer)
    monkeypatch.setattr(seal, "signer", lambda _: None)
    monkeypatch.setattr(seal, "count", lambda *_: None)
    monkeypatch.setattr(seal, "turned", lambda *_: Page(day="2026-11-21", seq=1, head="0" * 64))
    assert seal.seal_due(cast("Frame", frame)) == 0
    assert tried == ["a"]


def test_a_run_whose_end_was_not_told_yet_is_not_sealed(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    run = ended("a", told=False)
    aws.clock.advance(hours=3)
    assert aws.invoke("SealFunction", {}) == {"sealed": 0}
    ledger.mark_notified(run)
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}
    assert ledger.unsealed() == ledger.unfinished() == []


def test_nothing_follows_a_seal(aws: EmbeddedAws, ledger: Ledger, ended: Ended) -> None:
    before = ended("a")
    aws.clock.advance(hours=3)
    aws.invoke("SealFunction", {})
    assert attributed(aws, ledger, before).attributed_to is None
    assert events(ledger, "a")[-1] == "run.sealed"


def test_several_sealers_at_once_seal_each_run_once_and_leave_one_chain(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    runs = [f"run-{number}" for number in range(6)]
    for name in runs:
        attributed(aws, ledger, ended(name))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: aws.invoke("SealFunction", {}), range(3)))
    aws.invoke("SealFunction", {})
    assert {name: events(ledger, name).count("run.sealed") for name in runs} == dict.fromkeys(runs, 1)
    first = auditor.today()
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    assert auditor.check(first, *runs).verified


def test_every_day_has_a_manifest_that_follows_the_one_before_though_nobody_was_there(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    attributed(aws, ledger, ended("a"))
    days = []
    for _ in range(2):
        aws.invoke("SealFunction", {})
        for _ in range(3):
            days.append(auditor.today())
            aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    verdict = auditor.check("a", *days)
    assert verdict.verified, [str(fault) for fault in verdict.faults]
    assert len(verdict.days) == 6


def test_a_run_that_cannot_be_signed_is_sealed_in_the_round_after(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    attributed(aws, ledger, ended("a"))
    aws.faults.fail("kms:Sign", code="DependencyTimeoutException", status=500)
    with pytest.raises(EmbeddedFunctionError, match="kms:Sign"):
        aws.invoke("SealFunction", {})
    aws.faults.clear()
    assert aws.invoke("SealFunction", {}) == {"sealed": 1}
    assert auditor.check("a").verified


def test_an_entry_that_was_overwritten_before_the_seal_is_found_by_the_seal(
    aws: EmbeddedAws, ledger: Ledger, ended: Ended, auditor: Auditor
) -> None:
    attributed(aws, ledger, ended("a"))
    dynamodb, table = aws.client("dynamodb"), aws.outputs["AuditTableName"]
    key = {"run_id": {"S": "a"}, "seq": {"N": "2"}}
    entry = dynamodb.get_item(TableName=table, Key=key)["Item"]
    dynamodb.put_item(TableName=table, Item=entry | {"actor": {"S": "somebody else"}})
    aws.settle()
    aws.invoke("SealFunction", {})
    assert [(fault.kind, fault.entry) for fault in auditor.check("a").faults] == [("changed", 2)]
    assert any("AUDIT LEDGER TAMPERED WITH" in message["subject"] for message in aws.messages)


def test_the_sealer_only_turns_the_page_when_a_day_is_over(aws: EmbeddedAws, ledger: Ledger, auditor: Auditor) -> None:
    midnight = (aws.clock.now() + timedelta(days=1)).replace(hour=0, minute=1)
    aws.clock.advance(midnight - aws.clock.now())
    today = auditor.today()
    aws.invoke("SealFunction", {})
    aws.clock.advance(hours=23, minutes=57)
    aws.invoke("SealFunction", {})
    assert events(ledger, today) == ["manifest.opened"]
    aws.clock.advance(minutes=3)
    aws.invoke("SealFunction", {})
    assert events(ledger, today) == ["manifest.opened", "manifest.sealed"]
