"""Compiles a runbook's declaration to Amazon States Language.

The only module that imports the `stepfunctions` SDK. Importing it takes a second or more: import it where it is needed.
The definition is JSONPath, since that is what the console, the emulator and the linters all understand.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from runbooks import catalogue
from runbooks.errors import FailureNotRecorded
from runbooks.frame.advice import next_step
from runbooks.model import Phase, Runbook
from workbench.asl import standard
from workbench.asl.example import example_input
from workbench.asl.standard import Function, Retrier

with warnings.catch_warnings():
    # The SDK's last release compares strings with `is` and asks pkg_resources for its own version; the library below
    # it logs, at every import, which configuration files it did not find.
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    from stepfunctions import steps
    from stepfunctions.steps.choice_rule import ChoiceRule
    from stepfunctions.steps.states import Graph

    logging.disable(logging.NOTSET)

INVOKE = "arn:aws:states:::lambda:invoke"

LONGEST_NAME = 80
"""Characters that Step Functions allows in a state's name."""
UNDO_ALLOWANCE = 15 * 60
"""Seconds that the undo may take on top of twice the phases' own deadlines: an inverse may have to wait until what is
under way has ended, and then settles as slowly as its change."""

BEGIN, FINISH, RECORD_FAILURE = "Begin run", "Finish run", "Record failure"
UNDO = "Undo the changes"
ACTING = (standard.TRANSIENT_ERRORS, standard.UNSETTLED)

_KEY_ORDER = (
    "Type",
    "Comment",
    "Resource",
    "Parameters",
    "ResultPath",
    "OutputPath",
    "TimeoutSeconds",
    "Retry",
    "Catch",
    "SecondsPath",
    "Choices",
    "Default",
    "ErrorPath",
    "CausePath",
    "Error",
    "Cause",
    "Next",
    "End",
)


class _LaterField(Enum):
    """Fields that the language gained after the SDK's last release."""

    MaxDelaySeconds = "max_delay_seconds"
    JitterStrategy = "jitter_strategy"
    ErrorPath = "error_path"
    CausePath = "cause_path"


class _Retry(steps.Retry):  # type: ignore[misc]  # the SDK has no types
    """The SDK's Retry with a cap on the delay and with jitter."""

    def allowed_fields(self) -> list[Enum]:
        return [*super().allowed_fields(), _LaterField.MaxDelaySeconds, _LaterField.JitterStrategy]


class _Fail(steps.Fail):  # type: ignore[misc]  # the SDK has no types
    """The SDK's Fail with an error name and a cause that the run document carries."""

    def allowed_fields(self) -> list[Enum]:
        return [*super().allowed_fields(), _LaterField.ErrorPath, _LaterField.CausePath]


def _retry(retrier: Retrier) -> _Retry:
    return _Retry(
        error_equals=list(retrier.errors),
        interval_seconds=retrier.interval,
        backoff_rate=retrier.backoff,
        max_attempts=retrier.attempts,
        max_delay_seconds=retrier.longest,
        jitter_strategy="FULL" if retrier.jitter else None,
    )


def _payload(runbook: Runbook, step: str, phase: Phase | None) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "execution": {
            "id.$": "$$.Execution.Id",
            "name.$": "$$.Execution.Name",
            "started.$": "$$.Execution.StartTime",
        },
        "runbook": runbook.name,
        "state.$": "$$.State.Name",
        "step": step,
    }
    if phase is not None:
        payload["phase"] = phase.name
    return payload | {"document.$": "$"}


