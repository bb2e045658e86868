"""What every step has in common: its event, its clock, the ledger, and the errors it may end with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any

from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict

from runbooks import catalogue, clock
from runbooks.aws.connection import connect
from runbooks.aws.failures import translate
from runbooks.aws.redaction import redact
from runbooks.aws.session import AwsSession
from runbooks.errors import LedgerUnavailable, RemediationFailed
from runbooks.model import Plan, Runbook, RunInput, canonical
from runbooks.policy import Policy, parse_policy
from runbooks.settings import Settings
from runbooks.store.runs import Diagnosis, Ledger, Run, run_id_of
from runbooks.store.standing import StandingApprovals
from runbooks.store.tables import ConditionFailed, Tables, dynamodb

LEASE = timedelta(minutes=5)
"""How long a lock outlives the last sign of its run; longer than any function may run."""

_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})

logger = Logger()


class Execution(BaseModel):
    """The execution as the state machine's context object tells it."""

    id: str
    name: str
    started: str


class StepEvent(BaseModel):
    """What a Task state passes to its function. `document` is the run document, or the start input in `Begin run`."""

    model_config = ConfigDict(frozen=True)

    execution: Execution
    runbook: str
    state: str
    step: str
    phase: str = ""
    token: str = ""
    document: Any = None


class Frame:
    """The services that the frame itself uses, made when first asked for: a step pays for what it uses."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sessions: dict[str, AwsSession] = {}

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.settings.state_table, self.settings.audit_table, dynamodb(self.settings.region))

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.tables)

    @cached_property
    def standing(self) -> StandingApprovals:
        return StandingApprovals(self.tables)

    def policy(self) -> Policy:
        """The policy now. Raises PolicyInvalid; an absent document means the defaults."""
        name = self.settings.policy_parameter
        try:
            document = self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "ParameterNotFound":
                raise translate(failure, "ssm:GetParameter") from failure
            document = None
        except BotoCoreError as failure:
            raise translate(failure, "ssm:GetParameter") from failure
        return parse_policy(document)

    def session(self, region: str) -> AwsSession:
        """An audited session for targets in a region, with nothing in it of an earlier invocation."""
        if region not in self._sessions:
            self._sessions[region] = AwsSession(region, self.settings.role_in)
        return self._sessions[region].begin()

    def client(self, service: str) -> Any:
        """A client for the frame's own plumbing (policy, topic, task tokens); never for a target."""
        return _client(service, self.settings.region)


@cache
def _client(service: str, region: str) -> Any:
    return connect(service, region, _CONFIG)


@cache
def frame() -> Frame:
    """The frame of this function, kept between invocations."""
    return Frame(Settings.from_env())


@dataclass(frozen=True)
class Step:
    """One invocation. `over_at` is when the function is surely no longer running."""

    event: StepEvent
    frame: Frame
    now: datetime
    over_at: datetime

    @property
    def ledger(self) -> Ledger:
        return self.frame.ledger

    @property
    def started(self) -> datetime:
        return clock.parse(self.event.execution.started)

    @property
    def run_id(self) -> str:
        return run_id_of(self.event.runbook, self.event.execution.id, self.started)

    @property
    def runbook(self) -> Runbook:
        return catalogue.load(self.event.runbook)

    def open_run(self) -> Run:
        return self.ledger.open_run(self.run_id)

    def diagnosis(self) -> Diagnosis:
        """What the diagnosis stored, once and for good. Raises LedgerUnavailable if it did not."""
        return self._diagnosis

    @cached_property
    def _diagnosis(self) -> Diagnosis:
        diagnosis = self.ledger.diagnosis(self.run_id)
        if diagnosis is None:
            raise LedgerUnavailable(f"{self.run_id} has no diagnosis in the State table")
        return diagnosis

    def plan(self) -> Plan:
        """The stored plan. Raises RemediationFailed if it is gone."""
        plan = self.diagnosis().plan
        if plan is None:
            raise RemediationFailed("the plan of the changes to undo is gone")
        return plan

    def record(self, run: Run, event: str, detail: dict[str, Any], **more: Any) -> Run:
        """`Ledger.record` at this step's state and time, with the detail redacted."""
        return self.ledger.record(run, event, redact(detail), state=self.event.state, now=clock.utc_now(), **more)

    def keep_locks(self, run: Run, until: datetime, event: str, detail: dict[str, Any], **updates: Any) -> Run:
        """Record, and keep the run's locks until a lease after that moment. Raises LeaseLost if one is not ours."""
        renewals = self.ledger.renewals(run, until + LEASE)
        try:
            return self.record(run, event, detail, updates=updates, also=renewals)
        except ConditionFailed as failure:
            self.ledger.still_ours(failure, len(renewals))
            raise

    def document(self, run: Run, **news: Any) -> dict[str, Any]:
        """The run document for the next state: what came in, and what is new."""
        came = self.event.document
        known = came if isinstance(came, dict) and came.get("run_id") == run.run_id else {}
        mode = run.mode.value if run.mode else None
        return known | {"run_id": run.run_id, "runbook": run.runbook, "mode": mode} | news

    def target(self, given: RunInput) -> AwsSession:
        """An audited session for the run's target."""
        return self.frame.session(given.region or self.frame.settings.region)


def given_of(runbook: Runbook, values: dict[str, Any]) -> Any:
    """The runbook's input from plain JSON values. Raises pydantic's ValidationError if they do not fit."""
    return runbook.input.model_validate_json(canonical(values))


def step_handler(act: Callable[[Step], dict[str, Any]]) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """A Lambda handler from a function of a Step: parses the event, logs, and lets errors out by their names."""

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        now = clock.utc_now()
        step = Step(
            event=StepEvent.model_validate(event),
            frame=frame(),
            now=now,
            over_at=now + timedelta(milliseconds=context.get_remaining_time_in_millis()),
        )
        logger.append_keys(run_id=step.run_id, state=step.event.state)
        logger.info("step started")
        try:
            document = act(step)
        except ConditionFailed as failure:
            # Another delivery of this step wrote first. Delivered again, the step finds what that one has done.
            logger.warning("another delivery was faster", extra={"cause": str(failure)})
            raise LedgerUnavailable(f"{step.run_id}: another delivery of this step wrote first") from failure
        except Exception as failure:
            logger.warning("step failed", extra={"error": type(failure).__name__, "cause": redact(str(failure))})
            raise
        logger.info("step done")
        return document

    return handler
