"""`start`, `follow`, `runs` and `audit show` against an endpoint that answers as AWS does."""

from __future__ import annotations

import json

import pytest

from workbench import scenario
from workbench.cli import accounts
from workbench.embedded import EmbeddedAws
from workbench.incident import run_scenario

RUNBOOK = "ecs-service-rollback"
FIT = {
    "mode": "plan",
    "reason": "INC-4711",
    "requested_by": "alice",
    "cluster": "snowflake-analytics-cluster",
    "service": "snowflake-report-service",
}
TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/snowflake-analytics-cluster/snowflake-report-service"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(accounts, "_POLL", 0.05)


@pytest.fixture
def broken(aws: EmbeddedAws) -> scenario.Scenario:
    """The standard incident, arranged."""
    standard = next(iter(scenario.of(RUNBOOK).values()))
    standard.arrange(aws)
    return standard


def start(on_aws, *more, **changes):
    return on_aws("start", RUNBOOK, "--input", "-", *more, typed=json.dumps(FIT | changes))


def test_start_says_which_run_it_started_and_the_run_is_there(aws, on_aws):
    started = start(on_aws, "--json", "--name", "INC-4711")
    assert started.code == 0
    assert started.document["execution_arn"].endswith(f":runbooks-dev-{RUNBOOK}:INC-4711")
    followed = on_aws("follow", started.document["run_id"], "--json")
    assert followed.document["run_id"] == started.document["run_id"]


def test_a_run_is_followed_before_it_is_in_the_state_table(aws, on_aws, monkeypatch):
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    monkeypatch.setattr("runbooks.store.runs.Ledger.find", lambda self, run_id: None)
    assert on_aws("follow", run_id, "--json").document["status"] == "FAILED"


def test_a_run_whose_execution_aws_has_forgotten_still_has_its_trail(aws, on_aws):
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    aws.faults.fail("states:GetExecutionHistory", code="ExecutionDoesNotExist", message="Execution Does Not Exist")
    answer = on_aws("follow", run_id)
    assert answer.code == 2
    assert f"`runbook audit show {run_id}`" in answer.complaint
    assert on_aws("audit", "show", run_id).code == 0


def test_the_same_run_is_followed_by_its_executions_arn(on_aws):
    started = start(on_aws, "--json").document
    followed = on_aws("follow", started["execution_arn"], "--json")
    assert followed.document["run_id"] == started["run_id"]
    assert followed.document["error"] == "Refused"


def test_a_plan_of_a_broken_service_succeeds_and_changes_nothing(aws, on_aws, broken):
    before = broken.world(aws)
    answer = start(on_aws, "--follow", "--json")
    assert answer.code == 0
    assert (answer.document["status"], answer.document["outcome"]) == ("SUCCEEDED", "SUCCEEDED")
    assert answer.document["changes"] == []
    assert broken.world(aws) == before


def test_a_run_that_fails_ends_with_1_and_its_error(on_aws):
    answer = start(on_aws, "--follow")
    assert answer.code == 1
    last = answer.stdout.strip().splitlines()[-1]
    assert "Refused" in answer.stdout
    assert last.endswith("chain verified")


def test_who_starts_is_who_is_signed_in_if_nobody_is_named(on_aws):
    fields = [f"--field={key}={FIT[key]}" for key in ("cluster", "service")]
    answer = on_aws("start", RUNBOOK, *fields, "--reason", "INC-4711", "--follow", "--json")
    entries = answer.document["audit"]
    assert entries[0]["actor"] not in {"", "unknown", "alice"}


def test_who_asks_under_another_name_than_aws_knows_is_told_what_that_means(on_aws):
    answer = start(on_aws)
    assert answer.code == 0
    assert answer.complaint.startswith("The input says that alice asks, and AWS knows you as ")
    assert "Neither alice nor you may approve its plan." in answer.complaint
    own = answer.complaint.removeprefix("The input says that alice asks, and AWS knows you as ").partition(". ")[0]
    assert "The input says" not in start(on_aws, requested_by=own).stderr


