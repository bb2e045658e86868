"""The judgement of a cell finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbooks.model import Plan, remediable
from runbooks.store.runs import ChangeRecord, ChangeStatus, Diagnosis, Run
from tests.frame.toy import change as toy_change
from workbench.matrix.cells import Failure
from workbench.matrix.judge import Ended, Outcome, judge

BEFORE, MENDED, ELSE = {"revision": 3}, {"revision": 2}, {"revision": 9}


def run(**fields: Any) -> Run:
    given = {"run_id": "r", "runbook": "x", "execution_arn": "a", "started_at": "2026-11-21T03:00:00.000Z"}
    return Run(**({**given, "status": "closed", "outcome": "SUCCEEDED", "verified": True} | fields))


def change(status: ChangeStatus) -> ChangeRecord:
    return ChangeRecord(number=1, status=status, attempt=1, deadline="2026-11-21T03:00:00.000Z")


WELL = Ended("SUCCEEDED", None, None, run(), None, {1: change(ChangeStatus.DONE)}, [], ["Finish run"])
AGAIN = Ended("SUCCEEDED", None, None, run(verified=False, verdict="healthy"), None, {}, [], ["Finish run"])
GOOD = Outcome(
    first=WELL,
    again=AGAIN,
    struck=1,
    would_end="SUCCEEDED",
    world_before=BEFORE,
    world_moved=None,
    world_after=MENDED,
    world_remedied=MENDED,
    locked=[],
    newcomer_robbed=False,
    told=1,
    calls={"ecs:UpdateService": 1},
    defects=[],
)
FAILED = run(outcome="FAILED", verified=False, error_name="AccessDenied", error_cause="AWS said no")
BADLY = replace(WELL, status="FAILED", error="AccessDenied", cause="AWS said no", run=FAILED, states=["Run failed"])
LEFT = run(outcome="FAILED", verified=False, error_name="UndoFailed", error_cause="Left: change 1 ecs:UpdateService")
VERIFIED = run(
    outcome="FAILED", error_name="AccessDenied", error_cause="AWS said no. It was verified healthy before that"
)
FINISHING = replace(BADLY, run=VERIFIED, states=["Finish run", "Record failure", "Run failed"])
DELETING = replace(FINISHING, states=["Delete it", "Look: is it gone?", "Record failure", "Run failed"])
TWO = remediable("old", toy_change("a"), toy_change("b"))
PLANNED = Diagnosis(
    facts={}, decision=TWO, plan=Plan(runbook="x", targets=(), resolved={}, changes=TWO.changes), fingerprints={}
)
NOTHING_DONE = replace(GOOD, first=replace(BADLY, records={}), world_after=BEFORE, calls={})


def test_what_is_well_is_well() -> None:
    assert judge(Failure.KILLED, GOOD) == []
    assert judge(Failure.DENIED, NOTHING_DONE) == []
    left = replace(GOOD, first=replace(BADLY, run=LEFT, error="UndoFailed"), world_after=ELSE)
    assert judge(Failure.DENIED, left) == []
    assert judge(Failure.DENIED, replace(GOOD, first=FINISHING)) == []
    assert judge(Failure.DENIED, replace(GOOD, first=DELETING, world_after=ELSE)) == []


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (replace(GOOD, struck=0), "never came about"),
        (replace(GOOD, first=replace(WELL, run=run(verified=False))), "nothing was ever found healthy"),
        (replace(GOOD, world_after=ELSE), "SUCCEEDED, and the target is"),
        (replace(GOOD, again=replace(AGAIN, records={1: change(ChangeStatus.DONE)})), "found something to change"),
        (replace(GOOD, would_end="FAILED RemediationFailed"), "instead of FAILED RemediationFailed"),
        (replace(GOOD, first=BADLY, world_after=ELSE), "the target is left as"),
        (replace(GOOD, first=FINISHING, world_after=ELSE), "every change was made, and the target is not as it should"),
        (replace(GOOD, first=replace(DELETING, diagnosis=PLANNED), world_after=ELSE), "Change 2 was not made"),
        (replace(GOOD, first=replace(BADLY, run=LEFT, records={}), world_after=ELSE), "knows of no change"),
        (replace(GOOD, first=replace(WELL, run=None)), "never written"),
        (replace(GOOD, first=replace(WELL, run=run(status="open"))), "still open"),
        (replace(GOOD, first=replace(WELL, audit_faults=["entry 2 is missing"])), "entry 2 is missing"),
        (replace(GOOD, locked=["arn:x"]), "holds the lock of arn:x"),
        (replace(GOOD, newcomer_robbed=True), "was taken away"),
        (replace(GOOD, told=2), "published 2 times"),
        (replace(GOOD, told=0), "published 0 times"),
        (replace(GOOD, calls={"ecs:UpdateService": 2}), "2 calls took effect for 1 changes"),
        (replace(NOTHING_DONE, again=replace(BADLY, records={})), "as before, and the rerun ended FAILED"),
        (replace(GOOD, again=replace(AGAIN, run=None)), "rerun was not closed"),
        (replace(GOOD, defects=["glue:UpdateJob"]), "glue:UpdateJob"),
    ],
)
def test_what_is_not_is_said(outcome: Outcome, says: str) -> None:
    assert [sentence for sentence in judge(Failure.KILLED, outcome) if says in sentence]
