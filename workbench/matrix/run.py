"""Runs one cell on the embedded AWS: break, run, inject, end, look, clear, run again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Literal

from runbooks import catalogue, clock
from runbooks.aws.adapters import adapter_of
from runbooks.model import Change, Undo
from runbooks.store import audit
from runbooks.store.runs import Run, run_id_of
from runbooks.store.tables import packed, unpacked
from workbench import scenario
from workbench.embedded.calls import ServiceError
from workbench.embedded.functions import Invocation
from workbench.executions import History
from workbench.incident import signed_request, start_input
from workbench.ledger import ledger_of
from workbench.matrix.cells import Cell, Step, machine_of, steps_of
from workbench.matrix.failures import NEWCOMER, WRITE, Aim, Stage, Target
from workbench.matrix.judge import Ended, Outcome, judge

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws
    from workbench.embedded.calls import Call

Path = Literal["as it should", "into the undo"]
"""How the procedure goes without the failure: to its end, or with a look that is denied, so that it is undone."""

PATIENCE = 120.0
"""Real seconds until an execution counts as stuck."""
_POLL = 0.05
_PAST_DEADLINES = timedelta(minutes=3)
"""Longer than any function runs, and than the sweep leaves a young run alone."""


class Stuck(Exception):
    """An execution did not end."""


@dataclass(frozen=True)
class Result:
    """One cell that was run. `problems` is empty if all held."""

    cell: Cell
    what: str
    ended: str
    rerun: str
    problems: list[str]


@dataclass
class Seen:
    """What a run without failures called: by state, the operations of its function, and how it ended."""

    ended: Ended
    operations: dict[str, list[str]] = field(default_factory=dict)
    reads: dict[str, list[str]] = field(default_factory=dict)


class Bench:
    """Runs cells of one runbook, one after the other; what a run without failures does is observed once."""

    def __init__(self, aws: EmbeddedAws, runbook: str) -> None:
        self.aws = aws
        self.runbook = catalogue.load(runbook)
        self.incidents = scenario.of(runbook)
        self.scenario = next(iter(self.incidents.values()))
        self.steps = steps_of(machine_of(runbook))
        self._seen: dict[tuple[str, Path], Seen] = {}

    def run(self, cell: Cell) -> Result:
        """Run one cell that applies."""
        self.scenario = self.incidents[cell.scenario]
        path = self._path_to(cell.step)
        aim = self._aim(cell.step, self._observed(path))
        what = aim.describe(cell.failure)
        try:
            outcome = self._outcome(cell, path, aim)
        except Stuck as stuck:
            return Result(cell, what, "stuck", "", [str(stuck)])
        problems = judge(cell.failure, outcome)
        return Result(cell, what, outcome.first.in_words, outcome.again.in_words, problems)

    # -- without failures ----------------------------------------------------------------------------------------------

    def _path_to(self, step: Step) -> Path:
        paths: tuple[Path, ...] = ("as it should", "into the undo")
        for path in paths:
            if step.state in self._observed(path).operations:
                return path
        raise ValueError(f"no run of {self.runbook.name} comes to {step.state!r} in {self.scenario.name}")

    def _observed(self, path: Path) -> Seen:
        key = (self.scenario.name, path)
        if key not in self._seen:
            self._seen[key] = self._observe(path)
        return self._seen[key]

    def _observe(self, path: Path) -> Seen:
        """The run as it goes without the cell's failure."""
        operations: dict[str, list[str]] = {}

        def around(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
            begun = len(self.aws.calls)
            answer = invoke()
            mine = {self._function(step)[-50:] for step in self.steps if step.state == event["state"]}
            calls = [call.operation for call in self.aws.calls[begun:] if call.caller in mine]
            operations.setdefault(event["state"], []).extend(calls)
            return answer

        self._arrange(path)
        self.aws.faults.around("*", around)
        ended = self._execute("observed").ended()
        reads: dict[str, list[str]] = {}
        if ended.run is not None:
            for entry in self._ledger.trail(ended.run.run_id):
                for call in entry.detail.get("reads") or []:
                    reads.setdefault(entry.state, []).append(call["operation"])
        return Seen(ended, operations, reads)

    def _aim(self, step: Step, seen: Seen) -> Aim:
        operations = seen.operations[step.state]
        changes = self._changes(seen.ended)
        if step.changes_the_target:
            if step.name == "undo":
                planned = [call for change in reversed(changes) for call in _inverses(change)]
            else:
                planned = [change.operation for change in changes if change.phase == step.phase]
            if planned and planned[0] in operations:
                return Aim(Target(planned[0]), Target(planned[0]))
            called = [call for call in operations if call in _calls_of_adapters(planned)]
            if called:
                return Aim(Target(called[0]), Target(called[-1]))
        first = next((call for call in operations if not call.startswith("dynamodb:")), "")
        if step.is_of_the_frame:
            call = Target(first) if first else Target(operations[0], of_the_ledger=True)
        else:
            call = Target(seen.reads[step.state][0])
        return Aim(call, Target(WRITE, of_the_ledger=True) if WRITE in operations else call)

    def _changes(self, ended: Ended) -> list[Change]:
        plan = ended.diagnosis.plan if ended.diagnosis else None
        return list(plan.changes) if plan else []

    # -- one cell ------------------------------------------------------------------------------------------------------

    def _outcome(self, cell: Cell, path: Path, aim: Aim) -> Outcome:
        aws, incident = self.aws, self.scenario
        self._arrange(path)
        world_before, moved = incident.world(aws), None
        trial: _Trial
        newcomer = _Newcomer(aws)

        def before() -> None:
            nonlocal moved
            if cell.failure.name == "LEASE_LOST":
                run = self._ledger.open_run(trial.run_id)
                newcomer.take_over(run)
            elif incident.moves is not None:
                incident.moves(aws)
                moved = incident.world(aws)

        calls: Counter[str] = Counter()
        self._count(calls, self._observed(path).ended)
        stage = Stage(aws, cell.step.state, self._function(cell.step), cell.failure, aim, before)
        stage.arm()
        trial = self._start("first")
        trial.follow()
        world_after = incident.world(aws)
        aws.faults.clear()
        first = self._when_closed(trial)
        return Outcome(
            first=first,
            again=self._again(newcomer),
            struck=stage.struck,
            would_end=self._observed(path).ended.in_words,
            world_before=world_before,
            world_moved=moved,
            world_after=world_after,
            world_remedied=incident.world_after,
            locked=self.locked,
            newcomer_robbed=newcomer.robbed,
            told=self.told,
            calls=calls,
            defects=[*aws.defects, *aws.undelivered],
        )

    def _when_closed(self, trial: _Trial) -> Ended:
        """The end of the run, which the sweep may have had to close; no function can be acting any more."""
        aws = self.aws
        records = self._ledger.changes(trial.run_id)
        over = max([aws.clock.now(), *(clock.parse(record.deadline) for record in records.values())])
        run = self._ledger.find(trial.run_id)
        closed_at_once = run is not None and run.status == "closed"
        if not closed_at_once:
            aws.clock.advance(_PAST_DEADLINES)
            aws.sweep()
            over = max(over, aws.clock.now())
            run = self._ledger.find(trial.run_id)
        targets = run.targets if run else ()
        self.locked = [target for target in targets if self._ledger.holder(target, over) == trial.run_id]
        aws.clock.advance(_PAST_DEADLINES)
        aws.sweep()
        aws.settle()
        self.told = sum(f"Run {trial.run_id} ended" in message["message"] for message in aws.messages)
        return trial.ended()

    def _again(self, newcomer: _Newcomer) -> Ended:
        newcomer.release()
        return self._execute("again").ended()

    def _count(self, calls: Counter[str], seen: Ended) -> None:
        """Counts what takes effect at the target. What may be repeated without harm need not be counted."""
        own = [self.aws.outputs[name].encode() for name in ("StateTableName", "AuditTableName")]
        once = [change for change in self._changes(seen) if change.proof is not None]
        operations = {change.operation for change in once} | {call for change in once for call in _inverses(change)}
        acting = f"{self.aws.stack_name}-{self.runbook.name}-act"[-50:]

        def ours(call: Call) -> bool:
            return call.caller == acting and not any(name in call.body for name in own)

        def counter(operation: str) -> Callable[[EmbeddedAws], None]:
            return lambda _: calls.update([operation])

        for operation in operations:
            self.aws.faults.after(operation, counter(operation), where=ours)

    # -- executions ----------------------------------------------------------------------------------------------------

    @property
    def _ledger(self) -> Any:
        return ledger_of(self.aws.outputs, self.aws.client("dynamodb"))

    def _function(self, step: Step) -> str:
        of_the_runbook = f"{self.runbook.name}-" if step.reads_the_target or step.changes_the_target else ""
        return f"{self.aws.stack_name}-{of_the_runbook}{step.function}"

    def _arrange(self, path: Path) -> None:
        aws = self.aws
        aws.reset()
        # So that every state is passed, whatever the runbook's risk.
        aws.policy({"approval": {self.runbook.risk.value: True}})
        self.scenario.arrange(aws)
        if path == "into the undo":
            self._deny_the_look()

    def _deny_the_look(self) -> None:
        """After the last phase that can be undone was applied the target can not be looked at; without phases it can
        not be diagnosed."""
        seen = self._observed("as it should")
        reading = [step for step in self.steps if step.reads_the_target and step.state in seen.reads]
        undone = {phase.name for phase in self.runbook.mending}
        looking = [step for step in reading if step.name == "look" and step.phase in undone] or reading
        operation = seen.reads[looking[-1].state][0]
        inside = threading.Event()

        def around(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
            if event["state"] == looking[-1].state:
                inside.set()
            try:
                return invoke()
            finally:
                inside.clear()

        def deny(aws: EmbeddedAws) -> None:
            raise ServiceError("AccessDeniedException", "You are not authorized to look")

        own = [self.aws.outputs[name].encode() for name in ("StateTableName", "AuditTableName")]
        function = self._function(looking[-1])
        self.aws.faults.around(function, around)
        self.aws.faults.before(
            operation,
            deny,
            only_from=function[-50:],
            where=lambda call: inside.is_set() and not any(name in call.body for name in own),
        )

    def _execute(self, name: str) -> _Trial:
        trial = self._start(name)
        trial.follow()
        return trial

    def _start(self, name: str) -> _Trial:
        return _Trial(self.aws, self.runbook.name, name, start_input(self.runbook.name, self.scenario.event))


def _inverses(change: Change) -> list[str]:
    """The operations that take a change back, in their order."""
    return [call.operation for call in change.undo.calls] if isinstance(change.undo, Undo) else []


def _calls_of_adapters(operations: Iterable[str]) -> set[str]:
    """The AWS calls that are behind operations which are none themselves."""
    adapters = [adapter_of(operation) for operation in operations]
    return {call for adapter in adapters if adapter for call in adapter.calls}


class _Trial:
    """One execution, and the other person who approves it."""

    def __init__(self, aws: EmbeddedAws, runbook: str, name: str, text: str) -> None:
        self.aws = aws
        self.ledger = ledger_of(aws.outputs, aws.client("dynamodb"))
        self.answers: list[str] = []
        self.voters: list[threading.Thread] = []
        self.run_id = ""
        self.known = threading.Event()
        aws.faults.around("ApprovalFunction", self._approve_afterwards)
        machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{runbook}"
        client = aws.client("stepfunctions")
        started = client.start_execution(stateMachineArn=machine, name=name, input=text)
        self.execution_arn = started["executionArn"]
        self.run_id = run_id_of(runbook, self.execution_arn, started["startDate"].astimezone(UTC))
        self.known.set()

    def follow(self) -> None:
        """Waits for the end. Raises Stuck."""
        client, give_up = self.aws.client("stepfunctions"), time.monotonic() + PATIENCE
        while client.describe_execution(executionArn=self.execution_arn)["status"] == "RUNNING":
            if time.monotonic() > give_up:
                visits = self._history().visits
                state = visits[-1].state if visits else "its start"
                raise Stuck(f"The execution is still at {state} after {PATIENCE:g} seconds. {' '.join(self.answers)}")
            time.sleep(_POLL)
        for voter in self.voters:
            voter.join()
        self.aws.settle(30)

    def ended(self) -> Ended:
        described = self.aws.client("stepfunctions").describe_execution(executionArn=self.execution_arn)
        return Ended(
            status=described["status"],
            error=described.get("error"),
            cause=described.get("cause"),
            run=self.ledger.find(self.run_id),
            diagnosis=self.ledger.diagnosis(self.run_id),
            records=self.ledger.changes(self.run_id),
            audit_faults=audit.faults(self.ledger.trail(self.run_id)),
            states=[visit.state for visit in self._history().visits],
            answers=self.answers,
        )

    def _history(self) -> History:
        history = History(self.aws.client("stepfunctions"), self.execution_arn)
        history.read()
        return history

    def _approve_afterwards(self, event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        answer = invoke()
        if event["step"] == "request" and not answer.failed:
            voter = threading.Thread(target=self._approve, daemon=True)
            self.voters.append(voter)
            voter.start()
        return answer

    def _approve(self) -> None:
        self.known.wait()
        approval = self.ledger.approval(self.run_id)
        if approval is None or approval.status != "pending":
            return
        ballot = {"decision": "approve", "plan_hash": approval.plan_hash, "comment": "go"}
        answer = self.aws.invoke("ApiFunction", signed_request(self.aws.account_id, self.run_id, ballot))
        if answer["statusCode"] != 200:
            self.answers.append(f"The approval API answered {answer['statusCode']}: {answer['body']}")


class _Newcomer:
    """Another run that takes the lock over, as it may when the lease has run out, and later lets it go."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.held: dict[str, int] = {}
        self.robbed = False

    def take_over(self, run: Run) -> None:
        lease = clock.iso(self.aws.clock.now() + timedelta(hours=6))
        for target, token in run.tokens.items():
            self.held[target] = token + 1
            self._put(target, {"holder": NEWCOMER, "lease_until": lease})

    def release(self) -> None:
        for target, token in self.held.items():
            item = unpacked(
                self.aws.client("dynamodb").get_item(
                    TableName=self.aws.outputs["StateTableName"], Key=packed({"pk": f"LOCK#{target}", "sk": "LOCK"})
                )["Item"]
            )
            self.robbed = self.robbed or (item.get("holder"), item.get("token")) != (NEWCOMER, token)
            self._put(target, {})

    def _put(self, target: str, holding: dict[str, str]) -> None:
        item = {"pk": f"LOCK#{target}", "sk": "LOCK", "token": self.held[target], **holding}
        self.aws.client("dynamodb").put_item(TableName=self.aws.outputs["StateTableName"], Item=packed(item))
