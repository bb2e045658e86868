"""What reaches functions without being asked for: ended executions, schedules, records of a stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from workbench.embedded.clock import VirtualClock, epoch_milliseconds
from workbench.embedded.courier import Courier
from workbench.embedded.functions import Functions
from workbench.embedded.identities import identity
from workbench.embedded.patterns import matches
from workbench.embedded.stack import Rule, Stack
from workbench.embedded.states import Run

ENDED = "Step Functions Execution Status Change"


class Events:
    """Hands events to the functions that the stack's rules and event source mappings name."""

    def __init__(
        self,
        clock: VirtualClock,
        courier: Courier,
        functions: Functions,
        stacks: Callable[[], list[Stack]],
        account: str,
        region: str,
    ) -> None:
        self._clock = clock
        self._courier = courier
        self._functions = functions
        self._stacks = stacks
        self._account = account
        self._region = region
        self._number = 0

    def execution_ended(self, run: Run) -> None:
        """Tells the rules that match, as EventBridge does."""
        event = self._envelope("aws.states", ENDED, [run.arn], _ended_detail(run))
        for rule in self.rules():
            if rule.pattern is not None and matches(rule.pattern, event):
                for target in rule.targets:
                    self.invoke_later(target, event)

    def rules(self) -> list[Rule]:
        """The rules and schedules of all stacks."""
        return [rule for stack in self._stacks() for rule in stack.rules]

    def reset(self) -> None:
        """Counts events from one again."""
        self._number = 0

    def scheduled(self, rule_arn: str) -> dict[str, Any]:
        """The event that a schedule sends."""
        return self._envelope("aws.events", "Scheduled Event", [rule_arn], {})

    def table_changed(self, table: str, record: dict[str, Any]) -> None:
        """Tells the functions that are mapped to the table's stream, if a filter lets the record through."""
        for source in [source for stack in self._stacks() for source in stack.sources]:
            if f":table/{table}/stream/" not in source.stream:
                continue
            if not source.filters or any(matches(pattern, record) for pattern in source.filters):
                self.invoke_later(source.function, {"Records": [{**record, "eventSourceARN": source.stream}]})

    def invoke_later(self, function: str, event: Any) -> None:
        """An asynchronous invocation."""
        text = json.dumps(event)

        def attempt() -> str | None:
            outcome = self._functions.invoke(function, text)
            return outcome.payload if outcome.failed else None

        self._courier.deliver(function, attempt)

    def _envelope(self, source: str, kind: str, resources: list[str], detail: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {
            "version": "0",
            "id": identity(kind, self._number),
            "detail-type": kind,
            "source": source,
            "account": self._account,
            "time": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": resources,
            "detail": detail,
        }


def _ended_detail(run: Run) -> dict[str, Any]:
    """The detail as EventBridge has it: nulls for what does not apply, times in milliseconds since 1970."""
    base = run.machine.arn
    return {
        "executionArn": run.arn,
        "stateMachineArn": base,
        "name": run.name,
        "status": run.status,
        "startDate": epoch_milliseconds(run.started),
        "stopDate": None if run.stopped is None else epoch_milliseconds(run.stopped),
        "input": run.text,
        "output": run.output,
        "stateMachineVersionArn": None if run.version is None else f"{base}:{run.version}",
        "stateMachineAliasArn": None if run.alias is None else f"{base}:{run.alias}",
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": f"Execution is {run.status} and cannot be redriven",
        "inputDetails": {"included": True},
        "outputDetails": None if run.output is None else {"included": True},
        "error": run.error,
        "cause": run.cause,
    }
