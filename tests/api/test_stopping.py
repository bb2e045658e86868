"""A run is told to stop: the trail has who wants it before AWS is asked, and what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runbooks.store import audit
from workbench.cli import words
from workbench.embedded.calls import ServiceError

from .conftest import Someone, asked, ended

if TYPE_CHECKING:
    from runbooks.store.audit import Entry
    from runbooks.store.runs import Ledger
    from workbench import scenario
    from workbench.embedded import EmbeddedAws


@pytest.fixture
def waiting(ledger: Ledger, alice: Someone, broken: scenario.Scenario) -> str:
    """A run that waits for a decision."""
    run_id = str(alice.starts().document["run_id"])
    asked(ledger, run_id)
    return run_id


def stops(someone: Someone, run_id: str) -> tuple[int, str]:
    answer = someone.send("POST", f"/runs/{run_id}/stop", {"reason": "wrong service"})
    return answer.status, answer.document.get("detail", "")


def told(ledger: Ledger, run_id: str) -> list[Entry]:
    return [entry for entry in ledger.trail(run_id) if entry.state == "Stop"]


def test_a_run_is_stopped_and_its_trail_says_who_wanted_it_and_that_it_was(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: str
) -> None:
    asked_before: list[str] = []
    aws.faults.before("states:StopExecution", lambda _: asked_before.extend(e.event for e in told(ledger, waiting)))
    assert stops(bob, waiting) == (202, "")
    run = ended(aws, ledger, waiting)
    assert (run.error_name, asked_before) == ("RunAborted", ["stop.asked"])
    first, *_ = told(ledger, waiting)
    assert (first.actor, first.detail) == (bob.arn, {"reason": "wrong service"})
    assert words.of_entry(first) == 'is to stop: "wrong service"'
    assert stops(bob, waiting)[0] == 409
    assert audit.faults(ledger.trail(waiting)) == []


def test_a_run_that_could_not_be_stopped_is_not_said_to_be_and_the_same_request_stops_it(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: str
) -> None:
    aws.faults.fail("states:StopExecution", code="ThrottlingException", message="Rate exceeded for 0xCAFE", times=6)
    for _ in range(2):
        status, detail = stops(bob, waiting)
        assert status == 503
        assert detail.startswith("AWS takes no more calls at this moment, and nothing has happened; send the same")
        assert "0xCAFE" not in detail
    assert "0xCAFE" in aws.log("ApiFunction"), "what AWS said is for those who read the log"
    assert [entry.event for entry in told(ledger, waiting)] == ["stop.asked", "stop.failed"]
    run = ledger.find(waiting)
    assert run is not None
    assert run.status == "open"
    assert stops(bob, waiting)[0] == 202
    assert ended(aws, ledger, waiting).error_name == "RunAborted"
    asked_once = [entry.event for entry in told(ledger, waiting)]
    assert asked_once[:2] == ["stop.asked", "stop.failed"]
    assert set(asked_once[2:]) <= {"run.stopped"}


def test_nothing_is_stopped_that_is_not_on_record_before(
    aws: EmbeddedAws, ledger: Ledger, bob: Someone, waiting: str
) -> None:
    def unwritable(_: EmbeddedAws) -> None:
        raise ServiceError("InternalServerError", "Table shard 17 is down", 500)

    aws.faults.before("dynamodb:TransactWriteItems", unwritable, only_from="-api")
    status, detail = stops(bob, waiting)
    assert status == 503
    assert "shard" not in json.dumps(detail)
    assert told(ledger, waiting) == []
    assert "states:StopExecution" not in {call.operation for call in aws.calls}


def test_two_who_stop_it_at_once_are_both_on_record(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, waiting: str
) -> None:
    aws.faults.fail("states:StopExecution", code="ThrottlingException", message="Rate exceeded", times=6)
    assert [stops(each, waiting)[0] for each in (alice, bob)] == [503, 503]
    assert [entry.actor for entry in told(ledger, waiting) if entry.event == "stop.asked"] == [alice.arn, bob.arn]