@pytest.mark.parametrize(
    ("named", "shown", "identity"),
    [
        (None, "alice (unverified)", None),
        ("alice", "alice", "arn:aws:iam::123456789012:user/alice"),
        ("mallory", "alice (CloudTrail: mallory)", "arn:aws:iam::123456789012:user/mallory"),
    ],
    ids=["nobody", "the same", "another"],
)
def test_whose_name_was_only_claimed_is_said_wherever_the_run_is_shown(aws, on_aws, named, shown, identity):
    started = start(on_aws, "--follow", "--json").document
    if named:
        aws.cloudtrail(named, started["execution_arn"])
    run = started["run_id"]
    assert f"  {shown}  " in on_aws("runs").stdout
    assert f"  {shown}  " in on_aws("audit", "search", "--runbook", RUNBOOK).stdout
    assert f", asked by {shown} on 20" in on_aws("audit", "show", run).stdout
    for document in (
        on_aws("runs", "--json").document[0],
        on_aws("audit", "search", "--runbook", RUNBOOK, "--json").document["runs"][0],
        on_aws("audit", "show", run, "--json").document,
    ):
        assert (document["identity"], document["attributed_to"]) == ("unverified", identity)


def test_the_mode_on_the_command_line_goes_before_the_one_in_the_input(aws, on_aws):
    run_id = start(on_aws, "--mode", "execute", "--follow", "--json").document["run_id"]
    (listed,) = on_aws("runs", "--json").document
    assert (listed["run_id"], listed["mode"]) == (run_id, "execute")


def test_a_name_that_was_used_for_another_input_is_refused(on_aws):
    assert start(on_aws, "--name", "INC-4711").code == 0
    answer = start(on_aws, "--name", "INC-4711", reason="another")
    assert answer.code == 2
    assert "Give another --name." in answer.complaint


@pytest.mark.parametrize("way", [[], ["--api"]], ids=["straight", "over the API"])
def test_a_run_that_was_started_before_is_not_said_to_be_started_again(on_aws, broken, way):
    execute = ["--mode", "execute", "--name", "INC-4711", *way]  # it waits for an approval
    first, second = start(on_aws, *execute), start(on_aws, *execute)
    assert first.stdout == second.stdout
    assert first.complaint.splitlines()[-1].startswith("Started. ")
    assert second.complaint.splitlines()[-1].startswith("Nothing new was started: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["runs", "--stack", "no-such-stack"], "There is no stack 'no-such-stack' in eu-central-1."),
        (["follow", f"{RUNBOOK}-20260101T000000Z-00000000"], "There is no run "),
        (["audit", "show", "nonsense"], "There is no run 'nonsense' in runbooks-dev."),
        (
            ["follow", f"arn:aws:states:eu-central-1:123456789012:execution:runbooks-dev-{RUNBOOK}:no-such"],
            "There is no execution arn:aws:states:",
        ),
        (
            ["follow", "arn:aws:states:eu-central-1:123456789012:execution:somebody-elses:no-such"],
            "is no execution of the stack runbooks-dev.",
        ),
    ],
)
def test_what_is_not_there_is_said(on_aws, arguments, complaint):
    answer = on_aws(*arguments)
    assert answer.code == 2
    assert complaint in answer.complaint


def test_a_denied_call_is_said_with_what_to_do(aws, on_aws):
    aws.faults.fail("states:StartExecution", code="AccessDeniedException", message="User alice may not.")
    answer = start(on_aws)
    assert answer.code == 2
    assert answer.complaint.startswith("AWS denied StartExecution: User alice may not.")


def test_an_endpoint_that_does_not_answer_is_said(runbook):
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    answer = runbook("runs", "--region", "eu-central-1", "--endpoint-url", "http://127.0.0.1:9", env=env)
    assert answer.code == 2
    assert answer.complaint.startswith("AWS could not be reached")


def test_without_a_region_one_is_asked_for(runbook):
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    answer = runbook("runs", env=env)
    assert answer.code == 2
    assert "Give --region" in answer.complaint


def test_a_profile_that_is_not_there_is_said(runbook):
    answer = runbook("runs", "--profile", "no-such-profile", "--region", "eu-central-1")
    assert answer.code == 2
    assert "no-such-profile" in answer.complaint


def test_runs_are_listed_by_runbook_target_and_open_ones(aws, on_aws):
    first, second = (start(on_aws, "--follow", "--json", "--name", name).document["run_id"] for name in ("a", "b"))
    for arguments in [], ["--runbook", RUNBOOK], ["--target", TARGET]:
        listed = on_aws("runs", *arguments, "--json").document
        assert {run["run_id"] for run in listed} == {first, second}
        assert {(run["status"], run["error"]) for run in listed} == {("FAILED", "Refused")}
    assert on_aws("runs", "--open", "--json").document == []
    assert on_aws("runs", "--target", f"{TARGET}-other", "--json").document == []


