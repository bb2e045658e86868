"""What must hold after every failure: pure, one sentence for each thing that does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runbooks.model import Verdict
from runbooks.store.runs import ChangeRecord, ChangeStatus, Diagnosis, Run
from workbench.matrix.cells import PASSING, Failure

LEAVING = frozenset({"UndoFailed", "RunAborted", "RunTimedOut", "StepFailed"})
"""The errors under which something may be left at the target; their cause names it."""

_APPLIED = {
    ChangeStatus.DONE,
    ChangeStatus.UNDOING,
    ChangeStatus.SETTLING,
    ChangeStatus.UNDONE,
    ChangeStatus.LEFT,
}


@dataclass(frozen=True)
class Ended:
    """One execution at its end: the execution's own status, error and cause, and what the ledger has."""

    status: str
    error: str | None
    cause: str | None
    run: Run | None
    diagnosis: Diagnosis | None
    records: Mapping[int, ChangeRecord]
    audit_faults: list[str]
    states: list[str]
    answers: list[str] = field(default_factory=list)
    """What the approval API refused."""

    @property
    def applied(self) -> int:
        """How many changes have, or may have, happened."""
        return sum(record.status in _APPLIED or record.may_have_happened for record in self.records.values())

    @property
    def in_words(self) -> str:
        error = self.run.error_name if self.run else self.error
        return self.status if error is None else f"{self.status} {error}"


@dataclass(frozen=True)
class Outcome:
    """What came of one cell. Worlds are as the scenario reads them."""

    first: Ended
    again: Ended
    struck: int
    """How often the failure came about."""
    would_end: str
    """How the run ends without the failure."""
    world_before: Any
    world_moved: Any
    """As somebody else left it; None if nobody did anything."""
    world_after: Any
    world_remedied: Any
    locked: list[str]
    """Targets whose lock the run holds when no function of it can be acting any more."""
    newcomer_robbed: bool
    """Whether the lock of the run that took it over was taken away."""
    told: int
    """How often the end of the run was published."""
    calls: Mapping[str, int]
    """How often each operation of the plan took effect in the first run."""
    defects: list[str]


def judge(failure: Failure, outcome: Outcome) -> list[str]:
    """What does not hold, one sentence each; nothing if all is well."""
    return [
        *_well_injected(outcome),
        *_true(failure, outcome),
        *_accounted(outcome),
        *_closed(outcome),
        *_once(outcome),
        *_again(outcome),
        *(f"The embedded AWS got something wrong: {defect}" for defect in outcome.defects),
    ]


def _well_injected(outcome: Outcome) -> list[str]:
    return [] if outcome.struck else ["The failure never came about."]


def _true(failure: Failure, outcome: Outcome) -> list[str]:
    """Success is said only of what is healthy, and what passes by itself changes no ending."""
    first, found = outcome.first, []
    ended_well = first.status == "SUCCEEDED"
    if ended_well and not (first.run and (first.run.verified or first.run.verdict is Verdict.HEALTHY)):
        found.append("The execution SUCCEEDED, and nothing was ever found healthy.")
    if ended_well and outcome.world_after not in _remedied(outcome):
        found.append(f"The execution SUCCEEDED, and the target is {outcome.world_after!r}.")
    if ended_well and outcome.world_moved is None and outcome.again.applied:
        found.append("The execution SUCCEEDED, and a rerun found something to change.")
    if failure in PASSING and first.in_words != outcome.would_end:
        found.append(f"The failure passed, but the run ended {first.in_words} instead of {outcome.would_end}.")
    return found


def _remedied(outcome: Outcome) -> list[Any]:
    return [world for world in (outcome.world_remedied, outcome.world_moved) if world is not None]


def _accounted(outcome: Outcome) -> list[str]:
    """What is not as it was is either mended and verified, or named in the error."""
    first, run = outcome.first, outcome.first.run
    as_it_was = [outcome.world_before] if outcome.world_moved is None else [outcome.world_moved]
    if first.status == "SUCCEEDED" or run is None or outcome.world_after in as_it_was:
        return []
    if run.verified and "verified healthy" in (run.error_cause or ""):
        return _after_verification(first, run, as_remedied=outcome.world_after == outcome.world_remedied)
    taken_back = not any(record.may_have_happened for record in first.records.values())
    if outcome.world_moved is not None and taken_back and outcome.world_after != outcome.world_remedied:
        return []  # what is left is somebody else's
    found = []
    if run.error_name not in LEAVING:
        found.append(f"The run ended {run.error_name}, and the target is left as {outcome.world_after!r}.")
    named = [number for number, record in first.records.items() if record.may_have_happened]
    found += [
        f"Change {number} may be left, and the cause does not name it: {run.error_cause}"
        for number in named
        if f"change {number} " not in (run.error_cause or "")
    ]
    if not named:
        found.append(f"The target is left as {outcome.world_after!r}, and the ledger knows of no change.")
    return found


