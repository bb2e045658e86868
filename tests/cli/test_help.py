"""Help and mistakes: what a person who has never used it sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli.app import app

REPOSITORY = Path(__file__).parents[2]

GROUPS = [[str(group.name)] for group in app.registered_groups]
COMMANDS = [
    *([str(command.name)] for command in app.registered_commands),
    *(
        [str(group.name), str(command.name)]
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands
    ),
]


@pytest.mark.parametrize("command", [[], *GROUPS, *COMMANDS], ids=lambda command: " ".join(command) or "runbook")
def test_every_command_explains_itself_with_an_example(runbook, command):
    answer = runbook(*command, "--help")
    assert answer.code == 0
    assert "Examples:\n" in answer.stdout
    assert f"runbook {' '.join(command)}".strip() in answer.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_can_print_json(runbook, command):
    assert "--json" in runbook(*command, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["shwo"], "No such command 'shwo'. Did you mean 'show'? See `runbook --help`."),
        (["list", "--jsno"], "No such option: --jsno"),
        (["show"], "Missing argument 'NAME'. See `runbook show --help`."),
        (["show", "no-such-runbook"], "There is no runbook 'no-such-runbook'. There are: "),
        (["demo", "no-such-runbook"], "There is no runbook 'no-such-runbook'. There are: "),
        (["start", "no-such-runbook"], "There is no runbook 'no-such-runbook'. There are: "),
        (["runs", "--runbook", "no-such-runbook"], "There is no runbook 'no-such-runbook'. There are: "),
        (["demo", "--plan", "--deny"], "With --plan nobody is asked"),
        (["demo", "--all", "--scenario", "x"], "Give one of them."),
        (["demo", "--export", "/nonexistent/x.json"], "--export /nonexistent/x.json: there is no folder /nonexistent."),
        (["demo", "--key-out", "/"], "--key-out / is a folder."),
        (["runs", "--api", "--api-url", "foo"], "--api-url must begin with http:// or https://, and 'foo' does not."),
        (["approve", "X", "--api-url", "ftp://x"], "--api-url must begin with http:// or https://"),
        (["runs", "--endpoint-url", "x"], "--endpoint-url must begin with http:// or https://, and 'x' does not."),
        (["audit", "key", "--endpoint-url", "http://"], "and 'http://' does not."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_answered_with_a_sentence_and_exit_code_2(runbook, arguments, complaint):
    answer = runbook(*arguments)
    assert answer.code == 2
    assert complaint in answer.complaint
    assert len(answer.complaint.splitlines()) == 1
    assert answer.stdout == ""


def test_without_a_command_the_help_is_shown(runbook):
    answer = runbook()
    assert answer.code == 2
    assert answer.complaint.startswith("Usage: runbook")


def test_the_console_script_answers_without_a_traceback(installed):
    answer = installed("show", "no-such-runbook")
    assert answer.code == 2
    assert answer.complaint.startswith("There is no runbook")


def test_help_is_quick_since_nothing_heavy_is_imported():
    heavy = ("boto3", "botocore", "moto", "stepfunctions")
    program = (
        "import sys; from workbench.cli.app import app; app(['start', '--help'], standalone_mode=False);"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    paths = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unforeseen_problem_is_a_sentence_too(runbook, monkeypatch):
    def broken() -> list[str]:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("runbooks.catalogue.names", broken)
    answer = runbook("list")
    assert answer.code == 2
    assert answer.complaint.startswith("Something that nobody foresaw: ZeroDivisionError: of all things.")


def test_an_interrupted_command_that_started_nothing_speaks_of_no_run(runbook, monkeypatch):
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("runbooks.catalogue.names", interrupted)
    answer = runbook("list")
    assert answer.code == 130
    assert answer.complaint == "Interrupted."
