"""The vocabulary: what a runbook declares, what it finds, what it plans.

Everything that is stored, hashed or approved is a model of this module. None of it knows AWS.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Model(BaseModel):
    """Immutable, and closed to fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mode(StrEnum):
    """Whether a run only shows what it would do, or does it."""

    PLAN = "plan"
    EXECUTE = "execute"


class RunInput(BaseModel):
    """What every start input has; a runbook's input model adds its target.

    `mode` is `plan` unless the word `execute` is given: a run that changes something is asked for by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: Mode = Field(Mode.PLAN, strict=False, description="plan shows what would be done; execute does it")
    reason: Annotated[Text, StringConstraints(max_length=500)] = Field(description="why, for the audit trail")
    ticket: (
        Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/#?&=+~-]*$")] | None
    ) = Field(None, description="the incident or change that the run belongs to: its number or address")
    requested_by: Annotated[Text, StringConstraints(max_length=200)] = Field(description="who asks for the run")
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] | None = Field(
        None, description="the target's region, e.g. eu-central-1; the runbook's own region if absent"
    )


class Risk(StrEnum):
    """How much a runbook can hurt; policy decides per risk and stage whether a person must approve."""

    READ_ONLY = "read-only"
    REPAIRS = "repairs"
    """Restarts or re-runs something that is meant to be restarted or re-run."""
    CHANGES_PRODUCTION = "changes-production"
    DESTROYS_DATA = "destroys-data"


class Severity(StrEnum):
    """How much a finding matters to whoever is on call."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Finding(Model):
    """One thing that the diagnosis saw, and what it means."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    severity: Severity
    evidence: Text = Field(description="what was seen, with its values")
    meaning: Text
    symptom: str | None = Field(None, description="the guide's heading that describes it")


class SecretRef(Model):
    """A value that stays in Secrets Manager until the moment of the call."""

    secret: Text = Field(description="the secret's ARN")
    version_id: Text = Field(description="pinned when the plan was made, so the hash covers it")
    key: str | None = Field(None, description="the key within a JSON secret; the whole string if absent")

    def as_parameter(self) -> dict[str, JsonValue]:
        return {"$secret": self.model_dump(mode="json", exclude_none=True)}


class ResultRef(Model):
    """A value that only an earlier change of the same plan can name."""

    change: int = Field(ge=1, description="the number of the earlier change in the plan")
    path: Text = Field(description="JMESPath into that change's response")

    def as_parameter(self) -> dict[str, JsonValue]:
        return {"$result": self.model_dump(mode="json")}


def reference(value: Any) -> SecretRef | ResultRef | None:
    """The reference that a parameter's value stands for, or None for a literal.

    Raises ValueError for an object whose only key starts with `$` and is neither `$secret` nor `$result`.
    """
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((key, content),) = value.items()
    if key == "$secret":
        return SecretRef.model_validate(content)
    if key == "$result":
        return ResultRef.model_validate(content)
    if key.startswith("$"):
        raise ValueError(f"{key!r} is no reference; a parameter is a literal, $secret or $result")
    return None


Parameters = dict[str, JsonValue]
"""A call's parameters: literals, and references as `SecretRef.as_parameter` and `ResultRef.as_parameter` write them."""


class Proof(Model):
    """How to tell by reading that a call has had its effect: the value at `path` equals `equals`."""

    operation: str = Field(pattern=r"^[a-z0-9-]+:[A-Za-z0-9]+$")
    parameters: Parameters
    path: Text = Field(description="JMESPath into the response")
    equals: JsonValue


class Irreversible(Model):
    """There is no way back, and why."""

    irreversible: Text


class Contained(Model):
    """The effect lies inside what an earlier change of the plan made, and goes when that one is undone."""

    goes_with: int = Field(ge=1, description="the number of that change in the plan")


class NothingToUndo(Model):
    """The call leaves nothing behind, e.g. a check or a probe, and why."""

    nothing_to_undo: Text


