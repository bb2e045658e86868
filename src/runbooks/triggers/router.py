"""From an event to a run: the runbook that is for it, its input, and whether it may start now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from runbooks import catalogue, clock
from runbooks.aws.redaction import redact
from runbooks.errors import InputInvalid
from runbooks.frame.begin import parse_input
from runbooks.frame.notify import count
from runbooks.frame.start import Begun, NameTaken, NotDeployed, start
from runbooks.frame.step import Frame, frame, logger
from runbooks.model import Mode, Runbook
from runbooks.policy import Policy, objection
from runbooks.store.listing import Listing, Place
from runbooks.triggers.looking import obstacle
from runbooks.triggers.reading import Nothing, Wish, read
from runbooks.triggers.store import TooOften, Triggers

_LONGEST_REASON = 500
_LONGEST_NAME = 200


def execution_name(event_id: str, runbook: str) -> str:
    """The name of the execution that an event starts: the same for the same event."""
    return f"event-{hashlib.sha256(f'{event_id} {runbook}'.encode()).hexdigest()[:40]}"


def route(frame: Frame, event: dict[str, Any]) -> Begun:
    """Start what the event asks for. The same event again is the same run.

    Raises Nothing if nothing is to be started, and the errors that the event may be tried again after.
    """
    settings, now = frame.settings, clock.utc_now()
    if event.get("account") != settings.account:
        raise Nothing(f"the event is of the account {event.get('account')}, and runs start in {settings.account}")
    wish, policy = read(event), frame.policy()
    runbook = _runbook(wish)
    setting = policy.triggers.get(runbook.name, "plan")
    if setting == "off":
        raise Nothing(f"policy has switched triggers of {runbook.name} off")
    region = str(event.get("region") or settings.region)
    document = {
        "mode": setting,
        "reason": str(redact(wish.reason))[:_LONGEST_REASON],
        "requested_by": wish.source[:_LONGEST_NAME],
        **({"region": region} if region != settings.region else {}),
        **wish.fields,
    }
    try:
        given = parse_input(runbook, document)
    except InputInvalid as invalid:
        raise Nothing(f"the event does not fit {runbook.name}: {invalid}") from None
    targets = sorted(runbook.targets(given, settings.account, region))
    attempts = frame.ledger.attempts_today(targets, now)
    against = objection(policy, runbook=runbook.name, mode=Mode(setting), targets=targets, attempts=attempts, now=now)
    if against is not None:
        raise Nothing(str(against))
    name = execution_name(str(event["id"]), runbook.name)
    _nobody_is_at_it(frame, targets[0], name)
    in_the_way = obstacle(frame.session(region), wish.fields)
    if in_the_way is not None:
        raise Nothing(in_the_way)
    try:
        with _claimed(frame, policy, targets[0], runbook.name, str(event["id"]), now):
            return start(
                frame, runbook=runbook.name, document=document, execution=name, requested_by=document["requested_by"]
            )
    except (TooOften, NotDeployed, NameTaken) as why:
        raise Nothing(str(why)) from None


@contextmanager
def _claimed(frame: Frame, policy: Policy, target: str, runbook: str, event: str, now: datetime) -> Iterator[None]:
    """Within the block this event alone may start a run; if that fails, the next one may. Raises TooOften."""
    triggers = Triggers(frame.tables)
    triggers.claim(
        target,
        runbook,
        event,
        quiet=timedelta(minutes=policy.trigger_quiet_minutes),
        budget=policy.triggered_per_target_and_day,
        now=now,
    )
    try:
        yield
    except NameTaken:
        # Under other rules this event has started a run before, and that is what the claim stands for.
        raise
    except Exception:
        # Should it have been started all the same, the same event finds that run by its name when it comes again.
        triggers.release(target, runbook, event)
        raise


def _runbook(wish: Wish) -> Runbook:
    for name in wish.runbooks:
        if name in catalogue.names():
            return catalogue.load(name)
    raise Nothing(f"{' and '.join(wish.runbooks)} would be for it, and is not deployed")


def _nobody_is_at_it(frame: Frame, target: str, execution: str) -> None:
    """Raises Nothing if a run other than this event's own is open on the target."""
    first, _ = Listing(frame.tables).runs(
        catalogue.names(), target=target, status="open", after=Place.of(None), limit=5
    )
    others = [run for run in first if not run.execution_arn.endswith(f":{execution}")]
    if others:
        raise Nothing(f"the run {others[0].run_id} is at {target} already")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """An event of EventBridge. What it started, or why nothing, is in the log, in the answer, and counted."""
    seen = {"event_id": event.get("id"), "event": event.get("detail-type"), "about": event.get("resources")}
    try:
        begun = route(frame(), event)
    except Nothing as why:
        logger.info("nothing was started", extra=seen | {"why": str(why)})
        count("EventsWithoutRun")
        return {"started": None, "why": str(why)}
    logger.info("started", extra=seen | {"run_id": begun.run_id})
    if begun.new:
        count("RunsTriggered")
    return {"started": begun.run_id}
