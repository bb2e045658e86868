"""What a function is told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from runbooks.arn import arn


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
        )

    def own_tables(self) -> list[str]:
        """The ARNs of the State table and the Audit table, which are no runbook's target."""
        return [
            arn("dynamodb", self.region, self.account, f"table/{name}") for name in (self.state_table, self.audit_table)
        ]
