"""The pipeline that this runbook replaces had ten defects. Here is each, and that it is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks.catalogue.aurora_snapshot_restore import RUNBOOK
from workbench import scenario
from workbench.asl import template
from workbench.embedded import rds
from workbench.incident import Incident, run_scenario
from workbench.matrix.cells import machine_of

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
NAME = "aurora-snapshot-restore"
MACHINE = machine_of(NAME)
STATES: dict[str, dict[str, Any]] = MACHINE["States"]


def run(aws: EmbeddedAws, name: str, **more: Any) -> Incident:
    return run_scenario(aws, NAME, replace(scenario.of(NAME)[name], **more))


def calls_of(aws: EmbeddedAws, *operations: str) -> list[str]:
    """Those of these operations that the run's acting function called, in order."""
    acting = f"{aws.stack_name}-{NAME}-act"[-50:]
    wanted = {f"rds:{operation}" for operation in operations}
    seen = [call.operation for call in aws.calls if call.caller == acting and call.operation in wanted]
    return [operation.removeprefix("rds:") for operation in seen]


def test_defect_1_an_error_is_raised_so_that_retry_and_catch_see_it(aws: EmbeddedAws) -> None:
    ended = run(aws, "copy-fails")
    assert (ended.status, ended.error) == ("FAILED", "RemediationFailed")
    assert "PhaseFailed: Copy the snapshot" in (ended.cause or "")
    assert "Undo the changes" in ended.states
    tasks = [state for state in STATES.values() if state["Type"] == "Task"]
    assert all(task["Retry"] and task["Catch"] for task in tasks)


def test_defect_2_every_wait_reads_what_the_function_answers_and_ends_when_the_thing_has_failed(
    aws: EmbeddedAws,
) -> None:
    ended = run(aws, "restore-fails")
    assert ended.status == "FAILED"
    assert ended.seconds < 1800
    for phase in RUNBOOK.phases:
        choice = STATES[phase.question]
        variables = {part["Variable"] for rule in choice["Choices"] for part in rule.get("And", [rule])}
        assert variables == {"$.settled"}


def test_defect_3_a_failed_restore_is_a_failed_execution(aws: EmbeddedAws) -> None:
    for name in ("instance-fails", "key-disabled"):
        aws.reset()
        ended = run(aws, name)
        assert (ended.status, ended.outcome) == ("FAILED", "FAILED")
    ends = [state for name, state in STATES.items() if state.get("End")]
    assert [state["Type"] for state in ends] == ["Task"]
    assert STATES["Finish run"]["End"]
    assert {state["Type"] for name, state in STATES.items() if name in {"Run failed", "Failure not recorded"}} == {
        "Fail"
    }


def test_defect_4_nothing_is_deleted_before_its_replacement_is_proved(aws: EmbeddedAws) -> None:
    ended = run(aws, "swap")
    assert ended.unexpected() == []
    assert calls_of(aws, "DeleteDBCluster", "DeleteDBInstance", "DeleteDBClusterSnapshot") == []
    order = calls_of(
        aws, "RestoreDBClusterFromSnapshot", "CreateDBInstance", "CreateDBClusterSnapshot", "ModifyDBCluster"
    )
    assert order == [
        "RestoreDBClusterFromSnapshot",
        "CreateDBInstance",
        "CreateDBClusterSnapshot",
        "ModifyDBCluster",
        "ModifyDBCluster",
        "ModifyDBCluster",
        "ModifyDBCluster",
    ]
    kept = next(name for name in aws.rds.region.clusters if name.startswith("orders-replaced-"))
    assert aws.rds.region.clusters[kept].protected
    assert rds.sql(aws, kept, "select count(*) from sales.orders", database="app") == [["3"]]


def test_defect_4_a_cluster_is_deleted_only_by_retention_and_only_when_a_snapshot_has_what_it_held(
    aws: EmbeddedAws,
) -> None:
    ended = run(aws, "nightly")
    assert ended.unexpected() == []
    assert ended.diagnosis is not None
    assert ended.diagnosis.plan is not None
    doomed = [change for change in ended.diagnosis.plan.changes if change.operation == "rds:DeleteDBCluster"]
    assert [change.parameters["DBClusterIdentifier"] for change in doomed] == ["reporting-replaced-october"]
    assert "reporting-before-october" in doomed[0].was
    assert not any(change.reversible for change in doomed)


def test_defect_5_a_restored_cluster_has_an_instance_and_is_connected_to(aws: EmbeddedAws) -> None:
    ended = run(aws, "with-users")
    assert ended.unexpected() == []
    assert [each.life.status for each in aws.rds.region.clusters["orders"].members] == ["available"]
    secret = aws.client("secretsmanager").describe_secret(SecretId="orders/app")["ARN"]
    answer = aws.client("rds-data").execute_statement(
        resourceArn=f"arn:aws:rds:{aws.region}:{aws.account_id}:cluster:orders",
        secretArn=secret,
        database="app",
        sql="update sales.orders set total = 11 where id = 1",
    )
    assert answer["numberOfRecordsUpdated"] == 1


def test_defect_6_archiving_keeps_the_copy_and_never_touches_the_source(aws: EmbeddedAws) -> None:
    ended = run(aws, "other-region")
    assert ended.unexpected() == []
    copies = [each for each in aws.rds.region.snapshots.values() if each.name.startswith("orders-copy-")]
    assert [copy.life.status for copy in copies] == ["available"]
    assert {"runbooks:archived", "runbooks:delete-after"} <= {tag["Key"] for tag in copies[0].tags}
    source = aws.rds_in("eu-west-1").region.snapshots["orders-2026-11-20"]
    assert (source.life.status, source.tags) == ("available", [])


