"""Drives one incident scenario on the embedded AWS: break, run, decide as another person, and look what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runbooks import catalogue, clock
from runbooks.model import Verdict
from runbooks.store import audit
from runbooks.store.audit import Entry
from runbooks.store.runs import Approval, ChangeRecord, ChangeStatus, Diagnosis, Run, run_id_of
from workbench.executions import History, Moment, Visit, Watch
from workbench.ledger import ledger_of
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

EVENTS = Path(__file__).parent.parent / "events"
APPROVER = "bob"
"""Who decides; never the one who asks."""
_WAITING = "Wait for approval"
_POLL = 0.06
"""Real seconds between two looks at the execution."""
_APPLIED = {ChangeStatus.DONE, ChangeStatus.UNKNOWN, ChangeStatus.UNDOING, ChangeStatus.UNDONE, ChangeStatus.LEFT}

Choice = Literal["approve", "deny", "ignore"]


class Stuck(Exception):
    """The execution did not end in time; the message says where it is."""


@dataclass(frozen=True)
class AppliedChange:
    """A change of the plan that the run set out to apply, and where it stands."""

    number: int
    operation: str
    was: str
    becomes: str
    status: ChangeStatus


@dataclass(frozen=True)
class Incident:
    """What came of a scenario. `status` is the execution's; `outcome`, `error` and `cause` are the run's."""

    run_id: str
    execution_arn: str
    runbook: str
    scenario: Scenario
    mode: Literal["plan"] | None
    decision: Choice
    status: str
    visits: list[Visit]
    run: Run | None
    diagnosis: Diagnosis | None
    approval: Approval | None
    changes: list[AppliedChange]
    audit: list[Entry]
    audit_faults: list[str]
    lock_free: bool
    world_before: Any
    world_after: Any
    answers: list[str] = field(default_factory=list)
    """What the approval API answered when it refused a decision."""
    decided_otherwise: bool = False
    """Whether it came to a decision, and that was not the scenario's own."""
    world_when_decided: Any = None
    """Read only then: what somebody else has done by that time must stay."""

    @property
    def outcome(self) -> str | None:
        return self.run.outcome if self.run else None

    @property
    def error(self) -> str | None:
        return self.run.error_name if self.run else None

    @property
    def cause(self) -> str | None:
        return self.run.error_cause if self.run else None

    @property
    def audit_verified(self) -> bool:
        """Whether the trail is whole and closed."""
        return not self.audit_faults

    @property
    def states(self) -> list[str]:
        """The names of the states that were passed, in order."""
        return [visit.state for visit in self.visits]

    @property
    def seconds(self) -> int:
        """How long the run took, in the embedded AWS's time."""
        return int(self.audit[-1].detail.get("seconds") or 0) if self.audit else 0  # type: ignore[arg-type]

    @cached_property
    def expected(self) -> tuple[str, str | None, Any, int | None]:
        """Status, error, world and number of changes that this scenario ends in, overrides considered."""
        scenario, unchanged = self.scenario, self.world_before
        verdict = self.run.verdict if self.run else None
        if self.mode == "plan":
            if verdict in {Verdict.REMEDIABLE, Verdict.HEALTHY}:
                return "SUCCEEDED", None, unchanged, 0
            return scenario.ends, scenario.error, unchanged, 0
        if self.decided_otherwise and self.decision != "approve":
            error = "ApprovalDenied" if self.decision == "deny" else "ApprovalExpired"
            return "FAILED", error, self.world_when_decided, 0
        world = unchanged if scenario.world_after is None else scenario.world_after
        return scenario.ends, scenario.error, world, scenario.changes

    def unexpected(self) -> list[str]:
        """Where it differs from what the scenario says, one sentence each; empty if nowhere."""
        status, error, world, changes = self.expected
        found = []
        if self.status != status:
            found.append(f"The execution ended {self.status}, and {status} was expected{self._why()}.")
        if self.run is None:
            found.append("The run was never written to the State table.")
        elif self.run.status != "closed":
            found.append(f"The run {self.run_id} is still open.")
        if self.outcome == "SUCCEEDED" and status != "SUCCEEDED":
            found.append(f"The run was closed as SUCCEEDED, and {status} was expected.")
        if self.error != error:
            found.append(f"The run's error is {self.error}, and {error} was expected{self._why()}.")
        if self.world_after != world:
            is_now, should_be = _differing(self.world_after, world)
            found.append(f"The world is {is_now!r} afterwards, and {should_be!r} was expected.")
        applied = sum(change.status in _APPLIED for change in self.changes)
        if changes is not None and applied != changes:
            found.append(f"{applied} changes were applied, and {changes} were expected.")
        if not self.lock_free:
            found.append("The run still holds a lock.")
        found += [f"The audit trail is not whole: {fault}." for fault in self.audit_faults]
        return found

    def _why(self) -> str:
        return f" ({self.cause})" if self.cause else ""


