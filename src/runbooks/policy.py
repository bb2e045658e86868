"""Who may run what, when: a JSON document in Parameter Store, sensible when it is absent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from runbooks.clock import iso
from runbooks.errors import ChangeFreeze, PolicyInvalid, Refused, RunbookError
from runbooks.model import Mode, Model, Risk, Text


class FreezeWindow(Model):
    """A time in which nothing is changed, e.g. the year-end close."""

    starts: AwareDatetime
    ends: AwareDatetime
    reason: Text

    @model_validator(mode="after")
    def _in_order(self) -> FreezeWindow:
        if self.ends <= self.starts:
            raise ValueError("a freeze window ends after it starts")
        return self


def _approval_by_default() -> dict[Risk, bool]:
    return {Risk.READ_ONLY: False, Risk.REPAIRS: False, Risk.CHANGES_PRODUCTION: True, Risk.DESTROYS_DATA: True}


class Policy(Model):
    """The rules. Every field has a default, so `{}` and an absent document mean the same."""

    kill_switch: bool = Field(False, description="true stops every change, also of runs that are under way")
    disabled_runbooks: tuple[str, ...] = Field((), description="names of runbooks that may not be started")
    approval: dict[Risk, bool] = Field(
        default_factory=_approval_by_default, description="whether a person must approve, by risk"
    )
    approval_in_stage: dict[str, dict[Risk, bool]] = Field(
        default_factory=dict, description="what differs from `approval`, by stage, e.g. {'dev': {'repairs': false}}"
    )
    approve_unverified: dict[str, bool] = Field(
        default_factory=lambda: {"dev": True, "prod": False},
        description="whether a run whose requester AWS does not vouch for may be approved, by stage; false if absent",
    )
    freeze_windows: tuple[FreezeWindow, ...] = ()
    protected_targets: tuple[str, ...] = Field(
        (), description="ARN patterns (* and ?) that no runbook may change, e.g. arn:aws:ecs:*:service/payments/*"
    )
    attempts_per_target_and_day: int = Field(
        5, ge=1, le=1000, description="runs that may act on one target in a UTC day"
    )
    triggers: dict[str, Literal["off", "plan", "execute"]] = Field(
        default_factory=dict, description="the mode of runs that events start, by runbook; plan if absent"
    )
    trigger_quiet_minutes: int = Field(
        60, ge=0, le=10_080, description="minutes after a triggered run in which no event starts another on its target"
    )
    triggered_per_target_and_day: int = Field(
        5, ge=0, le=1000, description="runs of a runbook that events may start on one target in a UTC day"
    )

    def approval_required(self, risk: Risk, stage: str) -> bool:
        """Whether a person must approve a plan of this risk in this stage. What is not said is required."""
        by_stage = self.approval_in_stage.get(stage, {})
        return by_stage.get(risk, self.approval.get(risk, _approval_by_default()[risk]))

    def unverified_may_be_approved(self, stage: str) -> bool:
        """Whether a plan may be approved though nobody knows for sure who asked for it."""
        return self.approve_unverified.get(stage, False)


def person(identity: str) -> str:
    """The person behind an IAM ARN: the user's name, or the session name of an assumed role, in lower case.

    A plain name stays as it is, so that a claimed requester can be compared with a vouched approver.
    """
    return identity.rpartition("/")[2].partition("@")[0].strip().casefold()


_MADE_UP = re.compile(
    r"""
      \d+                                                    # the time: SDK for Go v1, aws-vault, `date +%s`
    | .*[-_.=]\d{10,}                                        # the time behind a prefix, as most SDKs have it
    | (boto3?|botocore|aws-?cli|aws-(\w+-)?sdk)([-_.=].*)?   # a tool: botocore-session-, AWSCLI-Session, aws-sdk-js-
    | (default|cli|assume-?role)[-_]?session                 # SDK for Ruby, and what people paste from a manual
    | github-?actions                                        # aws-actions/configure-aws-credentials
    | m?i-[0-9a-f]{8,}                                       # an instance: EC2, Systems Manager
    | .*[0-9a-f]{8}(?P<dash>-?)([0-9a-f]{4}(?P=dash)){3}[0-9a-f]{12}  # a task or a pod: ECS, EKS, CodeBuild, Scheduler
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_made_up(identity: str) -> bool:
    """Whether the identity is a session of a role whose name a tool has made up: one that says nothing of the person.

    Whoever may assume the role has such a name, and another one each time, so it tells nobody from anybody.
    """
    session = identity.partition(":assumed-role/")[2].rpartition("/")[2].strip()
    return _MADE_UP.fullmatch(session) is not None


def parse_policy(document: str | None) -> Policy:
    """The policy in a JSON document; the defaults when there is none.

    Raises PolicyInvalid naming each field that is wrong.
    """
    if document is None:
        return Policy()
    try:
        return Policy.model_validate_json(document)
    except ValidationError as invalid:
        raise PolicyInvalid(f"the policy document is invalid: {explain(invalid)}") from None


def explain(invalid: ValidationError) -> str:
    """One sentence a field: where, what is wrong, and with which value."""
    sentences = []
    for error in invalid.errors(include_url=False):
        where = ".".join(str(part) for part in error["loc"]) or "the document"
        got = "" if error["type"] in {"missing", "extra_forbidden"} else f" (got {_shown(error['input'])})"
        sentences.append(f"{where}: {error['msg']}{got}")
    return "; ".join(sentences)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def change_forbidden(policy: Policy, now: datetime) -> ChangeFreeze | None:
    """Whether any change is forbidden at this moment, whatever the target."""
    if policy.kill_switch:
        return ChangeFreeze("the kill switch is on; nothing is changed until the policy document turns it off")
    for window in policy.freeze_windows:
        if window.starts <= now < window.ends:
            until = iso(window.ends.astimezone(UTC))
            return ChangeFreeze(f"changes are frozen until {until}: {window.reason}; mode plan still works")
    return None


def objection(
    policy: Policy, *, runbook: str, mode: Mode, targets: Sequence[str], attempts: Mapping[str, int], now: datetime
) -> RunbookError | None:
    """Why this run may not start, or None. `attempts` are today's acting runs by target."""
    if runbook in policy.disabled_runbooks:
        return Refused(f"{runbook} is disabled by policy")
    if mode is Mode.PLAN:
        return None
    if frozen := change_forbidden(policy, now):
        return frozen
    for target in targets:
        for pattern in policy.protected_targets:
            if fnmatchcase(target, pattern):
                return Refused(f"{target} is protected by policy ({pattern}); mode plan still works")
        if attempts.get(target, 0) >= policy.attempts_per_target_and_day:
            return Refused(budget_spent(target, policy.attempts_per_target_and_day))
    return None


def budget_spent(target: str, limit: int) -> str:
    """The sentence for a target that has been worked on too often today."""
    return f"{limit} runs have acted on {target} today, which is the limit; look at why they did not last"
