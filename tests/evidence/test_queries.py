"""The named queries of the template, on a real engine, over an archive that real runs have left.

The engine is DuckDB, Athena's is Trino. What differs: four functions that DuckDB has under other names, and how the
type of a list is written.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from workbench import scenario
from workbench.embedded.template import read
from workbench.incident import Incident, run_scenario

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

ROOT = Path(__file__).parents[2]
RUNBOOK = "ecs-service-rollback"
STANDARD = scenario.of(RUNBOOK)["health-checks-fail"]
TEMPLATE = read(ROOT / "template.yaml")["Resources"]
QUERIES = {
    name: resource["Properties"] for name, resource in TEMPLATE.items() if resource["Type"] == "AWS::Athena::NamedQuery"
}
TABLE = TEMPLATE["AuditTrails"]["Properties"]["TableInput"]
TYPES = {"string": "VARCHAR", "bigint": "BIGINT"}
MACROS = """
CREATE MACRO json_extract_scalar(document, path) AS json_extract_string(document, path);
CREATE MACRO date_format(moment, form) AS strftime(moment, form);
"""
Row = dict[str, Any]


def in_duckdb(query: str) -> str:
    return query.replace("ARRAY(JSON)", "JSON[]")


@pytest.fixture(scope="module")
def incidents(embedded: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The archive of four runs: mended; denied; may not read, and says a name that is not true; cannot be undone."""
    folder = tmp_path_factory.mktemp("archive")
    denied = replace(STANDARD, decision="deny", ends="FAILED", error="ApprovalDenied", world_after=None, changes=0)
    blind = replace(STANDARD, arrange=blinded, ends="FAILED", error="AccessDenied", world_after=None, changes=0)
    runs: dict[str, Incident] = {}
    for name, runbook, each, user in (
        ("mended", RUNBOOK, STANDARD, "alice"),
        ("denied", RUNBOOK, denied, "alice"),
        ("blind", RUNBOOK, blind, "mallory"),
        ("left", "watermark-reset", scenario.of("watermark-reset")["overwritten"], "alice"),
    ):
        embedded.reset()
        runs[name] = run_scenario(embedded, runbook, each, execution_name=name)
        assert runs[name].unexpected() == []
        embedded.cloudtrail(user)
        embedded.invoke("SealFunction", {})
        embedded.settle()
        copied(embedded, folder)
    return {"folder": folder, **runs}


def blinded(aws: EmbeddedAws) -> None:
    STANDARD.arrange(aws)
    aws.faults.fail("ecs:DescribeServices", code="AccessDeniedException", status=400, only_from="-diagnose")