class _Machine:
    """One machine's states in the order in which they are written down, linked by name when all are there."""

    def __init__(self, runbook: Runbook) -> None:
        self.runbook = runbook
        self.states: dict[str, Any] = {}
        self.links: list[Callable[[], None]] = []
        self.longest = 0
        """Seconds that an execution can last with every deadline and every retry used up."""

    def _add(self, state: Any) -> Any:
        name = state.state_id
        if len(name) > LONGEST_NAME:
            raise ValueError(
                f"The state {name!r} of {self.runbook.name} has {len(name)} characters and Step Functions allows "
                f"{LONGEST_NAME}; shorten the phase's name or question."
            )
        if name in self.states:
            raise ValueError(
                f"{self.runbook.name} has two states named {name!r}; give each phase a name and a question of its own."
            )
        self.states[name] = state
        return state

    def _link(self, state: Any, next_step: str | None, catch: str | None, result_path: str) -> None:
        def link() -> None:
            if next_step is not None:
                state.next(self.states[next_step])
            if catch is not None:
                everything = {"error_equals": ["States.ALL"], "result_path": result_path}
                state.add_catch(steps.Catch(next_step=self.states[catch], **everything))

        self.links.append(link)

    def task(
        self,
        name: str,
        function: Function,
        step: str,
        comment: str,
        *,
        catch: str,
        next_step: str | None = None,
        result_path: str = "$.error",
        phase: Phase | None = None,
        retriers: Iterable[Retrier] = (standard.TRANSIENT_ERRORS,),
    ) -> None:
        """A task that takes the run document and returns it; without a next step it ends the execution."""
        retriers = tuple(retriers)
        self.longest += _longest(function, retriers)
        task = self._add(
            steps.Task(
                name,
                comment=comment,
                resource=INVOKE,
                parameters={"FunctionName": function.arn, "Payload": _payload(self.runbook, step, phase)},
                output_path="$.Payload",
                timeout_seconds=function.task_timeout,
                retry=[_retry(retrier) for retrier in retriers],
            )
        )
        self._link(task, next_step, catch, result_path)

    def callback(
        self,
        name: str,
        function: Function,
        step: str,
        comment: str,
        *,
        within: int,
        next_step: str,
        catch: str,
    ) -> None:
        """A task that hands out a token and waits `within` seconds; what comes back with the token is not believed."""
        self.longest += within + _longest(function, (standard.TRANSIENT_ERRORS,))
        task = self._add(
            steps.Task(
                name,
                comment=comment,
                resource=f"{INVOKE}.waitForTaskToken",
                parameters={
                    "FunctionName": function.arn,
                    "Payload": _payload(self.runbook, step, None) | {"token.$": "$$.Task.Token"},
                },
                result_path=None,
                timeout_seconds=within,
                retry=[_retry(standard.TRANSIENT_ERRORS)],
            )
        )
        self.links.append(
            lambda: task.add_catch(
                steps.Catch(next_step=self.states[next_step], error_equals=["States.Timeout"], result_path="$.error")
            )
        )
        self._link(task, next_step, catch, "$.error")

    def choice(self, name: str, comment: str, *, when: Mapping[tuple[str, str | bool], str], otherwise: str) -> None:
        """A question. `when` maps a variable and its value to the next state."""
        choice = self._add(steps.Choice(name, comment=comment))

        def link() -> None:
            for (variable, value), target in when.items():
                equals = ChoiceRule.BooleanEquals if isinstance(value, bool) else ChoiceRule.StringEquals
                choice.add_choice(equals(variable, value), self.states[target])
            choice.default_choice(self.states[otherwise])

        self.links.append(link)

    def wait(self, name: str, comment: str, *, next_step: str) -> None:
        """Waits for as many seconds as the run document says."""
        wait = self._add(steps.Wait(name, comment=comment, seconds_path="$.wait_seconds"))
        self._link(wait, next_step, None, "")

    def fail(self, name: str, comment: str, **fields: str) -> None:
        """Ends the execution as failed."""
        self._add(_Fail(name, comment=comment, **fields))

    def definition(self, comment: str) -> dict[str, Any]:
        for link in self.links:
            link()
        graph = Graph(next(iter(self.states.values())), comment=comment, timeout_seconds=self.longest).to_dict()
        return {
            "Comment": graph["Comment"],
            "StartAt": graph["StartAt"],
            "TimeoutSeconds": graph["TimeoutSeconds"],
            "States": {name: _ordered(graph["States"][name]) for name in self.states},
        }


def _longest(function: Function, retriers: Iterable[Retrier]) -> int:
    """The seconds that a task can take with every retry used up."""
    return function.task_timeout + sum(
        retrier.attempts * function.task_timeout + retrier.longest_wait() for retrier in retriers
    )


def _ordered(state: dict[str, Any]) -> dict[str, Any]:
    return {key: state[key] for key in sorted(state, key=_KEY_ORDER.index)}


def compile_runbook(runbook: Runbook) -> dict[str, Any]:
    """The definition of a runbook's state machine, states in the order in which the procedure tells them.

    Raises:
        ValueError: two states would have one name, or a name is too long; the message says which.
    """
    machine = _Machine(runbook)
    _add_diagnosis(machine)
    if runbook.phases:
        _add_approval(machine)
        _add_phases(machine)
    _add_ending(machine)
    example = json.dumps(example_input(runbook), ensure_ascii=False)
    return machine.definition(
        f"{runbook.title}. To start it, paste an input such as {example}. "
        'It changes nothing unless "mode" is "execute".'
    )


