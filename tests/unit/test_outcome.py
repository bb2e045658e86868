"""What a failed run is called: decided by its error and by what is left at the target."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks.errors import NAMES
from runbooks.frame.outcome import ending, reported_error
from runbooks.model import Decision, Plan, hand_off, healthy, refused, remediable
from runbooks.store.runs import ChangeRecord, ChangeStatus, Diagnosis, Run
from tests.frame.toy import change

RUN = Run(run_id="r", runbook="ecs-service-rollback", execution_arn="e", started_at="2026-11-21T03:00:00.000Z")
STALE = ("PlanStale", "the target changed")


def ledger(*statuses: ChangeStatus) -> dict[int, ChangeRecord]:
    return {
        number: ChangeRecord(number=number, status=status, attempt=1, deadline="2026-11-21T03:01:00.000Z")
        for number, status in enumerate(statuses, 1)
    }


@pytest.mark.parametrize(
    ("statuses", "name"),
    [
        ((), "PlanStale"),
        ((ChangeStatus.NO_EFFECT,), "PlanStale"),
        ((ChangeStatus.UNDONE,), "RemediationFailed"),
        ((ChangeStatus.UNDONE, ChangeStatus.NO_EFFECT), "RemediationFailed"),
        ((ChangeStatus.UNDONE, ChangeStatus.LEFT), "UndoFailed"),
        ((ChangeStatus.DONE,), "UndoFailed"),
        ((ChangeStatus.INTENDED,), "UndoFailed"),
        ((ChangeStatus.UNKNOWN,), "UndoFailed"),
        ((ChangeStatus.UNDOING,), "UndoFailed"),
    ],
)
def test_what_is_left_decides_the_name_of_the_end(statuses: tuple[ChangeStatus, ...], name: str) -> None:
    ended, cause = ending(RUN, None, ledger(*statuses), STALE)
    assert ended == name
    assert "the target changed" in cause


@pytest.mark.parametrize(
    ("decision", "name", "cause"),
    [
        (refused("It is being deleted."), "Refused", "It is being deleted."),
        (hand_off("It is broken.", command="aws look"), "HandOff", "It is broken. Next: aws look"),
        (healthy("It runs."), "StepFailed", "r came to its end without an error and without being verified"),
        (None, "StepFailed", "r came to its end without an error and without being verified"),
    ],
)
def test_a_run_without_an_error_ends_as_its_diagnosis_has_decided(
    decision: Decision | None, name: str, cause: str
) -> None:
    diagnosis = Diagnosis(facts={}, decision=decision, plan=None, fingerprints={}) if decision else None
    assert ending(RUN, diagnosis, {}, None) == (name, cause)
    assert ending(RUN, diagnosis, {}, STALE) == STALE


def test_an_undo_that_failed_names_what_is_left() -> None:
    _, cause = ending(RUN, None, ledger(ChangeStatus.UNDONE, ChangeStatus.LEFT), STALE)
    assert "change 2 (left)" in cause
    assert "change 1" not in cause


def test_a_target_that_was_verified_healthy_is_not_called_left_over_when_only_the_ending_failed() -> None:
    lost = ("LedgerUnavailable", "the audit table does not answer")
    verified = RUN.model_copy(update={"verified": True})
    ended, cause = ending(verified, None, ledger(ChangeStatus.DONE), lost)
    assert ended == "LedgerUnavailable"
    assert "verified healthy before that, and every change stands" in cause
    assert ending(verified, None, ledger(ChangeStatus.DONE, ChangeStatus.UNDOING), lost)[0] == "UndoFailed"
    assert ending(verified, None, ledger(ChangeStatus.UNDONE), lost)[0] == "RemediationFailed"


def test_what_was_not_done_after_the_verification_is_named_and_so_is_what_is_in_doubt() -> None:
    decision = remediable("old", *(change(name) for name in "abc"))
    plan = Plan(runbook="r", targets=(), resolved={}, changes=decision.changes)
    diagnosis = Diagnosis(facts={}, decision=decision, plan=plan, fingerprints={})
    verified = RUN.model_copy(update={"verified": True})
    denied = ("AccessDenied", "AWS denies toy:Set")
    name, cause = ending(verified, diagnosis, ledger(ChangeStatus.DONE, ChangeStatus.NO_EFFECT), denied)
    assert name == "AccessDenied"
    assert "verified healthy before that, and every change that was made stands" in cause
    assert "Not done: change 2 toy:Set b old -> b new; change 3 toy:Set c old -> c new" in cause
    name, cause = ending(verified, diagnosis, ledger(ChangeStatus.DONE, ChangeStatus.UNKNOWN), denied)
    assert name == "AccessDenied"
    assert "In doubt, for a human: change 2 toy:Set b old -> b new (unknown)" in cause
    _, cause = ending(verified, diagnosis, ledger(ChangeStatus.DONE, ChangeStatus.NO_EFFECT, ChangeStatus.DONE), denied)
    assert "In doubt" not in cause


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"run_id": "r"}, None),
        ("a string", None),
        ({"error": {"Error": "PlanStale", "Cause": json.dumps({"errorMessage": "moved"})}}, ("PlanStale", "moved")),
        ({"Error": "InputInvalid", "Cause": json.dumps({"errorMessage": "no"})}, ("InputInvalid", "no")),
        (
            {"error": {"Error": "KeyError", "Cause": json.dumps({"errorMessage": "'x'"})}},
            ("StepFailed", "KeyError: 'x'"),
        ),
        ({"error": {"Error": "States.Timeout", "Cause": "too long"}}, ("StepFailed", "States.Timeout: too long")),
        ({"error": {"Error": "States.Timeout"}}, ("StepFailed", "States.Timeout: ")),
    ],
)
def test_the_error_that_a_catch_reports_is_read_with_a_name_of_the_closed_set(
    document: Any, expected: tuple[str, str] | None
) -> None:
    reported = reported_error(document)
    assert reported == expected
    assert reported is None or reported[0] in NAMES
