"""How an endpoint's fleets come and go: the life cycle of SageMaker endpoints, on virtual time.

Nothing runs by itself. An endpoint holds a queue of what will happen and when; whoever looks at it first lets it catch
up with the clock. An endpoint does one thing at a time: what would start another is refused before it gets here.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""The states in which an endpoint accepts no other operation."""
NO_PING = (
    "The primary container for production variant {variant} did not pass the ping health check."
    " Please check CloudWatch logs for this endpoint."
)
NO_DATA = (
    'Failed to download model data for container "{container}" from URL: "{url}". Please ensure that there is an object'
    " located at the URL and that the role passed to CreateModel has permissions to download the object."
)
TIMED_OUT = "The deployment did not complete within {seconds} seconds."
ALARMED = "The deployment was rolled back: the alarm {alarm} is in the state ALARM."
NO_CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."


class Rescaling(Enum):
    """What becomes of UpdateEndpointWeightsAndCapacities: done, rolled back by the service, or the endpoint fails."""

    DONE = "done"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"


@dataclass(frozen=True)
class Script:
    """What becomes of a fleet that is deployed from one endpoint configuration. All times are in seconds.

    `in_service_after`: until its instances are launched and pass their health check; None: never, and `fails_after`
    SageMaker gives up with `reason`. `trips`: CloudWatch alarms that its traffic sets off, `trips_after` it is on.
    `rolls_back`: False makes the rollback fail too, which only a rolling update can. `failing`: HTTP status that the
    container of a variant answers invocations with, where that is not 200. `captures`: False makes data capture stop.
    """

    in_service_after: float | None = 0.0
    fails_after: float = 600.0
    reason: str = NO_PING
    trips: tuple[str, ...] = ()
    trips_after: float = 0.0
    rollback_takes: float = 60.0
    rolls_back: bool = True
    rescales_after: float = 0.0
    rescaling: Rescaling = Rescaling.DONE
    failing: Mapping[str, int] = field(default_factory=dict)
    captures: bool = True


@dataclass
class Configuration:
    """An endpoint configuration. `content` is what was created; an endpoint keeps it when it is deleted."""

    name: str
    arn: str
    content: dict[str, Any]
    created: datetime

    @property
    def variants(self) -> list[dict[str, Any]]:
        return list(self.content["ProductionVariants"])

    @property
    def shadows(self) -> list[dict[str, Any]]:
        return list(self.content.get("ShadowProductionVariants", ()))


@dataclass
class Variant:
    """A variant of a fleet. Counts are None for a serverless one; `content` is its part of the configuration."""

    name: str
    content: dict[str, Any]
    current_weight: float
    desired_weight: float
    current_count: int | None
    desired_count: int | None
    doing: tuple[str, str, datetime] | None = None
    """Status, message and since when, while it is being changed."""

    @classmethod
    def launched(cls, content: dict[str, Any]) -> Variant:
        """A variant of which nothing runs yet, as its configuration wants it."""
        weight = float(content.get("InitialVariantWeight", 1.0))
        count = content.get("InitialInstanceCount")
        return cls(content["VariantName"], content, weight, weight, None if count is None else 0, count)


@dataclass
class Fleet:
    """What is deployed from one configuration."""

    configuration: Configuration
    script: Script
    variants: list[Variant]
    shadows: list[Variant]
    started: datetime

    @property
    def instances(self) -> int:
        return sum(variant.desired_count or 0 for variant in [*self.variants, *self.shadows])


@dataclass(frozen=True)
class Alarms:
    """CloudWatch, as far as deployments look at it. `ringing` filters names by the state ALARM."""

    ringing: Callable[[Sequence[str]], list[str]]
    set_state: Callable[[str, str, str], None]
    """Name, state and reason."""