class Undo(Model):
    """The inverse call, and how to tell that it has happened. The next inverse waits until it has."""

    operation: str = Field(pattern=r"^[a-z0-9-]+:[A-Za-z0-9]+$")
    parameters: Parameters
    proof: Proof
    only_if: Proof | None = Field(None, description="the call is left out unless the world shows this")
    when: Proof | None = Field(
        None, description="the call waits until the world shows this, e.g. that an update under way has ended"
    )
    within: timedelta | None = Field(
        None, description="how long the effect may take to be there; as long as the change's phase if absent"
    )
    first: Undo | None = Field(
        None, description="what must have happened before this call, e.g. a final snapshot before a cluster is deleted"
    )

    @property
    def calls(self) -> tuple[Undo, ...]:
        """This inverse and whatever comes first, in the order in which they are made."""
        return (*(self.first.calls if self.first else ()), self)


class Change(Model):
    """One call that changes the world, with its inverse. What is approved is exactly this."""

    phase: Text
    operation: str = Field(
        pattern=r"^[a-z0-9-]+:[A-Za-z0-9]+$", description="service:Operation, e.g. ecs:UpdateService"
    )
    parameters: Parameters
    was: Text = Field(description="before, in words")
    becomes: Text = Field(description="after, in words")
    undo: Undo | Contained | NothingToUndo | Irreversible
    proof: Proof | None = Field(description="None only where a repeat is harmless: what is unknown is called again")
    repeat_harmless: bool = Field(False, description="the same call twice leaves what one call leaves")
    adopts: bool = Field(
        False, description="an earlier run has made this and it carries our tag: nothing is called, the proof must hold"
    )
    region: str | None = None
    account: str | None = Field(None, description="alias of another account from the deployed allow-list")

    @model_validator(mode="after")
    def _can_be_settled(self) -> Self:
        if self.proof is None and (self.adopts or not self.repeat_harmless):
            raise ValueError(f"{self.operation} needs a proof, as nobody could tell whether it has happened")
        return self

    @property
    def reversible(self) -> bool:
        return not isinstance(self.undo, Irreversible)

    @property
    def way_back(self) -> str:
        """How it is undone, in words."""
        match self.undo:
            case Irreversible(irreversible=why):
                return f"cannot be undone: {why}"
            case Contained(goes_with=number):
                return f"undo: goes with change {number}"
            case NothingToUndo(nothing_to_undo=why):
                return f"nothing to undo: {why}"
            case Undo():
                return f"undo: {', then '.join(call.operation for call in self.undo.calls)}"


def canonical(value: Any) -> bytes:
    """RFC 8785 JSON of any plain value: the bytes that are hashed."""
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """SHA-256 over the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


class Plan(Model):
    """The ordered changes. The hash covers them, the targets and the resolved input: all that decides what runs."""

    runbook: str
    targets: tuple[str, ...]
    resolved: dict[str, JsonValue]
    changes: tuple[Change, ...]

    @property
    def hash(self) -> str:
        return digest(self.model_dump(mode="json"))

    def of_phase(self, phase: str) -> list[tuple[int, Change]]:
        """The phase's changes with their numbers in the plan, counted from 1."""
        return [(number, change) for number, change in enumerate(self.changes, 1) if change.phase == phase]


class Verdict(StrEnum):
    """What a diagnosis comes to; the machine goes on by it."""

    HEALTHY = "healthy"
    REMEDIABLE = "remediable"
    HAND_OFF = "hand_off"
    REFUSED = "refused"


class Decision(Model):
    """What `decide` says: a verdict with one sentence, the findings, and the changes when there are any."""

    verdict: Verdict
    reason: Text
    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()
    resolved: dict[str, JsonValue] = Field(default_factory=dict, description="inputs made literal, by field name")
    command: str | None = Field(None, description="for hand_off: what the human runs or opens")
    for_now: bool = Field(
        False, description="what stands in the way passes by itself: a verification looks again for a while"
    )

    def seeing(self, findings: Sequence[Finding]) -> Self:
        """The same decision with the findings that led to it."""
        return self.model_copy(update={"findings": tuple(findings)})


def healthy(reason: str) -> Decision:
    """The target is as it should be."""
    return Decision(verdict=Verdict.HEALTHY, reason=reason)


def refused(reason: str, *, for_now: bool = False) -> Decision:
    """This runbook will not act here; or not now, as the target is busy with something that passes by itself."""
    return Decision(verdict=Verdict.REFUSED, reason=reason, for_now=for_now)


def hand_off(reason: str, *, command: str) -> Decision:
    """A human goes on, with this command or page."""
    return Decision(verdict=Verdict.HAND_OFF, reason=reason, command=command)


