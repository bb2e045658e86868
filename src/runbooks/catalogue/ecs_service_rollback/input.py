"""What a rollback is asked for."""

from typing import Annotated

from pydantic import Field, StringConstraints

from runbooks.model import RunInput

EcsName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,255}$")]


class Input(RunInput):
    """The service to roll back, and optionally how far."""

    cluster: EcsName = Field(description="the cluster's name, e.g. snowflake-analytics-cluster")
    service: EcsName = Field(description="the service's name, e.g. snowflake-report-service")
    task_definition: (
        Annotated[str, StringConstraints(pattern=r"^(arn:aws[a-z-]*:ecs:.+/)?[A-Za-z0-9_-]+:\d+$")] | None
    ) = Field(
        None,
        description="family:revision or ARN to go back to; the last revision that was steady if absent",
    )
