"""The report on a run, in Markdown, from its trail alone: what happened, on what evidence, and who said yes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbooks.evidence.seal import SEALED
from runbooks.model import digest
from runbooks.store.audit import Entry
from workbench.cli import words
from workbench.evidence import path

_STATUS = {
    "change.done": "done",
    "change.rejected": "rejected by AWS",
    "change.unknown": "unknown",
    "change.adopted": "was there already",
    "undo.done": "undone",
    "undo.rejected": "could not be undone",
    "undo.unknown": "unknown whether undone",
    "undo.impossible": "LEFT at the target",
    "undo.contained": "undone with another change",
}
"""Where a change stands after the last event that speaks of it."""


@dataclass(frozen=True)
class Checked:
    """What was checked of the entries before they are reported on."""

    faults: Sequence[str] = ()
    """What is wrong with them, one sentence a fault."""
    signature: bool = False
    """Whether the seal's signature was held against a trusted key; its faults are then among the faults."""


def report(
    run_id: str,
    entries: Sequence[Entry],
    definition: Mapping[str, Any] | None,
    *,
    checked: Checked,
    file: str | None = None,
) -> str:
    """The report. `definition` is the runbook's state machine; without it the graph is left out.

    `file` is the export that the entries are from. Faults stand above everything else: who has the report has nothing
    else to tell that it is of no use as evidence.
    """
    story = _Story(run_id, entries, checked)
    parts = [
        story.banner(),
        story.head(),
        story.summary(),
        story.findings(),
        story.changes(),
        story.decisions(),
        story.timeline(),
    ]
    if definition is not None:
        graph = path.mermaid(definition, path.taken(entries, definition))
        drawn_on = (
            "Drawn on the state machine as it is compiled where this report was written (SHA-256"
            f" `{digest(dict(definition))}`). The trail does not have the machine that the run used, which may have"
            " been another version."
        )
        parts.append(["## The path taken", "", drawn_on, "", "```mermaid", graph, "```"])
    parts.append(story.evidence(file))
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