def remediable(reason: str, *changes: Change, resolved: Mapping[str, JsonValue] | None = None) -> Decision:
    """These changes, in this order, mend it."""
    return Decision(verdict=Verdict.REMEDIABLE, reason=reason, changes=changes, resolved=dict(resolved or {}))


class Progress(Model):
    """Whether a phase's effect has settled."""

    state: Literal["settled", "pending", "failed"]
    reason: Text
    look_again_in: int | None = Field(None, ge=0, description="seconds, for pending; left to the frame if absent")
    percent: int | None = Field(None, ge=0, le=100, description="how far it is, where the service says so")


def settled(reason: str) -> Progress:
    """The effect is there."""
    return Progress(state="settled", reason=reason)


def pending(reason: str, *, look_again_in: int | None = None, percent: int | None = None) -> Progress:
    """Not yet. `look_again_in` is in seconds; without it the frame looks the more seldom the longer it has taken."""
    return Progress(state="pending", reason=reason, look_again_in=look_again_in, percent=percent)


def failed(reason: str) -> Progress:
    """The effect cannot come any more; the changes are undone."""
    return Progress(state="failed", reason=reason)


class Phase(BaseModel):
    """One step of the procedure: changes that are applied together, and the question that ends the wait for them."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Text = Field(description="a sentence in the imperative; the state's name in the machine")
    question: Text = Field(pattern=r"\?$", description="what the wait asks, e.g. Is the service steady?")
    settled: Callable[[Any, Any], Progress] = Field(description="(resolved input, facts) -> Progress")
    rests_on: Callable[[Any], JsonValue] = Field(
        description="facts -> what must still be true when this phase starts, else PlanStale"
    )
    within: timedelta = Field(description="the deadline of the wait")
    at_least: timedelta = Field(
        timedelta(0), description="the least time that it ever takes: nobody looks before that is over"
    )
    asked: str | None = Field(
        None,
        pattern=r"\?$",
        description="for a phase that a plan may do without: the question whether it is needed, e.g. Is a copy needed?",
    )
    after_verification: bool = Field(
        False,
        description="only once the target is verified healthy, e.g. deleting what has been replaced; a failure here "
        "undoes nothing",
    )
    recheck: Callable[[Any, Any, datetime], Any] | None = Field(
        None, description="gathers only what `rests_on` needs of the resolved input, where that is less than all facts"
    )
    watch: Callable[[Any, Any, datetime], Any] | None = Field(
        None, description="gathers only what `settled` needs, where that is less than all facts: looks are many"
    )

    @property
    def key(self) -> str:
        """The name as one word, for a path into the run document."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")


class Runbook(BaseModel):
    """The one declaration that everything else comes from: machine, schema, docs, CLI help, API.

    `gather(given, aws, now)` reads AWS and returns the facts (a `Model`); `decide(given, facts, now)` is pure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    title: Text
    risk: Risk
    input: type[RunInput]
    facts: type[Model]
    targets: Callable[[Any, str, str], list[str]] = Field(
        description="(input, account, region) -> the canonical ARNs that a run locks"
    )
    gather: Callable[[Any, Any, datetime], Any]
    decide: Callable[[Any, Any, datetime], Decision]
    phases: tuple[Phase, ...] = ()
    approval_within: timedelta = timedelta(hours=4)
    acting_within: timedelta = Field(
        default=timedelta(minutes=1),
        ge=timedelta(minutes=1),
        le=timedelta(minutes=4),
        description="what one call of its acting function may last: the Timeout of that function in template.yaml",
    )

    @model_validator(mode="after")
    def _verified_once(self) -> Self:
        order = [phase.after_verification for phase in self.phases]
        if order != sorted(order):
            raise ValueError(f"{self.name}: the phases after the verification come last")
        return self

    @property
    def mending(self) -> tuple[Phase, ...]:
        """The phases that come before the verification."""
        return tuple(phase for phase in self.phases if not phase.after_verification)

    @property
    def tidying(self) -> tuple[Phase, ...]:
        """The phases that come after the verification."""
        return tuple(phase for phase in self.phases if phase.after_verification)

    def needs(self, plan: Plan) -> dict[str, bool]:
        """Which of the phases that a plan may do without are in this one, by their keys."""
        return {phase.key: bool(plan.of_phase(phase.name)) for phase in self.phases if phase.asked}

    def phase(self, name: str) -> Phase:
        """The phase of that name. Raises KeyError if the runbook has none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)