def _after_verification(first: Ended, run: Run, *, as_remedied: bool) -> list[str]:
    """Nothing is undone any more: the target is mended, or what was not done, or is in doubt, is named."""
    plan = first.diagnosis.plan if first.diagnosis else None
    numbers = range(1, len(plan.changes) + 1) if plan else ()
    undone = [number for number in numbers if _status(first, number) is not ChangeStatus.DONE]
    if not undone and not as_remedied and not _was_looking(first):
        return ["The run was verified healthy and every change was made, and the target is not as it should be."]
    return [
        f"Change {number} was not made or is in doubt, and the cause does not name it: {run.error_cause}"
        for number in undone
        if f"change {number} " not in (run.error_cause or "")
    ]


def _was_looking(ended: Ended) -> bool:
    """Whether it failed in a look, or in the question or the wait that follow: what it had done may show later."""
    failed_in = (
        ended.states[: ended.states.index("Record failure")] if "Record failure" in ended.states else ended.states
    )
    last = failed_in[-1:] + failed_in[-2:-1]
    return any(state.startswith("Look: ") for state in last) or any(state.startswith("Wait: ") for state in last[:1])


def _status(ended: Ended, number: int) -> ChangeStatus | None:
    record = ended.records.get(number)
    return record.status if record else None


def _closed(outcome: Outcome) -> list[str]:
    """The run is closed, says why, holds no lock, and its trail verifies."""
    first, run = outcome.first, outcome.first.run
    if run is None:
        return ["The run was never written."]
    found = [f"The audit trail is not whole: {fault}." for fault in first.audit_faults]
    if run.status != "closed":
        found.append("The run is still open.")
    if (run.outcome == "SUCCEEDED") != (first.status == "SUCCEEDED"):
        found.append(f"The execution ended {first.status}, and the run {run.outcome}.")
    if first.status != "SUCCEEDED" and not (run.error_name and run.error_cause):
        found.append("The run failed without a name or a cause.")
    if first.states[-1] == "Run failed" and first.error not in {run.error_name, "States.Runtime"}:
        found.append(f"The execution failed with {first.error}, and the run with {run.error_name}.")
    found += [f"The run still holds the lock of {target}." for target in outcome.locked]
    if outcome.newcomer_robbed:
        found.append("The lock of the run that took it over was taken away.")
    return found


def _once(outcome: Outcome) -> list[str]:
    """Nothing is done or said twice."""
    found = []
    if outcome.told != 1:
        found.append(f"The end of the run was published {outcome.told} times.")
    records = outcome.first.records
    done = sum(record.status is not ChangeStatus.NO_EFFECT for record in records.values())
    under_way = {ChangeStatus.UNDOING, ChangeStatus.SETTLING, ChangeStatus.LEFT}
    undone = sum(record.undone_calls + (record.status in under_way) for record in records.values())
    effects = sum(outcome.calls.values())
    if effects > done + undone:
        found.append(f"{effects} calls took effect for {done} changes and {undone} undos.")
    return found


def _again(outcome: Outcome) -> list[str]:
    """A rerun ends healthy or says why not."""
    again, found = outcome.again, []
    if again.run is None or again.run.status != "closed":
        return ["The rerun was not closed."]
    healthy = again.run.verified or again.run.verdict is Verdict.HEALTHY
    if again.status == "SUCCEEDED" and not healthy:
        found.append("The rerun SUCCEEDED, and nothing was ever found healthy.")
    if again.status != "SUCCEEDED" and not again.run.error_cause:
        found.append(f"The rerun ended {again.in_words} without saying why.")
    if again.status != "SUCCEEDED" and outcome.world_moved is None and outcome.world_after == outcome.world_before:
        found.append(f"The target is as before, and the rerun ended {again.in_words}: {again.run.error_cause}")
    found += [f"The audit trail of the rerun is not whole: {fault}." for fault in again.audit_faults]
    return found
