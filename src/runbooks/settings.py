"""What a function is told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from runbooks.arn import arn
from runbooks.errors import Refused


@dataclass(frozen=True)
class Settings:
    """The environment of every function; `template.yaml` sets it."""

    state_table: str
    audit_table: str
    policy_parameter: str
    topic_arn: str
    stage: str
    system: str
    account: str
    region: str
    accounts: dict[str, str]
    """Account ids by alias: the other accounts that a plan may name."""
    api_url: str = ""
    """Where the HTTP API answers; empty in a function that need not say so."""
    signing_key: str = ""
    """The key that seals are signed with; empty for every function but the sealer."""
    archive: str = ""
    """The bucket of the archive; empty for every function that does not archive."""
    starting_roles: frozenset[str] = frozenset()
    """The ARNs of the roles of the functions that start runs in somebody's name; only attribution asks."""

    @classmethod
    def from_env(cls) -> Self:
        """Raises KeyError naming the variable that the template forgot."""
        return cls(
            state_table=os.environ["STATE_TABLE"],
            audit_table=os.environ["AUDIT_TABLE"],
            policy_parameter=os.environ["POLICY_PARAMETER"],
            topic_arn=os.environ["TOPIC_ARN"],
            stage=os.environ["STAGE"],
            system=os.environ["SYSTEM"],
            account=os.environ["ACCOUNT_ID"],
            region=os.environ["AWS_REGION"],
            accounts=dict(pair.split("=", 1) for pair in os.environ.get("ACCOUNTS", "").split(",") if pair),
            api_url=os.environ.get("API_URL", ""),
            signing_key=os.environ.get("SIGNING_KEY", ""),
            archive=os.environ.get("ARCHIVE", ""),
            starting_roles=frozenset(role for role in os.environ.get("STARTING_ROLES", "").split(",") if role),
        )

    def role_in(self, alias: str) -> str:
        """The ARN of the role to take in another account. Raises Refused for an alias that is not deployed."""
        if alias not in self.accounts:
            known = ", ".join(sorted(self.accounts)) or "none"
            raise Refused(f"the account {alias!r} is not on the deployed list of accounts ({known})")
        return f"arn:aws:iam::{self.accounts[alias]}:role/{self.system}-target"

    def own_tables(self) -> list[str]:
        """The ARNs of the State table and the Audit table, which are no runbook's target."""
        return [
            arn("dynamodb", self.region, self.account, f"table/{name}") for name in (self.state_table, self.audit_table)
        ]
