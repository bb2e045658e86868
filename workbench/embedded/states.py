"""Step Functions over moto's interpreter: machines, versions, aliases, executions and callbacks, as AWS has them."""

from __future__ import annotations

import base64
import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackOutcomeFailure, CallbackOutcomeSuccess
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramEnded,
    ProgramError,
    ProgramRunning,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.parser.asl.parse.asl_parser import ASLParserException
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.backend.execution_worker_comm import ExecutionWorkerCommunication

from workbench.embedded.calls import CLIENT, Call, ServiceError
from workbench.embedded.clock import VirtualClock
from workbench.embedded.courier import Courier
from workbench.embedded.interpreter import forget_threads, parsed

INPUT_LIMIT = 262_144
"""Bytes of an execution's input, and of a state's output."""
NAME_LIMIT = 80
PAGE = 100
UNWIND_SECONDS = 10.0

_FORBIDDEN = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")

Listener = Callable[["Run"], None]


@dataclass
class Machine:
    """A state machine: what the next execution runs, its published versions and its aliases (name to version)."""

    arn: str
    name: str
    role: str
    definition: str
    created: datetime
    kind: str = "STANDARD"
    versions: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)


@dataclass
class Run:
    """An execution."""

    arn: str
    name: str
    machine: Machine
    version: int | None
    alias: str | None
    text: str
    started: datetime
    starter: str = CLIENT
    execution: Any = None
    status: str = "RUNNING"
    stopped: datetime | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> Any:
        return self.execution.exec_worker.env


class _Ending(ExecutionWorkerCommunication):
    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended

    def terminated(self) -> None:
        self._ended()


class _Worker(ExecutionWorker):
    def _get_evaluation_entrypoint(self) -> Any:
        return parsed(self._evaluation_details.state_machine_details.definition)


class _Execution(Execution):
    """moto's execution, with a parsed program that is kept, and an ending that we hear of."""

    ended: Callable[[], None]
    started_text: str

    def _get_start_execution_worker_comm(self) -> Any:
        return _Ending(self.ended)

    def get_start_execution_details(self) -> Any:
        details: Any = super().get_start_execution_details()
        details.start_time = self.started_text
        return details

    def _get_start_execution_worker(self) -> Any:
        worker = super()._get_start_execution_worker()
        worker.__class__ = _Worker
        return worker


