"""The AWS account that the runbooks are deployed in, found by the stack's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from runbooks.store.runs import Ledger, Run, run_id_of
from workbench.cli.failures import Stop
from workbench.cli.texts import DEFAULT_STACK
from workbench.ledger import ledger_of

_RUN_ID = re.compile(r"(?P<runbook>[a-z0-9-]+)-(?P<started>\d{8}T\d{6}Z)-[0-9a-f]{8}")
_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})


@dataclass(frozen=True)
class Account:
    """Clients for one account and region, and what the stack is made of."""

    stack: str
    session: Any
    endpoint_url: str | None = None

    @classmethod
    def open(cls, stack: str, *, region: str | None, profile: str | None, endpoint_url: str | None) -> Account:
        """By the conventions of every AWS tool: options, then the environment, then the configuration's files."""
        return cls(stack, boto3.Session(profile_name=profile, region_name=region), endpoint_url)

    @property
    def options(self) -> str:
        """What a command about this stack needs besides, whoever types it."""
        return "" if self.stack == DEFAULT_STACK else f" --stack {self.stack}"

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint_url, config=_CONFIG)

    @cached_property
    def stepfunctions(self) -> Any:
        return self.client("stepfunctions")

    @cached_property
    def _described(self) -> dict[str, Any]:
        try:
            stacks: list[dict[str, Any]] = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "ValidationError":
                raise
            raise Stop(
                f"There is no stack {self.stack!r} in {self.session.region_name}."
                " Deploy it (`sam deploy --config-env dev`), or name another with --stack and --region."
            ) from None
        return stacks[0]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs by key."""
        return {each["OutputKey"]: each["OutputValue"] for each in self._described.get("Outputs", ())}

    @cached_property
    def ledger(self) -> Ledger:
        """Runs and audit trails. Raises Stop if the stack is not one of ours."""
        missing = {"StateTableName", "AuditTableName"} - self.outputs.keys()
        if missing:
            raise Stop(f"The stack {self.stack} has no output {', '.join(sorted(missing))}; is it the runbooks' stack?")
        return ledger_of(self.outputs, self.client("dynamodb"))

    def public_key(self) -> bytes:
        """The public half, in DER, of the key that the stack seals its trails with. Raises Stop if it has none."""
        if "SigningKeyAlias" not in self.outputs:
            raise Stop(f"The stack {self.stack} has no output SigningKeyAlias; deploy this version of it first.")
        answer = self.client("kms").get_public_key(KeyId=self.outputs["SigningKeyAlias"])
        return bytes(answer["PublicKey"])

    def machine(self, runbook: str) -> str:
        """The ARN of a runbook's state machine."""
        partition, _, region, account = self._described["StackId"].split(":")[1:5]
        return f"arn:{partition}:states:{region}:{account}:stateMachine:{self.stack}-{runbook}"

    def caller(self) -> str:
        """The name of whoever signs these calls: the IAM user, or the session of the assumed role."""
        arn: str = self.client("sts").get_caller_identity()["Arn"]
        return arn.rpartition("/")[2].rpartition(":")[2]

    def run(self, run_id: str) -> Run:
        """The run of that id. Raises Stop if there is none."""
        run = self.ledger.find(run_id)
        if run is None:
            raise self._no_run(run_id)
        return run

    def execution_of(self, run_id: str) -> tuple[str, str]:
        """The runbook and the execution of a run, which may be too young to be in the State table. Raises Stop."""
        run = self.ledger.find(run_id)
        if run is not None:
            return run.runbook, run.execution_arn
        told = _RUN_ID.fullmatch(run_id)
        if told is None:
            raise self._no_run(run_id)
        runbook, started = told["runbook"], datetime.strptime(f"{told['started']}+0000", "%Y%m%dT%H%M%SZ%z")
        try:
            pages = self.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=self.machine(runbook))
            for execution in (each for page in pages for each in page["executions"]):
                if execution["startDate"] < started:
                    break  # they come newest first
                if run_id_of(runbook, execution["executionArn"], execution["startDate"].astimezone(UTC)) == run_id:
                    return runbook, str(execution["executionArn"])
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "StateMachineDoesNotExist":
                raise
        raise self._no_run(run_id)

    def _no_run(self, run_id: str) -> Stop:
        return Stop(f"There is no run {run_id!r} in {self.stack}. `runbook runs` lists those that there are.")

    def run_of_execution(self, execution_arn: str) -> tuple[str, str]:
        """The runbook and the run id of an execution. Raises Stop for one that is not there, or not of this stack."""
        machine = execution_arn.split(":")[6]
        if not machine.startswith(f"{self.stack}-"):
            raise Stop(f"{execution_arn} is no execution of the stack {self.stack}. Name its stack with --stack.")
        try:
            described = self.stepfunctions.describe_execution(executionArn=execution_arn)
        except ClientError as failure:
            if failure.response["Error"]["Code"] not in {"ExecutionDoesNotExist", "InvalidArn"}:
                raise
            raise Stop(f"There is no execution {execution_arn}. AWS keeps them for 90 days.") from None
        runbook = machine.removeprefix(f"{self.stack}-")
        return runbook, run_id_of(runbook, execution_arn, described["startDate"].astimezone(UTC))