def _differing(one: Any, other: Any) -> tuple[Any, Any]:
    """Both without what they have in common."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return one, other
    pairs = {key: _differing(one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)}
    return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}


def start_input(runbook: str, event: str, *, mode: str | None = None) -> str:
    """The text of a start input under `events/`, with another mode if one is given."""
    text = (EVENTS / runbook / f"{event}.json").read_text(encoding="utf-8")
    document = json.loads(text) if mode else None
    return json.dumps(document | {"mode": mode}) if isinstance(document, dict) else text


def run_scenario(
    aws: EmbeddedAws,
    runbook_name: str,
    scenario: Scenario,
    *,
    mode: Literal["plan"] | None = None,
    decision: Choice | None = None,
    observe: Callable[[Moment], None] | None = None,
    execution_name: str | None = None,
    patience: float = 60.0,
) -> Incident:
    """Arrange the scenario, run the runbook on it to its end, and collect what there is to know.

    `mode` and `decision` override what the scenario does. `observe` is told of every state and audit entry as it
    comes. `patience` is in real seconds. Raises Stuck when the execution does not end within it.
    """
    return _Driver(aws, runbook_name, scenario, mode, decision, observe).run(
        execution_name or f"demo-{scenario.name}", patience
    )


class _Driver:
    def __init__(
        self,
        aws: EmbeddedAws,
        runbook: str,
        scenario: Scenario,
        mode: Literal["plan"] | None,
        decision: Choice | None,
        observe: Callable[[Moment], None] | None,
    ) -> None:
        self.aws = aws
        self.runbook = runbook
        self.scenario = scenario
        self.mode = mode
        self.decision: Choice = decision or scenario.decision
        self.observe = observe
        self.ledger = ledger_of(aws.outputs, aws.client("dynamodb"))
        self.stepfunctions = aws.client("stepfunctions")
        self.answers: list[str] = []
        self.decided_otherwise = False
        self.world_when_decided: Any = None
        self.execution_arn = ""
        self.run_id = ""
        self.peeked: History | None = None
        """Read when a function is called, apart from the history that the driving thread reads on."""
        self._claims = threading.Lock()
        self._claimed: set[str] = set()
        self._problems: list[BaseException] = []

    def run(self, execution_name: str, patience: float) -> Incident:
        aws, scenario = self.aws, self.scenario
        scenario.arrange(aws)
        world_before = scenario.world(aws)
        if scenario.on_state:
            # A Task's callback runs before the Task's function does, so that what it does to the world is seen.
            aws.faults.before("lambda:Invoke", lambda _: self._before_a_function())
        history = self._start(execution_name)
        try:
            self._follow(history, patience)
            aws.settle()
        finally:
            self._claimed |= set(scenario.on_state)
        aws.faults.clear()
        for problem in self._problems:
            raise problem
        return self._collect(history, world_before, scenario.world(aws))

    def _start(self, name: str) -> History:
        machine = f"{self.aws.stack_name}-{self.runbook}"
        arn = f"arn:aws:states:{self.aws.region}:{self.aws.account_id}:stateMachine:{machine}"
        text = start_input(self.runbook, self.scenario.event, mode=self.mode)
        started = self.stepfunctions.start_execution(stateMachineArn=arn, name=name, input=text)
        self.execution_arn = started["executionArn"]
        self.run_id = run_id_of(self.runbook, self.execution_arn, started["startDate"].astimezone(UTC))
        self.peeked = History(self.stepfunctions, self.execution_arn)
        return History(self.stepfunctions, self.execution_arn)

    def _follow(self, history: History, patience: float) -> None:
        watch = Watch(history, self.ledger if self.observe else None, self.run_id)
        give_up = time.monotonic() + patience
        while not history.ended:
            self._tell(watch.news())
            if self._problems:
                return
            # What a callback has done is looked at first: it may have ended the execution that waits.
            if not self._call_back(history.visits) and not history.ended:
                self._decide(history.visits)
            if time.monotonic() > give_up:
                state = history.visits[-1].state if history.visits else "its start"
                answers = f" The approval API answered: {'; '.join(self.answers)}." if self.answers else ""
                raise Stuck(f"{self.execution_arn} is still at {state} after {patience:g} seconds.{answers}")
            time.sleep(_POLL)
        # The history tells of an end that somebody makes before the execution has come to it.
        while self._is_running() and time.monotonic() < give_up:
            time.sleep(_POLL)
        self.aws.settle()
        self._tell(watch.entries())

    def _is_running(self) -> bool:
        described = self.stepfunctions.describe_execution(executionArn=self.execution_arn)
        return bool(described["status"] == "RUNNING")

    def _tell(self, moments: list[Moment]) -> None:
        if self.observe is not None:
            for moment in moments:
                self.observe(moment)

    # Callbacks of the scenario

    def _before_a_function(self) -> None:
        history = self.peeked
        if history is None or self._claimed.issuperset(self.scenario.on_state):
            return
        try:
            history.read()
            self._fire(visit.state for visit in history.visits if visit.state != _WAITING)
        except Exception as problem:  # noqa: BLE001 - raised again by the thread that drives the scenario
            self._problems.append(problem)

    def _call_back(self, passed: list[Visit]) -> bool:
        """Callbacks of states that call no function, and of those that the function's call did not trigger.

        Returns whether there were any.
        """
        due = [visit.state for visit in passed if visit.kind != "Task" or visit.exited]
        if self._is_due(_WAITING) and any(visit.state == _WAITING for visit in passed) and self._approval_is_pending():
            due.append(_WAITING)
        return self._fire(due)

    def _is_due(self, state: str) -> bool:
        return state in self.scenario.on_state and state not in self._claimed

    def _fire(self, states: Iterable[str]) -> bool:
        fired = False
        for state in states:
            with self._claims:
                if not self._is_due(state):
                    continue
                self._claimed.add(state)
            self.scenario.on_state[state](self.aws, self.execution_arn)
            fired = True
        return fired

    # The other person

    def _approval_is_pending(self) -> bool:
        approval = self.ledger.approval(self.run_id)
        return approval is not None and approval.status == "pending"

    def _decide(self, passed: list[Visit]) -> None:
        waits = passed and passed[-1].state == _WAITING and passed[-1].exited is None
        called_back = _WAITING in self._claimed or _WAITING not in self.scenario.on_state
        if not (waits and called_back) or _DECIDED in self._claimed or not self._approval_is_pending():
            return
        self._claimed.add(_DECIDED)
        self.decided_otherwise = self.decision != self.scenario.decision
        if self.decided_otherwise:
            self.world_when_decided = self.scenario.world(self.aws)
        if self.decision != "ignore":
            self._vote(self.decision)
        elif self.scenario.decision != "ignore":
            # The scenario does not let the time pass by itself.
            self.aws.clock.advance(catalogue.load(self.runbook).approval_within + timedelta(seconds=1))

    def _vote(self, decision: str) -> None:
        approval = self.ledger.approval(self.run_id)
        if approval is None:
            return
        words = "the plan is what I would do" if decision == "approve" else "not now, please"
        ballot = {"decision": decision, "plan_hash": approval.plan_hash, "comment": words}
        answer = self.aws.invoke("ApiFunction", signed_request(self.aws.account_id, self.run_id, ballot))
        if answer["statusCode"] != 200:
            self.answers.append(f"{answer['statusCode']} {json.loads(answer['body']).get('detail')}")

    # The end

    def _collect(self, history: History, world_before: Any, world_after: Any) -> Incident:
        described = self.stepfunctions.describe_execution(executionArn=self.execution_arn)
        run, diagnosis = self.ledger.find(self.run_id), self.ledger.diagnosis(self.run_id)
        records, trail = self.ledger.changes(self.run_id), self.ledger.trail(self.run_id)
        return Incident(
            run_id=self.run_id,
            execution_arn=self.execution_arn,
            runbook=self.runbook,
            scenario=self.scenario,
            mode=self.mode,
            decision=self.decision,
            status=described["status"],
            visits=history.visits,
            run=run,
            diagnosis=diagnosis,
            approval=self.ledger.approval(self.run_id),
            changes=changes_of(diagnosis, records),
            audit=trail,
            audit_faults=audit.faults(trail),
            lock_free=self._is_free(run, records),
            world_before=world_before,
            world_after=world_after,
            answers=self.answers,
            decided_otherwise=self.decided_otherwise,
            world_when_decided=self.world_when_decided,
        )

    def _is_free(self, run: Run | None, records: dict[int, ChangeRecord]) -> bool:
        """Whether the run holds no lock, once a function that may still be acting is surely over."""
        over: list[datetime] = [clock.parse(record.deadline) for record in records.values()]
        then = max([self.aws.clock.now(), *over])
        return run is None or all(self.ledger.holder(target, then) != run.run_id for target in run.targets)


_DECIDED = "(decided)"
"""Claimed like a state, and no state's name."""


