"""moto's interpreter of Amazon States Language, put on the virtual clock and made interruptible.

Everything that relies on a private name of moto's interpreter is in this module; `tests/embedded/test_canaries.py`
names them.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from moto.stepfunctions.parser import utils
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import JitterStrategyDecl
from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state import state as state_module
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackConsumerTimeout
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramRunning
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from workbench.embedded.calls import INTERPRETER
from workbench.embedded.clock import Bell, VirtualClock
from workbench.embedded.patches import Patches

UNWIND_SECONDS = 5.0
"""How long a stopped or timed-out execution gets to write the last event of its history."""


_BELLS = "bells_of_embedded_aws"
"""Where an interpreter's environment keeps the bells of the threads that wait in it."""


@functools.lru_cache(maxsize=512)
def parsed(definition: str) -> Any:
    """The program of a definition. Raises moto's ASLParserException. Programs hold no state of an execution."""
    return AmazonStateLanguageParser.parse(definition)[0]


def put_on_clock(patches: Patches, clock: VirtualClock, endpoint_url: str) -> None:
    """Installs all hooks."""
    patches.replace(EvalComponent, "heap_key", property(lambda component: f"{id(component)}"))
    patches.replace(WaitFunction, "_wait_interval", _wait_on(clock))
    patches.replace(Timestamp, "_get_wait_seconds", _no_timestamps)
    patches.replace(RetrierDecl, "_eval_body", _retry_on(clock))
    patches.replace(JitterStrategyDecl, "_eval_body", lambda self, env: None)
    patches.replace(ExecutionState, "_evaluate_with_timeout", _evaluate_on(clock))
    patches.replace(Program, "eval", _run_on(clock))
    patches.replace(EventManager, "_get_current_timestamp", staticmethod(clock.now))
    patches.replace(EventManager, "add_event", _nothing_after_the_end(EventManager.add_event))
    now = SimpleNamespace(now=lambda tz: clock.now())
    patches.replace(state_module, "datetime", SimpleNamespace(datetime=now, timezone=SimpleNamespace(utc=None)))
    for name in ("set_ended", "set_error", "set_timed_out", "set_stop"):
        patches.replace(Environment, name, _ending(getattr(Environment, name)))
    client = lambda_client(endpoint_url)
    patches.replace(lambda_eval_utils, "boto_client_for", lambda **_: client)


def lambda_client(endpoint_url: str) -> Any:
    """One client for all Task states: to build one a state costs more than the invocation."""
    return boto3.client(
        "lambda",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id=INTERPRETER,
        aws_secret_access_key=INTERPRETER,
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1},
            read_timeout=3600,
            max_pool_connections=64,
        ),
    )


def forget_threads() -> None:
    """moto keeps every thread that it ever started."""
    utils.TMP_THREADS.clear()


def _wait_on(clock: VirtualClock) -> Any:
    def wait_interval(self: Any, env: Any, wait_seconds: float) -> None:
        with _bell_of(env) as bell:
            clock.sleep(wait_seconds, lambda: not env.is_running(), bell)

    return wait_interval


def _no_timestamps(self: Any, env: Any) -> int:
    raise NotImplementedError("the embedded AWS waits for Seconds and SecondsPath only")


def _retry_on(clock: VirtualClock) -> Any:
    def eval_body(self: Any, env: Any) -> None:
        self.error_equals.eval(env)
        if not env.stack.pop():
            env.stack.append(RetrierOutcome.Skipped)
            return
        self.max_attempts.eval(env=env)
        if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
            env.stack.append(RetrierOutcome.Failed)
            return
        for step in (self.interval_seconds, self.backoff_rate, self.max_delay_seconds, self.jitter_strategy):
            step.eval(env=env)
        with _bell_of(env) as bell:
            clock.sleep(env.stack.pop(), lambda: not env.is_running(), bell)
        env.stack.append(RetrierOutcome.Executed)

    return eval_body


