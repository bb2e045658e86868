"""What reaches functions without being asked for: ended executions, schedules, records of a stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from workbench.embedded.clock import VirtualClock, epoch_milliseconds
from workbench.embedded.courier import Courier
from workbench.embedded.functions import Functions, Invocation
from workbench.embedded.identities import identity
from workbench.embedded.patterns import matches
from workbench.embedded.stack import EventSource, Rule, Stack
from workbench.embedded.states import Run

ENDED = "Step Functions Execution Status Change"
CALLED = "AWS API Call via CloudTrail"


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
        park: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """`park(queue, message)` puts a message on the queue of that ARN."""
        self._park = park
        self._clock = clock
        self._courier = courier
        self._functions = functions
        self._stacks = stacks
        self._account = account
        self._region = region
        self._number = 0
        self.sent: list[dict[str, Any]] = []
        """What was put onto the bus since the last reset, as the rules saw it."""

    def execution_ended(self, run: Run) -> None:
        """Tells the rules that match, as EventBridge does."""
        self.emit(self._envelope("aws.states", ENDED, [run.arn], _ended_detail(run)))

    def execution_started(self, run: Run, user: str) -> None:
        """Tells the rules that match of the StartExecution call, as CloudTrail does some minutes later.

        `user` is who started what no function has: an IAM user's name, or the ARN of a role for a session of it.
        """
        event = self._envelope("aws.states", CALLED, [], {})
        event["detail"] = _called_detail(run, self._identity_of(run, user), event)
        self.emit(event)

    def _identity_of(self, run: Run, user: str) -> dict[str, Any]:
        function = self._functions.find(run.starter)
        if function is not None:
            return _session(function.role, function.name, self._account)
        if ":role/" in user:
            return _session(user, "session", self._account)
        return {
            "type": "IAMUser",
            "principalId": f"AIDA{user.upper():X<17.17}",
            "arn": f"arn:aws:iam::{self._account}:user/{user}",
            "accountId": self._account,
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
            "userName": user,
        }

    def put(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """PutEvents: each entry becomes an event on the default bus, and `sent` keeps it."""
        answers: list[dict[str, str]] = []
        for entry in entries:
            if str(entry.get("EventBusName", "default")).rpartition("/")[2] != "default":
                raise NotImplementedError("an event bus other than the default one")
            missing = next((name for name in ("Source", "DetailType", "Detail") if not entry.get(name)), None)
            problem = (
                "InvalidArgument",
                f"Parameter {missing} is not valid. Reason: {missing} is a required argument.",
            )
            if missing is None:
                problem = _objection(entry)
            if problem[0]:
                answers.append({"ErrorCode": problem[0], "ErrorMessage": problem[1]})
                continue
            event = self._envelope(
                entry["Source"], entry["DetailType"], list(entry.get("Resources", [])), json.loads(entry["Detail"])
            )
            self.sent.append(event)
            self.emit(event)
            answers.append({"EventId": event["id"]})
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def emit(self, event: dict[str, Any]) -> None:
        """An event arrives on the default bus: every rule that it matches calls its functions."""
        for rule in self.rules():
            if rule.pattern is not None and matches(rule.pattern, event):
                for target in rule.targets:
                    self.invoke_later(target, event)

    def rules(self) -> list[Rule]:
        """The rules and schedules of all stacks."""
        return [rule for stack in self._stacks() for rule in stack.rules]

    def reset(self) -> None:
        """Forgets what was sent, and counts events from one again."""
        self._number = 0
        self.sent.clear()

    def scheduled(self, rule: Rule) -> Any:
        """The event that a rule's schedule sends, or the input of a schedule of EventBridge Scheduler."""
        if rule.input is None:
            return self._envelope("aws.events", "Scheduled Event", [rule.arn], {})
        self._number += 1
        attributes = {
            "attempt-number": "1",
            "execution-id": identity(rule.name, self._number),
            "schedule-arn": rule.arn,
            "scheduled-time": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        filled = rule.input
        for name, value in attributes.items():
            filled = filled.replace(f"<aws.scheduler.{name}>", value)
        return json.loads(filled)

    def table_changed(self, table: str, record: dict[str, Any]) -> None:
        """Tells the functions that are mapped to the table's stream, if a filter lets the record through."""
        for source in [source for stack in self._stacks() for source in stack.sources]:
            if f":table/{table}/stream/" not in source.stream:
                continue
            if not source.filters or any(matches(pattern, record) for pattern in source.filters):
                self._stream_later(source, {**record, "eventSourceARN": source.stream})

    def _stream_later(self, source: EventSource, record: dict[str, Any]) -> None:
        """A batch of one record. What fails for good goes to the queue of the event source, if it has one."""
        text = json.dumps({"Records": [record]})

        def attempt() -> str | None:
            outcome = self._functions.invoke(source.function, text)
            answer = None if outcome.failed else json.loads(outcome.payload)
            failed = outcome.failed or (isinstance(answer, dict) and answer.get("batchItemFailures"))
            return outcome.payload if failed else None

        def park() -> None:
            self._park(str(source.parked_at), _failed_batch(source, record))

        self._courier.deliver(source.function, attempt, park if source.parked_at else None)

    def invoke_later(self, function: str, event: Any) -> None:
        """An asynchronous invocation. What fails in every attempt goes to the function's queue, if it has one."""
        text, outcomes = json.dumps(event), list[Invocation]()
        known = self._functions.find(function)
        name = known.name if known else function
        queue = next((stack.parked_at[name] for stack in self._stacks() if name in stack.parked_at), None)

        def attempt() -> str | None:
            outcomes.append(self._functions.invoke(function, text))
            return outcomes[-1].payload if outcomes[-1].failed else None

        def park() -> None:
            arn = known.arn if known else function
            self._park(str(queue), _failed_invocation(arn, event, outcomes, self._clock.now()))

        self._courier.deliver(function, attempt, park if queue else None)

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


def _objection(entry: dict[str, Any]) -> tuple[str, str]:
    """Why EventBridge does not take an entry that has all its parts; two empty strings if it does."""
    if str(entry["Source"]).startswith("aws."):
        return "NotAuthorizedForSource", "Not authorized for the source."
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        return "MalformedDetail", "Detail is malformed."
    return ("", "") if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _failed_batch(source: EventSource, record: dict[str, Any]) -> dict[str, Any]:
    """What Lambda sends to the queue: where the batch is in the stream, and not the batch itself."""
    number = record["dynamodb"]["SequenceNumber"]
    return {
        "requestContext": {"functionArn": source.function, "condition": "RetryAttemptsExhausted"},
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "streamArn": source.stream,
            "startSequenceNumber": number,
            "endSequenceNumber": number,
            "batchSize": 1,
        },
    }