class Endpoint:
    """An endpoint with its fleet, and the one that is being deployed."""

    def __init__(self, name: str, arn: str, now: datetime, alarms: Alarms) -> None:
        self.name = name
        self.arn = arn
        self.created = self.modified = now
        self.status = "Creating"
        self.failure: str | None = None
        self.fleet: Fleet | None = None
        self.pending: Fleet | None = None
        self.deployment: dict[str, Any] | None = None
        """The last deployment configuration that an update brought."""
        self._rules: dict[str, Any] | None = None
        """The one of the deployment that goes on: an update without any has none, unless it retains the last one."""
        self._alarms = alarms
        self._before: list[tuple[float, int | None]] = []
        self._queue: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._order = itertools.count()

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def in_progress(self) -> bool:
        return self.status in IN_PROGRESS

    @property
    def configuration(self) -> Configuration:
        """The configuration that the endpoint shows: the new one only once its deployment is complete."""
        return (self.fleet or self.coming).configuration

    @property
    def deployed(self) -> Fleet:
        """The fleet that is in service. Raises LookupError while the first one is launched."""
        if self.fleet is None:
            raise LookupError(f"{self.name} has no fleet yet")
        return self.fleet

    @property
    def coming(self) -> Fleet:
        """The fleet that is being deployed. Raises LookupError if none is."""
        if self.pending is None:
            raise LookupError(f"nothing is being deployed to {self.name}")
        return self.pending

    @property
    def serving(self) -> Fleet | None:
        """The fleet that answers most invocations now."""
        if self.pending is not None and self._shifted:
            return self.pending
        return self.fleet

    @property
    def _shifted(self) -> bool:
        doing = self.pending.variants[0].doing if self.pending else None
        return doing is not None and doing[0] == "Baking" and "full capacity" in doing[1]

    # -- what callers do -----------------------------------------------------------------------------------------------

    def catch_up(self, now: datetime) -> None:
        """Lets everything happen that was due by now."""
        while self._queue and self._queue[0][0] <= now:
            moment, _, happen = heapq.heappop(self._queue)
            happen(moment)

    def deploy(self, fleet: Fleet, deployment: dict[str, Any] | None, now: datetime) -> None:
        """Starts the deployment of a fleet, beside the one that runs if there is one."""
        self.status = "Updating" if self.fleet else "Creating"
        self.failure = None
        self.pending = fleet
        self.modified = now
        self._rules = deployment
        if deployment is not None:
            self.deployment = deployment
        for variant in [*fleet.variants, *fleet.shadows]:
            count = variant.desired_count
            message = "" if count is None else f"Launching {count} instance(s)."
            variant.doing = ("Creating", message, now)
        script = fleet.script
        policy = _policy(deployment)
        limit = policy.get("MaximumExecutionTimeoutInSeconds")
        if limit is not None:
            self._after(now, limit, lambda moment: self._give_up(TIMED_OUT.format(seconds=limit), moment))
        if script.in_service_after is None:
            reason = script.reason.format(variant=fleet.variants[0].name)
            self._after(now, script.fails_after, lambda moment: self._give_up(reason, moment))
        else:
            self._after(now, script.in_service_after, lambda moment: self._shift(0, moment))

    def rescale(self, wanted: Mapping[str, tuple[float | None, int | None]], now: datetime) -> None:
        """Starts a change of weights and instance counts, by variant; None leaves one as it is."""
        fleet = self.deployed
        self.status, self.failure, self.modified = "Updating", None, now
        self._before = [(variant.desired_weight, variant.desired_count) for variant in fleet.variants]
        for variant in fleet.variants:
            weight, count = wanted.get(variant.name, (None, None))
            if weight is not None:
                variant.desired_weight = weight
                variant.doing = ("Updating", f"Updating weight to {weight}.", now)
            if count is not None and count != variant.desired_count:
                out = "out" if count > (variant.desired_count or 0) else "in"
                variant.desired_count = count
                variant.doing = ("Updating", f"Scaling {out} desired instance count to {count}.", now)
        self._after(now, fleet.script.rescales_after, self._rescaled)

    def maintain(self, seconds: float, now: datetime) -> None:
        """Starts a maintenance by the service itself."""
        self.status, self.modified = "SystemUpdating", now
        self._after(now, seconds, self._in_service)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _shift(self, step: int, now: datetime) -> None:
        """Turns on the traffic of one step, and begins to bake it."""
        fleet = self.coming
        for variant in [*fleet.variants, *fleet.shadows]:
            variant.current_count = variant.desired_count
        if self.fleet is None:
            self._complete(now)
            return
        policy = _policy(self._rules)
        waits = _waits(self._rules, fleet)
        seconds, of = waits[step]
        last = step == len(waits) - 1
        for variant in fleet.variants:
            size = "full capacity" if last else f"{_kind(policy)} capacity"
            count = variant.desired_count if last else math.ceil((variant.desired_count or 0) * (step + 1) / len(waits))
            message = f"Baking for {seconds} seconds ({of}) with traffic enabled on {size} of {count} instance(s)."
            variant.doing = ("Baking", message, now)
        if fleet.script.trips:
            self._after(now, fleet.script.trips_after, self._trip)
        self._after(now, seconds, lambda moment: self._baked(step, last, moment))

    def _trip(self, now: datetime) -> None:
        for alarm in self.coming.script.trips:
            self._alarms.set_state(alarm, "ALARM", f"the new fleet of {self.name} fails")
        self._look_at_alarms(now)

    def _look_at_alarms(self, now: datetime) -> bool:
        """Whether the deployment goes on."""
        ringing = self._alarms.ringing(_watched(self._rules))
        if ringing:
            self._give_up(ALARMED.format(alarm=ringing[0]), now)
        return not ringing

    def _baked(self, step: int, last: bool, now: datetime) -> None:
        if not self._look_at_alarms(now):
            return
        if last:
            self._complete(now)
        else:
            self._shift(step + 1, now)

    def _complete(self, now: datetime) -> None:
        self.fleet, self.pending = self.coming, None
        self._in_service(now)

    def _give_up(self, reason: str, now: datetime) -> None:
        """The deployment has failed: back to the fleet before, if there is one."""
        self._queue.clear()
        if self.fleet is None:
            self.fleet, self.pending = self.pending, None
            self.status, self.failure, self.modified = "Failed", reason, now
            self._rest()
            return
        fleet = self.coming
        self.status, self.modified = "RollingBack", now
        for variant in [*fleet.variants, *fleet.shadows]:
            variant.doing = ("Deleting", f"Terminating {variant.current_count} instance(s).", now)
        self._after(now, fleet.script.rollback_takes, lambda moment: self._rolled_back(reason, moment))

    def _rolled_back(self, reason: str, now: datetime) -> None:
        script, rolling = self.coming.script, "RollingUpdatePolicy" in (self._rules or {})
        for alarm in script.trips:
            self._alarms.set_state(alarm, "OK", f"the old fleet of {self.name} serves again")
        self.pending = None
        self._in_service(now)
        self.failure = reason
        if rolling and not script.rolls_back:
            self.status = "UpdateRollbackFailed"

    def _rescaled(self, now: datetime) -> None:
        fleet = self.deployed
        match fleet.script.rescaling:
            case Rescaling.DONE:
                for variant in fleet.variants:
                    variant.current_weight, variant.current_count = variant.desired_weight, variant.desired_count
                self._in_service(now)
            case Rescaling.ROLLED_BACK:
                self.status, self.modified = "RollingBack", now
                for variant, (weight, count) in zip(fleet.variants, self._before, strict=True):
                    variant.desired_weight, variant.desired_count = weight, count
                self._after(now, fleet.script.rollback_takes, self._scaling_rolled_back)
            case Rescaling.FAILED:
                self._rest()
                self.status, self.failure, self.modified = "Failed", NO_CAPACITY, now

    def _scaling_rolled_back(self, now: datetime) -> None:
        self._in_service(now)
        self.failure = NO_CAPACITY

    def _in_service(self, now: datetime) -> None:
        self._queue.clear()
        self._rest()
        self.status, self.failure, self.modified = "InService", None, now

    def _rest(self) -> None:
        for variant in [*(self.fleet.variants if self.fleet else ()), *(self.fleet.shadows if self.fleet else ())]:
            variant.doing = None

    def _after(self, now: datetime, seconds: float, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._queue, (now + timedelta(seconds=seconds), next(self._order), happen))
        if seconds == 0:
            self.catch_up(now)