class States:
    """The service. `listeners` are told of every execution that ended, before anyone can see that it has."""

    def __init__(self, clock: VirtualClock, courier: Courier, account: str, region: str) -> None:
        self._clock = clock
        self._courier = courier
        self._account = account
        self._region = region
        self._lock = threading.RLock()
        self._machines: dict[str, Machine] = {}
        self._runs: dict[str, Run] = {}
        self._names = random.Random(0)
        self.listeners: list[Listener] = []

    # -- what the stack and the tests call -----------------------------------------------------------------------------

    def create(self, name: str, definition: str, role: str) -> Machine:
        """Makes a machine, or replaces the one of that name. Raises ServiceError for a bad definition."""
        try:
            parsed(definition)
        except ASLParserException as error:
            raise ServiceError("InvalidDefinition", f"Invalid State Machine Definition: '{error}'") from error
        machine = Machine(self._arn("stateMachine", name), name, role, definition, self._clock.now())
        with self._lock:
            self._machines[machine.arn] = machine
        return machine

    def publish(self, arn: str) -> str:
        """Publishes what the machine is now as its next version; returns the version's ARN."""
        machine, _, _ = self._find(arn)
        number = max(machine.versions, default=0) + 1
        machine.versions[number] = machine.definition
        return f"{arn}:{number}"

    def point(self, alias: str, version_arn: str) -> str:
        """Points an alias at a version; returns the alias's ARN."""
        machine, version, _ = self._find(version_arn)
        if version is None:
            raise ServiceError("ValidationException", f"{version_arn} is not the ARN of a version")
        machine.aliases[alias] = version
        return f"{machine.arn}:{alias}"

    @property
    def runs(self) -> list[Run]:
        with self._lock:
            return list(self._runs.values())

    def reset(self) -> None:
        """Stops everything that runs and forgets all machines and executions."""
        for run in self.runs:
            self._interrupt(run, "Reset", "The embedded AWS was reset.")
        for run in self.runs:
            self._wait_for_end(run)
        with self._lock:
            self._runs.clear()
            self._machines.clear()
            self._names = random.Random(0)
        forget_threads()

    def answer(self, call: Call) -> dict[str, Any]:
        """Answers one API call. Raises ServiceError as the service would, NotImplementedError for what is not faked."""
        operation = _OPERATIONS.get(call.operation)
        if operation is None:
            raise NotImplementedError(f"{call.operation} is not among the operations of the embedded Step Functions")
        if call.operation == "StartExecution":
            return self._start_execution(call.params, call.caller)
        return operation(self, call.params)

    # -- machines ------------------------------------------------------------------------------------------------------

    def _create_state_machine(self, given: dict[str, Any]) -> dict[str, Any]:
        _check_name(given["name"])
        arn = self._arn("stateMachine", given["name"])
        if arn in self._machines:
            raise ServiceError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        machine = self.create(given["name"], given["definition"], given["roleArn"])
        return {"stateMachineArn": machine.arn, "creationDate": machine.created}

    def _delete_state_machine(self, given: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._machines.pop(given["stateMachineArn"], None)
        return {}

    def _describe_state_machine(self, given: dict[str, Any]) -> dict[str, Any]:
        machine, version, _ = self._find(given["stateMachineArn"])
        return {
            "stateMachineArn": given["stateMachineArn"],
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.definition if version is None else machine.versions[version],
            "roleArn": machine.role,
            "type": machine.kind,
            "creationDate": machine.created,
        }

    def _describe_state_machine_for_execution(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._run(given["executionArn"])
        return {
            "stateMachineArn": run.machine.arn,
            "name": run.machine.name,
            "definition": run.execution.state_machine.definition,
            "roleArn": run.machine.role,
            "updateDate": run.machine.created,
        }

    def _describe_state_machine_alias(self, given: dict[str, Any]) -> dict[str, Any]:
        machine, version, alias = self._find(given["stateMachineAliasArn"])
        if alias is None:
            raise ServiceError("ResourceNotFound", f"Alias Does Not Exist: '{given['stateMachineAliasArn']}'")
        route = {"stateMachineVersionArn": f"{machine.arn}:{version}", "weight": 100}
        return {
            "stateMachineAliasArn": given["stateMachineAliasArn"],
            "name": alias,
            "routingConfiguration": [route],
            "creationDate": machine.created,
        }

    def _list_state_machines(self, given: dict[str, Any]) -> dict[str, Any]:
        machines = [
            {"stateMachineArn": m.arn, "name": m.name, "type": m.kind, "creationDate": m.created}
            for m in self._machines.values()
        ]
        return _page("stateMachines", machines, given)

    def _list_state_machine_versions(self, given: dict[str, Any]) -> dict[str, Any]:
        machine, _, _ = self._find(given["stateMachineArn"])
        versions = [
            {"stateMachineVersionArn": f"{machine.arn}:{number}", "creationDate": machine.created}
            for number in sorted(machine.versions, reverse=True)
        ]
        return _page("stateMachineVersions", versions, given)

    def _list_state_machine_aliases(self, given: dict[str, Any]) -> dict[str, Any]:
        machine, _, _ = self._find(given["stateMachineArn"])
        aliases = [
            {"stateMachineAliasArn": f"{machine.arn}:{name}", "creationDate": machine.created}
            for name in machine.aliases
        ]
        return _page("stateMachineAliases", aliases, given)

    # -- executions ----------------------------------------------------------------------------------------------------

    def _start_execution(self, given: dict[str, Any], starter: str = CLIENT) -> dict[str, Any]:
        machine, version, alias = self._find(given["stateMachineArn"])
        text = given.get("input", "{}")
        _check_input(text)
        with self._lock:
            name = given.get("name") or str(uuid.UUID(int=self._names.getrandbits(128), version=4))
            _check_name(name)
            arn = self._arn("execution", f"{machine.name}:{name}")
            earlier = self._runs.get(arn)
            if earlier is not None:
                if earlier.status == "RUNNING" and earlier.text == text:
                    return {"executionArn": arn, "startDate": earlier.started}
                raise ServiceError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            run = Run(arn, name, machine, version, alias, text, _milliseconds(self._clock.now()), starter)
            run.execution = self._interpreted(run)
            self._runs[arn] = run
            run.execution.start()
        return {"executionArn": arn, "startDate": run.started}

    def _interpreted(self, run: Run) -> _Execution:
        definition = run.machine.definition if run.version is None else run.machine.versions[run.version]
        make: Any = _Execution  # moto's annotations are narrower than what it needs
        execution: _Execution = make(
            name=run.name,
            sm_type=run.machine.kind,
            role_arn=run.machine.role,
            exec_arn=run.arn,
            account_id=self._account,
            region_name=self._region,
            state_machine=SimpleNamespace(
                arn=run.machine.arn, name=run.machine.name, sm_type=run.machine.kind, definition=definition
            ),
            start_date=run.started,
            cloud_watch_logging_session=None,
            activity_store={},
            input_data=run.text,
        )
        execution.started_text = run.started.strftime("%Y-%m-%dT%H:%M:%S.") + f"{run.started.microsecond // 1000:03d}Z"
        execution.ended = lambda: self._ended(run)
        return execution

    def _ended(self, run: Run) -> None:
        with self._courier.pending():
            state = run.environment.program_state()
            run.stopped = self._clock.now()
            if isinstance(state, ProgramEnded):
                run.output = json.dumps(run.environment.states.get_input(), separators=(",", ":"))
                status = "SUCCEEDED"
            elif isinstance(state, ProgramStopped):
                run.error, run.cause = state.error, state.cause
                status = "ABORTED"
            elif isinstance(state, ProgramTimedOut):
                status = "TIMED_OUT"
            elif isinstance(state, ProgramError):
                details = state.error or {}
                run.error, run.cause = details.get("error"), details.get("cause")
                status = "FAILED"
            else:
                raise RuntimeError(f"the interpreter ended in {state!r}")  # noqa: TRY004  # not a wrong argument
            run.status = status
            for listener in self.listeners:
                listener(run)
        run.over.set()

    def _describe_execution(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._run(given["executionArn"])
        described = {
            **self._summary(run),
            "input": run.text,
            "inputDetails": {"included": True},
            "output": run.output,
            "outputDetails": {"included": True} if run.output is not None else None,
            "error": run.error,
            "cause": run.cause,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Execution is RUNNING and cannot be redriven"
            if run.status == "RUNNING"
            else f"Execution is {run.status} and cannot be redriven",
        }
        return {name: value for name, value in described.items() if value is not None}

    def _summary(self, run: Run) -> dict[str, Any]:
        summary = {
            "executionArn": run.arn,
            "stateMachineArn": run.machine.arn,
            "name": run.name,
            "status": run.status,
            "startDate": run.started,
            "stopDate": run.stopped,
            "stateMachineVersionArn": None if run.version is None else f"{run.machine.arn}:{run.version}",
            "stateMachineAliasArn": None if run.alias is None else f"{run.machine.arn}:{run.alias}",
            "redriveCount": 0,
        }
        return {name: value for name, value in summary.items() if value is not None}

    def _list_executions(self, given: dict[str, Any]) -> dict[str, Any]:
        machine, version, alias = self._find(given["stateMachineArn"])
        wanted = given.get("statusFilter")
        found = [
            self._summary(run)
            for run in reversed(self.runs)
            if run.machine is machine
            and (wanted is None or run.status == wanted)
            and (version is None or run.version == version)
            and (alias is None or run.alias == alias)
        ]
        return _page("executions", found, given)

    def _stop_execution(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._run(given["executionArn"])
        self._interrupt(run, given.get("error"), given.get("cause"))
        self._wait_for_end(run)
        return {"stopDate": run.stopped}

    def _interrupt(self, run: Run, error: str | None, cause: str | None) -> None:
        give_up = time.monotonic() + UNWIND_SECONDS
        while run.status == "RUNNING" and not self._running(run) and time.monotonic() < give_up:
            time.sleep(0.001)  # its thread has been started, but has not come to the first state
        if run.status == "RUNNING":
            run.environment.set_stop(stop_date=self._clock.now(), cause=cause, error=error)

    @staticmethod
    def _running(run: Run) -> bool:
        environment = run.environment
        return environment is not None and isinstance(environment.program_state(), ProgramRunning)

    def _wait_for_end(self, run: Run) -> None:
        if not run.over.wait(UNWIND_SECONDS):
            raise TimeoutError(f"{run.arn} did not stop within {UNWIND_SECONDS} s")

    def _get_execution_history(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._run(given["executionArn"])
        # The interpreter only ever adds events, so a page of them is copied and not, as moto does, all there are.
        events = [] if run.environment is None else list(run.environment.event_manager._history_event_list)
        if given.get("reverseOrder"):
            events.reverse()
        page = _page("events", events, given)
        page["events"] = [event | {"timestamp": datetime.fromisoformat(event["timestamp"])} for event in page["events"]]
        return page

    # -- callbacks -----------------------------------------------------------------------------------------------------

    def _send_task_success(self, given: dict[str, Any]) -> dict[str, Any]:
        try:
            json.loads(given["output"])
        except ValueError as error:
            raise ServiceError("InvalidOutput", f"Invalid Output: '{error}'") from error
        token = given["taskToken"]
        self._endpoint(token).notify(CallbackOutcomeSuccess(callback_id=token, output=given["output"]))
        return {}

    def _send_task_failure(self, given: dict[str, Any]) -> dict[str, Any]:
        token = given["taskToken"]
        outcome = CallbackOutcomeFailure(callback_id=token, error=given.get("error", ""), cause=given.get("cause", ""))
        self._endpoint(token).notify(outcome)
        return {}

    def _send_task_heartbeat(self, given: dict[str, Any]) -> dict[str, Any]:
        self._endpoint(given["taskToken"]).notify_heartbeat()
        return {}

    def _endpoint(self, token: str) -> Any:
        """The open callback of that token. Raises InvalidToken if there never was one, TaskTimedOut if it is over."""
        for run in self.runs:
            environment = run.environment
            endpoint = None if environment is None else environment.callback_pool_manager.get(token)
            if endpoint is None:
                continue
            if run.status != "RUNNING" or endpoint.consumer_error is not None or endpoint.get_outcome() is not None:
                raise ServiceError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
            return endpoint
        raise ServiceError("InvalidToken", "Invalid Token: 'Invalid token'")

    # -- names ---------------------------------------------------------------------------------------------------------

    def _arn(self, kind: str, rest: str) -> str:
        return f"arn:aws:states:{self._region}:{self._account}:{kind}:{rest}"

    def _find(self, arn: str) -> tuple[Machine, int | None, str | None]:
        """The machine, version and alias that a machine's, version's or alias's ARN means."""
        if not re.match(r"arn:aws[a-z-]*:states:[^:]+:\d{12}:stateMachine:.+", arn):
            raise ServiceError("InvalidArn", f"Invalid Arn: 'Invalid ARN: {arn}'")
        base = ":".join(arn.split(":")[:7])
        qualifier = arn[len(base) + 1 :]
        machine = self._machines.get(base)
        if machine is not None and not qualifier:
            return machine, None, None
        if machine is not None and qualifier.isdigit() and int(qualifier) in machine.versions:
            return machine, int(qualifier), None
        if machine is not None and qualifier in machine.aliases:
            return machine, machine.aliases[qualifier], qualifier
        raise ServiceError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")

    def _run(self, arn: str) -> Run:
        if not re.match(r"arn:aws[a-z-]*:states:[^:]+:\d{12}:execution:[^:]+:.+", arn):
            raise ServiceError("InvalidArn", f"Invalid Arn: 'Invalid ARN: {arn}'")
        with self._lock:
            run = self._runs.get(arn)
        if run is None:
            raise ServiceError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return run


_OPERATIONS: dict[str, Callable[[States, dict[str, Any]], dict[str, Any]]] = {
    "CreateStateMachine": States._create_state_machine,
    "DeleteStateMachine": States._delete_state_machine,
    "DescribeStateMachine": States._describe_state_machine,
    "DescribeStateMachineAlias": States._describe_state_machine_alias,
    "DescribeStateMachineForExecution": States._describe_state_machine_for_execution,
    "ListStateMachines": States._list_state_machines,
    "ListStateMachineVersions": States._list_state_machine_versions,
    "ListStateMachineAliases": States._list_state_machine_aliases,
    "StartExecution": States._start_execution,
    "DescribeExecution": States._describe_execution,
    "ListExecutions": States._list_executions,
    "StopExecution": States._stop_execution,
    "GetExecutionHistory": States._get_execution_history,
    "SendTaskSuccess": States._send_task_success,
    "SendTaskFailure": States._send_task_failure,
    "SendTaskHeartbeat": States._send_task_heartbeat,
}


def _check_name(name: str) -> None:
    if len(name) > NAME_LIMIT:
        raise ServiceError(
            "ValidationException",
            f"1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_LIMIT}",
        )
    if not name or _FORBIDDEN.search(name):
        raise ServiceError("InvalidName", f"Invalid Name: '{name}'")


def _check_input(text: str) -> None:
    if len(text) > INPUT_LIMIT:
        raise ServiceError(
            "ValidationException",
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have length less than or equal to {INPUT_LIMIT}",
        )
    if len(text.encode()) > INPUT_LIMIT:
        raise ServiceError(
            "InvalidExecutionInput",
            f"Invalid State Machine Execution Input: 'input exceeds the limit of {INPUT_LIMIT} bytes'",
        )
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ServiceError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"Unrecognized token '{name}'")


def _milliseconds(moment: datetime) -> datetime:
    """Step Functions keeps times in milliseconds; the same text must come out of the context object and the API."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _page(name: str, items: Sequence[Any], given: dict[str, Any]) -> dict[str, Any]:
    """One page of a list; the token is where the next one starts."""
    try:
        start = int(base64.b64decode(given["nextToken"], validate=True)) if given.get("nextToken") else 0
    except ValueError as error:
        raise ServiceError("InvalidToken", f"Invalid Token: '{given['nextToken']}'") from error
    end = start + (given.get("maxResults") or PAGE)
    page: dict[str, Any] = {name: list(items[start:end])}
    if end < len(items):
        page["nextToken"] = base64.b64encode(str(end).encode()).decode()
    return page