def _failed_invocation(function: str, event: Any, outcomes: list[Invocation], now: datetime) -> dict[str, Any]:
    """What Lambda sends to the queue: the event, and how its last attempt has failed."""
    return {
        "version": "1.0",
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "requestContext": {
            "requestId": outcomes[0].request_id,
            "functionArn": f"{function}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": len(outcomes),
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": json.loads(outcomes[-1].payload),
    }


def _session(role: str, name: str, account: str) -> dict[str, Any]:
    """CloudTrail's `userIdentity` of a call that a session of a role made; a function's session has its name."""
    principal = "AROAIOSFODNN7EXAMPLE"
    short = role.rpartition("/")[2]
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{name}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{short}/{name}",
        "accountId": account,
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal,
                "arn": role,
                "accountId": account,
                "userName": short,
            },
            "attributes": {"creationDate": "2026-11-21T03:00:00Z", "mfaAuthenticated": "false"},
        },
    }


def _called_detail(run: Run, caller: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """CloudTrail's record of the call. Its times are in seconds; the input is not in it."""
    account, base = event["account"], run.machine.arn
    qualifier = run.alias or run.version
    return {
        "eventVersion": "1.11",
        "userIdentity": caller,
        "eventTime": run.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "states.amazonaws.com",
        "eventName": "StartExecution",
        "awsRegion": event["region"],
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": {
            "input": "HIDDEN_DUE_TO_SECURITY_REASONS",
            "name": run.name,
            "stateMachineArn": base if qualifier is None else f"{base}:{qualifier}",
        },
        "responseElements": {
            "executionArn": run.arn,
            "startDate": run.started.strftime("%b %d, %Y, %I:%M:%S %p"),
        },
        "requestID": identity("cloudtrail request", int(run.started.timestamp() * 1000)),
        "eventID": identity(run.arn, 1),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
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
