"""How a service's tasks come and go: the life cycle of ECS deployments, on virtual time.

Nothing runs by itself. A service holds a queue of what will happen and when; whoever looks at it first lets it catch
up with the clock. So the same script gives the same states at the same times, in the past as well.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any

EVENTS_KEPT = 100
STOPPED_TASKS_KEPT = timedelta(hours=1)
ROLLBACK_REQUESTED_FOR = timedelta(seconds=5)
BREAKER_LEAST, BREAKER_MOST = 3, 200
BREAKER_REASON = "ECS deployment circuit breaker: tasks failed to start."
OPEN = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
"""The states in which a service deployment is not over."""


class Failing(Enum):
    """Why the tasks of a task definition do not stay: stop code, stopped reason, exit code of the container."""

    HEALTH_CHECK = ("ServiceSchedulerInitiated", "Task failed container health checks", 137)
    EXITS = ("EssentialContainerExited", "Essential container in task exited", 1)
    CANNOT_PULL = (
        "TaskFailedToStart",
        "CannotPullContainerError: pull image manifest has been retried 1 time(s)",
        None,
    )


@dataclass(frozen=True)
class Script:
    """What becomes of tasks of one task definition.

    `steady_after`: seconds until all tasks of a deployment run and are healthy, one after the other at even distances;
    None: never. Then each task fails as `failing` says, `fails_after` seconds after its start, and is started again.
    """

    steady_after: float | None = 0.0
    failing: Failing = Failing.HEALTH_CHECK
    fails_after: float = 60.0


@dataclass
class TaskDefinition:
    """A revision. `content` is what was registered."""

    arn: str
    family: str
    revision: int
    content: dict[str, Any]
    registered: datetime
    deregistered: datetime | None = None
    tags: list[dict[str, str]] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "ACTIVE" if self.deregistered is None else "INACTIVE"


@dataclass
class Task:
    """A task of a service. `running` is when it came to RUNNING, if it did; `stopped` when it ended."""

    id: str
    deployment: Deployment
    created: datetime
    running: datetime | None = None
    stopped: datetime | None = None
    healthy: bool = False
    code: str | None = None
    reason: str | None = None
    exit_code: int | None = None

    @property
    def status(self) -> str:
        if self.stopped is not None:
            return "STOPPED"
        return "PENDING" if self.running is None else "RUNNING"


@dataclass
class Revision:
    """A service revision: what a deployment puts in place. `images` are (container, image, digest)."""

    number: str
    definition: TaskDefinition
    script: Script
    images: list[tuple[str, str, str | None]]
    created: datetime


@dataclass
class Deployment:
    """One entry of a service's `deployments`."""

    id: str
    revision: Revision
    created: datetime
    updated: datetime
    desired: int
    status: str = "PRIMARY"
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    tasks: list[Task] = field(default_factory=list)

    def alive(self, *, running: bool | None = None) -> list[Task]:
        """Tasks that have not stopped; only those that do or do not run yet if asked."""
        return [
            task
            for task in self.tasks
            if task.stopped is None and (running is None or (task.running is not None) is running)
        ]


@dataclass
class Rollback:
    reason: str
    started: datetime
    revision: Revision


@dataclass
class ServiceDeployment:
    """One entry of a service's deployment history."""

    number: str
    created: datetime
    sources: list[tuple[Revision, int, int]]
    target: Revision
    configuration: dict[str, Any]
    status: str = "IN_PROGRESS"
    reason: str | None = None
    updated: datetime | None = None
    finished: datetime | None = None
    stopped: datetime | None = None
    failures: int = 0
    rollback: Rollback | None = None

    @property
    def open(self) -> bool:
        return self.status in OPEN


