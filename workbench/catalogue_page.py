"""`docs/catalogue.md`: what every runbook does, is asked for and goes through, from the declarations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from runbooks import catalogue
from runbooks.model import Phase, Runbook, RunInput

PAGE = Path("docs/catalogue.md")
"""Relative to the repository's root."""
_COMMAND = "runbook compile"


def render() -> str:
    """The whole page."""
    runbooks = [catalogue.load(name) for name in catalogue.names()]
    summary = [f"| [`{each.name}`](#{each.name}) | {each.title} | {each.risk.value} |" for each in runbooks]
    lines = [
        "# Catalogue",
        "",
        "Made from the declarations by this command, which overwrites the page:",
        "",
        "```sh",
        _COMMAND,
        "```",
        "",
        "| Runbook | What it does | Risk |",
        "| --- | --- | --- |",
        *summary,
        "",
        "Whether a person must approve follows from the risk; [operating.md](operating.md) says how. Every input has",
        "these fields:",
        "",
        *_fields(RunInput.model_json_schema()),
    ]
    for runbook in runbooks:
        lines += ["", *_section(runbook)]
    return "\n".join(lines) + "\n"


def write(root: Path) -> list[Path]:
    """Writes the page of the repository at `root`; returns it if its text has changed."""
    path, text = root / PAGE, render()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [path]


def drift(root: Path) -> list[str]:
    """How the page differs from the declarations, as sentences; empty if it does not."""
    path = root / PAGE
    if not path.exists():
        return [f"{PAGE.as_posix()} is missing; run `{_COMMAND}`."]
    if path.read_text(encoding="utf-8") != render():
        return [f"{PAGE.as_posix()} is not what the declarations say; run `{_COMMAND}`."]
    return []


def _section(runbook: Runbook) -> Iterable[str]:
    folder = f"../src/runbooks/catalogue/{runbook.name.replace('-', '_')}/README.md"
    yield f"## {runbook.name}"
    yield ""
    yield f"{runbook.title}. Risk: {runbook.risk.value}. The procedure, step by step: [README]({folder})."
    yield ""
    yield from _fields(runbook.input.model_json_schema(), without=set(RunInput.model_fields))
    if runbook.phases:
        yield ""
        yield "| Phase | Waits for | At most |"
        yield "| --- | --- | --- |"
        yield from (_phase(phase) for phase in runbook.phases)


def _phase(phase: Phase) -> str:
    name = f"{phase.name} (once it is verified)" if phase.after_verification else phase.name
    return f"| {name} | {phase.question} | {_duration(phase.within)} |"


def _fields(schema: dict[str, Any], without: Iterable[str] = ()) -> Iterable[str]:
    """The fields of an input as a table, those that are required first."""
    required = set(schema.get("required", ()))
    rows = [
        (name not in required, f"| `{name}` | {_need(name in required, field)} | {_cell(field['description'])} |")
        for name, field in schema["properties"].items()
        if name not in without
    ]
    return ["| Field | | |", "| --- | --- | --- |", *(row for _, row in sorted(rows, key=lambda each: each[0]))]


def _need(required: bool, field: dict[str, Any]) -> str:
    if required:
        return "required"
    default = field.get("default")
    return f"`{_cell(json.dumps(default))}` if absent" if default not in (None, [], {}) else "optional"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _duration(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    return f"{minutes} minutes" if minutes != 1 else "1 minute"