def test_defect_7_users_are_made_by_the_server_from_parameters_and_twice_is_once(aws: EmbeddedAws) -> None:
    sent: list[str] = []

    def listening(embedded: EmbeddedAws) -> None:
        scenario.of(NAME)["hostile-names"].arrange(embedded)
        embedded.faults.before("rds-data:ExecuteStatement", lambda _: None, where=lambda call: _heard(call, sent))

    ended = run(aws, "hostile-names", arrange=listening)
    assert ended.unexpected() == []
    hostile = '"; drop role postgres; --'
    roles = [
        row[0] for row in rds.sql(aws, "orders", "select rolname::text from pg_roles where rolname !~ '^(pg_|rds)'")
    ]
    assert {hostile, "x' || (select 1) || '", "postgres"} <= set(roles)
    schemas = [row[0] for row in rds.sql(aws, "orders", "select nspname::text from pg_namespace", database="app")]
    assert "sales" in schemas
    assert len(sent) > 10
    assert not any("drop" in statement.lower() or "pa55" in statement for statement in sent)
    grants = "select grantee::text, privilege_type::text from information_schema.role_table_grants order by 1, 2"
    before = rds.sql(aws, "orders", grants, database="app")
    again = run_scenario(aws, NAME, _forgetting_that_it_is_finished("hostile-names"), execution_name="again")
    assert again.status == "SUCCEEDED"
    assert "postgres:EnsureRole" in [change.operation for change in again.changes]
    assert rds.sql(aws, "orders", grants, database="app") == before


def _heard(call: Any, sent: list[str]) -> bool:
    sent.append(call.params["sql"])
    return False


def _forgetting_that_it_is_finished(name: str) -> scenario.Scenario:
    """The same incident on the world as it is, but for the mark that everything is done."""

    def arrange(aws: EmbeddedAws) -> None:
        cluster = aws.rds.region.clusters["orders"]
        for tag in cluster.tags:
            if tag["Key"] == "runbooks:finished":
                tag["Value"] = "with-other-users"

    return replace(scenario.of(NAME)[name], arrange=arrange)


def test_defect_8_one_machine_runs_the_procedure_and_no_function_calls_another(aws: EmbeddedAws) -> None:
    ended = run(aws, "same-region")
    assert ended.unexpected() == []
    functions = {f"{aws.stack_name}-{NAME}-{half}"[-50:] for half in ("diagnose", "act")}
    assert functions <= {call.caller for call in aws.calls}
    invoking = [call.caller for call in aws.calls if call.operation == "lambda:Invoke"]
    assert set(invoking) == {"states"}
    assert len(invoking) == len([visit for visit in ended.visits if visit.kind == "Task"])
    resources = template.load(ROOT / "template.yaml")["Resources"]
    machines = [name for name, each in resources.items() if each["Type"] == "AWS::Serverless::StateMachine"]
    assert len([name for name in machines if name.startswith("AuroraSnapshotRestore")]) == 1


def test_defect_9_what_cannot_be_recorded_does_not_happen(aws: EmbeddedAws) -> None:
    def losing_the_trail(embedded: EmbeddedAws) -> None:
        scenario.of(NAME)["same-region"].arrange(embedded)
        embedded.faults.fail(
            "dynamodb:TransactWriteItems",
            code="InternalServerError",
            status=500,
            only_from=f"{NAME}-act",
        )

    ended = run(aws, "same-region", arrange=losing_the_trail)
    assert ended.status == "FAILED"
    assert calls_of(aws, "RestoreDBClusterFromSnapshot") == []
    assert "orders" not in aws.rds.region.clusters


def test_defect_9_two_runs_on_one_cluster_do_not_meet_and_each_has_an_id_of_its_own(aws: EmbeddedAws) -> None:
    met: list[Incident] = []

    def somebody_starts_another(embedded: EmbeddedAws, _execution: str) -> None:
        here = replace(scenario.of(NAME)["same-region"], arrange=lambda _: None)
        met.append(run_scenario(embedded, NAME, here, execution_name="second"))

    first = run(aws, "same-region", on_state={"Restore the cluster": somebody_starts_another})
    (second,) = met
    assert first.unexpected() == []
    assert (second.status, second.error) == ("FAILED", "TargetLocked")
    assert f"locked by the run {first.run_id}" in (second.cause or "")
    assert second.changes == []
    assert calls_of(aws, "RestoreDBClusterFromSnapshot") == ["RestoreDBClusterFromSnapshot"]
    assert first.run_id != second.run_id
    for ended in (first, second):
        assert ended.audit_verified
        assert [entry.seq for entry in ended.audit] == list(range(1, len(ended.audit) + 1))
        assert {entry.run_id for entry in ended.audit} == {ended.run_id}


def test_defect_10_no_metric_has_a_dimension_of_a_run(aws: EmbeddedAws) -> None:
    run(aws, "instance-fails")
    lines = [line for name in ("FinishFunction", "FailFunction") for line in aws.log(name).splitlines()]
    metrics = [json.loads(line)["_aws"]["CloudWatchMetrics"] for line in lines if '"_aws"' in line]
    assert metrics
    assert {name for each in metrics for one in each for names in one["Dimensions"] for name in names} == {"service"}