class _Story:
    def __init__(self, run_id: str, entries: Sequence[Entry], checked: Checked) -> None:
        self.run_id = run_id
        self.entries = entries
        self.checked = checked
        self.first = self._detail("run.started")
        self.closed = self._detail("run.closed")
        self.diagnosis = self._detail("diagnosis.made")

    def _detail(self, event: str) -> dict[str, Any]:
        return next((dict(entry.detail) for entry in self.entries if entry.event == event), {})

    def _of(self, *events: str) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.event in events)

    def banner(self) -> list[str]:
        if not self.checked.faults:
            return []
        return [
            "> **NOT VERIFIED: what follows is no evidence, since its audit trail is not what was recorded.**",
            ">",
            *(f"> - {_sentence(fault)}" for fault in self.checked.faults),
        ]

    def head(self) -> list[str]:
        ended = self.closed.get("error") or self.closed.get("outcome") or "has not ended"
        return [f"# {self.run_id}: {ended}", "", _sentence(self._what_happened())]

    def _what_happened(self) -> str:
        if self.closed.get("cause"):
            return str(self.closed["cause"])
        if self.closed.get("reason"):
            return str(self.closed["reason"])
        return words.of_entry(self.entries[-1]) if self.entries else "There is nothing on its trail."

    def summary(self) -> list[str]:
        given = self.first.get("input")
        given = given if isinstance(given, dict) else {}
        seconds = self.closed.get("seconds")
        good = self.closed.get("outcome") == "SUCCEEDED"
        rows = [
            ("Target", ", ".join(self.first.get("targets", ())) or "none"),
            ("Mode", given.get("mode", "plan")),
            ("Why", given.get("reason", "not said")),
            *([("Ticket", given["ticket"])] if given.get("ticket") else []),
            ("Asked for by", f"{given.get('requested_by', 'nobody')}{self._vouched()}"),
            ("Started by (CloudTrail)", self._starter()),
            ("Started", self.entries[0].at if self.entries else "never"),
            ("Ended", next((entry.at for entry in self._of("run.closed")), "not yet")),
            (
                "Time to recover" if good and self.closed.get("verified") else "Ended after",
                words.duration(seconds) if seconds is not None else "not yet",
            ),
            ("Sealed", self._sealed()),
        ]
        wrong = [line for entry in self._of("run.attributed") for line in _list(entry.detail.get("contradictions"))]
        return [*_table(["", ""], rows), *(f"\n**CONTRADICTION: {_sentence(str(line))}**" for line in wrong)]

    def _sealed(self) -> str:
        seal = next(self._of(SEALED), None)
        if seal is None:
            return "NOT YET"
        if not self.checked.signature:
            return f"claimed {seal.at}, signature not checked"
        return f"claimed {seal.at}, NOT VERIFIED" if self.checked.faults else f"{seal.at}, signature checked"

    def _vouched(self) -> str:
        return " (AWS vouches for the name)" if self.first.get("identity") == "verified" else ""

    def _starter(self) -> str:
        named = self._detail("run.attributed")
        if not named:
            return "not named" if self._vouched() else "UNVERIFIED: CloudTrail has not named the caller"
        behind = named.get("on_behalf_of")
        return str(named["caller"]) + (f" on behalf of {behind}" if behind else "")

    def findings(self) -> list[str]:
        found = self.diagnosis.get("findings", ())
        rows = [(each["severity"], each["evidence"], each["meaning"]) for each in found]
        head = ["## Findings", "", _sentence(words.verdict(self.diagnosis))] if self.diagnosis else []
        return [*head, *(["", *_table(["Severity", "Evidence", "Meaning"], rows)] if rows else [])]

    def changes(self) -> list[str]:
        plan = self.diagnosis.get("plan") or {}
        lines = ["## Changes"]
        for number, change in enumerate(plan.get("changes", ()), 1):
            status, calls = self._fate(number)
            lines += [
                "",
                f"{number}. `{change['operation']}` ({change['phase']}): {status}",
                "",
                "   ```diff",
                f"   - {change['was']}",
                f"   + {change['becomes']}",
                "   ```",
                *(f"   {call}" for call in calls),
            ]
        return lines if len(lines) > 1 else ["## Changes", "", "None was planned."]

    def _fate(self, number: int) -> tuple[str, list[str]]:
        spoken = [entry for entry in self.entries if entry.detail.get("number") == number]
        status = next((_STATUS[entry.event] for entry in reversed(spoken) if entry.event in _STATUS), "not applied")
        made: list[tuple[str, Any]] = [
            (entry.at, call) for entry in spoken for call in _list(entry.detail.get("calls"))
        ]
        return status, [
            f"- {at} `{call['operation']}`: status {call.get('status')}, {call.get('duration_ms')} ms,"
            f" request {call.get('request_id')}"
            for at, call in made
        ]

    def decisions(self) -> list[str]:
        rows = [
            (entry.at, entry.actor, words.of_entry(entry))
            for entry in self._of("approval.requested", "approval.decided", "approval.revoked", "approval.expired")
        ]
        plan = f"The plan's hash is `{self.diagnosis['plan_hash']}`." if self.diagnosis.get("plan_hash") else ""
        used = _list(self.diagnosis.get("standing"))
        if used and not rows:
            said = str(self.diagnosis.get("approval")).removeprefix("standing, ")
            trails = [f"- `{each['id']}`, whose entry has the hash `{each['hash']}`" for each in used]
            return ["## Approval", "", _sentence(f"Approved in advance, {said}"), plan, "", *trails]
        if not rows:
            return ["## Approval", "", f"Nobody was asked. {plan}".rstrip()]
        return ["## Approval", "", plan, "", *_table(["Time", "Who", "What"], rows)]

    def timeline(self) -> list[str]:
        rows = [
            (str(entry.seq), entry.at, words.short_person(entry.actor), entry.event, words.of_entry(entry))
            for entry in self.entries
        ]
        return ["## Timeline", "", *_table(["#", "Time (UTC)", "Who", "Event", "What"], rows)]

    def evidence(self, file: str | None) -> list[str]:
        lines = ["## Evidence", ""]
        if self.entries:
            lines.append(f"{words.verified(self.entries, self.checked.faults)}. Its head is `{self.entries[-1].hash}`.")
        trusted = self.checked.signature and not self.checked.faults
        says = "It is sealed with the trusted key" if trusted else "It says that it is sealed with the key"
        for seal in self._of(SEALED):
            lines.append(f"{says} `sha256:{seal.detail.get('key')}`.")
            if not self.checked.signature:
                command = f"audit verify {file}" if file is not None else f"audit report {self.run_id}"
                lines.append(f"Signature not checked: `runbook {command} --key KEYFILE`.")
        return lines


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sentence(text: str) -> str:
    return f"{' '.join(text.split()).rstrip('.')}."


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    return [f"| {' | '.join(map(_cell, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
