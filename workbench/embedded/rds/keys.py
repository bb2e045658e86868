"""The KMS keys of encrypted clusters and snapshots, as Amazon RDS sees them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from moto.iam.models import get_account_id_from
from moto.kms.models import kms_backends

from workbench.embedded.calls import Call, ServiceError

DEFAULT_ALIAS = "alias/aws/rds"
NEEDED = "kms:CreateGrant"
"""What RDS must be allowed to do with a key in the caller's name, also with one of another account."""


@dataclass(frozen=True)
class Key:
    """A KMS key; `default` is the one that AWS manages for RDS in each account and region."""

    arn: str
    default: bool = False

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    def usable_by(self, account: str) -> bool:
        """Whether the key is there and enabled, and its policy or a grant lets that account's RDS use it."""
        known = _known(self.account, self.region, self.arn)
        if known is None or known.key_state != "Enabled":
            return False
        return self.account == account or _lets_in(known, account, NEEDED)


def default_key(account: str, region: str) -> Key:
    """The key behind alias/aws/rds."""
    known = _known(account, region, DEFAULT_ALIAS)
    known.key_manager = "AWS"
    return Key(str(known.arn), default=True)


def find_key(wanted: str, account: str, region: str) -> Key | None:
    """The key of that id, ARN or alias for a caller in that account and region; None if there is none."""
    if wanted.startswith("arn:"):
        _, _, _, region_of_it, owner, _ = wanted.split(":", 5)
        if region_of_it != region:
            return None
        account = owner
    if wanted.endswith(DEFAULT_ALIAS):
        return default_key(account, region)
    known = _known(account, region, wanted)
    if known is None:
        return None
    return Key(str(known.arn), default=DEFAULT_ALIAS in known.aliases)


def describe(call: Call) -> dict[str, Any] | None:
    """DescribeKey of another account's key, by its ARN; None for one of the caller's own, which moto describes.

    Raises AccessDeniedException unless the key's policy lets the caller's account in.
    """
    wanted, us = str(call.params["KeyId"]), get_account_id_from(call.access_key)
    if not wanted.startswith("arn:") or wanted.split(":")[4] == us:
        return None
    _, _, _, region, owner, _ = wanted.split(":", 5)
    known = _known(owner, region, wanted) if region == call.region else None
    if known is None or not _lets_in(known, us, "kms:DescribeKey"):
        raise ServiceError(
            "AccessDeniedException",
            f"User: arn:aws:sts::{us}:assumed-role/{call.caller} is not authorized to perform: kms:DescribeKey on"
            f" resource: {wanted} because no resource-based policy allows the kms:DescribeKey action",
        )
    return {"KeyMetadata": known.to_dict()["KeyMetadata"]}


def _known(account: str, region: str, wanted: str) -> Any:
    backend = kms_backends[account][region]
    name = backend.get_alias_name(wanted)
    if name.startswith("alias/") and backend.get_key_id_from_alias(name) is None:
        return None
    return backend.keys.get(backend.any_id_to_key_id(wanted))


def _lets_in(known: Any, account: str, action: str) -> bool:
    for grant in known.grants.values():
        if f":{account}:" in grant.grantee_principal and action.partition(":")[2] in grant.operations:
            return True
    statements = json.loads(known.policy).get("Statement", [])
    allowed = False
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        named = principal if isinstance(principal, str) else principal.get("AWS", [])
        names = [named] if isinstance(named, str) else named
        actions = statement.get("Action", [])
        actions = [actions] if isinstance(actions, str) else actions
        meant = any(name in ("*", account) or f"::{account}:" in name for name in names)
        if meant and any(fnmatchcase(action.lower(), pattern.lower()) for pattern in actions):
            if statement.get("Effect") == "Deny":
                return False
            allowed = True
    return allowed
