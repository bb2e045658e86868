"""The README's three ways to start a run, each from the start to the audit trail, with the very lines that it shows.

`runbook` and `aws` are run. So is `curl`, if this machine has one that can sign (7.75 or later); if not, what its line
would send is signed and sent by the workbench's own client, which proves the line's words and not that curl takes them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import Credentials

from workbench import scenario
from workbench.api import ApiClient
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbooks.store.runs import Run
    from workbench.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
RUNBOOK = "ecs-service-rollback"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")

Sees = dict[str, str]


def curl_signs() -> bool:
    """Whether there is a curl that knows --aws-sigv4."""
    if shutil.which("curl") is None:
        return False
    told = subprocess.run(["curl", "--help", "all"], capture_output=True, text=True, timeout=30, check=False)
    return "--aws-sigv4" in told.stdout


def lines_of(text: str, beginning: str) -> list[str]:
    """The command lines of the first block after those words."""
    block = re.search(r"```sh\n(.*?)```", text[text.index(beginning) :], re.DOTALL)
    assert block is not None
    return block[1].splitlines()


class Reader:
    """Somebody at a terminal, and what their shell knows: an IAM user, or somebody who has assumed a role."""

    def __init__(self, aws: EmbeddedAws, name: str, role: str | None) -> None:
        self.aws = aws
        iam = aws.client("iam")
        if role is None:
            iam.create_user(UserName=name)
            key = iam.create_access_key(UserName=name)["AccessKey"]
        else:
            trust = '{"Version": "2012-10-17", "Statement": []}'
            arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
            key = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
        self.credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
        self.knows: Sees = {
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "AWS_REGION": aws.region,
            "AWS_DEFAULT_REGION": aws.region,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_SESSION_TOKEN": key.get("SessionToken", ""),
            "API_URL": aws.api_url,
            "MACHINE_ARN": f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}",
        }

    def words(self, line: str) -> list[str]:
        return [re.sub(r"\$(\w+)", lambda name: self.knows[name[1]], word) for word in shlex.split(line)]

    def runs(self, line: str) -> str:
        """What the line prints."""
        tool, *words = self.words(line)
        if tool == "curl":
            return self._curl(line) if curl_signs() else self._as_curl(words)
        module = {"runbook": "workbench.cli", "aws": "awscli"}[tool]
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=os.environ | self.knows,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    def _curl(self, line: str) -> str:
        """A shell runs the very line. That curl prints the status as well is its home's doing."""
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / ".curlrc").write_text('silent\nshow-error\nnoproxy = "*"\nwrite-out = "\\n%{http_code}"\n')
            done = subprocess.run(
                ["sh", "-c", line],
                env=os.environ | self.knows | {"CURL_HOME": home},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        body, _, status = done.stdout.rpartition("\n")
        assert int(status) < 300, f"{line}: {status} {body}"
        return body

    def _as_curl(self, words: list[str]) -> str:
        assert f"aws:amz:{self.aws.region}:execute-api" == words[words.index("--aws-sigv4") + 1]
        body = json.loads(words[words.index("-d") + 1]) if "-d" in words else None
        headers = [words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H"]
        sent = {name: value for name, value in headers if value}
        api = ApiClient(self.aws.api_url, self.credentials, self.aws.region)
        path, _, query = words[-1].removeprefix(self.aws.api_url).partition("?")
        pairs = dict(pair.split("=") for pair in query.split("&") if pair)
        answer = api.send("POST" if "-d" in words else "GET", path, body, headers=sent, query=pairs)
        assert answer.status < 300, f"{words[-1]}: {answer.body!r}"
        return answer.body.decode()


@pytest.fixture
def reader(aws: EmbeddedAws) -> Callable[..., Reader]:
    scenario.of(RUNBOOK)["health-checks-fail"].arrange(aws)
    return lambda name, role=None: Reader(aws, name, role)


def approve(aws: EmbeddedAws, bob: Reader, line: str, pastes: str = "curl ") -> Run:
    """Bob reads the message and pastes the line, or its first that begins so; the run, once it has ended."""
    ledger = ledger_of(aws.outputs, aws.client("dynamodb"))
    give_up = time.monotonic() + 60
    while not (asked := [each["message"] for each in aws.messages if "Approve?" in each["subject"]]):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    bob.knows["RUN"] = re.search(r"^Run (\S+)$", asked[0], re.MULTILINE)[1]
    bob.knows["PLAN_HASH"] = re.search(r"^Plan (\w+)$", asked[0], re.MULTILINE)[1]
    bob.runs(line or next(each for each in asked[0].splitlines() if re.match(pastes, each)))
    while (run := ledger.find(bob.knows["RUN"])) is None or run.status == "open":
        assert time.monotonic() < give_up
        time.sleep(0.05)
    aws.settle()
    return run


def verified(aws: EmbeddedAws, run: Run) -> bool:
    standard: Any = scenario.of(RUNBOOK)["health-checks-fail"]
    return bool(run.outcome == "SUCCEEDED" and run.verified and standard.world(aws) == standard.world_after)


def test_from_the_console(aws: EmbeddedAws, reader: Callable[..., Reader]) -> None:
    alice, bob = reader("alice"), reader("bob", role="OnCall")
    (line,) = lines_of(README, "**From the console.**")
    alice.runs(line)
    run = approve(aws, bob, "")
    assert verified(aws, run)
    bob.knows["RUN"] = run.run_id
    shows, lists = [line for line in lines_of(CONSOLE, "## Watch") if line.startswith("curl ")]
    assert json.loads(bob.runs(shows))["run_id"] == run.run_id
    assert json.loads(bob.runs(lists))["runs"] == []
    audit, verification = lines_of(CONSOLE, "## Read how it ended")
    assert json.loads(bob.runs(audit))["entries"][0]["event"] == "run.started"
    assert json.loads(bob.runs(verification))["whole"] is True


@pytest.mark.parametrize(
    ("pastes", "outcome"),
    [
        ("runbook approve ", "SUCCEEDED"),
        ("curl .*approve", "SUCCEEDED"),
        ("runbook deny ", "ApprovalDenied"),
        ("curl .*deny", "ApprovalDenied"),
    ],
)
def test_every_line_of_the_message_decides_as_it_says(
    aws: EmbeddedAws, reader: Callable[..., Reader], pastes: str, outcome: str
) -> None:
    alice, bob = reader("alice"), reader("bob", role="OnCall")
    (line,) = lines_of(README, "**From the console.**")
    alice.runs(line)
    run = approve(aws, bob, "", pastes)
    assert (run.error_name or run.outcome) == outcome
    assert verified(aws, run) == (outcome == "SUCCEEDED")


def test_by_api(aws: EmbeddedAws, reader: Callable[..., Reader]) -> None:
    alice, bob = reader("alice"), reader("bob", role="OnCall")
    start, show, audit, verification = lines_of(README, "**By API**")
    alice.knows["RUN"] = json.loads(alice.runs(start))["run_id"]
    assert json.loads(alice.runs(start))["run_id"] == alice.knows["RUN"]
    (decide,) = lines_of((ROOT / "docs/operating.md").read_text(encoding="utf-8"), "## Approving")
    run = approve(aws, bob, decide)
    assert verified(aws, run)
    assert json.loads(alice.runs(show))["status"] == "SUCCEEDED"
    assert json.loads(alice.runs(audit))["entries"][-1]["event"] == "run.closed"
    assert json.loads(alice.runs(verification))["whole"] is True


def test_by_cli(aws: EmbeddedAws, reader: Callable[..., Reader]) -> None:
    alice, bob = reader("alice"), reader("bob", role="OnCall")
    plan, start, follow, decide, stop = lines_of(README, "**By CLI**")
    assert "SUCCEEDED" in alice.runs(plan)
    alice.knows["RUN"] = alice.runs(start).split()[0]
    run = approve(aws, bob, decide)
    assert run.run_id == alice.knows["RUN"]
    assert verified(aws, run)
    assert "chain verified" in alice.runs(follow)
    audit = next(line for line in lines_of(README, "## Read the audit trail") if "--json" in line)
    assert json.loads(alice.runs(audit))["audit_verified"] is True
    assert "--reason" in stop
