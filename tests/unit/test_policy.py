"""The policy: sensible when absent, closed when wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.errors import ChangeFreeze, PolicyInvalid, Refused
from runbooks.model import Mode, Risk
from runbooks.policy import Policy, change_forbidden, objection, parse_policy

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


def test_a_freeze_window_and_the_kill_switch_stop_changes_but_not_plans() -> None:
    for frozen in (policy(freeze_windows=[FREEZE]), policy(kill_switch=True)):
        assert isinstance(against(frozen), ChangeFreeze)
        assert against(frozen, Mode.PLAN) is None


def test_a_freeze_window_ends_when_it_says() -> None:
    frozen = policy(freeze_windows=[FREEZE])
    assert "year-end close" in str(change_forbidden(frozen, NOW))
    assert change_forbidden(frozen, datetime(2026, 11, 22, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{"kill_swich": true}', "kill_swich: Extra inputs are not permitted"),
        ('{"attempts_per_target_and_day": 0}', "attempts_per_target_and_day"),
        ("not json", "Invalid JSON"),
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
