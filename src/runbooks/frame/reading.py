"""Gathering a runbook's facts, with the reads on the record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from runbooks.aws.failures import translated
from runbooks.aws.session import AwsSession
from runbooks.errors import RunbookError
from runbooks.frame.step import Step
from runbooks.model import Model, Phase, RunInput, digest
from runbooks.store.runs import Run

Gather = Callable[[Any, AwsSession, datetime], Any]


def gather(step: Step, run: Run, aws: AwsSession, given: RunInput, *, only: Gather | None = None) -> Any:
    """The runbook's facts, or those that a phase's own reading gathers.

    When a read fails, the reads up to it are recorded before the error goes on.
    """
    read = only or step.runbook.gather
    try:
        with translated():
            return read(given, aws, step.now)
    except RunbookError as failure:
        detail = {"error": type(failure).__name__, "cause": str(failure), "reads": reads(aws)}
        step.record(run, "reads.failed", detail)
        raise


def reads(aws: AwsSession) -> list[JsonValue]:
    """The calls since this was last asked, as the audit trail has them."""
    return [call.model_dump(mode="json", exclude_none=True) for call in aws.take_calls()]


def fingerprint(phase: Phase, facts: Model) -> str:
    """The hash of what must still be true when the phase starts."""
    return digest(phase.rests_on(facts))
