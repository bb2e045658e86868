"""Every command of README and docs is run, as far as this can be without an account."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runbooks.api.approvals import Ballot
from runbooks.api.routes import document
from runbooks.api.standing import Given, Revoked
from runbooks.api.starting import Wanted
from runbooks.policy import Policy, parse_policy
from runbooks.store.runs import run_id_of
from workbench import scenario
from workbench.incident import start_input

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNBOOK = "ecs-service-rollback"
SCHEDULED = "<aws.scheduler.scheduled-time>"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


WALKED = ROOT / "docs/audit.md"
"""Its commands follow from each other; test_audit_walk.py runs them."""


def commands() -> list[str]:
    lines = [
        line
        for page in PAGES
        if page != WALKED
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.strip()
    ]
    return list(dict.fromkeys(lines))


def of_tool(tool: str) -> list[str]:
    return [line for line in commands() if line.split()[0] == tool]


def environment(aws: EmbeddedAws) -> dict[str, str]:
    """The reader's shell: an account, a machine, and a run that has ended."""
    scenario.of(RUNBOOK)["healthy-already"].arrange(aws)
    client = aws.client("stepfunctions")
    machine = f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"
    started = client.start_execution(stateMachineArn=machine, name="earlier", input=start_input(RUNBOOK, "plan-only"))
    while client.describe_execution(executionArn=started["executionArn"])["status"] == "RUNNING":
        pass
    aws.settle()
    return os.environ | {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_REGION": aws.region,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "MACHINE_ARN": machine,
        "API_URL": aws.api_url,
        "RUN": run_id_of(RUNBOOK, started["executionArn"], started["startDate"].astimezone(UTC)),
        "COLUMNS": "120",
    }


def run(line: str, tool: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [re.sub(r"\$(\w+)", lambda match: env[match[1]], word) for word in shlex.split(line)[1:]]
    return subprocess.run([*tool, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=180, check=False)


def test_every_command_is_of_a_tool_that_is_tested_here() -> None:
    assert {line.split()[0] for line in commands()} == {"make", "sam", "runbook", "aws", "curl", "eval", "export"}


STEERS = {"approve", "deny", "revoke", "stop"}
"""What is said to a run that is under way; test_three_ways.py says it to one."""


@pytest.mark.parametrize("line", [line for line in of_tool("runbook") if line.split()[1] not in STEERS])
def test_runbook_commands_do_what_the_page_says(aws: EmbeddedAws, line: str) -> None:
    answer = run(line, [sys.executable, "-m", "workbench.cli"], environment(aws))
    assert answer.returncode == 0, answer.stderr
    assert "Traceback" not in answer.stderr
    if "--json" in line:
        json.loads(answer.stdout)


def test_the_transcript_in_the_readme_is_what_the_demo_prints(aws: EmbeddedAws) -> None:
    (shown,) = blocks(ROOT / "README.md", "text")
    env = environment(aws) | {"COLUMNS": "118"}
    answer = run("runbook demo", [sys.executable, "-m", "workbench.cli"], env)
    assert without_times(answer.stdout) == without_times(shown)


def without_times(text: str) -> list[str]:
    """What stays the same from run to run: neither clock times, nor ids, nor where that breaks the lines."""
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|-\d{8}T\d{6}Z-[0-9a-f]{8}\b", "<id>", text)
    text = re.sub(r"plan [0-9a-f]{8}\b|Plan [0-9a-f]{8}\b", "plan <hash>", text)
    text = re.sub(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z|\b\d{2}:\d{2}:\d{2}\b", "<time>", text)
    return re.sub(r"\b\d+(\.\d)? s\b", "<seconds>", text).split()


@pytest.mark.parametrize("line", of_tool("aws"))
def test_aws_commands_are_accepted(aws: EmbeddedAws, line: str) -> None:
    first = line.replace(" --cli-binary-format raw-in-base64-out", "")  # version 2 wants it, and version 1 is here
    answer = run(first, [sys.executable, "-m", "awscli"], environment(aws))
    assert answer.returncode == 0, answer.stderr
    assert "FunctionError" not in answer.stdout


def test_the_shell_knows_what_the_commands_use(aws: EmbeddedAws) -> None:
    known = environment(aws)
    set_here = dict.fromkeys(("API_URL", "MACHINE_ARN", "AWS_REGION"))
    script = [
        f'aws() {{ "{sys.executable}" -m awscli "$@"; }}',
        *of_tool("export"),
        *(f'echo "{name}=${name}"' for name in (*set_here, "PATH")),
    ]
    env = {name: value for name, value in known.items() if name not in set_here}
    told = subprocess.run(
        ["sh", "-ec", "\n".join(script)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert told.returncode == 0, told.stderr
    said = dict(line.split("=", 1) for line in told.stdout.splitlines())
    assert said["PATH"] == f"{known['PATH']}:{ROOT}/.venv/bin"
    assert {name: said[name] for name in set_here} == {name: known[name] for name in set_here}


def test_every_variable_of_the_commands_is_told_where_it_comes_from() -> None:
    set_by_the_shell = {"PWD", "PATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in set(re.findall(r"\$\{?([A-Z_]+)", "".join(blocks(page, "sh")))) - set_by_the_shell:
            assert any(f"export {name}=" in each or f"`${name}` is" in each for each in (readme, text)), (page, name)


@pytest.mark.parametrize("line", of_tool("make"))
def test_make_targets_exist(line: str) -> None:
    answer = run(f"make -n {line.partition(' ')[2]}", ["make"], dict(os.environ))
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("line", of_tool("sam"))
def test_sam_commands_exist_and_name_a_configuration_that_exists(line: str) -> None:
    words = shlex.split(line)
    env = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}
    shown = subprocess.run(
        [sys.executable, "-m", "samcli", words[1], "--help"], env=env, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for option in words[2:]:
        assert not option.startswith("--") or option in shown.stdout
    if "--config-env" in words:
        configured = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
        assert words[words.index("--config-env") + 1] in configured


BODIES = {
    ("post", "/runs"): Wanted,
    ("post", "/runs/{run_id}/approval"): Ballot,
    ("put", "/standing-approvals/{runbook}"): Given,
    ("delete", "/standing-approvals/{runbook}"): Revoked,
}


@pytest.mark.parametrize("line", of_tool("curl"))
def test_the_signed_request_fits_the_api(line: str) -> None:
    words = [word.replace("$PLAN_HASH", "a" * 64) for word in shlex.split(line)]
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
    path = words[-1].removeprefix("$API_URL").replace("$RUN", "{run_id}").partition("?")[0]
    path = re.sub(r"(?<=^/standing-approvals/).*", "{runbook}", path)
    assert method.lower() in document.document()["paths"][path]
    if method != "GET":
        assert BODIES[method.lower(), path].model_validate_json(words[words.index("-d") + 1])


def test_the_policy_that_is_shown_is_valid_and_its_defaults_are_the_defaults() -> None:
    (shown,) = [block for page in PAGES for block in blocks(page, "json") if "kill_switch" in block]
    policy = parse_policy(shown)
    different = {name for name in Policy.model_fields if getattr(policy, name) != getattr(Policy(), name)}
    assert different == {"approval_in_stage", "freeze_windows", "protected_targets"}


def test_every_file_that_a_page_links_to_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_runbook_is_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for folder in sorted(set((ROOT / "events").iterdir()) - {ROOT / "events" / "triggers"}):
        assert f"`{folder.name}`" in readme