def test_a_target_is_found_by_what_the_table_shows_of_it_and_one_that_is_not_there_is_named(on_aws):
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    shown = on_aws("runs").stdout.split()[-1]
    assert shown == "service/snowflake-analytics-cluster/snowflake-report-service"
    for command in (("runs",), ("runs", "--api"), ("audit", "search")):
        assert run_id in on_aws(*command, "--target", shown).stdout, command
        missed = on_aws(*command, "--target", "report-service")
        assert missed.stdout.startswith("None of these runs is on a target 'report-service'. Name it by its ARN"), (
            command
        )
        other = on_aws(*command, "--target", f"{TARGET}-other")
        assert other.stdout == "There are no such runs.\n", command


def test_runs_are_a_table_for_people(on_aws):
    assert on_aws("runs").stdout == "There are no such runs.\n"
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    header, line = on_aws("runs").stdout.splitlines()
    assert header.split() == ["RUN", "MODE", "STATUS", "ERROR", "STARTED", "(UTC)", "BY", "TARGET"]
    assert line.startswith(run_id)
    assert "  plan  FAILED  Refused  " in line
    assert line.endswith("  alice (unverified)  service/snowflake-analytics-cluster/snowflake-report-service")


def test_a_plan_that_succeeded_does_not_read_like_a_recovery(aws, on_aws, broken):
    start(on_aws, "--follow", "--json")
    for command in (("runs",), ("audit", "search", "--runbook", RUNBOOK)):
        header, line = on_aws(*command).stdout.splitlines()
        assert header.split()[:2] == ["RUN", "MODE"]
        assert line.split()[1:3] == ["plan", "SUCCEEDED"]
    (listed,) = on_aws("runs", "--json").document
    (found,) = on_aws("audit", "search", "--runbook", RUNBOOK, "--json").document["runs"]
    assert (listed["mode"], found["mode"]) == ("plan", "plan")


def test_the_audit_trail_is_a_timeline_and_its_chain_is_verified(on_aws):
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    answer = on_aws("audit", "show", run_id)
    assert answer.code == 0
    lines = answer.stdout.splitlines()
    assert lines[0].startswith(run_id)
    assert lines[-1] == "4 audit entries, chain verified, not sealed yet"
    for event in "run.started", "policy.passed", "diagnosis.made", "run.closed":
        assert event in answer.stdout
    as_json = on_aws("audit", "show", run_id, "--json").document
    assert [entry["seq"] for entry in as_json["entries"]] == [1, 2, 3, 4]
    assert as_json["audit_verified"] is True


def test_an_edited_entry_is_found(aws, on_aws):
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    aws.client("dynamodb").update_item(
        TableName=aws.outputs["AuditTableName"],
        Key={"run_id": {"S": run_id}, "seq": {"N": "3"}},
        UpdateExpression="SET actor = :mallory",
        ExpressionAttributeValues={":mallory": {"S": "mallory"}},
    )
    answer = on_aws("audit", "show", run_id)
    assert answer.code == 1
    last = answer.stdout.strip().splitlines()[-1]
    assert last == "4 audit entries, CHAIN BROKEN: entry 3 was changed after it was written"
    as_json = on_aws("audit", "show", run_id, "--json")
    assert as_json.code == 1
    assert as_json.document["audit_verified"] is False


def test_a_dropped_entry_is_found(aws, on_aws):
    run_id = start(on_aws, "--follow", "--json").document["run_id"]
    aws.client("dynamodb").delete_item(
        TableName=aws.outputs["AuditTableName"], Key={"run_id": {"S": run_id}, "seq": {"N": "2"}}
    )
    answer = on_aws("audit", "show", run_id)
    assert answer.code == 1
    assert "CHAIN BROKEN: entry 2 is missing before entry 3" in answer.stdout


def test_a_mended_run_reads_as_what_happened(aws, on_aws):
    incident = run_scenario(aws, RUNBOOK, next(iter(scenario.of(RUNBOOK).values())))
    assert incident.unexpected() == []
    text = " ".join(on_aws("audit", "show", incident.run_id).stdout.split())
    for word in "approval.decided", "bob", "approved plan", "change.done", " -> ", "verified", "SUCCEEDED, after":
        assert word in text