def copied(aws: EmbeddedAws, folder: Path) -> None:
    client, bucket = aws.client("s3"), aws.outputs["ArchiveName"]
    for each in client.list_objects_v2(Bucket=bucket)["Contents"]:
        path = folder / each["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())


@pytest.fixture(scope="module")
def engine(incidents: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """The table as the template declares it, over the archive's folder."""
    connection = duckdb.connect()
    connection.execute(MACROS)
    columns = {each["Name"]: TYPES[each["Type"]] for each in TABLE["StorageDescriptor"]["Columns"]}
    connection.execute(
        f"CREATE VIEW trails AS SELECT * FROM read_json('{incidents['folder']}/trails/*/*.jsonl.gz',"
        f" format = 'newline_delimited', columns = {columns}, hive_partitioning = true,"
        " hive_types = {'day': VARCHAR})"
    )
    return connection


def asked(engine: duckdb.DuckDBPyConnection, name: str) -> list[Row]:
    found = engine.execute(in_duckdb(QUERIES[name]["QueryString"]))
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_runs_and_is_described(engine: duckdb.DuckDBPyConnection, name: str) -> None:
    asked(engine, name)
    assert QUERIES[name]["Database"] == {"Ref": "AuditDatabase"}
    assert QUERIES[name]["Description"]


def test_the_table_has_every_field_of_an_entry_and_finds_its_days_without_a_crawler(
    engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]
) -> None:
    trail = incidents["mended"].audit
    rows = engine.execute("SELECT * FROM trails WHERE run_id = ? ORDER BY seq", [incidents["mended"].run_id])
    names = [column[0] for column in rows.description or ()]
    first = dict(zip(names, rows.fetchall()[0], strict=True))
    assert (first["seq"], first["event"], first["hash"]) == (1, "run.started", trail[0].hash)
    parameters = TABLE["Parameters"]
    assert parameters["projection.enabled"] == "true"
    assert parameters["projection.day.type"] == "date"
    place = parameters["storage.location.template"]["Fn::Sub"]
    assert re.sub(r"\$\{!day\}", first["day"], place).endswith(f"/trails/day={first['day']}/")
    assert (incidents["folder"] / "trails" / f"day={first['day']}").is_dir()


def test_what_failed(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    found = {row["run_id"]: (row["error"], row["cause"]) for row in asked(engine, "WhatFailedQuery")}
    failed = (incidents["denied"], incidents["blind"], incidents["left"])
    assert found == {run.run_id: (run.error, run.cause) for run in failed}


def test_what_was_changed(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    found = {row["run_id"]: row for row in asked(engine, "WhatChangedQuery")}
    assert set(found) == {incidents["mended"].run_id, incidents["left"].run_id}
    change = found[incidents["mended"].run_id]
    assert (change["operation"], change["requested_by"]) == ("ecs:UpdateService", "alice")
    assert change["target"].endswith(":service/snowflake-analytics-cluster/snowflake-report-service")
    assert change["becomes"] == "taskDefinition snowflake-report-service:2"
    assert re.fullmatch(r"[0-9a-f-]{36}", change["request_id"])


def test_who_approved(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    found = {row["run_id"]: row for row in asked(engine, "WhoApprovedQuery")}
    decisions = {name: row["decision"] for name, row in found.items() if name != incidents["left"].run_id}
    assert decisions == {incidents["mended"].run_id: "approved", incidents["denied"].run_id: "denied"}
    mended = found[incidents["mended"].run_id]
    assert mended["decided_by"] == "arn:aws:iam::123456789012:user/bob"
    assert mended["started_by"] == "arn:aws:iam::123456789012:user/alice"
    assert mended["plan_hash"] == incidents["mended"].run.plan_hash


def test_what_started_the_runs(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    found = {row["run_id"]: row for row in asked(engine, "WhatStartedQuery")}
    assert set(found) == {run.run_id for name, run in incidents.items() if name != "folder"}
    mended = found[incidents["mended"].run_id]
    assert (mended["requested_by"], mended["identity"], mended["through"]) == ("alice", "unverified", "StartExecution")
    assert mended["reason"] == incidents["mended"].run.reason
    assert mended["ticket"] is None


def test_whose_identity_is_not_verified(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    (run,) = asked(engine, "WhoIsUnverifiedQuery")
    assert run["run_id"] == incidents["blind"].run_id
    assert run["contradiction"].startswith("the input says that alice asks, and CloudTrail says that ")


def test_what_the_diagnoses_saw(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    seen = [row for row in asked(engine, "WhatWasSeenQuery") if row["run_id"] == incidents["mended"].run_id]
    findings = incidents["mended"].diagnosis.decision.findings
    assert sorted(row["evidence"] for row in seen) == sorted(finding.evidence for finding in findings)
    assert {row["symptom"] for row in seen} == {finding.symptom for finding in findings}


def test_what_was_denied(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    found = asked(engine, "WhatWasDeniedQuery")
    assert {row["run_id"] for row in found} == {incidents["blind"].run_id}
    assert any("DescribeServices" in row["cause"] for row in found)


def test_how_long_it_took(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    found = {(row["runbook"], row["outcome"]): row for row in asked(engine, "HowLongItTookQuery")}
    assert {key: row["runs"] for key, row in found.items()} == {
        (RUNBOOK, "SUCCEEDED"): 1,
        (RUNBOOK, "FAILED"): 2,
        ("watermark-reset", "FAILED"): 1,
    }
    assert found[RUNBOOK, "SUCCEEDED"]["seconds_at_most"] == incidents["mended"].seconds


def test_what_was_left(engine: duckdb.DuckDBPyConnection, incidents: dict[str, Any]) -> None:
    (left,) = asked(engine, "WhatWasLeftQuery")
    assert (left["run_id"], left["event"], left["number"]) == (incidents["left"].run_id, "undo.impossible", "1")
    assert left["why"]
