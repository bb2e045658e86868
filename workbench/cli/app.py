"""The commands, and the one place where a problem becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from workbench.cli import accounts, audit, demo, reference, scaffold, serve, steering
from workbench.cli.failures import INTERRUPTED, Stop, sentence
from workbench.cli.texts import example

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises; its name has moved between releases of typer."""
DEBUG = "RUNBOOK_DEBUG"
"""Set in the environment, an unforeseen problem shows its traceback."""


class Commands(TyperGroup):
    """Turns every problem into a sentence on stderr: nobody on call reads a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **more: Any,
    ) -> Any:
        """Runs a command, and exits with its code in standalone mode; else returns the code."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **more)
            if code == INTERRUPTED:
                _say("Interrupted.", code)
        except UsageError as wrong:
            code = _say(_usage(wrong), 2)
        except Exception as problem:
            if os.environ.get(DEBUG):
                raise
            told = sentence(problem) or (
                f"Something that nobody foresaw: {type(problem).__name__}: {problem}."
                f" Set {DEBUG}=1 to see where, and report it."
            )
            code = _say(told, problem.code if isinstance(problem, Stop) else 2)
        code = code if isinstance(code, int) else 0
        if standalone_mode:
            sys.exit(code)
        return code


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _usage(wrong: Any) -> str:
    context = getattr(wrong, "ctx", None)
    path = context.command_path if context else "runbook"
    said: str = wrong.format_message().strip()
    if said.startswith("Usage:"):
        return said  # no command was given, and the help says which there are
    return f"{said}{'' if said.endswith(('.', '?', '!')) else '.'} See `{path} --help`."


app = typer.Typer(
    cls=Commands,
    name="runbook",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Diagnose, plan, apply, verify and undo: runbooks as AWS Step Functions state machines.",
    epilog=example("runbook demo", "runbook start ecs-service-rollback --input incident.json --follow"),
)
reference.register(app)
demo.register(app)
accounts.register(app)
audit.register(app)
steering.register(app)
serve.register(app)
scaffold.register(app)
