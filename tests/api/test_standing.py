"""A yes in advance covers plans within its bounds, on one target, until it ends, and never its giver's own runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from runbooks.evidence import manifest
from runbooks.evidence.seal import fingerprint
from runbooks.store import audit
from runbooks.store.standing import Bounds, StandingApproval, StandingApprovals, id_of
from runbooks.store.tables import ConditionFailed, Tables
from workbench.cli import words
from workbench.cli.app import app
from workbench.evidence.export import export, read
from workbench.evidence.keys import Trusted
from workbench.evidence.report import Checked, report
from workbench.evidence.search import Criteria, Search
from workbench.evidence.verify import verify
from workbench.incident import Incident, api_event, run_scenario, start_input
from workbench.ledger import ledger_of
from workbench.scenario import of

from .conftest import Hire, Someone

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.embedded import EmbeddedAws

RUNBOOK = "ecs-service-rollback"
TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/snowflake-analytics-cluster/snowflake-report-service"
BOB = "arn:aws:iam::123456789012:user/bob"
INCIDENT = of(RUNBOOK)["health-checks-fail"]
BOUNDS = {"operations": ["ecs:UpdateService"], "most_changes": 1}


def send(
    aws: EmbeddedAws, method: str, body: dict[str, Any], *, by: str = "bob", runbook: str = RUNBOOK
) -> tuple[int, dict[str, Any]]:
    event = api_event(aws.account_id, method, f"/standing-approvals/{runbook}", body, user=by)
    answer = aws.invoke("ApiFunction", event)
    return answer["statusCode"], json.loads(answer["body"])


def given(aws: EmbeddedAws, *, by: str = "bob", hours: float = 24, **bounds: Any) -> dict[str, Any]:
    expires = (aws.clock.now() + timedelta(hours=hours)).isoformat()
    body = {"target": TARGET, "bounds": BOUNDS | bounds, "expires_at": expires, "comment": "nightly"}
    status, answer = send(aws, "PUT", body, by=by)
    assert status == 200, answer
    return answer


def run_it(aws: EmbeddedAws, first: Callable[[EmbeddedAws], Any]) -> Incident:
    """The standard incident, whose plan a person must approve, with what comes first."""

    def arrange(world: EmbeddedAws) -> None:
        INCIDENT.arrange(world)
        first(world)

    return run_scenario(aws, RUNBOOK, replace(INCIDENT, arrange=arrange))


def approvals(aws: EmbeddedAws) -> StandingApprovals:
    tables = Tables(aws.outputs["StateTableName"], aws.outputs["AuditTableName"], aws.client("dynamodb"))
    return StandingApprovals(tables)


def diagnosed(incident: Incident) -> str:
    (entry,) = [entry for entry in incident.audit if entry.event == "diagnosis.made"]
    return str(entry.detail["approval"])


def events(incident: Incident) -> list[str]:
    return [entry.event for entry in incident.audit]


def test_a_plan_within_the_bounds_is_applied_without_asking_and_the_trail_says_whose_yes_it_was(
    aws: EmbeddedAws,
) -> None:
    ended = run_it(aws, given)
    assert ended.status == "SUCCEEDED"
    assert "approval.requested" not in events(ended)
    assert diagnosed(ended).startswith(f"standing, given by {BOB} until ")
    (entry,) = [entry for entry in ended.audit if entry.event == "diagnosis.made"]
    (yes,) = ledger_of(aws.outputs, aws.client("dynamodb")).trail(id_of(RUNBOOK, TARGET, 1))
    assert entry.detail["standing"] == [{"id": yes.run_id, "hash": yes.hash}]
    (closed,) = [entry for entry in ended.audit if entry.event == "run.closed"]
    assert closed.detail["approved_by"] == [BOB]
    written = report(ended.run_id, ended.audit, None, checked=Checked())
    assert f"Approved in advance, given by {BOB} until " in written
    assert f"- `{yes.run_id}`, whose entry has the hash `{yes.hash}`" in written
    assert words.of_entry(yes).endswith(' of ecs:UpdateService, at most 1 change: "nightly"')


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"operations": ["ecs:StopServiceDeployment"]}, "the plan has ecs:UpdateService"),
        ({"inputs": {"service": "another"}}, "the input service is 'snowflake-report-service' instead of 'another'"),
    ],
)
def test_a_plan_outside_the_bounds_waits_for_a_person(aws: EmbeddedAws, bounds: dict[str, Any], why: str) -> None:
    ended = run_it(aws, lambda world: given(world, **bounds))
    assert "approval.requested" in events(ended)
    assert why in diagnosed(ended)


def test_one_that_has_ended_or_was_revoked_covers_nothing(aws: EmbeddedAws) -> None:
    def ended_meanwhile(world: EmbeddedAws) -> None:
        given(world, hours=1)
        world.clock.advance(hours=2)

    over = run_it(aws, ended_meanwhile)
    assert "approval.requested" in events(over)
    assert f"the standing approval of {BOB} ended" in diagnosed(over)
    aws.reset()

    def revoked(world: EmbeddedAws) -> None:
        given(world)
        assert send(world, "DELETE", {"target": TARGET})[0] == 200

    taken_back = run_it(aws, revoked)
    assert "approval.requested" in events(taken_back)
    assert f"revoked by {BOB}" in diagnosed(taken_back)


def test_nobody_covers_their_own_runs(aws: EmbeddedAws) -> None:
    requester = json.loads(start_input(RUNBOOK, INCIDENT.event))["requested_by"]
    own = run_it(aws, lambda world: given(world, by=requester))
    assert "approval.requested" in events(own)
    assert "who asks for this run" in diagnosed(own)


def test_nobody_covers_the_runs_of_somebody_whom_nobody_vouches_for_where_policy_asks_for_that(
    aws: EmbeddedAws,
) -> None:
    def strictly(world: EmbeddedAws) -> None:
        INCIDENT.arrange(world)
        given(world)
        world.policy({"approve_unverified": {"dev": False}})

    claimed = run_scenario(aws, RUNBOOK, replace(INCIDENT, arrange=strictly), decision="deny")
    assert "approval.requested" in events(claimed)
    assert f"who could be {BOB}" in diagnosed(claimed)


def test_what_happens_to_it_is_on_a_trail_of_its_own(aws: EmbeddedAws) -> None:
    given(aws)
    given(aws, most_changes=2)
    assert send(aws, "DELETE", {"target": TARGET})[0] == 200
    assert send(aws, "DELETE", {"target": TARGET})[1]["revoked_by"] == BOB
    ledger = ledger_of(aws.outputs, aws.client("dynamodb"))
    trails = [ledger.trail(id_of(RUNBOOK, TARGET, number)) for number in (1, 2, 3)]
    assert all(audit.is_whole(trail) for trail in trails)
    happened = [entry for trail in trails for entry in trail]
    assert [(entry.event, entry.actor, entry.detail["number"]) for entry in happened] == [
        ("standing.given", BOB, 1),
        ("standing.given", BOB, 2),
        ("standing.revoked", BOB, 3),
    ]
    assert [entry.detail["previous"] for entry in happened] == [audit.GENESIS, happened[0].hash, happened[1].hash]
    assert [entry.detail.get("replaces") for entry in happened] == [False, True, None]
    assert ledger.trail(id_of(RUNBOOK, TARGET, 4)) == []


def test_its_trails_are_sealed_listed_and_archived_like_those_of_runs_and_are_in_no_list_of_runs(
    aws: EmbeddedAws,
) -> None:
    first = given(aws)["id"]
    second = send(aws, "DELETE", {"target": TARGET})[1]["id"]
    assert aws.invoke("SealFunction", {}) == {"sealed": 2}
    aws.settle()
    ledger = ledger_of(aws.outputs, aws.client("dynamodb"))
    assert ledger.runs_of(RUNBOOK) == ledger.runs_on(TARGET) == ledger.unsealed() == ledger.unfinished() == []
    page = manifest.trail_of(f"{aws.clock.now():%Y-%m-%d}")
    aws.clock.advance(days=1)
    aws.invoke("SealFunction", {})
    aws.settle()
    kept = aws.client("s3").list_objects_v2(Bucket=aws.outputs["ArchiveName"])["Contents"]
    assert {first, second, page} == {each["Key"].rpartition("/")[2].removesuffix(".jsonl.gz") for each in kept}
    key = bytes(aws.client("kms").get_public_key(KeyId=aws.outputs["SigningKeyAlias"])["PublicKey"])
    data = export({name: ledger.trail(name) for name in (first, second, page)})
    verdict = verify(read(data), Trusted({fingerprint(key): key}))
    assert verdict.verified, [str(fault) for fault in verdict.faults]
    assert aws.invoke("ReconcileFunction", {})["differences"] == []
    keys = {"AWS_ACCESS_KEY_ID": "embedded", "AWS_SECRET_ACCESS_KEY": "embedded"}
    env = {**keys, "AWS_REGION": aws.region, "AWS_ENDPOINT_URL": aws.endpoint_url}
    shown = CliRunner().invoke(app, ["audit", "show", first], env=env)
    assert shown.exit_code == 0, shown.output
    assert f'given, standing approval, asked by {BOB} on {page.removeprefix("manifest-")}: "nightly"' in shown.stdout
    assert shown.stdout.rstrip().endswith("2 audit entries, chain verified, sealed")


def test_what_happened_to_it_is_found_as_runs_are(aws: EmbeddedAws) -> None:
    first_day = f"{aws.clock.now():%Y-%m-%d}"
    first = given(aws)["id"]
    aws.clock.advance(minutes=1)
    second = send(aws, "DELETE", {"target": TARGET})[1]["id"]
    last_day = f"{aws.clock.now():%Y-%m-%d}"
    search = Search(aws.client("dynamodb"), aws.outputs["AuditTableName"], [RUNBOOK])
    for criteria in (
        Criteria(target=TARGET),
        Criteria(actor=BOB),
        Criteria(actor="bob", runbook=RUNBOOK),
        Criteria(runbook=RUNBOOK),
        Criteria(first_day=first_day, last_day=last_day),
    ):
        newest, before = search.find(criteria, limit=25).runs
        assert [(each.run_id, each.outcome, each.by) for each in (newest, before)] == [
            (second, "standing.revoked", "bob"),
            (first, "standing.given", "bob"),
        ]
        assert (newest.runbook, newest.target, newest.error) == (RUNBOOK, TARGET, None)
        assert search.find(replace(criteria, outcome="standing.revoked"), limit=25).runs == [newest]
        assert search.find(replace(criteria, outcome="FAILED"), limit=25).runs == []


@pytest.mark.parametrize(
    ("body", "runbook", "status", "detail"),
    [
        ({"target": "orders"}, RUNBOOK, 400, "target"),
        ({"bounds": {"operations": [], "most_changes": 1}}, RUNBOOK, 400, "bounds.operations"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, RUNBOOK, 400, "expires_at is 2020-01-01"),
        ({"expires_at": "2099-01-01T00:00:00"}, RUNBOOK, 400, "expires_at"),
        ({}, "no-such-runbook", 404, "is none of"),
    ],
)
def test_what_is_wrong_with_one_is_said_and_nothing_is_kept(
    aws: EmbeddedAws, body: dict[str, Any], runbook: str, status: int, detail: str
) -> None:
    whole = {"target": TARGET, "bounds": BOUNDS, "expires_at": "2099-01-01T00:00:00Z"} | body
    answered, problem = send(aws, "PUT", whole, runbook=runbook)
    assert answered == status
    assert detail in problem["detail"]
    assert approvals(aws).find(RUNBOOK, TARGET) is None


def test_who_could_be_anybody_takes_a_standing_approval_back_and_gives_none(
    aws: EmbeddedAws, bob: Someone, session: Hire
) -> None:
    """Or else a requester would cover their own runs, under the name that their tool makes up."""
    anybody, path = session("Operator", "aws-go-sdk-1764290000123456789"), f"/standing-approvals/{RUNBOOK}"
    body = {"target": TARGET, "bounds": BOUNDS, "expires_at": (aws.clock.now() + timedelta(hours=1)).isoformat()}
    refused = anybody.send("PUT", path, body)
    assert (refused.status, refused.document["title"]) == (403, "Nobody in particular")
    assert approvals(aws).find(RUNBOOK, TARGET) is None
    assert bob.send("PUT", path, body).status == 200
    assert anybody.send("PUT", path, body | {"comment": "mine"}).status == 403
    assert anybody.send("DELETE", path, {"target": TARGET}).document["revoked_by"] == anybody.arn


def test_of_two_writers_at_one_moment_one_is_told_so(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    given(aws)
    held = approvals(aws)
    stale = held.find(RUNBOOK, TARGET)
    assert isinstance(stale, StandingApproval)
    given(aws, most_changes=3)
    with pytest.raises(ConditionFailed):
        held.revoke(stale, by=BOB, now=aws.clock.now())
    now = held.find(RUNBOOK, TARGET)
    assert now is not None
    assert (now.revoked_by, now.bounds) == (None, Bounds(operations=("ecs:UpdateService",), most_changes=3))


def test_there_is_nothing_to_revoke_where_nothing_was_given(aws: EmbeddedAws) -> None:
    assert send(aws, "DELETE", {"target": TARGET})[0] == 404
