"""The auditor's walk of docs/audit.md, one command after the other, in one folder, on one account."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import scenario
from workbench.incident import run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
RUNBOOK = "ecs-service-rollback"
TOOLS = {"runbook": "workbench.cli", "aws": "awscli"}


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def a_day_that_is_over(aws: EmbeddedAws) -> dict[str, str]:
    """A run that failed, since somebody denied its plan, and was sealed on it; what the reader's shell knows of it."""
    standard = scenario.of(RUNBOOK)["health-checks-fail"]
    denied = replace(standard, decision="deny", ends="FAILED", error="ApprovalDenied", world_after=None, changes=0)
    incident = run_scenario(aws, RUNBOOK, denied)
    assert incident.unexpected() == []
    aws.cloudtrail("alice")
    aws.invoke("SealFunction", {})
    day = f"{aws.clock.now():%Y-%m-%d}"
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    aws.settle()
    return {"RUN": incident.run_id, "DAY": day, "ARCHIVE": aws.outputs["ArchiveName"]}


def test_every_command_of_the_walk_does_what_the_page_says(aws: EmbeddedAws, tmp_path: Path) -> None:
    known = a_day_that_is_over(aws)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_REGION": aws.region,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONPATH": paths,
        "COLUMNS": "120",
    }
    said = {}
    for line in commands():
        words = shlex.split(re.sub(r"\$(\w+)", lambda match: known[match[1]], line))
        if words[:2] == ["aws", "lambda"]:
            words = [word for word in words if word not in {"--cli-binary-format", "raw-in-base64-out"}]  # version 2's
        answer = subprocess.run(
            [sys.executable, "-m", TOOLS[words[0]], *words[1:]],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert answer.returncode == 0, f"{line}\n{answer.stdout}{answer.stderr}"
        assert "Traceback" not in answer.stderr
        said[line] = answer.stdout
    verified = [line for line, answer in said.items() if " verify " in line]
    assert len(verified) == 4
    assert all(said[line].startswith("VERIFIED: ") for line in verified)
    assert json.loads((tmp_path / "differences.json").read_text())["differences"] == []
    searches = [answer for line, answer in said.items() if line.startswith("runbook audit search")]
    assert len(searches) == 5
    denied = said["runbook audit search --approved-by bob"]
    assert all((known["RUN"] in answer) == (answer != denied) for answer in searches)
    assert "\nApprovalDenied, execute, asked by alice" in said["runbook audit show $RUN"]
    report = (tmp_path / "report.md").read_text()
    assert report.startswith(f"# {known['RUN']}: ApprovalDenied")
    assert "arn:aws:iam::123456789012:user/bob | denied plan " in report


def test_every_alarm_and_parameter_that_the_page_names_exists() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    for name in ("RetentionMode", "RetentionYears"):
        assert f"`{name}`" in PAGE
        assert f"\n  {name}:\n" in template
    questions = re.findall(r'Name: !Sub "\$\{AWS::StackName\}: (.*)"', template)
    assert len(questions) == 9
    for question in questions:
        assert question[0].lower() + question[1:] in PAGE.replace("\n", " ")
