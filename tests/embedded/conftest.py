"""A small stack beside the real one, whose handlers do what a test asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workbench.embedded import EmbeddedAws

SMALL = Path(__file__).parent / "stack" / "template.yaml"


@dataclass
class Small:
    """The small stack, deployed."""

    aws: EmbeddedAws
    outputs: dict[str, str]

    @property
    def machine(self) -> str:
        return f"arn:aws:states:{self.aws.region}:{self.aws.account_id}:stateMachine:small-procedure"

    def start(self, document: Any = None, **arguments: Any) -> str:
        """Starts the machine; the execution's ARN."""
        arguments.setdefault("stateMachineArn", self.machine)
        arguments.setdefault("input", json.dumps({} if document is None else document))
        return str(self.aws.client("stepfunctions").start_execution(**arguments)["executionArn"])

    def describe(self, arn: str) -> dict[str, Any]:
        described: dict[str, Any] = self.aws.client("stepfunctions").describe_execution(executionArn=arn)
        return described

    def ended(self, arn: str) -> dict[str, Any]:
        """The execution when it is over."""
        eventually(lambda: self.describe(arn)["status"] != "RUNNING")
        return self.describe(arn)

    def run(self, document: Any = None) -> dict[str, Any]:
        return self.ended(self.start(document))

    def items(self, prefix: str) -> list[dict[str, Any]]:
        """What the handlers wrote down under keys that start so."""
        found = self.aws.client("dynamodb").scan(TableName=self.outputs["TableName"])["Items"]
        return [item for item in found if item["pk"]["S"].startswith(prefix)]

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind that the witness was told."""
        return [json.loads(item["record"]["S"]) for item in self.items(f"seen/{kind}/")]

    def token(self) -> str:
        """The token of the callback that the machine waits for."""
        eventually(lambda: bool(self.items("token")))
        return str(self.items("token")[0]["token"]["S"])


def eventually(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until it is true. Fails the test if it does not come true."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, f"did not come true within {seconds} s"
        time.sleep(0.005)


@pytest.fixture
def small(aws: EmbeddedAws) -> Small:
    return Small(aws, aws.deploy(SMALL, stack_name="small").outputs)
