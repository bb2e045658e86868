"""What people are given is enough for what they are there for, and for nothing of what others are there for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from workbench import scenario
from workbench.iam.template import policy_of, translation_of
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
RUNBOOK = "ecs-service-rollback"
EVENTS = ROOT / "events" / RUNBOOK
Does = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hired(aws: EmbeddedAws, tmp_path: Path) -> Iterator[Callable[..., Does]]:
    """`hired("alice", "StarterPolicy")("runbook", "runs")`: somebody with the reader's policy and that one."""
    scenario.of(RUNBOOK)["health-checks-fail"].arrange(aws)
    template, iam = translation_of(aws.stack), aws.client("iam")
    tools = {"runbook": "workbench.cli", "aws": "awscli"}

    def hire(name: str, *policies: str) -> Does:
        iam.create_user(UserName=name)
        for policy in ("ReaderPolicy", *policies):
            document = json.dumps(policy_of(aws.stack, template, policy))
            arn = iam.create_policy(PolicyName=f"{name}-{policy}", PolicyDocument=document)["Policy"]["Arn"]
            iam.attach_user_policy(UserName=name, PolicyArn=arn)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        env = {each: value for each, value in os.environ.items() if not each.startswith(("AWS_", "RUNBOOK_"))} | {
            "AWS_ENDPOINT_URL": aws.endpoint_url,
            "AWS_REGION": aws.region,
            "AWS_DEFAULT_REGION": aws.region,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }

        def does(tool: str, *words: str) -> subprocess.CompletedProcess[str]:
            aws.enforce_iam()
            command = [sys.executable, "-m", tools[tool], *words]
            return subprocess.run(
                command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
            )

        return does

    yield hire
    assert aws.defects == []


def works(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def plan_of(aws: EmbeddedAws, run_id: str) -> str:
    """The hash of the plan that waits."""
    ledger, give_up = ledger_of(aws.outputs, aws.client("dynamodb")), time.monotonic() + 60
    while (asked := ledger.approval(run_id)) is None:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return asked.plan_hash


@pytest.mark.parametrize("way", [["--api"], []], ids=["over the API", "straight"])
def test_a_starter_starts_and_an_approver_decides(aws: EmbeddedAws, hired: Callable[..., Does], way: list[str]) -> None:
    alice, bob = hired("alice", "StarterPolicy"), hired("bob", "ApproverPolicy")
    event = f"{EVENTS}/health-checks-fail.json"
    run_id = works(alice("runbook", "start", RUNBOOK, "--input", event, *way)).split()[0]
    plan = plan_of(aws, run_id)
    own = alice("runbook", "approve", run_id, "--plan", plan)
    assert "The API did not let you in (Forbidden)." in own.stderr
    not_his = bob("runbook", "start", RUNBOOK, "--input", event, *way)
    assert not_his.returncode == 2
    assert re.search(r"Forbidden|AWS denied StartExecution", not_his.stderr)
    works(bob("runbook", "approve", run_id, "--plan", plan))
    for person in (alice, bob):
        assert "SUCCEEDED" in works(person("runbook", "follow", run_id, *way))
        assert run_id in works(person("runbook", "runs", *way))
        assert run_id in works(person("runbook", "runs", "--runbook", RUNBOOK, *way))
    works(alice("runbook", "runs", "--open", *way))


@pytest.mark.parametrize("way", [["--api"], []], ids=["over the API", "straight"])
def test_a_starter_stops_what_runs(aws: EmbeddedAws, hired: Callable[..., Does], way: list[str]) -> None:
    alice = hired("alice", "StarterPolicy")
    event = f"{EVENTS}/health-checks-fail.json"
    run_id = works(alice("runbook", "start", RUNBOOK, "--input", event, *way)).split()[0]
    plan_of(aws, run_id)
    works(alice("runbook", "stop", run_id, "--reason", "wrong service", *way))


def test_an_auditor_reads_all_of_the_evidence_and_changes_nothing(aws: EmbeddedAws, hired: Callable[..., Does]) -> None:
    alice, carol = hired("alice", "StarterPolicy"), hired("carol", "AuditorPolicy")
    plan_only = f"{EVENTS}/plan-only.json"
    run_id = works(alice("runbook", "start", RUNBOOK, "--input", plan_only, "--follow", "--json"))
    run_id = json.loads(run_id)["run_id"]
    aws.settle()
    aws.cloudtrail("alice")
    aws.invoke("SealFunction", {})
    aws.settle()
    day = f"{aws.clock.now():%Y-%m-%d}"
    works(carol("runbook", "audit", "key", "--out", "key.pem"))
    for words in (
        ["show", run_id],
        ["search", "--actor", "alice", "--from", day, "--to", day],
        ["search", "--runbook", RUNBOOK],
        ["export", run_id, "--out", "trail.json"],
        ["verify", "trail.json", "--key", "key.pem"],
        ["report", run_id],
    ):
        works(carol("runbook", "audit", *words))
    works(carol("aws", "s3", "sync", f"s3://{aws.outputs['ArchiveName']}", "archive"))
    works(carol("runbook", "audit", "verify", "archive", "--key", "key.pem"))
    compare = ["--function-name", f"{aws.stack_name}-reconcile", "--payload", json.dumps({"day": day}), "compared.json"]
    works(carol("aws", "lambda", "invoke", *compare))
    for refused in (
        carol("runbook", "start", RUNBOOK, "--input", plan_only),
        carol("runbook", "start", RUNBOOK, "--input", plan_only, "--api"),
        carol("aws", "s3", "rm", f"s3://{aws.outputs['ArchiveName']}", "--recursive"),
        alice("runbook", "audit", "key", "--out", "alices.pem"),
    ):
        assert refused.returncode != 0
        assert re.search(r"Forbidden|[Dd]enied|not authorized", refused.stderr + refused.stdout)


def test_every_policy_that_the_page_names_is_an_output(aws: EmbeddedAws) -> None:
    named = set(re.findall(r"`(\w+Policy)`", (ROOT / "docs/operating.md").read_text(encoding="utf-8")))
    assert named == {name for name in aws.outputs if name.endswith("Policy")}