class Service:
    """A service with the rolling update of the ECS deployment controller."""

    def __init__(self, cluster: str, name: str, created: datetime, desired: int, settings: dict[str, Any]) -> None:
        """`settings` are the request's fields, in the service's own form; `deploymentConfiguration` among them."""
        self.cluster = cluster
        self.name = name
        self.created = created
        self.desired = desired
        self.settings = settings
        self.status = "ACTIVE"
        self.deployments: list[Deployment] = []
        self.history: list[ServiceDeployment] = []
        self.revisions: list[Revision] = []
        self.events: list[tuple[str, datetime, str]] = []
        self.gone: list[Task] = []
        self._queue: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._order = itertools.count()
        self._made = itertools.count(1)

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    @property
    def current(self) -> ServiceDeployment:
        return self.history[-1]

    def tasks(self) -> list[Task]:
        """All tasks that ECS still knows, the oldest first."""
        known = [*self.gone, *(task for deployment in self.deployments for task in deployment.tasks)]
        return sorted(known, key=lambda task: task.created)

    def count(self, *, running: bool) -> int:
        return sum(len(deployment.alive(running=running)) for deployment in self.deployments)

    @property
    def breaker(self) -> dict[str, Any]:
        return dict(self.settings["deploymentConfiguration"].get("deploymentCircuitBreaker") or {})

    @property
    def threshold(self) -> int:
        """Failed tasks at which the circuit breaker opens."""
        return min(BREAKER_MOST, max(BREAKER_LEAST, math.ceil(self.desired / 2)))

    # -- what callers do -----------------------------------------------------------------------------------------------

    def catch_up(self, now: datetime) -> None:
        """Lets everything happen that was due by now."""
        while self._queue and self._queue[0][0] <= now:
            moment, _, happen = heapq.heappop(self._queue)
            happen(moment)
        kept = now - STOPPED_TASKS_KEPT
        self.gone = [task for task in self.gone if task.stopped is not None and task.stopped > kept]
        for deployment in self.deployments:
            deployment.tasks = [task for task in deployment.tasks if task.stopped is None or task.stopped > kept]

    def deploy(self, definition: TaskDefinition, script: Script, images: list[Any], now: datetime) -> ServiceDeployment:
        """Starts a deployment of that task definition; one that is under way is stopped."""
        revision = Revision(self._identity("revision", 19), definition, script, images, now)
        self.revisions.append(revision)
        for earlier in self.history:
            if earlier.open:
                earlier.status, earlier.reason = "STOPPED", "A new service deployment was started."
                earlier.stopped = earlier.finished = earlier.updated = now
        sources = [(old.revision, old.desired, len(old.alive(running=True))) for old in self.deployments if old.alive()]
        record = ServiceDeployment(
            number=self._identity("deployment", 21),
            created=now,
            sources=sources,
            target=revision,
            configuration=dict(self.settings["deploymentConfiguration"]),
            updated=now,
        )
        self.history.append(record)
        self._roll(revision, now, f"ECS deployment ecs-svc/{revision.number} in progress.")
        return record

    def scale(self, desired: int, now: datetime) -> None:
        """Changes the number of tasks, without a deployment."""
        self.desired = desired
        self.primary.desired = desired
        self.primary.updated = now
        alive = self.primary.alive()
        for task in alive[desired:]:
            self._stop(task, now, self._scaling())
        if len(alive) < desired:
            self._launch(self.primary, desired - len(alive), now, unsettled=False)

    def stop(self, now: datetime, *, roll_back: bool) -> None:
        """What StopServiceDeployment does to the current one; it must be open."""
        current = self.current
        if current.status in ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"):
            return
        current.updated = now
        if not roll_back:
            current.status = "STOP_REQUESTED"
            self._at(now + ROLLBACK_REQUESTED_FOR, lambda moment: self._stopped(current, moment))
            return
        current.status = "ROLLBACK_REQUESTED"
        reason = "Service deployment stopped by user with stopType ROLLBACK."
        self._at(now + ROLLBACK_REQUESTED_FOR, lambda moment: self._roll_back(current, reason, moment))

    def drain(self, now: datetime) -> None:
        """What DeleteService does."""
        self.status = "INACTIVE"
        self.desired = 0
        for deployment in self.deployments:
            for task in deployment.alive():
                self._stop(task, now, self._scaling())
        self._queue.clear()

    # -- what happens --------------------------------------------------------------------------------------------------

    def _roll(self, revision: Revision, now: datetime, reason: str) -> None:
        deployment = Deployment(
            id=f"ecs-svc/{self._rollout_number(revision)}",
            revision=revision,
            created=now,
            updated=now,
            desired=self.desired,
            reason=reason,
        )
        for old in self.deployments:
            old.status = "ACTIVE"
        self.deployments.insert(0, deployment)
        self._retire(now)
        room = math.floor(self.desired * self.settings["deploymentConfiguration"]["maximumPercent"] / 100)
        least = math.ceil(self.desired * self.settings["deploymentConfiguration"]["minimumHealthyPercent"] / 100)
        older = [task for old in self.deployments[1:] for task in old.alive(running=True)]
        if len(older) + self.desired > room:
            keep = max(least, room - self.desired)
            for task in older[keep:]:
                self._stop(task, now, self._scaling())
            older = older[:keep]
        slots = self.desired if revision.script.steady_after is not None else min(self.desired, room - len(older))
        self._launch(deployment, slots, now, unsettled=True)
        if self.desired == 0:
            self._complete(deployment, now)

    def _rollout_number(self, revision: Revision) -> str:
        """A deployment is named like its service revision; a rollback to an older one gets a name of its own."""
        used = {deployment.id for deployment in self.deployments}
        fresh = self.history[-1].target is revision and f"ecs-svc/{revision.number}" not in used
        return revision.number if fresh else self._identity("rollback", 19)

    def _launch(self, deployment: Deployment, number: int, now: datetime, *, unsettled: bool) -> None:
        script = deployment.revision.script
        tasks = [Task(self._identity("task", 32), deployment, now) for _ in range(number)]
        deployment.tasks.extend(tasks)
        if tasks:
            names = " ".join(f"(task {task.id})" for task in tasks)
            self._say(now, f"has started {number} tasks: {names}.")
        for position, task in enumerate(tasks, 1):
            if script.steady_after is not None:
                due = now + timedelta(seconds=script.steady_after * position / number)
                self._at(due, partial(self._healthy, task, unsettled=unsettled))
            else:
                if script.failing is not Failing.CANNOT_PULL:
                    started = now + timedelta(seconds=script.fails_after / 3)
                    self._at(started, partial(self._started, task))
                due = now + timedelta(seconds=script.fails_after)
                self._at(due, partial(self._failed, task))

    @staticmethod
    def _started(task: Task, now: datetime) -> None:
        if task.stopped is None:
            task.running = now

    def _healthy(self, task: Task, now: datetime, unsettled: bool) -> None:
        deployment = task.deployment
        if task.stopped is not None:
            return
        task.running, task.healthy = now, True
        deployment.failed = 0
        self._make_way(deployment, now)
        if unsettled and len(deployment.alive(running=True)) >= deployment.desired:
            self._complete(deployment, now)

    def _failed(self, task: Task, now: datetime) -> None:
        deployment = task.deployment
        if task.stopped is not None:
            return
        failing = deployment.revision.script.failing
        code, reason, exit_code = failing.value
        if failing is Failing.CANNOT_PULL:
            image = deployment.revision.images[0][1]
            reason = f"{reason}: failed to resolve ref {image}: {image}: not found"
        task.stopped, task.code, task.reason, task.exit_code = now, code, reason, exit_code
        deployment.failed += 1
        deployment.updated = now
        if self.history[-1].open:
            self.history[-1].failures += 1
        if failing is Failing.HEALTH_CHECK:
            self._say(now, f"(task {task.id}) failed container health checks.")
        if failing is Failing.CANNOT_PULL and deployment.failed % self.threshold == 0:
            self._say(now, "is unable to consistently start tasks successfully.")
        if self.breaker.get("enable") and deployment.failed >= self.threshold and deployment.rollout == "IN_PROGRESS":
            self._break(deployment, now)
        if deployment is self.primary and deployment.rollout == "IN_PROGRESS":
            self._launch(deployment, 1, now, unsettled=True)

    def _break(self, deployment: Deployment, now: datetime) -> None:
        deployment.rollout, deployment.reason, deployment.updated = "FAILED", BREAKER_REASON, now
        self._say(now, f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
        record = self.current
        if record.rollback is not None:
            record.status, record.reason = "ROLLBACK_FAILED", BREAKER_REASON
            record.finished = record.updated = now
        elif self.breaker.get("rollback") and self._steady_before(record) is not None:
            self._roll_back(record, BREAKER_REASON, now)
        else:
            record.status, record.reason = "STOPPED", BREAKER_REASON
            record.stopped = record.finished = record.updated = now

    def _roll_back(self, record: ServiceDeployment, reason: str, now: datetime) -> None:
        good = self._steady_before(record)
        if not record.open:
            return
        record.updated = now
        if good is None:
            record.status, record.reason, record.finished = "ROLLBACK_FAILED", "There is nothing to roll back to.", now
            return
        record.status, record.reason = "ROLLBACK_IN_PROGRESS", reason
        record.rollback = Rollback(reason, now, good)
        self._roll(good, now, "")
        self._say(now, f"rolling back to deployment {self.primary.id}.")
        by = "ECS deployment circuit breaker" if reason == BREAKER_REASON else "ECS service deployment"
        self.primary.reason = f"{by}: rolling back to deploymentId {self.primary.id}."

    def _steady_before(self, record: ServiceDeployment) -> Revision | None:
        """What the last deployment before this one left in place that completed."""
        for earlier in reversed(self.history[: self.history.index(record)]):
            if earlier.status == "SUCCESSFUL":
                return earlier.target
            if earlier.status == "ROLLBACK_SUCCESSFUL" and earlier.rollback is not None:
                return earlier.rollback.revision
        return None

    def _stopped(self, record: ServiceDeployment, now: datetime) -> None:
        if record.status == "STOP_REQUESTED":
            record.status, record.reason = "STOPPED", "Service deployment stopped by user with stopType ABORT."
            record.stopped = record.finished = record.updated = now

    def _complete(self, deployment: Deployment, now: datetime) -> None:
        if deployment is not self.primary or deployment.rollout != "IN_PROGRESS":
            return
        deployment.rollout, deployment.updated = "COMPLETED", now
        deployment.reason = f"ECS deployment {deployment.id} completed."
        self._retire(now, everything=True)
        self._say(now, f"(deployment {deployment.id}) deployment completed.")
        self._say(now, "has reached a steady state.")
        record = self.current
        if record.open:
            record.status = "SUCCESSFUL" if record.rollback is None else "ROLLBACK_SUCCESSFUL"
            record.finished = record.updated = now

    def _make_way(self, deployment: Deployment, now: datetime) -> None:
        """Stops old tasks as new ones are healthy, so that no more run than are wanted."""
        older = [task for old in self.deployments if old is not deployment for task in old.alive(running=True)]
        surplus = len(older) + len(deployment.alive(running=True)) - self.desired
        for task in older[: max(0, surplus)]:
            self._stop(task, now, self._scaling())
        self._retire(now)

    def _retire(self, now: datetime, *, everything: bool = False) -> None:
        """Drops older deployments that have no task left, or all of them; what never ran is stopped either way."""
        for old in self.deployments[1:]:
            for task in old.alive() if everything else old.alive(running=False):
                self._stop(task, now, self._scaling(old))
            if old.rollout == "IN_PROGRESS" or old.revision.script.steady_after is None:
                for task in old.alive():
                    if not task.healthy:
                        self._stop(task, now, self._scaling(old))
        for old in [old for old in self.deployments[1:] if not old.alive()]:
            self.gone.extend(old.tasks)
            self.deployments.remove(old)

    def _stop(self, task: Task, now: datetime, reason: str) -> None:
        task.stopped, task.code, task.reason = now, "ServiceSchedulerInitiated", reason
        task.exit_code = 0 if task.running is not None else None
        self._say(now, f"has stopped 1 running tasks: (task {task.id}).")

    # -- small things --------------------------------------------------------------------------------------------------

    def _scaling(self, deployment: Deployment | None = None) -> str:
        return f"Scaling activity initiated by (deployment {(deployment or self.primary).id})"

    def _at(self, moment: datetime, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._order), happen))

    def _say(self, now: datetime, what: str) -> None:
        self.events.insert(0, (self._identity("event", 32), now, f"(service {self.name}) {what}"))
        del self.events[EVENTS_KEPT:]

    def _identity(self, kind: str, length: int) -> str:
        """An id in the service's form, always the same for the same course of events."""
        digest = hashlib.sha256(f"{self.cluster}/{self.name}/{kind}/{next(self._made)}".encode())
        if kind in ("revision", "rollback"):
            return str(int(digest.hexdigest(), 16))[:length]
        return digest.hexdigest()[:length]
