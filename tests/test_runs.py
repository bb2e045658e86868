"""What a caller can rely on, whatever the runbook: bad input, repeated starts, and the calls that are made."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

import pytest

from runbooks.aws.operations import is_read
from runbooks.store import audit
from runbooks.store.runs import Ledger, Run, run_id_of
from workbench import scenario
from workbench.incident import Incident, run_scenario, signed_request, start_input
from workbench.ledger import ledger_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
SCENARIOS = scenario.of(RUNBOOK)
GOOD = {
    "mode": "plan",
    "reason": "INC-1",
    "requested_by": "alice",
    "cluster": "snowflake-analytics-cluster",
    "service": "snowflake-report-service",
}


@pytest.fixture
def ledger(aws: EmbeddedAws) -> Ledger:
    return ledger_of(aws.outputs, aws.client("dynamodb"))


def machine(aws: EmbeddedAws) -> str:
    return f"arn:aws:states:{aws.region}:{aws.account_id}:stateMachine:{aws.stack_name}-{RUNBOOK}"


def ended(aws: EmbeddedAws, execution: str) -> dict[str, Any]:
    client, give_up = aws.client("stepfunctions"), time.monotonic() + 60
    while (described := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < give_up, f"{execution} does not end"
        time.sleep(0.02)
    aws.settle()
    result: dict[str, Any] = described
    return result


def started(aws: EmbeddedAws, document: Any, name: str = "one") -> tuple[dict[str, Any], str]:
    """The execution when it has ended, and its run's id."""
    answer = aws.client("stepfunctions").start_execution(
        stateMachineArn=machine(aws), name=name, input=json.dumps(document)
    )
    run_id = run_id_of(RUNBOOK, answer["executionArn"], answer["startDate"].astimezone(UTC))
    return ended(aws, answer["executionArn"]), run_id


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({**GOOD, "cluster": 7}, "cluster: Input should be a valid string (got 7)"),
        ({**GOOD, "service": None}, "service: Input should be a valid string (got None)"),
        ({**GOOD, "service": ""}, "service: String should match pattern"),
        ({**GOOD, "mode": "yes"}, "mode: Input should be 'plan' or 'execute' (got 'yes')"),
        ({**GOOD, "force": True}, "force: Extra inputs are not permitted"),
        ({name: value for name, value in GOOD.items() if name != "cluster"}, "cluster: Field required"),
        ({}, "reason: Field required"),
        ([], "it is an array"),
        ([GOOD], "it is an array"),
        ("text", "it is a string"),
        (7, "it is a number"),
        (None, "it is null"),
        (True, "it is a boolean"),
        ({**GOOD, "service": 10**30}, "cannot carry safely"),
    ],
)
def test_bad_input_is_named_and_nothing_of_the_target_is_read_or_locked(
    aws: EmbeddedAws, ledger: Ledger, document: Any, says: str
) -> None:
    before = len(aws.calls)
    execution, run_id = started(aws, document)
    assert (execution["status"], execution["error"]) == ("FAILED", "InputInvalid")
    assert says in execution["cause"]
    run = ledger.find(run_id)
    assert run is not None
    assert (run.status, run.error_name, run.tokens) == ("closed", "InputInvalid", {})
    assert audit.faults(ledger.trail(run_id)) == []
    assert {call.operation.partition(":")[0] for call in aws.calls[before:]} & {"ecs", "ecr"} == set()


def test_the_same_start_twice_is_one_run(aws: EmbeddedAws, ledger: Ledger) -> None:
    SCENARIOS["health-checks-fail"].arrange(aws)
    client, text = aws.client("stepfunctions"), start_input(RUNBOOK, "plan-only")
    answers = [client.start_execution(stateMachineArn=machine(aws), name="INC-1", input=text) for _ in range(2)]
    assert answers[0]["executionArn"] == answers[1]["executionArn"]
    assert ended(aws, answers[0]["executionArn"])["status"] == "SUCCEEDED"
    assert len(ledger.runs_of(RUNBOOK)) == 1


def test_a_redelivered_step_of_a_run_that_has_ended_is_refused(aws: EmbeddedAws) -> None:
    incident = run_scenario(aws, RUNBOOK, SCENARIOS["health-checks-fail"])
    assert incident.run is not None
    event = step_event(incident.run, "Roll the service back", "apply")
    event["phase"] = "Roll the service back"
    changes = sum(call.operation == "ecs:UpdateService" for call in aws.calls)
    with pytest.raises(Exception, match="start it again instead of redriving it"):
        aws.invoke("EcsServiceRollbackActFunction", event)
    assert sum(call.operation == "ecs:UpdateService" for call in aws.calls) == changes