def changes_of(diagnosis: Diagnosis | None, records: dict[int, ChangeRecord]) -> list[AppliedChange]:
    """The step ledger's lines in the plan's words."""
    plan = diagnosis.plan if diagnosis else None
    return [
        AppliedChange(number, change.operation, change.was, change.becomes, records[number].status)
        for number, change in enumerate(plan.changes if plan else (), 1)
        if number in records
    ]


def signed_request(account: str, run_id: str, ballot: dict[str, str], user: str = APPROVER) -> dict[str, Any]:
    """What API Gateway hands to the API's function when an IAM user posts a decision."""
    return api_event(account, "POST", f"/runs/{run_id}/approval", ballot, user=user)


def api_event(account: str, method: str, path: str, body: Any = None, *, user: str | None = APPROVER) -> dict[str, Any]:
    """What API Gateway hands to the API's function when an IAM user calls it (HTTP API, payload 2.0).

    A body that is no text is sent as JSON. Without a user the event is one that API Gateway never lets through.
    """
    arn = f"arn:aws:iam::{account}:user/{user}"
    iam = {"accountId": account, "userArn": arn, "userId": f"AIDA{user.upper()}"} if user else {}
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "accountId": account,
            "stage": "$default",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
            "authorizer": {"iam": iam},
        },
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }
