"""Where output goes: results to stdout, what is only of interest while it lasts to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

_WIDTH = 120
"""Columns of output that goes into a file or a pipe."""


def stdout() -> Console:
    """For results. Without a terminal it is plain text, 120 columns wide."""
    return _console(stderr=False)


def stderr() -> Console:
    """For progress and for what went wrong."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else max(_WIDTH, shutil.get_terminal_size((_WIDTH, 25)).columns)
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def columns(console: Console, cells: Sequence[Text | str], widths: Sequence[int]) -> Text:
    """One row of text: each cell as wide as `widths` says, and the last one wrapped below itself, without padding."""
    *first, last = (Text(cell) if isinstance(cell, str) else cell.copy() for cell in cells)
    head = Text()
    for cell, width in zip(first, widths, strict=True):
        cell.truncate(width, overflow="ellipsis", pad=True)
        head.append_text(cell).append("  ")
    room = max(20, console.width - head.cell_len)
    lines = last.wrap(console, room)
    for line in lines:
        line.rstrip()
    return Text.assemble(head, Text(f"\n{' ' * head.cell_len}").join(lines))


def say(console: Console, line: str) -> None:
    """One line of text: wrapped between words on a terminal, left whole in a file or a pipe, where it is searched."""
    console.print(line, soft_wrap=not console.is_terminal)


def table(console: Console, rows: Sequence[Sequence[Text | str]]) -> None:
    """Rows with their cells below each other, nothing cut off.

    Where a terminal is too narrow for the longest, a row's first cell has a line of its own, which can be copied, and
    the others follow indented. In a file or a pipe each row is one line in any case, so that it can be searched.
    """
    texts = [[Text(cell) if isinstance(cell, str) else cell.copy() for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*texts, strict=True)]
    fits = not console.is_terminal or sum(widths) + 2 * (len(widths) - 1) <= console.width
    for row in texts:
        if fits:
            for cell, width in zip(row[:-1], widths, strict=False):
                cell.pad_right(width - cell.cell_len)
            console.print(Text("  ").join(row), soft_wrap=True)
            continue
        console.print(row[0], soft_wrap=True)
        indent = " " * (row[0].cell_len - len(row[0].plain.lstrip()) + 2)
        for line in Text("  ").join(row[1:]).wrap(console, max(20, console.width - len(indent))):
            line.rstrip()
            console.print(Text.assemble(indent, line), soft_wrap=True)


def print_json(document: Any) -> None:
    """The one document that `--json` prints; in ASCII where the output cannot carry more."""
    in_ascii = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(document, indent=2, ensure_ascii=in_ascii, default=str))


def marks(console: Console) -> tuple[str, str, str]:
    """Signs for done, failed and skipped that this output can show."""
    return ("ok", "FAILED", "-") if console.options.ascii_only else ("✓", "✗", "·")


@contextmanager
def working(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Shows on stderr that something takes its time: a spinner on a terminal, else one line."""
    console = stderr()
    if quiet:
        yield
    elif console.is_terminal:
        with console.status(what, spinner="line" if console.options.ascii_only else "dots"):
            yield
    else:
        console.print(f"{what} ...")
        yield
