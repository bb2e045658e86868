"""Booting and ending: one at a time, nothing left behind, everything measured."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from workbench.embedded import EmbeddedAws

from .conftest import SMALL, eventually

REPOSITORY = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.returncode == 0 and not found.stdout.strip().startswith("Z")


def script(text: str) -> str:
    begin = f"""
    from pathlib import Path
    from workbench.embedded import EmbeddedAws
    aws = EmbeddedAws(template=Path({str(SMALL)!r}), stack_name="small")
    """
    return textwrap.dedent(begin) + textwrap.dedent(text)


def run(text: str, *command: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, *command, "-c", script(text)] if not command else [sys.executable, *command],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_there_is_one_at_a_time(embedded: EmbeddedAws) -> None:
    with pytest.raises(RuntimeError, match="close it first"):
        EmbeddedAws()


def test_no_process_outlives_a_killed_parent() -> None:
    done = run(
        """
        import os, signal
        print(aws.invoke("EchoFunction", {})["pid"], aws._functions._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.returncode == -signal.SIGKILL
    worker, root = map(int, done.stdout.split())
    eventually(lambda: not alive(worker) and not alive(root))


def test_closing_ends_all_processes_says_nothing_and_can_be_followed_by_another_boot() -> None:
    done = run(
        """
        pids = [aws.invoke("EchoFunction", {})["pid"], aws._functions._process.pid]
        aws.close()
        print(*pids)
        with EmbeddedAws(template=Path(aws.stack._folder / "template.yaml"), stack_name="small", stage="prod") as aws:
            print(aws.invoke("EchoFunction", {"do": "environment"})["KIND"])
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    *pids, kind = done.stdout.split()
    assert kind == "serious"
    assert not any(alive(int(pid)) for pid in pids)


def test_lines_that_run_in_workers_are_measured(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(script('aws.invoke("EchoFunction", {"do": "print"})\naws.close()\n'))
    source = SMALL.parent / "src"
    (tmp_path / ".coveragerc").write_text(
        f"[run]\nsource = {source}\nparallel = true\nbranch = true\npatch = subprocess, fork, _exit\n"
    )
    done = run("", "-m", "coverage", "run", str(program), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for command in (["combine", "-q"], ["report", "--show-missing"]):
        reported = run("", "-m", "coverage", *command, cwd=tmp_path)
        assert reported.returncode == 0, reported.stderr
    lines = (source / "handlers.py").read_text().splitlines()
    printed = next(number for number, line in enumerate(lines, 1) if 'print("on stdout")' in line)
    raised = next(number for number, line in enumerate(lines, 1) if "raise Refused(event" in line)
    missing = _numbers(reported.stdout.splitlines()[2].rpartition("%")[2])
    assert printed not in missing
    assert raised in missing


def _numbers(text: str) -> set[int]:
    """The lines that coverage calls missing, out of `1-3, 7, 9->11`."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        if part and "->" not in part:
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


def test_whoever_boots_it_may_have_aws_settings_and_a_proxy_of_their_own(tmp_path: Path) -> None:
    settings = tmp_path / "config"
    settings.write_text("this is no configuration")
    own = {
        "AWS_PROFILE": "nosuch",
        "AWS_DEFAULT_PROFILE": "nosuch",
        "AWS_CONFIG_FILE": str(settings),
        "AWS_SHARED_CREDENTIALS_FILE": str(settings),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script("import os; aws.invoke('EchoFunction', {}); aws.close(); print(dict(os.environ))"),
        ],
        env={**os.environ, **own, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = ast.literal_eval(done.stdout.splitlines()[-1])
    assert {name: after[name] for name in own} == own
    assert after.get("MOTO_PORT") == os.environ.get("MOTO_PORT")