def _evaluate_on(clock: VirtualClock) -> Any:
    def evaluate_with_timeout(self: Any, env: Any) -> None:
        """Like moto's, but a stopped execution lets go at once, and a callback's timeout is virtual."""
        self.timeout.eval(env=env)
        timeout: float = env.stack.pop()
        calls_back = (
            isinstance(self, StateTaskServiceCallback) and self.resource.condition == ResourceCondition.WaitForTaskToken
        )
        context = env.states.context_object
        if calls_back and context.context_object_data["State"]["RetryCount"] > 0:
            env.callback_pool_manager.add(context.update_task_token())

        frame = env.open_frame()
        frame.states.reset(input_value=env.states.get_input())
        frame.stack = copy.deepcopy(env.stack)
        outputs: list[Any] = []
        problems: list[Exception] = []
        ended = threading.Event()
        with _bell_of(env) as bell:

            def execute() -> None:
                try:
                    self._eval_execution(frame)
                    outputs.extend(frame.stack)
                except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
                    problems.append(error)
                ended.set()
                bell.set()

            threading.Thread(target=execute, daemon=True).start()
            clock.wait_for(
                lambda: ended.is_set() or not env.is_running(),
                until=clock.now() + timedelta(seconds=timeout) if calls_back else None,
                within=None if calls_back else timeout,
                bell=bell,
            )
        finished = ended.is_set()
        if calls_back and not finished:
            endpoint = env.callback_pool_manager.get(context.context_object_data["Task"]["Token"])
            endpoint.report(CallbackConsumerTimeout())
            endpoint.interrupt_all()
        frame.set_ended()
        env.close_frame(frame)
        if not env.is_running():
            return
        if problems:
            raise problems.pop()
        if not finished:
            raise EvalTimeoutError

        output = outputs.pop()
        env.stack.append(output)
        if not self._is_language_query_jsonpath():
            env.states.set_result(output)
        if self.assign_decl:
            self.assign_decl.eval(env=env)
        if self.result_selector:
            self.result_selector.eval(env=env)
        if self.result_path:
            self.result_path.eval(env)
        else:
            env.states.reset(input_value=env.stack.pop())

    return evaluate_with_timeout


def _run_on(clock: VirtualClock) -> Any:
    def run(self: Any, env: Any) -> None:
        env.next_state_name = self.start_at.start_at_name
        ended, bell = threading.Event(), Bell()

        def execute() -> None:
            try:
                EvalComponent.eval(self, env)
            finally:
                ended.set()
                bell.set()

        timeout = self.timeout_seconds.timeout_seconds if self.timeout_seconds else None
        until = None if timeout is None else clock.now() + timedelta(seconds=timeout)
        threading.Thread(target=execute, daemon=True).start()
        if not clock.wait_for(ended.is_set, until=until, bell=bell):
            env.set_timed_out()
            ended.wait(UNWIND_SECONDS)

    return run


_LAST_EVENTS = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionSucceeded", "ExecutionTimedOut"})


def _nothing_after_the_end(original: Any) -> Any:
    def add_event(self: Any, context: Any, event_type: Any, *args: Any, **kwargs: Any) -> int:
        """A task that still runs when its execution is stopped has no place in the history any more."""
        history = self._history_event_list
        if history and history[-1]["type"] in _LAST_EVENTS:
            last: int = history[-1]["id"]
            return last
        added: int = original(self, context, event_type, *args, **kwargs)
        return added

    return functools.wraps(original)(add_event)


def _ending(original: Any) -> Any:
    def end(self: Any, *args: Any, **kwargs: Any) -> None:
        """The first ending stands: an error that a stopped execution still runs into is not how it ended."""
        if isinstance(self._program_state, ProgramRunning):
            original(self, *args, **kwargs)
        for bell in tuple(vars(self).get(_BELLS, ())):
            bell.set()

    return functools.wraps(original)(end)


@contextlib.contextmanager
def _bell_of(env: Any) -> Iterator[Bell]:
    """A bell that rings when the environment ends, whatever ends it."""
    bell = Bell()
    bells: set[Bell] = vars(env).setdefault(_BELLS, set())
    bells.add(bell)
    try:
        yield bell
    finally:
        bells.discard(bell)
