"""A runbook on a world of values that a test holds in its hands, for steps that are run in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbooks import catalogue, clock
from runbooks.aws.session import Call
from runbooks.frame import act, diagnose, step
from runbooks.frame.step import Step
from runbooks.model import Change, Model, Phase, Proof, Risk, Runbook, RunInput, Undo, healthy, remediable, settled
from runbooks.store.runs import Approval, ChangeRecord

NAME = "toy"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
WITHIN = timedelta(minutes=30)


class Facts(Model):
    """Nothing."""


@dataclass
class World:
    """Values by name. A call takes effect at once, or after as many minutes as `takes` says; it may also fail."""

    values: dict[str, str] = field(default_factory=dict)
    takes: dict[str, float] = field(default_factory=dict)
    fails: dict[str, Exception] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Operations whose effect comes, and whose answer does not."""
    made: list[str] = field(default_factory=list)
    coming: list[tuple[datetime, str, str]] = field(default_factory=list)

    def read(self, operation: str, parameters: dict[str, Any], *_: Any) -> dict[str, Any]:
        for due, name, value in list(self.coming):
            if due <= clock.utc_now():
                self.values[name] = value
        return {"value": self.values.get(parameters["name"])}

    def change(self, operation: str, parameters: dict[str, Any], *_: Any) -> dict[str, Any]:
        if operation in self.fails:
            raise self.fails[operation]
        self.made.append(operation)
        due = clock.utc_now() + timedelta(minutes=self.takes.get(operation, 0))
        self.coming.append((due, parameters["name"], parameters["value"]))
        if operation in self.lost:
            self.lost.remove(operation)
            raise TimeoutError("no answer")
        return {}

    @contextmanager
    def open_change(self, operation: str, parameters: dict[str, Any]) -> Iterator[None]:
        yield

    def redact(self, value: Any) -> Any:
        return value

    def take_calls(self) -> list[Call]:
        return []


def shows(name: str, value: str | None) -> Proof:
    """The world has this value under this name."""
    return Proof(operation="toy:Get", parameters={"name": name}, path="value", equals=value)


def undo(name: str, value: str, **more: Any) -> Undo:
    """Sets the value back."""
    operation = more.pop("operation", "toy:Unset")
    return Undo(operation=operation, parameters={"name": name, "value": value}, proof=shows(name, value), **more)


def change(name: str, **more: Any) -> Change:
    """Sets a value to `new`; it was `old`."""
    given: dict[str, Any] = {
        "phase": "Set the values",
        "operation": "toy:Set",
        "parameters": {"name": name, "value": "new"},
        "was": f"{name} old",
        "becomes": f"{name} new",
        "undo": undo(name, "old"),
        "proof": shows(name, "new"),
    }
    return Change(**(given | more))


class Toy:
    """The steps of a run whose plan is these changes."""

    def __init__(self, begun: Callable[..., Step], world: World, patch: pytest.MonkeyPatch, *changes: Change) -> None:
        self.world = world
        runbook = Runbook(
            name=NAME,
            title="A toy",
            risk=Risk.REPAIRS,
            input=RunInput,
            facts=Facts,
            targets=lambda given, account, region: ["arn:aws:toy"],
            gather=lambda given, aws, now: Facts(),
            decide=lambda given, facts, now: remediable("old", *changes) if changes else healthy("new"),
            phases=(
                Phase(
                    name="Set the values",
                    question="Are the values set?",
                    settled=lambda given, facts: settled("they are"),
                    rests_on=lambda facts: None,
                    within=WITHIN,
                ),
            ),
        )
        patch.setattr(catalogue, "load", lambda _: runbook)
        patch.setattr(step.Step, "target", lambda self, given: world)
        self._patch = patch
        self.at(0)
        first = begun("diagnose", runbook=NAME, given={"mode": "execute", "reason": "r", "requested_by": "alice"})
        run = first.open_run()
        first.ledger.record(run, "no.approval", {}, state="t", now=NOW, updates={"approval_required": False})
        self._first = first
        self.document = diagnose.diagnose(first)

    def at(self, minutes: float) -> None:
        """It is so many minutes after the start."""
        self.now = NOW + timedelta(minutes=minutes)
        self._patch.setattr(clock, "utc_now", lambda: self.now)

    def step(self, name: str, function: Callable[[Step], dict[str, Any]]) -> dict[str, Any]:
        event = self._first.event.model_copy(
            update={"step": name, "state": name, "phase": "Set the values", "document": self.document}
        )
        return function(replace(self._first, event=event, now=self.now, over_at=self.now + timedelta(minutes=1)))

    def approve(self) -> None:
        """Somebody has approved the plan."""
        plan = self._first.plan()
        approval = Approval(
            status="approved", plan_hash=plan.hash, requested_at=clock.iso(NOW), expires_at=clock.iso(NOW)
        )
        ledger, run = self._first.ledger, self._first.open_run()
        item = ledger.approval_item(run.run_id, approval, replaces=None)
        ledger.record(run, "approval.decided", {}, state="t", now=NOW, also=[item])

    def apply(self) -> dict[str, Any]:
        return self.step("apply", act.apply)

    def undo(self) -> dict[str, Any]:
        return self.step("undo", act.undo)

    def inspect(self) -> dict[str, Any]:
        return self.step("inspect", diagnose.inspect)

    @property
    def records(self) -> dict[int, ChangeRecord]:
        return self._first.ledger.changes(self._first.run_id)

    @property
    def statuses(self) -> list[str]:
        return [record.status.value for _, record in sorted(self.records.items())]

    @property
    def events(self) -> list[str]:
        return [entry.event for entry in self._first.ledger.trail(self._first.run_id)]