def step_event(run: Run, state: str, step: str) -> dict[str, Any]:
    name = run.execution_arn.rpartition(":")[2]
    execution = {"id": run.execution_arn, "name": name, "started": run.started_at}
    return {"execution": execution, "runbook": run.runbook, "state": state, "step": step, "document": {}}


def test_a_plan_changes_nothing_and_is_what_execute_then_does(aws: EmbeddedAws) -> None:
    standard = SCENARIOS["health-checks-fail"]
    planned = run_scenario(aws, RUNBOOK, standard, mode="plan")
    assert planned.world_after == planned.world_before
    assert planned.diagnosis is not None
    aws.reset()
    executed = run_scenario(aws, RUNBOOK, standard)
    assert executed.diagnosis is not None
    assert planned.diagnosis.plan is not None
    assert executed.diagnosis.plan is not None
    assert planned.diagnosis.plan.changes == executed.diagnosis.plan.changes


def test_functions_that_diagnose_only_read_and_every_mutation_is_in_the_trail(aws: EmbeddedAws) -> None:
    incident = run_scenario(aws, RUNBOOK, SCENARIOS["fix-does-not-take"])
    target = [call for call in aws.calls if call.operation.startswith(("ecs:", "ecr:"))]
    by_diagnose = {call.operation for call in target if call.caller.endswith("-diagnose")}
    assert by_diagnose
    assert all(is_read(operation) for operation in by_diagnose)
    mutations = [call.operation for call in target if call.caller.endswith("-act") and not is_read(call.operation)]
    recorded = [entry.detail["operation"] for entry in incident.audit if entry.event in {"change.done", "undo.done"}]
    assert mutations == recorded == ["ecs:UpdateService", "ecs:UpdateService"]


def test_each_change_is_intended_before_it_is_made_and_its_outcome_names_the_request(aws: EmbeddedAws) -> None:
    incident = run_scenario(aws, RUNBOOK, SCENARIOS["health-checks-fail"])
    events = [entry.event for entry in incident.audit]
    assert events.index("change.intended") < events.index("change.done") < events.index("verified")
    done = next(entry.detail for entry in incident.audit if entry.event == "change.done")
    (call,) = done["calls"]
    assert call["request_id"]
    assert call["status"] == 200


def test_reads_are_one_part_of_the_entry_of_their_step(aws: EmbeddedAws) -> None:
    incident = run_scenario(aws, RUNBOOK, SCENARIOS["plan-only"])
    (diagnosed,) = [entry for entry in incident.audit if entry.event == "diagnosis.made"]
    reads = diagnosed.detail["reads"]
    assert isinstance(reads, list)
    operations = [read["operation"] for read in reads if isinstance(read, dict)]
    assert operations[:2] == ["ecs:DescribeServices", "ecs:ListServiceDeployments"]


def test_a_change_of_the_audit_table_raises_the_alarm(aws: EmbeddedAws) -> None:
    incident = run_scenario(aws, RUNBOOK, SCENARIOS["plan-only"])
    aws.client("dynamodb").update_item(
        TableName=aws.outputs["AuditTableName"],
        Key={"run_id": {"S": incident.run_id}, "seq": {"N": "2"}},
        UpdateExpression="SET actor = :mallory",
        ExpressionAttributeValues={":mallory": {"S": "mallory"}},
    )
    aws.settle()
    assert aws.messages[-1]["subject"] == "[dev] AUDIT LEDGER TAMPERED WITH"
    assert f"MODIFY of entry 2 of {incident.run_id}" in aws.messages[-1]["message"]
    assert '"LedgerTampered"' in aws.log("TamperFunction")
    trail = ledger_of(aws.outputs, aws.client("dynamodb")).trail(incident.run_id)
    assert audit.faults(trail) == ["entry 2 was changed after it was written"]


def test_the_sweep_closes_a_run_whose_event_was_lost(aws: EmbeddedAws, ledger: Ledger) -> None:
    run = Run(
        run_id="lost",
        runbook=RUNBOOK,
        execution_arn=machine(aws).replace(":stateMachine:", ":execution:") + ":forgotten",
        started_at="2026-01-01T00:00:00.000Z",
        requested_by="alice",
    )
    ledger.begin(run, state="Begin run", detail={}, now=aws.clock.now())
    aws.sweep()
    swept = ledger.find("lost")
    assert swept is not None
    assert (swept.status, swept.error_name, swept.notified) == ("closed", "StepFailed", True)
    assert audit.faults(ledger.trail("lost")) == []
    assert "Step Functions has forgotten the execution" in (swept.error_cause or "")
    assert ledger.unfinished() == []


