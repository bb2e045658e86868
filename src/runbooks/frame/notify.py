"""What people are told: an approval that is asked for, and how a run ended."""

from __future__ import annotations

from datetime import timedelta

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from runbooks import clock
from runbooks.frame import asking
from runbooks.frame.advice import next_step
from runbooks.frame.step import Frame, logger
from runbooks.model import Plan
from runbooks.store.runs import Approval, Run

_SUBJECT_LENGTH = 100

_TELLING = timedelta(minutes=1)
"""How long whoever tells the end of a run may take; longer than a frame function runs."""


def publish(frame: Frame, subject: str, message: str) -> None:
    """Publish one message. Subjects are ASCII and at most 100 characters, as SNS demands."""
    plain = subject.encode("ascii", "replace").decode()[:_SUBJECT_LENGTH]
    frame.client("sns").publish(TopicArn=frame.settings.topic_arn, Subject=plain, Message=message)


def count(metric: str, value: int = 1) -> None:
    """Add to a metric of the namespace Runbooks. The only dimension is the service."""
    metrics = Metrics()
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=value)
    metrics.flush_metrics()


def ask(frame: Frame, run: Run, plan: Plan, approval: Approval, reason: str) -> None:
    """Ask for a decision on exactly this plan, over SNS; and over EventBridge, for whoever listens there.

    A message that SNS does not take is an error. What EventBridge does not take is one message less in a chat.
    """
    settings = frame.settings
    subject = f"[{settings.stage}] Approve? {run.runbook} for {run.requested_by.rpartition('/')[2]}"
    publish(frame, subject, asking.text(settings, run, plan, approval, reason))
    try:
        answer = frame.client("events").put_events(Entries=[asking.event(settings, run, plan, approval, reason)])
        problem = str(answer["Entries"]) if answer["FailedEntryCount"] else None
    except (BotoCoreError, ClientError) as failure:
        problem = str(failure)
    if problem is not None:
        logger.error("EventBridge did not take the request for approval", extra={"cause": problem})


def tell_end(frame: Frame, run: Run) -> None:
    """Publish how a closed run ended, once. What cannot be published now is published by the sweep.

    Of several deliveries one publishes. One that dies between SNS's answer and the note of it tells a second time,
    through the sweep: better twice than never.
    """
    now = clock.utc_now()
    if run.notified or not frame.ledger.claim_notice(run, now=now, until=now + _TELLING):
        return
    ended = run.error_name or run.outcome
    try:
        publish(
            frame,
            f"[{frame.settings.stage}] {run.runbook} {ended}",
            f"Run {run.run_id} ended {ended} at {run.ended_at}\nTargets: {', '.join(run.targets) or 'none'}\n"
            f"Requested by: {run.requested_by or 'unknown'}\nWhy: {run.why}\n"
            f"{_what_came_of_it(run)}\n\nThe trail: runbook audit show {run.run_id}\n",
        )
    except (BotoCoreError, ClientError) as failure:
        logger.error(
            "the end of the run could not be published; the sweep will try again", extra={"cause": str(failure)}
        )
        return
    frame.ledger.mark_notified(run)


def _what_came_of_it(run: Run) -> str:
    """Why the run ended so; and if it failed or was stopped, what to do next."""
    if run.error_name is None:
        return run.decision_reason
    return next_step(run.error_name, run.error_cause or f"It ended {run.outcome}")
