"""Running the command line as a person would, and reading what it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.embedded import EmbeddedAws

REPOSITORY = Path(__file__).parents[2]
UNSET = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "RUNBOOK_AUDIT_KEY",
    "RUNBOOK_STACK",
    "RUNBOOK_DEBUG",
)
NO_AWS: dict[str, str | None] = {
    **dict.fromkeys(UNSET),
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true",
    "XDG_CONFIG_HOME": "/nowhere",
}


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)

    @property
    def complaint(self) -> str:
        """What stderr says, of which nobody may say that it is a traceback."""
        assert "Traceback" not in self.stderr
        assert self.stderr.strip(), "nothing was said on stderr"
        return self.stderr.strip()


Command = Callable[..., Answer]


@pytest.fixture
def runbook() -> Command:
    """`runbook("list", "--json")`, in this process and with no AWS around."""

    def run(*arguments: str, typed: str | bytes | None = None, env: Mapping[str, str] | None = None) -> Answer:
        result = CliRunner().invoke(app, arguments, input=typed, env={**NO_AWS, **(env or {})}, prog_name="runbook")
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def installed() -> Command:
    """The same in a process of its own, as the console script runs it."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Answer:
        inherited = {name: value for name, value in os.environ.items() if name not in NO_AWS}
        paths = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
        done = subprocess.run(
            [sys.executable, "-c", "from workbench.cli import main; main()", *arguments],
            env={**inherited, "PYTHONPATH": paths, "PYTHONUTF8": "1", **(env or {})},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            cwd=REPOSITORY,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def on_aws(aws: EmbeddedAws, runbook: Command) -> Command:
    """`runbook` with the embedded AWS for an account."""
    signed_in = {
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": aws.region,
        "AWS_ENDPOINT_URL": aws.endpoint_url,
    }

    def run(*arguments: str, typed: str | bytes | None = None, env: Mapping[str, str] | None = None) -> Answer:
        return runbook(*arguments, typed=typed, env={**signed_in, **(env or {})})

    return run
