"""The same commands through the stack's HTTP API, and what goes through it only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbooks.store.runs import Ledger
from workbench import scenario
from workbench.cli import accounts, over_api
from workbench.cli.story import Story
from workbench.embedded import EmbeddedAws
from workbench.embedded.functions import Invocation
from workbench.incident import start_input
from workbench.ledger import ledger_of

RUNBOOK = "ecs-service-rollback"
EVENT = f"events/{RUNBOOK}/health-checks-fail.json"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(accounts, "_POLL", 0.05)


@pytest.fixture
def broken(aws: EmbeddedAws) -> scenario.Scenario:
    standard = scenario.of(RUNBOOK)["health-checks-fail"]
    standard.arrange(aws)
    return standard


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


@pytest.fixture
def person(aws: EmbeddedAws, on_aws) -> Callable[..., Any]:
    """`person("bob")("approve", ...)`: the command line of an IAM user."""

    def of(name: str):
        iam = aws.client("iam")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        env = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

        def run(*arguments: str, typed: str | None = None):
            return on_aws(*arguments, typed=typed, env=env)

        return run

    return of


def plan_of(ledger: Ledger, run_id: str) -> str:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        approval = ledger.approval(run_id)
        if approval is not None and approval.token:
            return approval.plan_hash
        time.sleep(0.03)
    raise TimeoutError(run_id)


def test_a_run_is_started_approved_and_followed_to_its_end(aws, person, ledger, broken):
    alice, bob = person("alice"), person("bob")
    started = alice("start", RUNBOOK, "--input", EVENT, "--api", "--json")
    assert started.code == 0, started.stderr
    run_id = started.document["run_id"]
    plan = plan_of(ledger, run_id)
    own = alice("approve", run_id, "--plan", plan)
    assert own.code == 2
    assert own.complaint.startswith("The API refused it. Own run: ")
    decided = bob("approve", run_id, "--plan", plan[:8], "--comment", "looked at it", "--json")
    assert (decided.document["decision"], decided.document["plan_hash"]) == ("approved", plan)
    followed = alice("follow", run_id, "--api", "--json")
    assert followed.code == 0
    direct = alice("follow", run_id, "--json")
    assert followed.document.keys() == direct.document.keys()
    for same in ("run_id", "execution_arn", "runbook", "status", "outcome", "error", "changes", "audit"):
        assert followed.document[same] == direct.document[same], same
    assert alice("runs", "--api", "--json").document == alice("runs", "--json").document
    text = alice("follow", run_id, "--api").stdout
    for told in ("Plan ", "approved by bob", "Is the service steady?", "chain verified", "SUCCEEDED"):
        assert told in text


def test_a_run_that_is_denied_ends_with_1_and_says_who(person, ledger, broken):
    alice, bob = person("alice"), person("bob")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--api", "--json").document["run_id"]
    answer = bob("deny", run_id, "--plan", plan_of(ledger, run_id), "--comment", "not before the close")
    assert (answer.code, answer.stdout.partition(":")[0]) == (0, "denied")
    followed = alice("follow", run_id, "--api")
    assert followed.code == 1
    assert "not before the close" in followed.stdout


@pytest.mark.parametrize("through", [[], ["--api"]], ids=["straight on AWS", "over the API"])
def test_a_run_is_stopped(aws, person, ledger, broken, through):
    alice = person("alice")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--json", *through).document["run_id"]
    plan_of(ledger, run_id)
    stopped = alice("stop", run_id, "--reason", "wrong service", "--json", *through)
    assert stopped.document["run_id"] == run_id
    followed = alice("follow", run_id, "--json", *through)
    assert (followed.code, followed.document["error"]) == (1, "RunAborted")
    again = alice("stop", run_id, *through)
    assert again.code == 2
    assert "ended" in again.complaint


def test_the_same_name_through_the_api_is_one_run(person, broken):
    alice = person("alice")
    arguments = ["start", RUNBOOK, "--input", EVENT, "--mode", "plan", "--api", "--json", "--name", "INC-4711"]
    assert alice(*arguments).document == alice(*arguments).document
    answer = alice(*arguments, "--reason", "another")
    assert answer.code == 2
    assert "Another request" in answer.complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["approve", "no-such-run", "--plan", "0" * 64], "There is no run 'no-such-run'."),
        (["follow", "arn:aws:states:x", "--api"], "The API knows runs by their ids."),
        (["start", RUNBOOK, "--input", EVENT, "--requested-by", "bob", "--api"], "The API knows who asks"),
        (["stop", "no-such-run", "--api"], "The API refused it. No such run: there is no run no-such-run."),
        (["runs", "--api-url", "http://127.0.0.1:9"], "The API could not be reached"),
    ],
)
def test_what_cannot_be_done_is_said(person, arguments, complaint, monkeypatch):
    monkeypatch.setattr("workbench.cli.gate.APPEARS", 0.1)
    answer = person("alice")(*arguments)
    assert answer.code == 2
    assert answer.complaint.startswith(complaint)


def test_another_plan_than_the_runs_is_not_even_sent(aws, person, ledger, broken):
    alice, bob = person("alice"), person("bob")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--api", "--json").document["run_id"]
    plan = plan_of(ledger, run_id)
    for wrong in ("0" * 64, "abc"):
        answer = bob("approve", run_id, "--plan", wrong)
        assert answer.code == 2
        assert "is not the plan of" in answer.complaint
        assert f"`runbook approve {run_id}` without --plan shows it" in answer.complaint
        assert plan[:8] not in answer.complaint
    without = bob("approve", run_id)
    assert without.complaint.startswith("Say which plan you have looked at: --plan HASH.")


def test_who_may_not_is_told_so(aws, person, broken):
    nobody = person("nobody")
    aws.enforce_iam()
    over_api = nobody("runs", "--api-url", aws.api_url)
    assert over_api.complaint.startswith("The API did not let you in (Forbidden).")
    straight = nobody("start", RUNBOOK, "--input", EVENT)
    assert straight.complaint.startswith("AWS denied ")
    assert "is not authorized to perform: " in straight.complaint


def test_the_message_that_asks_has_a_command_that_works(aws, person, ledger, broken):
    alice, bob = person("alice"), person("bob")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--api", "--json").document["run_id"]
    plan_of(ledger, run_id)
    # The run asks for a decision first, and tells people then.
    give_up = time.monotonic() + 20
    while not (messages := [each["message"] for each in aws.messages if "Approve?" in each["subject"]]):
        assert time.monotonic() < give_up
        time.sleep(0.03)
    (message,) = messages
    (command,) = [line for line in message.splitlines() if line.startswith("runbook approve ")]
    assert bob(*command.split()[1:]).code == 0
    assert alice("follow", run_id).code == 0


def test_a_shell_completes_commands_and_runbooks():
    for typed, completed in [("runbook app", "approve"), ("runbook start water", "watermark-reset")]:
        env = os.environ | {
            "_RUNBOOK_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", "from workbench.cli import main; main()"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert completed in done.stdout.split(), done.stderr


def test_the_input_is_checked_before_anybody_signs_in(runbook):
    given = json.loads(start_input(RUNBOOK, "plan-only")) | {"service": "no such name!"}
    answer = runbook("start", RUNBOOK, "--input", "-", "--api", "--region", "eu-central-1", typed=json.dumps(given))
    assert answer.complaint.startswith("The input does not fit")


def test_whoever_follows_a_run_outlasts_an_api_that_does_not_answer_for_a_while(aws, person, ledger, broken):
    alice = person("alice")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--mode", "plan", "--api", "--json").document["run_id"]
    failed = []

    def down_at_first(event: Any, invoke: Callable[[], Invocation]) -> Invocation:
        if len(failed) == 2:
            return invoke()
        failed.append(event["rawPath"])
        return Invocation("down", json.dumps({"errorType": "Runtime.ExitError", "errorMessage": ""}), failed=True)

    aws.faults.around("ApiFunction", down_at_first)
    followed = alice("follow", run_id, "--api", "--json")
    assert (followed.code, followed.document["status"]) == (0, "SUCCEEDED")
    assert len(failed) == 2


@pytest.mark.parametrize("down", ["nobody listens", "it answers 500"])
def test_whoever_follows_a_run_is_told_when_the_api_stays_away(aws, person, ledger, broken, monkeypatch, down):
    alice = person("alice")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--api", "--json").document["run_id"]
    plan_of(ledger, run_id)
    monkeypatch.setattr(over_api, "PATIENCE", 1.0)
    report = Invocation("down", json.dumps({"errorType": "Runtime.ExitError", "errorMessage": ""}), failed=True)
    aws.faults.around("ApiFunction", lambda event, invoke: report)
    where = ["--api-url", "http://127.0.0.1:9"] if down == "nobody listens" else ["--api"]
    followed = alice("follow", run_id, *where)
    assert followed.code == 2, "1 would say that the run has failed"
    said = (
        "The API could not be reached: " if down == "nobody listens" else "The API refused it. Internal Server Error."
    )
    assert followed.complaint.startswith(said)
    assert f"runbook follow {run_id} --api" in " ".join(followed.complaint.split())
    assert ledger.find(run_id).status == "open"


@pytest.mark.parametrize("way", [[], ["--api"]], ids=["straight", "over the API"])
def test_who_stops_watching_is_told_that_the_run_goes_on(aws, person, broken, monkeypatch, way):
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    run_id = person("alice")("start", RUNBOOK, "--input", EVENT, "--api", "--json").document["run_id"]
    monkeypatch.setattr("workbench.cli.accounts.time.sleep", interrupted)
    answer = person("bob")("follow", run_id, *way)
    assert answer.code == 130
    assert answer.complaint.startswith("Interrupted. The run goes on: ")
    assert " ".join(["`runbook follow", run_id, *way]) + "`" in answer.complaint


def test_who_interrupts_a_start_is_told_that_it_may_have_happened(person, broken, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.cli.accounts._started", interrupted)
    answer = person("alice")("start", RUNBOOK, "--input", EVENT)
    assert answer.code == 130
    assert "may have been started: `runbook runs --open`" in answer.complaint


@pytest.mark.parametrize("way", [[], ["--api"]], ids=["straight", "over the API"])
def test_who_follows_a_run_that_waits_reads_how_somebody_else_approves_it(
    aws, person, ledger, broken, monkeypatch, way
):
    alice, bob = person("alice"), person("bob")
    run_id = alice("start", RUNBOOK, "--input", EVENT, "--api", "--json").document["run_id"]
    plan = plan_of(ledger, run_id)
    ask = Story.ask_for_a_decision

    def ask_and_stop(story: Story, where: str = "") -> None:
        ask(story, where)
        aws.client("stepfunctions").stop_execution(executionArn=arn_of(ledger, run_id))

    monkeypatch.setattr(Story, "ask_for_a_decision", ask_and_stop)
    told = alice("follow", run_id, *way).stdout
    (command,) = [line.strip() for line in told.splitlines() if "runbook approve" in line]
    assert command == f"runbook approve {run_id} --plan {plan[:8]} --profile THEIRS"
    assert "runbook approve" not in bob("follow", run_id, *way).stdout


def arn_of(ledger: Ledger, run_id: str) -> str:
    run = ledger.find(run_id)
    assert run is not None
    return run.execution_arn