def _add_diagnosis(machine: _Machine) -> None:
    machine.task(
        BEGIN,
        standard.BEGIN,
        "begin",
        "Parses the input, asks the policy and opens the run. Fails when the input does not fit, when the policy "
        "forbids runs on this target, or during a freeze.",
        next_step="Diagnose",
        catch=RECORD_FAILURE,
        result_path="$",  # an input need not be an object, so there may be nowhere to put $.error
    )
    machine.task(
        "Diagnose",
        standard.DIAGNOSE,
        "diagnose",
        "Reads the target and decides; changes nothing. Fails when AWS denies a read or the target does not exist.",
        next_step="What did the diagnosis find?",
        catch=RECORD_FAILURE,
    )
    verdicts: dict[tuple[str, str | bool], str] = {("$.verdict", "healthy"): FINISH}
    if machine.runbook.phases:
        verdicts[("$.verdict", "remediable")] = "Plan only?"
    machine.choice(
        "What did the diagnosis find?",
        "A healthy target ends the run well; a refusal or a hand-off ends it with the reason and what to do next.",
        when=verdicts,
        otherwise=RECORD_FAILURE,
    )


def _add_approval(machine: _Machine) -> None:
    machine.choice(
        "Plan only?",
        "A run in mode plan ends here, with the plan that execute would apply.",
        when={("$.mode", "plan"): FINISH},
        otherwise="Is approval needed?",
    )
    machine.choice(
        "Is approval needed?",
        "The policy has answered this from the runbook's risk and the stage.",
        when={("$.approval_needed", True): "Wait for approval"},
        otherwise="Lock the target",
    )
    machine.callback(
        "Wait for approval",
        standard.APPROVAL,
        "request",
        "Publishes the plan and waits for somebody other than the requester. Fails when the request cannot be "
        "published. A request that nobody answers in time is void for good.",
        within=_seconds(machine.runbook.approval_within),
        next_step="Read the decision",
        catch=RECORD_FAILURE,
    )
    machine.task(
        "Read the decision",
        standard.APPROVAL,
        "read",
        "Reads who decided what about which plan. Fails when the plan was denied or nobody decided in time.",
        next_step="Is it decided?",
        catch=RECORD_FAILURE,
    )
    machine.choice(
        "Is it decided?",
        "Whoever holds the task token can end the wait, and decides nothing by that: then it goes on.",
        when={("$.decided", True): "Lock the target"},
        otherwise="Wait for approval",
    )
    machine.longest += _seconds(machine.runbook.approval_within)
    machine.task(
        "Lock the target",
        standard.LOCK,
        "lock",
        "Takes the lock on every target or on none. Fails when another run works on one of them.",
        next_step=_entrance(machine.runbook.phases[0]),
        catch=RECORD_FAILURE,
    )


_WAITING = {
    False: "As long as the last look said.",
    True: "At first the least time that it ever takes, then as long as the last look said.",
}


def _entrance(phase: Phase) -> str:
    """The state at which a phase is entered: the question whether it is needed, or the phase itself."""
    return phase.asked or phase.name


def _add_phases(machine: _Machine) -> None:
    runbook = machine.runbook
    _add_sequence(machine, runbook.mending, "Verify", catch=UNDO)
    machine.task(
        "Verify",
        standard.DIAGNOSE,
        "verify",
        "Diagnoses the target again. Fails unless it is healthy now, or once it has come to rest.",
        retriers=(standard.TRANSIENT_ERRORS, standard.AT_REST),
        next_step=_entrance(runbook.tidying[0]) if runbook.tidying else FINISH,
        catch=UNDO,
    )
    _add_sequence(machine, runbook.tidying, FINISH, catch=RECORD_FAILURE)


