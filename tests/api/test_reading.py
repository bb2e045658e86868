"""Lists, runs and trails: what is read changes nothing, and is what happened."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from runbooks import catalogue, clock
from runbooks.api.routes import document
from runbooks.store.runs import Run
from workbench import scenario
from workbench.api import ApiClient
from workbench.embedded import gateway

from .conftest import RUNBOOK, Someone, asked, ended, until

if TYPE_CHECKING:
    from runbooks.store.runs import Ledger
    from workbench.embedded import EmbeddedAws

AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/a/b"


def some_runs(ledger: Ledger, count: int) -> list[str]:
    """Runs of two runbooks, several of which began in the same millisecond; the newest first."""
    made = []
    for number in range(count):
        started = AT + timedelta(seconds=number // 3)
        run = Run(
            run_id=f"run-{number:02d}",
            runbook=[RUNBOOK, "watermark-reset"][number % 2],
            execution_arn=f"arn:aws:states:eu-central-1:123456789012:execution:m:{number}",
            started_at=clock.iso(started),
            requested_by="alice",
            targets=(TARGET,) if number % 4 == 0 else ("arn:aws:ecs:eu-central-1:123456789012:service/a/c",),
        )
        run = ledger.begin(run, state="Begin run", detail={}, now=started)
        if number % 5 == 0:
            ledger.close(
                run, outcome="FAILED", error_name="Refused", error_cause="x", detail={}, state="x", now=started
            )
        made.append((run.started_at, run.run_id))
    return [run_id for _, run_id in sorted(made, reverse=True)]


def pages(someone: Someone, **query: Any) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = None
    while True:
        page = someone.get("/runs", **query, next=cursor)
        found.append([run["run_id"] for run in page["runs"]])
        cursor = page["next"]
        if cursor is None:
            return found


def flat(found: list[list[str]]) -> list[str]:
    return [run_id for page in found for run_id in page]


def number(run_id: str) -> int:
    return int(run_id.rpartition("-")[2])


def test_runs_are_listed_newest_first_in_pages_that_lose_and_repeat_none(ledger: Ledger, alice: Someone) -> None:
    newest_first = some_runs(ledger, 23)
    for limit in (1, 5, 23, 100):
        found = pages(alice, limit=limit)
        assert flat(found) == newest_first
        assert all(len(page) == limit for page in found[:-1])


def test_runs_are_listed_by_runbook_target_and_status(ledger: Ledger, alice: Someone) -> None:
    newest_first = some_runs(ledger, 23)
    for query, wanted in [
        ({"runbook": "watermark-reset"}, lambda n: n % 2 == 1),
        ({"target": TARGET}, lambda n: n % 4 == 0),
        ({"status": "FAILED"}, lambda n: n % 5 == 0),
        ({"status": "closed", "runbook": RUNBOOK}, lambda n: n % 10 == 0),
        ({"status": "open"}, lambda n: n % 5),
        ({"status": "open", "target": TARGET}, lambda n: n % 5 and n % 4 == 0),
        ({"status": "SUCCEEDED"}, lambda n: False),
    ]:
        expected = [run_id for run_id in newest_first if wanted(number(run_id))]
        assert flat(pages(alice, limit=4, **query)) == expected, query


@pytest.mark.parametrize("cursor", ["x", "!!!!", "bm90IG91cnM", "AAAA"])
def test_a_cursor_that_nobody_handed_out_is_refused(alice: Someone, cursor: str) -> None:
    answer = alice.send("GET", "/runs", query={"next": cursor})
    assert (answer.status, answer.document["detail"]) == (
        400,
        "next: it is not one that this API has handed out",
    )


def test_a_run_shows_what_it_found_what_it_plans_and_where_it_stands(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, broken: scenario.Scenario
) -> None:
    run_id = alice.starts().document["run_id"]
    plan_hash = asked(ledger, run_id)
    waiting = alice.get(f"/runs/{run_id}")
    assert (waiting["status"], waiting["now"]["state"]) == ("open", "Wait for approval")
    assert waiting["plan"]["hash"] == waiting["approval"]["plan_hash"] == plan_hash
    assert [change["operation"] for change in waiting["plan"]["changes"]] == ["ecs:UpdateService"]
    assert waiting["findings"][0]["severity"] == "critical"
    assert "token" not in waiting["approval"]
    assert waiting["links"]["console"].endswith(waiting["execution_arn"])
    aws.clock.hold()
    assert bob.votes("approve", run_id, plan_hash).status == 200

    def settling() -> Any:
        shown = alice.get(f"/runs/{run_id}")
        return shown if shown["now"]["event"] == "phase.looked" else None

    now = until(settling)["now"]
    assert now["progress"] == "0 of 2 tasks of snowflake-report-service:2 run"
    assert now["within"] == 1200
    aws.clock.release()
    ended(aws, ledger, run_id)
    done = alice.get(f"/runs/{run_id}")
    assert (done["status"], done["verified"], done["plan"]["changes"][0]["status"]) == ("SUCCEEDED", True, "done")


def test_a_trail_is_read_in_pages_and_verified(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario
) -> None:
    run_id = alice.starts("plan-only").document["run_id"]
    ended(aws, ledger, run_id)
    entries, after = [], 0
    while after is not None:
        page = alice.get(f"/runs/{run_id}/audit", after=after, limit=2)
        entries += page["entries"]
        after = page["next"]
    assert entries == [entry.model_dump(mode="json") for entry in ledger.trail(run_id)]
    verification = alice.get(f"/runs/{run_id}/audit/verification")
    assert verification == {
        "run_id": run_id,
        "whole": True,
        "entries": len(entries),
        "head": entries[-1]["hash"],
        "faults": [],
    }


def test_a_trail_that_somebody_touched_is_not_whole(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario
) -> None:
    run_id = alice.starts("plan-only").document["run_id"]
    ended(aws, ledger, run_id)
    aws.client("dynamodb").delete_item(
        TableName=aws.outputs["AuditTableName"], Key={"run_id": {"S": run_id}, "seq": {"N": "2"}}
    )
    assert alice.get(f"/runs/{run_id}/audit/verification")["faults"] == ["entry 2 is missing before entry 3"]


def test_a_runbook_is_described_with_the_schema_of_what_is_asked_for(alice: Someone) -> None:
    names = [runbook["name"] for runbook in alice.get("/runbooks")["runbooks"]]
    assert names == catalogue.names()
    for name in names:
        described = alice.get(f"/runbooks/{name}")
        assert [phase["name"] for phase in described["phases"]] == [phase.name for phase in catalogue.load(name).phases]
        assert "requested_by" not in described["input_schema"]["properties"]
        assert "reason" in described["input_schema"]["required"]


@pytest.mark.parametrize(
    "path",
    ["/runbooks/no-such", "/runs/no-such", "/runs/no-such/audit", "/runs/no-such/audit/verification", "/runs/%00"],
)
def test_what_is_not_there_is_a_problem(alice: Someone, path: str) -> None:
    answer = alice.send("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


GETS = [(path, calls["get"]) for path, calls in document.document()["paths"].items() if "get" in calls]


def contents(aws: EmbeddedAws) -> dict[str, list[str]]:
    """Every item of both tables, and every execution with its state."""
    client, machines = aws.client("dynamodb"), aws.client("stepfunctions")
    found = {
        table: sorted(
            json.dumps(item, sort_keys=True, default=str)
            for page in client.get_paginator("scan").paginate(TableName=aws.outputs[table], ConsistentRead=True)
            for item in page["Items"]
        )
        for table in ("StateTableName", "AuditTableName")
    }
    found["executions"] = sorted(
        f"{each['executionArn']} {each['status']}"
        for machine in machines.list_state_machines()["stateMachines"]
        for each in machines.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    )
    return found


@pytest.fixture
def two_runs(aws: EmbeddedAws, ledger: Ledger, alice: Someone, broken: scenario.Scenario) -> list[str]:
    """One that has ended and one that waits for a decision, and nothing goes on."""
    over = alice.starts("plan-only").document["run_id"]
    ended(aws, ledger, over)
    waiting = alice.starts().document["run_id"]
    asked(ledger, waiting)
    until(lambda: [each for each in aws.messages if "Approve?" in each["subject"]])
    aws.settle()
    return [over, waiting]


@pytest.mark.parametrize(("path", "call"), GETS, ids=[path for path, _ in GETS])
def test_no_get_changes_anything(
    aws: EmbeddedAws, alice: Someone, two_runs: list[str], path: str, call: dict[str, Any]
) -> None:
    """Every one that the API describes, with each of its parameters, on what is there and what is not."""
    known = {
        "run_id": [*two_runs, "no-such-run"],
        "runbook": [RUNBOOK, "no-such-runbook"],
        "target": [alice.get(f"/runs/{two_runs[0]}")["targets"][0]],
        "status": ["open", "SUCCEEDED"],
        "limit": ["1"],
        "next": [alice.get("/runs", limit=1)["next"], "made-up"],
        "after": ["1"],
    }
    taken = {parameter["name"]: parameter["in"] for parameter in call.get("parameters", ())}
    assert set(taken) <= set(known)
    within = [name for name, where in taken.items() if where == "path"]
    paths = [
        path.format_map(dict(zip(within, values, strict=True))) for values in product(*(known[name] for name in within))
    ]
    queries = [{}, *({name: value} for name, where in taken.items() if where == "query" for value in known[name])]
    before, seen = contents(aws), len(aws.calls)
    assert before["AuditTableName"]
    answered = {alice.send("GET", each, query=query).status for each in paths for query in queries}
    made = {each.operation for each in aws.calls[seen:]}
    assert 200 in answered
    assert answered <= {200, 400, 404}
    assert made <= {"dynamodb:GetItem", "dynamodb:Query"}
    assert contents(aws) == before


@pytest.mark.parametrize(
    ("method", "sent", "route", "status"),
    [
        ("GET", "/runs/one%2Ftwo", "/runs/{run_id}", 404),
        ("PUT", "/standing-approvals/one%2Ftwo", "/standing-approvals/{runbook}", 404),
        ("GET", "/runs", "/runs", 403),
        ("POST", "/runs", "/runs", 413),
    ],
    ids=["two segments for one", "two segments and a body", "not signed", "too large"],
)
def test_what_the_gateway_says_before_anybody_is_asked_is_documented(
    aws: EmbeddedAws, alice: Someone, method: str, sent: str, route: str, status: int
) -> None:
    body = b"{}" if method != "GET" else None
    request = AWSRequest(method, f"{aws.api_url}{sent}", data=body if status != 413 else b" " * (gateway.LARGEST + 1))
    if status != 403:
        SigV4Auth(alice.api.credentials, "execute-api", aws.region).add_auth(request)
    answer = urllib3.request(method, request.url, body=request.data, headers=dict(request.headers.items()))
    documented = document.document()["paths"][route][method.lower()]["responses"][str(status)]["content"]
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
    assert documented["application/json"]["schema"]["$ref"].endswith("/Message")
    assert set(answer.json()) == {"message"}


def test_nobody_gets_in_unsigned_or_with_a_signature_that_does_not_fit(aws: EmbeddedAws, alice: Someone) -> None:
    assert urllib3.request("GET", f"{aws.api_url}/runs").status == 403
    forged = ApiClient(aws.api_url, Credentials(alice.api.credentials.access_key, "guessed"), aws.region)
    assert forged.send("GET", "/runs").status == 403
    unknown = ApiClient(aws.api_url, Credentials("AKIAIOSFODNN7EXAMPLE", "x"), aws.region)
    assert unknown.send("GET", "/runs").status == 403


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b'"\\ud800"', b"[" * 100_000, b"\xff\xfe", b'{"a": 1e400}', b"9" * 500],
    ids=["torn", "NaN", "twice", "half a character", "deep", "no text", "infinite", "large"],
)
def test_a_body_that_is_no_safe_json_is_refused(aws: EmbeddedAws, alice: Someone, body: bytes) -> None:
    request = AWSRequest("POST", f"{aws.api_url}/runs", data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(alice.api.credentials, "execute-api", aws.region).add_auth(request)
    answer = urllib3.request("POST", request.url, body=body, headers=dict(request.headers.items()))
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
