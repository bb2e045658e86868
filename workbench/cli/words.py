"""Audit entries, plans and outcomes in words that a person reads in passing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sized
from datetime import UTC, datetime
from typing import Any

from runbooks import clock
from runbooks.model import Change, Undo
from runbooks.policy import person
from runbooks.store.audit import Entry
from runbooks.store.runs import Run

HASH = 8
"""Digits of a hash that are shown."""
_LONG = 160

Detail = dict[str, Any]


def short_target(arn: str) -> str:
    """An ARN without what all targets of an account have in common."""
    parts = arn.split(":", 5)
    return parts[5] if len(parts) == 6 else arn


def is_arn(text: str) -> bool:
    """Whether it is a whole ARN, by which an index finds a target."""
    return text.startswith("arn:")


def is_target(named: str, arn: str) -> bool:
    """Whether that ARN is meant by whoever names a target by its ARN, or by what lists show of it."""
    return named == (arn if is_arn(named) else short_target(arn))


def no_such_runs(target: str | None) -> str:
    """Why a list is empty, as far as it may be the name of the target."""
    if target is None or is_arn(target):
        return "There are no such runs."
    return (
        f"None of these runs is on a target {target!r}. Name it by its ARN, or as `runbook runs` shows it;"
        " `runbook runs --json` has the ARNs."
    )


def short_person(identity: str) -> str:
    """The name at the end of an IAM ARN; any other name as it is."""
    return identity.rpartition("/")[2] if identity.startswith("arn:") else identity


def asker(name: str, identity: str | None, attributed_to: str | None) -> str:
    """Who asked, and how far that is known: the name in an input is a claim unless AWS or CloudTrail says the same."""
    shown = name or "unknown"
    if attributed_to is not None and person(attributed_to) != person(name):
        return f"{shown} (CloudTrail: {short_person(attributed_to)})"
    return shown if identity == "verified" or attributed_to is not None else f"{shown} (unverified)"


def time_of(moment: str | datetime) -> str:
    """The time of day in UTC."""
    when = clock.parse(moment) if isinstance(moment, str) else moment
    return f"{when.astimezone(UTC):%H:%M:%S}"


def counted(things: Sized, word: str) -> str:
    """`1 read`, `2 reads`."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def cut(text: str, length: int = _LONG) -> str:
    """At most `length` characters on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def difference(was: str, becomes: str) -> tuple[str, str, str]:
    """What two descriptions begin with, and what then is different in each."""
    before, after, common = was.split(" "), becomes.split(" "), []
    while len(before) > 1 and len(after) > 1 and before[0] == after[0]:
        common.append(before.pop(0))
        after.pop(0)
    return " ".join(common), " ".join(before), " ".join(after)


def before_after(was: str, becomes: str) -> str:
    """`taskDefinition report-service:3 -> report-service:2`."""
    common, before, after = difference(was, becomes)
    return f"{common} {before} -> {after}".strip()


def way_back(change: Change) -> str:
    """How a change is undone."""
    back = f", back to {difference(change.was, change.becomes)[1]}" if isinstance(change.undo, Undo) else ""
    return f"{change.way_back}{back}"


def call(detail: Detail) -> list[str]:
    """How long the AWS calls of a change took, and by what AWS finds the last one again."""
    made = detail.get("calls") or []
    parts = []
    if made and "duration_ms" in made[-1]:
        parts.append(f"{sum(call.get('duration_ms', 0) for call in made) / 1000:.1f} s")
    if made and made[-1].get("request_id"):
        parts.append(f"request {made[-1]['request_id']}")
    return parts


def _change(detail: Detail) -> str:
    difference = before_after(detail.get("was", ""), detail.get("becomes", ""))
    return f"{detail.get('number')}. {detail.get('operation')}: {difference}"


def _intended(detail: Detail) -> str:
    again = f" (attempt {detail['attempt']})" if detail.get("attempt", 1) > 1 else ""
    return f"{_change(detail)}{again}"


def _called(detail: Detail) -> str:
    return ", ".join([_change(detail), *call(detail)])


def _failed(detail: Detail) -> str:
    return f"{detail.get('number')}. {detail.get('operation')}: {detail.get('cause')}"


def _undoing(detail: Detail) -> str:
    changes = "1 change is" if detail.get("changes") == 1 else f"{detail.get('changes')} changes are"
    return f"{detail.get('error')}: {str(detail.get('cause')).rstrip('.')}; {changes} taken back"


def _settled(detail: Detail) -> str:
    note = f": {detail['note']}" if detail.get("note") else ""
    return f"change {detail.get('number')} is {detail.get('status')}{note}"


def _adopted(detail: Detail) -> str:
    return f"{detail.get('number')}. {detail.get('operation')}: {detail.get('note')}"


def _waits(detail: Detail) -> str:
    return f"looking again in {detail.get('seconds')} s"


def _started(detail: Detail) -> str:
    given = detail.get("input")
    if not isinstance(given, dict):
        return f"{detail.get('note') or 'input'}: {cut(json.dumps(given, ensure_ascii=False))}"
    on = ", ".join(short_target(target) for target in detail.get("targets", ())) or "no target"
    ticket = f", ticket {given['ticket']}" if given.get("ticket") else ""
    return f'{given.get("mode", "plan")} on {on}: "{given.get("reason", "")}"{ticket}'


def _policy(detail: Detail) -> str:
    needed = "a person must approve" if detail.get("approval_required") else "no approval is needed"
    return f"{needed} (risk {detail.get('risk')}, stage {detail.get('stage')})"


def _diagnosed(detail: Detail) -> str:
    plan = f"; plan {detail['plan_hash'][:HASH]}" if detail.get("plan_hash") else ""
    findings, reads = counted(detail.get("findings", ()), "finding"), counted(detail.get("reads", ()), "read")
    return f"{verdict(detail).rstrip('.')}{plan} ({findings}, {reads})"


def verdict(detail: Detail) -> str:
    """What a diagnosis came to, and why."""
    return f"{detail.get('verdict', '').replace('_', ' ')}: {detail.get('reason')}"


def _looked(detail: Detail) -> str:
    return f"{detail.get('progress')}: {detail.get('reason')}"


def _decided(detail: Detail) -> str:
    comment = f': "{detail["comment"]}"' if detail.get("comment") else ""
    return f"{detail.get('decision')} plan {detail.get('plan_hash', '')[:HASH]}{comment}"


def _requested(detail: Detail) -> str:
    return f"plan {detail.get('plan_hash', '')[:HASH]}, to be decided before {time_of(detail['expires_at'])}"


def _locked(detail: Detail) -> str:
    tokens = ", ".join(str(token) for token in detail.get("tokens", ()))
    return f"until {time_of(detail['lease_until'])} unless renewed, fencing token {tokens}"


def _reaped(detail: Detail) -> str:
    left = "; ".join(detail.get("changes_left", ())) or "nothing was changed"
    return f"the execution ended {detail.get('status')}; {left}. Now {detail.get('seen', {}).get('now')}"


def _closed(detail: Detail) -> str:
    error = f": {detail['error']}" if detail.get("error") else ""
    return f"{detail.get('outcome')}{error}, after {duration(detail.get('seconds'))}"


def _attributed(detail: Detail) -> str:
    wrong = "; ".join(detail.get("contradictions", ()))
    name = detail.get("on_behalf_of")
    behalf = f" on behalf of {name}" if name else ""
    return f"CloudTrail: {detail.get('caller')} started it{behalf}{f'. CONTRADICTION: {wrong}' if wrong else ''}"


def _sealed(detail: Detail) -> str:
    who = "its starter is UNVERIFIED"
    if detail.get("attributed_to"):
        who = f"started by {detail['attributed_to']}"
    elif detail.get("identity") == "verified":
        who = f"asked for by {detail.get('requested_by')}, whom AWS vouches for"
    return f"{who}; signed with the key {str(detail.get('key'))[:HASH]}"


def _given(detail: Detail) -> str:
    bounds = detail.get("bounds") or {}
    most = bounds.get("most_changes")
    inputs = "".join(f", {name} = {json.dumps(value)}" for name, value in (bounds.get("inputs") or {}).items())
    irreversible = ", also what cannot be undone" if bounds.get("irreversible") else ""
    comment = f': "{detail["comment"]}"' if detail.get("comment") else ""
    return (
        f"yes until {detail.get('expires_at')} to plans of {detail.get('runbook')} for"
        f" {short_target(str(detail.get('target')))} of {', '.join(bounds.get('operations', ()))}, at most"
        f" {most} change{'' if most == 1 else 's'}{irreversible}{inputs}{comment}"
    )


_WORDS: dict[str, Callable[[Detail], str]] = {
    "run.started": _started,
    "policy.passed": _policy,
    "diagnosis.made": _diagnosed,
    "reads.failed": lambda detail: f"{detail.get('error')}: {detail.get('cause')}",
    "approval.requested": _requested,
    "approval.decided": _decided,
    "approval.revoked": _decided,
    "stop.asked": lambda detail: f'is to stop: "{detail.get("reason") or "no reason given"}"',
    "stop.failed": lambda detail: f"the call that stops it failed: {detail.get('cause')}",
    "run.stopped": lambda detail: f'told to stop: "{detail.get("reason") or "no reason given"}"',
    "approval.awaited": lambda detail: "the wait was ended, and not by a decision; it goes on",
    "approval.expired": lambda detail: f"nobody decided before {time_of(detail['expires_at'])}; the request is void",
    "target.locked": _locked,
    "phase.started": lambda detail: "the target is still as the plan found it",
    "phase.stale": lambda detail: "the target changed after the plan was made; nothing is applied",
    "phase.applied": lambda detail: f"has until {time_of(detail['settles_by'])} to settle",
    "phase.looked": _looked,
    "change.intended": _intended,
    "change.done": _called,
    "change.rejected": _failed,
    "change.unknown": _failed,
    "change.recognised": _settled,
    "change.settled": _settled,
    "undo.started": _undoing,
    "undo.intended": _change,
    "undo.done": _called,
    "undo.rejected": _failed,
    "undo.unknown": _failed,
    "change.adopted": _adopted,
    "undo.recognised": _settled,
    "undo.settled": _settled,
    "undo.omitted": _settled,
    "undo.contained": _settled,
    "undo.needless": _settled,
    "undo.awaits": _settled,
    "undo.waits": _waits,
    "undo.impossible": _settled,
    "verified": verdict,
    "not.verified": verdict,
    "verification.waits": verdict,
    "run.reaped": _reaped,
    "run.closed": _closed,
    "run.attributed": _attributed,
    "run.sealed": _sealed,
    "standing.given": _given,
    "standing.revoked": lambda detail: f"no longer yes to plans for {short_target(str(detail.get('target')))}",
    "manifest.opened": lambda detail: f"{detail.get('day')}, after {str(detail.get('previous'))[:HASH]}",
    "manifest.listed": lambda detail: f"{detail.get('run_id')}, {detail.get('entries')} entries",
    "manifest.sealed": lambda detail: f"{detail.get('runs')} runs; signed with the key {str(detail.get('key'))[:HASH]}",
}


def of_entry(entry: Entry) -> str:
    """What an audit entry says, in one line."""
    words = _WORDS.get(entry.event)
    if words is None:
        return cut(json.dumps(entry.detail, ensure_ascii=False))
    return " ".join(words(entry.detail).split())


def duration(seconds: Any) -> str:
    """Seconds as `48 s`, `12 min 30 s` or `4 h 5 min`."""
    total = int(seconds or 0)
    if total < 60:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def verified(entries: Sized, faults: Iterable[str]) -> str:
    """The audit trail's state."""
    broken = "; ".join(faults)
    count = f"{len(entries)} audit {'entry' if len(entries) == 1 else 'entries'}"
    return f"{count}, {f'CHAIN BROKEN: {broken}' if broken else 'chain verified'}"


def ending(run: Run | None, seconds: int) -> str:
    """How a run has ended, without its error's name."""
    if run is None:
        return "the run was never written"
    if run.error_name and run.error_cause in {None, "", run.decision_reason}:
        return f"ended after {duration(seconds)}"
    if run.error_name:
        return f"{str(run.error_cause).rstrip('.')}; ended after {duration(seconds)}"
    if run.verified:
        return f"recovered in {duration(seconds)}"
    if run.verdict == "healthy":
        return f"nothing to do after {duration(seconds)}"
    return f"planned in {duration(seconds)}, nothing was changed"
