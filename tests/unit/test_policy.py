"""The policy: sensible when absent, closed when wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.errors import ChangeFreeze, PolicyInvalid, Refused
from runbooks.model import Mode, Risk
from runbooks.policy import Policy, change_forbidden, is_made_up, objection, parse_policy, person

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
TARGET = "arn:aws:ecs:eu-central-1:123456789012:service/prod/report"
FREEZE = {"starts": "2026-11-20T00:00:00Z", "ends": "2026-11-22T00:00:00Z", "reason": "year-end close"}


def against(policy: Policy, mode: Mode = Mode.EXECUTE, attempts: int = 0) -> Any:
    return objection(
        policy, runbook="ecs-service-rollback", mode=mode, targets=[TARGET], attempts={TARGET: attempts}, now=NOW
    )


def policy(**values: Any) -> Policy:
    return parse_policy(json.dumps(values))


def test_an_absent_policy_lets_runs_start_and_asks_for_approval_where_production_changes() -> None:
    absent = parse_policy(None)
    assert against(absent) is None
    assert absent.approval_required(Risk.CHANGES_PRODUCTION, "prod")
    assert absent.approval_required(Risk.DESTROYS_DATA, "dev")
    assert not absent.approval_required(Risk.REPAIRS, "prod")
    assert not absent.approval_required(Risk.READ_ONLY, "prod")


def test_a_requester_that_aws_does_not_vouch_for_is_enough_in_dev_only_unless_the_policy_says_otherwise() -> None:
    absent = parse_policy(None)
    assert {stage: absent.unverified_may_be_approved(stage) for stage in ("dev", "prod", "staging")} == {
        "dev": True,
        "prod": False,
        "staging": False,
    }
    assert policy(approve_unverified={"staging": True}).unverified_may_be_approved("staging")


def test_a_stage_can_differ() -> None:
    relaxed = policy(approval_in_stage={"dev": {"changes-production": False}})
    assert not relaxed.approval_required(Risk.CHANGES_PRODUCTION, "dev")
    assert relaxed.approval_required(Risk.CHANGES_PRODUCTION, "prod")


def test_leaving_a_risk_out_of_the_document_keeps_its_default() -> None:
    assert policy(approval={"repairs": True}).approval_required(Risk.DESTROYS_DATA, "prod")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"protected_targets": ["arn:aws:ecs:*:service/prod/*"]}, "is protected by policy"),
        ({"disabled_runbooks": ["ecs-service-rollback"]}, "is disabled by policy"),
    ],
)
def test_policy_refuses_with_its_reason(document: dict[str, Any], says: str) -> None:
    refusal = against(policy(**document))
    assert isinstance(refusal, Refused)
    assert says in str(refusal)


def test_the_attempt_budget_of_a_target_runs_out() -> None:
    spent = policy(attempts_per_target_and_day=2)
    assert against(spent, attempts=1) is None
    assert "2 runs have acted on" in str(against(spent, attempts=2))
    once = policy(attempts_per_target_and_day=1)
    first = objection(once, runbook="ecs-service-rollback", mode=Mode.EXECUTE, targets=[TARGET], attempts={}, now=NOW)
    assert first is None


def test_a_freeze_window_and_the_kill_switch_stop_changes_but_not_plans() -> None:
    for frozen in (policy(freeze_windows=[FREEZE]), policy(kill_switch=True)):
        assert isinstance(against(frozen), ChangeFreeze)
        assert against(frozen, Mode.PLAN) is None


def test_a_freeze_window_starts_and_ends_when_it_says() -> None:
    frozen = policy(freeze_windows=[FREEZE])
    assert change_forbidden(frozen, datetime(2026, 11, 19, 23, 59, 59, tzinfo=UTC)) is None
    assert change_forbidden(frozen, datetime(2026, 11, 20, tzinfo=UTC)) is not None
    assert "year-end close" in str(change_forbidden(frozen, NOW))
    assert change_forbidden(frozen, datetime(2026, 11, 22, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{"kill_swich": true}', "kill_swich: Extra inputs are not permitted"),
        ('{"kill_swich": true}', r"permitted$"),
        ('{"attempts_per_target_and_day": 0}', r"attempts_per_target_and_day: .* \(got 0\)"),
        ('{"attempts_per_target_and_day": 1001}', r"attempts_per_target_and_day: .* \(got 1001\)"),
        ('{"trigger_quiet_minutes": -1}', r"trigger_quiet_minutes: .* \(got -1\)"),
        ('{"trigger_quiet_minutes": 10081}', r"trigger_quiet_minutes: .* \(got 10081\)"),
        ('{"triggered_per_target_and_day": -1}', r"triggered_per_target_and_day: .* \(got -1\)"),
        ('{"triggered_per_target_and_day": 1001}', r"triggered_per_target_and_day: .* \(got 1001\)"),
        (f'{{"kill_switch": "{"x" * 78}"}}', rf"\(got '{'x' * 78}'\)"),
        (f'{{"kill_switch": "{"x" * 79}"}}', rf"\(got '{'x' * 76}\.\.\.\)"),
        ("not json", "the document: Invalid JSON"),
        (
            '{"freeze_windows": [{"starts": "2026-11-22T00:00:00Z", "ends": "2026-11-22T00:00:00Z", "reason": "x"}]}',
            "ends after",
        ),
        (
            '{"freeze_windows": [{"starts": "2026-11-22T00:00:00Z", "ends": "2026-11-21T00:00:00Z", "reason": "x"}]}',
            "ends after",
        ),
        (
            '{"freeze_windows": [{"starts": "2026-11-22T00:00:00", "ends": "2026-11-23T00:00:00Z", "reason": "x"}]}',
            "timezone",
        ),
    ],
)
def test_a_wrong_policy_document_stops_everything_and_says_where(document: str, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        parse_policy(document)


@pytest.mark.parametrize(
    ("identity", "who"),
    [
        ("alice", "alice"),
        (" Alice ", "alice"),
        ("Alice@example.com", "alice"),
        ("arn:aws:iam::123456789012:user/alice", "alice"),
        ("arn:aws:iam::123456789012:user/on-call/Alice", "alice"),
        ("arn:aws:sts::123456789012:assumed-role/Operator/alice@example.com", "alice"),
        ("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"),
    ],
)
def test_one_person_is_recognised_under_a_user_a_session_and_a_plain_name(identity: str, who: str) -> None:
    assert person(identity) == who


@pytest.mark.parametrize(
    "session",
    [
        "botocore-session-1764290000",
        "boto3-session-1764290000",
        "AWS-CLI-session-1523566057",
        "AWSCLI-Session",
        "aws-sdk-js-1764290000123",
        "aws-sdk-js-session-1764290000123",
        "aws-sdk-java-1764290000123",
        "aws-sdk-php-1764290000123",
        "aws-go-sdk-1764290000123456789",
        "aws-dotnet-sdk-session-636238288466144357",
        "assume-role-from-profile-1632246085998",
        "web-identity-token-1632246085998",
        "default_session",
        "1764290000",
        "1764290000123456789",
        "alice-1764290000",
        "i-0123456789abcdef0",
        "i-1a2b3c4d",
        "mi-0123456789abcdef0",
        "GitHubActions",
        "0f9a3b6c7d8e4f10a2b3c4d5e6f70819",
        "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
        "AWSCodeBuild-6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
        "eks-prod-worker-6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
    ],
)
def test_a_session_that_a_tool_has_named_is_nobody_in_particular(session: str) -> None:
    for partition in ("aws", "aws-cn"):
        assert is_made_up(f"arn:{partition}:sts::123456789012:assumed-role/Operator/{session}")
    assert not is_made_up(f"arn:aws:iam::123456789012:user/{session}"), "IAM users are named by who made them"


@pytest.mark.parametrize(
    "identity",
    [
        "alice",
        "botocore-session-1764290000",
        "arn:aws:iam::123456789012:root",
        "arn:aws:iam::123456789012:user/on-call/alice",
        "arn:aws:sts::123456789012:federated-user/alice",
        *(
            f"arn:aws:sts::123456789012:assumed-role/{role_and_session}"
            for role_and_session in (
                "Operator/alice",
                "Operator/alice@example.com",
                "Operator/4711@example.com",
                "Operator/alice.smith-2",
                "Operator/Beatrice",
                "Operator/bot-keeper",
                "Operator/awsadmin",
                "Operator/INC-4711",
                "botocore-session-1764290000/alice",
                "AWSReservedSSO_Admin_0123456789abcdef/alice",
            )
        ),
    ],
)
def test_who_carries_a_name_is_somebody(identity: str) -> None:
    assert not is_made_up(identity)