def test_the_sweep_publishes_an_end_that_could_not_be_published(aws: EmbeddedAws, ledger: Ledger) -> None:
    aws.faults.fail("sns:Publish", code="InternalError", status=500, only_from="-finish")
    SCENARIOS["healthy-already"].arrange(aws)
    execution, run_id = started(aws, GOOD)
    assert execution["status"] == "SUCCEEDED"
    aws.faults.clear()
    aws.clock.advance(minutes=15)
    aws.sweep()
    told = [message for message in aws.messages if f"{run_id} ended SUCCEEDED" in message["message"]]
    assert len(told) == 1
    assert ledger.unfinished() == []


def test_an_invalid_policy_stops_every_run_before_it_reads_anything(aws: EmbeddedAws) -> None:
    aws.policy({"kill_swich": True})
    execution, _ = started(aws, GOOD)
    assert execution["error"] == "PolicyInvalid"
    assert "kill_swich" in execution["cause"]


def test_a_kill_switch_that_is_turned_on_while_a_run_waits_stops_it_before_its_change(aws: EmbeddedAws) -> None:
    stopped = replace(
        SCENARIOS["health-checks-fail"],
        ends="FAILED",
        error="ChangeFreeze",
        world_after=None,
        changes=0,
        on_state={"Wait for approval": lambda aws, _: aws.policy({"kill_switch": True})},
    )
    assert run_scenario(aws, RUNBOOK, stopped).unexpected() == []


def test_a_forged_callback_approves_nothing(aws: EmbeddedAws, ledger: Ledger) -> None:
    def forge(aws: EmbeddedAws, execution: str) -> None:
        (run,) = ledger.runs_of(RUNBOOK)
        approval = ledger.approval(run.run_id)
        assert approval is not None
        assert approval.token is not None
        output = json.dumps({"approved": True, "run_id": run.run_id, "mode": "execute"})
        aws.client("stepfunctions").send_task_success(taskToken=approval.token, output=output)

    def ended(decision: Literal["approve", "deny"], **more: Any) -> Incident:
        forged = replace(
            SCENARIOS["health-checks-fail"], decision=decision, on_state={"Wait for approval": forge}, **more
        )
        incident = run_scenario(aws, RUNBOOK, forged)
        assert incident.unexpected() == []
        assert [entry.event for entry in incident.audit].count("approval.awaited") == 1
        return incident

    denied = ended("deny", ends="FAILED", error="ApprovalDenied", world_after=None, changes=0)
    assert "user/bob denied plan" in str(denied.cause)
    aws.reset()
    ended("approve")


def test_a_forged_callback_gives_nobody_more_time(aws: EmbeddedAws, ledger: Ledger) -> None:
    def forge_and_wait(aws: EmbeddedAws, execution: str) -> None:
        (run,) = ledger.runs_of(RUNBOOK)
        approval = ledger.approval(run.run_id)
        assert approval is not None
        aws.client("stepfunctions").send_task_success(taskToken=str(approval.token), output="{}")
        while ledger.approval(run.run_id) == approval:
            time.sleep(0.02)
        aws.clock.advance(hours=4, seconds=1)
        late = {"decision": "approve", "plan_hash": approval.plan_hash, "comment": "late"}
        answer = aws.invoke("ApiFunction", signed_request(aws.account_id, run.run_id, late))
        assert answer["statusCode"] == 409
        assert "the request expired at" in answer["body"] or "the request is expired" in answer["body"]

    late = replace(
        SCENARIOS["health-checks-fail"],
        ends="FAILED",
        error="ApprovalExpired",
        world_after=None,
        changes=0,
        decision="ignore",
        on_state={"Wait for approval": forge_and_wait},
    )
    assert run_scenario(aws, RUNBOOK, late).unexpected() == []


def test_the_ledger_itself_is_no_target(aws: EmbeddedAws, ledger: Ledger) -> None:
    document = json.loads(start_input("watermark-reset", "backwards")) | {
        "table": aws.outputs["StateTableName"],
        "key": {"pk": "RUN#x", "sk": "APPROVAL"},
        "attribute": "status",
        "value": "2026-11-13T00:00:00Z",
    }
    target = machine(aws).replace(RUNBOOK, "watermark-reset")
    answer = aws.client("stepfunctions").start_execution(
        stateMachineArn=target, name="forge", input=json.dumps(document)
    )
    execution = ended(aws, answer["executionArn"])
    assert execution["error"] == "Refused"
    assert "is the ledger itself" in execution["cause"]
