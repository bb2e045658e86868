"""`runbook serve` in a process of its own, used as a person would use it from another terminal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

REPOSITORY = Path(__file__).parents[2]
RUNBOOK = "ecs-service-rollback"
CLI = [sys.executable, "-c", "from workbench.cli import main; main()"]


def shell(config: str | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RUNBOOK_"))}
    paths = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return kept | {"PYTHONPATH": paths} | ({"AWS_CONFIG_FILE": config} if config else {})


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, Any]]:
    """The addresses that it prints, while it serves a broken service."""
    process = subprocess.Popen(
        [*CLI, "serve", RUNBOOK, "--scenario", "health-checks-fail", "--port", "0", "--json"],
        cwd=REPOSITORY,
        env=shell(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read() if process.stderr else ""
    yield json.loads("".join(lines))
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert complaint.endswith("Stopped. Nothing of it is kept.\n")


def runbook(served: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    env = shell(served["aws_config_file"])
    return subprocess.run(
        [*CLI, *arguments], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_broken_service_is_mended_by_two_people_over_the_api(served: dict[str, Any]) -> None:
    assert served["api"].startswith("http://127.0.0.1:")
    event = f"events/{RUNBOOK}/health-checks-fail.json"
    started = runbook(served, "start", RUNBOOK, "--input", event, "--api", "--profile", "alice", "--json")
    run_id = json.loads(started.stdout)["run_id"]
    give_up = time.monotonic() + 60
    while (shown := asked(served, run_id)) is None:
        assert time.monotonic() < give_up
    approved = runbook(served, "approve", run_id, "--plan", shown, "--profile", "bob", "--json")
    assert json.loads(approved.stdout)["decision"] == "approved"
    followed = runbook(served, "follow", run_id, "--api", "--profile", "alice", "--json")
    assert followed.returncode == 0, followed.stderr
    assert json.loads(followed.stdout)["audit_verified"] is True


def asked(served: dict[str, Any], run_id: str) -> str | None:
    """The hash of the plan that the run waits with, by its trail."""
    shown = runbook(served, "audit", "show", run_id, "--profile", "alice", "--json")
    entries = json.loads(shown.stdout)["entries"] if shown.returncode == 0 else []
    return next((each["detail"]["plan_hash"] for each in entries if each["event"] == "approval.requested"), None)


def test_the_aws_cli_works_against_it_as_well(served: dict[str, Any]) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "awscli", "stepfunctions", "list-state-machines", "--profile", "alice"],
        env=shell(served["aws_config_file"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"runbooks-dev-{RUNBOOK}" in listed.stdout, listed.stderr


def test_nobody_gets_in_unsigned_and_nobody_from_elsewhere(served: dict[str, Any]) -> None:
    assert urllib3.request("GET", f"{served['api']}/runs").status == 403
    port = int(served["api"].rpartition(":")[2])
    with pytest.raises(OSError, match="refused"), socket.create_connection((_own_address(), port), timeout=5):
        pass


def _own_address() -> str:
    """An address of this machine that is not the loopback's 127.0.0.1."""
    return "127.0.0.2"


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*CLI, "serve", "--port", port], cwd=REPOSITORY, env=shell(), capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1]
        == f"The API cannot answer on port {port}: Address already in use. Give another --port."
    )


def test_what_ran_on_it_stays_unsealed_as_the_page_on_audit_says(served: dict[str, Any], tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/audit.md").read_text(encoding="utf-8")
    assert "runs stay *not sealed yet*" in " ".join(page.split())
    event = f"events/{RUNBOOK}/plan-only.json"
    started = runbook(served, "start", RUNBOOK, "--input", event, "--follow", "--profile", "alice", "--json")
    run_id = json.loads(started.stdout)["run_id"]
    assert "not sealed yet" in runbook(served, "audit", "show", run_id, "--profile", "alice").stdout
    export, key = str(tmp_path / "trail.json"), str(tmp_path / "key.pem")
    assert runbook(served, "audit", "key", "--out", key, "--profile", "alice").returncode == 0
    assert runbook(served, "audit", "export", run_id, "--out", export, "--profile", "alice").returncode == 0
    verified = runbook(served, "audit", "verify", export, "--key", key)
    assert verified.returncode == 1
    assert "has no seal" in verified.stdout