def _policy(deployment: Mapping[str, Any] | None) -> dict[str, Any]:
    """The update policy of a deployment configuration, whichever of the two it has."""
    given = deployment or {}
    return dict(given.get("BlueGreenUpdatePolicy") or given.get("RollingUpdatePolicy") or {})


def _watched(deployment: Mapping[str, Any] | None) -> list[str]:
    alarms = ((deployment or {}).get("AutoRollbackConfiguration") or {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms]


def _kind(policy: Mapping[str, Any]) -> str:
    return str(policy.get("TrafficRoutingConfiguration", {}).get("Type", "rolling")).lower()


def _waits(deployment: Mapping[str, Any] | None, fleet: Fleet) -> list[tuple[int, str]]:
    """How long each step of the traffic is baked, in seconds, and by which setting."""
    policy = _policy(deployment)
    if "MaximumBatchSize" in policy:
        steps = _steps(policy["MaximumBatchSize"], fleet)
        return [(policy["WaitIntervalInSeconds"], "WaitIntervalInSeconds")] * steps
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0})
    between = (routing["WaitIntervalInSeconds"], "WaitIntervalInSeconds")
    last = (policy.get("TerminationWaitInSeconds", 0), "TerminationWaitInSeconds")
    match routing["Type"]:
        case "CANARY":
            return [between, last]
        case "LINEAR":
            return [between] * (_steps(routing["LinearStepSize"], fleet) - 1) + [last]
        case _:
            return [last]


def _steps(size: Mapping[str, Any], fleet: Fleet) -> int:
    whole = 100 if size["Type"] == "CAPACITY_PERCENT" else max(fleet.instances, 1)
    return math.ceil(whole / int(size["Value"]))
