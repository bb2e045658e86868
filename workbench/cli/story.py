"""A run as it goes, on a terminal: a line for what is settled, and one that moves for what is under way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from runbooks import catalogue
from runbooks.model import Plan
from runbooks.store.audit import Entry
from workbench.cli import words
from workbench.cli.output import columns, marks
from workbench.executions import Moment, Visit

_BAR = 10
_WIDEST_LABEL = 44
_WIDEST_ACTOR = 20
_SEVERITY = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


class Story:
    """Tells a run from its moments. Use it as a context manager; `observe` takes them as they come.

    On a terminal the step that is under way is shown by a line that moves; elsewhere only what has happened is printed.
    """

    def __init__(self, console: Console, runbook: str) -> None:
        self.console = console
        self._runbook = runbook
        self._live: Live | None = None
        self._width = _label_width(runbook)
        self._said = ""
        self._progress: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self.closed: Entry | None = None
        """The entry that closed the run, once it is there."""
        self._undecided: Entry | None = None
        self._tellers: dict[str, Callable[[Entry], None]] = {
            "run.started": self._started,
            "diagnosis.made": self._diagnosed,
            "approval.requested": self._requested,
            "approval.decided": self._decided,
            "change.done": self._done,
            "undo.done": self._done,
            "phase.looked": self._looked,
            "run.closed": self._closed,
        }

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, transient=True, refresh_per_second=12)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def observe(self, moment: Moment) -> None:
        """Tell what happened."""
        match moment.what:
            case "recorded" if moment.entry is not None:
                teller = self._tellers.get(moment.entry.event)
                if teller is not None:
                    teller(moment.entry)
                elif moment.entry.event not in _ONLY_FOR_AUDITORS:
                    self.say(_label(moment.entry), words.of_entry(moment.entry))
            case "entered":
                label = _question(moment.state)
                self.under_way(label, self._waiting.get(label, ""))
            case "exited" if moment.state in self._progress:
                self._exited_look(moment)
            case "failed":
                self.say(_question(moment.state), Text(moment.error, style="red"))

    def say(self, label: str, text: str | Text) -> None:
        """A line that stays. A label that the line above has too is not repeated."""
        if self._live is not None:
            self._live.update("")
        shown = "" if label == self._said else label
        self.console.print(columns(self.console, [Text(f"  {shown}", "bold"), text], [self._width]))
        self._said = label

    def ask_for_a_decision(self, where: str = "") -> None:
        """If the run waits for somebody now, say once what they would type. `where` is what they add to it."""
        if self._undecided is None:
            return
        asked, self._undecided = self._undecided, None
        plan = str(asked.detail.get("plan_hash", ""))[: words.HASH]
        command = f"runbook approve {asked.run_id} --plan {plan}{where} --profile THEIRS"
        self.say("Approval", "to approve (or deny), somebody else types:")
        self.console.print(f"  {command}", soft_wrap=True)
        self.under_way("Approval", _awaited(asked))

    def under_way(self, label: str, text: str = "") -> None:
        """The line that moves; nothing without a terminal."""
        if self._live is None:
            return
        spinner = "line" if self.console.options.ascii_only else "dots"
        row = columns(self.console, [Text(label, "bold"), Text(text, "dim")], [self._width - 2])
        self._live.update(Spinner(spinner, row, style="cyan"), refresh=True)

    # What is recorded

    def _started(self, entry: Entry) -> None:
        detail: dict[str, Any] = entry.detail
        given = detail.get("input")
        given = given if isinstance(given, dict) else {}
        targets = ", ".join(words.short_target(target) for target in detail.get("targets", ()))
        self.console.print(Text.assemble((self._runbook, "bold cyan"), "  ", targets))
        self.say("Run", entry.run_id)
        reason = f': "{given["reason"]}"' if given.get("reason") else ""
        self.say("Asked", f"{given.get('mode', 'plan')}, by {entry.actor}{reason}")

    def _diagnosed(self, entry: Entry) -> None:
        detail: dict[str, Any] = entry.detail
        for finding in detail.get("findings", ()):
            severity = finding["severity"]
            seen = Text.assemble((f"{severity:<9}", _SEVERITY.get(severity, "")), finding["evidence"])
            self.say(entry.state, seen.append(f": {finding['meaning']}", "dim"))
        verdict = detail.get("verdict", "").replace("_", " ")
        self.say(entry.state, Text.assemble((verdict, "bold"), f": {detail.get('reason')}"))
        if detail.get("plan"):
            self.plan(Plan.model_validate(detail["plan"]))

    def plan(self, plan: Plan) -> None:
        """The plan as a difference, with the way back."""
        label = f"Plan {plan.hash[: words.HASH]}"
        for number, change in enumerate(plan.changes, 1):
            common, before, after = words.difference(change.was, change.becomes)
            line = Text.assemble(f"{number}. {change.operation}   {common}{' ' if common else ''}")
            line.append_text(Text.assemble((before, "red"), " -> ", (after, "green")))
            self.say(label, line)
            self.say(label, Text(f"   {words.way_back(change)}", "dim"))

    def _requested(self, entry: Entry) -> None:
        self._undecided = entry
        text = _awaited(entry)
        if self._live is None:
            self.say("Approval", text)
        self.under_way("Approval", text)

    def _decided(self, entry: Entry) -> None:
        self._undecided = None
        decision = "approved" if entry.detail.get("decision") == "approved" else "denied"
        comment = f': "{entry.detail["comment"]}"' if entry.detail.get("comment") else ""
        plan = str(entry.detail.get("plan_hash", ""))[: words.HASH]
        style = "green" if decision == "approved" else "red"
        who = words.short_person(entry.actor)
        self.say("Approval", Text.assemble((decision, style), f" by {who} for plan {plan}{comment}"))

    def _done(self, entry: Entry) -> None:
        detail: dict[str, Any] = entry.detail
        what = "undone" if entry.event.startswith("undo") else "done"
        number = f"{detail.get('number')}. " if what == "undone" else ""
        self.say(entry.state, Text.assemble((what, "green"), f"   {number}{'   '.join(words.call(detail))}"))

    def _looked(self, entry: Entry) -> None:
        question = _question(entry.state)
        reason = str(entry.detail.get("reason", ""))
        match entry.detail.get("progress"):
            case "pending":
                self._progress[entry.state] = f"{bar(entry.detail)}{reason}{_so_far(entry.detail)}"
            case "failed":
                self._waiting.pop(question, None)
                self.say(question, Text.assemble(("no", "red"), f": {reason}"))
            case _:
                self._waiting.pop(question, None)
                self.say(question, Text.assemble(("yes", "green"), f": {reason}"))

    def _exited_look(self, moment: Moment) -> None:
        progress, question = self._progress.pop(moment.state), _question(moment.state)
        wait = moment.output.get("wait_seconds") if isinstance(moment.output, dict) else None
        text = f"{progress}{f', looking again in {wait} s' if wait else ''}"
        # Without a line that moves, looks that show no progress would fill the screen.
        if self._live is None and progress.partition("]")[0] != self._waiting.get(question, "").partition("]")[0]:
            self.say(question, text)
        self._waiting[question] = text
        self.under_way(question, text)

    def _closed(self, entry: Entry) -> None:
        self.closed = entry
        self._undecided = None
        if self._live is not None:
            self._live.update("")

    # The end

    def states(self, passed: Sequence[Visit]) -> None:
        """The states that were passed, each with a mark; those passed in a loop once, with how often."""
        done, failed, _ = marks(self.console)
        counts: dict[str, int] = {}
        errors: dict[str, str | None] = {}
        for visit in passed:
            counts[visit.state] = counts.get(visit.state, 0) + 1
            errors[visit.state] = visit.error
        line = Text()
        for state, count in counts.items():
            mark, style = (failed, "red") if errors[state] else (done, "green")
            piece = Text.assemble((mark, style), " ", state, f" x{count}" if count > 1 else "")
            line.append_text(piece).append("   ")
        line.rstrip()
        self.say("States passed", line)

    def trail(self, entries: Sequence[Entry]) -> None:
        """The audit trail, one line an entry."""
        self.console.print(Text("  Audit trail", "bold"))
        self.console.print(timeline(self.console, entries))

    def end(self, word: str, text: str, *, good: bool) -> None:
        """The last line."""
        label = Text(f"  {word}", "bold green" if good else "bold red")
        self.console.print(columns(self.console, [label, text], [max(self._width, len(word) + 2)]))


_ONLY_FOR_AUDITORS = {"policy.passed", "phase.started", "phase.applied", "change.intended", "undo.intended"}
"""What the story need not tell; the audit trail does."""


def timeline(console: Console, entries: Sequence[Entry]) -> Text:
    """Entries a line each: number, time, who, what, in words. Looks that only say "not yet" are one line."""
    rows = []
    for group in _grouped(entries):
        entry, times = group[-1], len(group)
        number = str(entry.seq) if times == 1 else f"{group[0].seq}-{entry.seq}"
        text = words.of_entry(entry) + (f" (looked {times} times)" if times > 1 else "")
        rows.append((number, words.time_of(entry.at), words.short_person(entry.actor), entry.event, text))
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else [0] * 4
    widths[2] = min(widths[2], _WIDEST_ACTOR)
    lines = [
        columns(
            console,
            [Text(f"    {number:>{widths[0]}}", "dim"), when, who, Text(event, "bold"), text],
            [widths[0] + 4, *widths[1:]],
        )
        for number, when, who, event, text in rows
    ]
    return Text("\n").join(lines)


def _grouped(entries: Sequence[Entry]) -> list[list[Entry]]:
    groups: list[list[Entry]] = []
    for entry in entries:
        waits = entry.event == "phase.looked" and entry.detail.get("progress") == "pending"
        if groups and waits and groups[-1][-1].state == entry.state and _is_wait(groups[-1][-1]):
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return groups


def _is_wait(entry: Entry) -> bool:
    return entry.event == "phase.looked" and entry.detail.get("progress") == "pending"


def _awaited(asked: Entry) -> str:
    until = words.time_of(str(asked.detail["expires_at"]))
    return f"asked for; somebody other than the requester decides before {until} UTC"


def _label(entry: Entry) -> str:
    if entry.event.startswith("approval."):
        return "Approval"
    return entry.state


def _question(state: str) -> str:
    """The question that a state belongs to: `Look: ` and `Wait: ` lead to its answer. Others go by their own name."""
    for prefix in ("Look: ", "Wait: "):
        if state.startswith(prefix):
            rest = state.removeprefix(prefix)
            return rest[:1].upper() + rest[1:]
    return state


def bar(detail: Mapping[str, Any]) -> str:
    """A bar for a look: what the service says in percent, what the reason counts (`1 of 2 tasks run`), or the time
    that has passed of the time that there is."""
    counted = re.search(r"\b(\d+) of (\d+)\b", str(detail.get("reason", "")))
    if detail.get("percent") is not None:
        share = detail["percent"] / 100
    elif counted is not None and int(counted[2]):
        share = int(counted[1]) / int(counted[2])
    elif detail.get("within"):
        share = detail.get("elapsed", 0) / detail["within"]
    else:
        return ""
    filled = max(0, min(_BAR, round(_BAR * share)))
    return f"[{'=' * filled}{'>' if filled < _BAR else ''}{' ' * (_BAR - filled - 1)}]  "


def _so_far(detail: Mapping[str, Any]) -> str:
    """How long it has taken, once that is a minute or more, and what it may take."""
    elapsed, within = detail.get("elapsed", 0), detail.get("within")
    if elapsed < 60 or not within:
        return ""
    return f", {elapsed // 60} min so far, {within // 60} at most"


def _label_width(runbook: str) -> int:
    labels = ["Undo the changes", f"Plan {'0' * words.HASH}"]
    if runbook in catalogue.names():
        for phase in catalogue.load(runbook).phases:
            labels += [phase.name, phase.question]
    return min(_WIDEST_LABEL, max(map(len, labels)) + 2)