def _add_sequence(machine: _Machine, phases: Sequence[Phase], last: str, *, catch: str) -> None:
    """Phases one after the other, then the state `last`."""
    for phase, following in zip(phases, [*phases[1:], None], strict=False):
        next_step = _entrance(following) if following else last
        question = phase.question[0].lower() + phase.question[1:]
        look, wait = f"Look: {question}", f"Wait: {question}"
        if phase.asked:
            machine.choice(
                phase.asked,
                "The plan says so: a phase without changes is passed by.",
                when={(f"$.needs.{phase.key}", True): phase.name},
                otherwise=next_step,
            )
        machine.task(
            phase.name,
            standard.act_of(machine.runbook),
            "apply",
            "Applies this phase's approved changes and no others. Fails when the world has moved since the plan was "
            "made, when a freeze has begun, or when AWS rejects a change.",
            phase=phase,
            retriers=ACTING,
            next_step=wait if phase.at_least else look,
            catch=catch,
        )
        machine.task(
            look,
            standard.DIAGNOSE,
            "look",
            "Reads how far the change has come. Fails when it cannot succeed any more, or when its "
            f"{_seconds(phase.within) // 60} minutes are over.",
            phase=phase,
            next_step=phase.question,
            catch=catch,
        )
        machine.choice(
            phase.question,
            "If not yet, it looks again after as many seconds as the look said.",
            when={("$.settled", True): next_step},
            otherwise=wait,
        )
        machine.wait(wait, _WAITING[bool(phase.at_least)], next_step=look)
        machine.longest += _seconds(phase.within)


def _add_ending(machine: _Machine) -> None:
    machine.task(
        FINISH,
        standard.FINISH,
        "finish",
        "Records the outcome, frees the lock, closes the audit trail and notifies. Fails when the ledger cannot be "
        "written.",
        catch=RECORD_FAILURE,
    )
    if machine.runbook.phases:
        machine.task(
            UNDO,
            standard.act_of(machine.runbook),
            "undo",
            "Takes back one change a pass, the last one first, and only where the world still shows our value. Fails "
            "when a change cannot be taken back: then a human is needed.",
            retriers=ACTING,
            next_step="Is everything undone?",
            catch=RECORD_FAILURE,
        )
        machine.choice(
            "Is everything undone?",
            "One inverse a pass, until nothing of this run is left.",
            when={("$.undone", True): RECORD_FAILURE},
            otherwise="Wait for the undo",
        )
        machine.wait("Wait for the undo", "As long as the last pass said.", next_step=UNDO)
        machine.longest += UNDO_ALLOWANCE + 2 * sum(_seconds(phase.within) for phase in machine.runbook.mending)
    machine.task(
        RECORD_FAILURE,
        standard.FAIL,
        "fail",
        "Records why the run failed and what is left, frees the lock, closes the audit trail and notifies. Fails when "
        "the ledger cannot be written.",
        next_step="Run failed",
        catch="Failure not recorded",
    )
    machine.fail(
        "Run failed",
        "The error's name says how the run ended; the cause says why and what to do next.",
        error_path="$.error_name",
        cause_path="$.error_cause",
    )
    machine.fail(
        "Failure not recorded",
        "The sweep that looks for ended executions closes the run later.",
        error=FailureNotRecorded.__name__,
        cause=next_step(
            FailureNotRecorded.__name__,
            "The run failed and the failure could not be recorded. The sweep closes the run within 15 minutes; until "
            "then its target may stay locked.",
        )
        + ".",
    )


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def render(runbook: Runbook) -> str:
    """The text of the runbook's file in `statemachines/`."""
    return json.dumps(compile_runbook(runbook), indent=2, ensure_ascii=False) + "\n"


def file_of(folder: Path, name: str) -> Path:
    """Where the definition of the runbook of that name is kept."""
    return folder / f"{name}.asl.json"


def write_all(folder: Path) -> list[Path]:
    """Writes the definition of every runbook of the catalogue; returns the files whose text has changed.

    A definition whose runbook is gone stays where it is; `drift` names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name in catalogue.names():
        path, text = file_of(folder, name), render(catalogue.load(name))
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def drift(folder: Path) -> list[str]:
    """How the files differ from the catalogue's declarations, one sentence each; empty if they do not."""
    sentences = []
    expected = {file_of(folder, name): name for name in catalogue.names()}
    for path, name in expected.items():
        if not path.exists():
            sentences.append(f"{path.name} is missing; run `runbook compile`.")
        elif path.read_text(encoding="utf-8") != render(catalogue.load(name)):
            sentences.append(f"{path.name} is not what the declaration of {name} compiles to; run `runbook compile`.")
    strays = sorted(set(folder.glob("*.asl.json")) - set(expected))
    return sentences + [f"{path.name} belongs to no runbook of the catalogue; delete it." for path in strays]
