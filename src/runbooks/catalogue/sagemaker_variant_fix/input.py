"""What a variant fix is asked for."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from runbooks.model import RunInput

Name = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")]
AlarmName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^.*\S.*$")]
InstanceType = Annotated[str, StringConstraints(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _in_one_sentence(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """The weights; of those that are none, one sentence, where pydantic has one for each kind that they are not."""
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError(
            "weights",
            'must be "as configured", or a number of 0 or more for every production variant by its name, e.g.'
            ' {"current": 9, "candidate": 1}',
        ) from None


Weights = Annotated[
    Annotated[dict[Name, Weight], Field(min_length=1)] | Literal["as configured"], WrapValidator(_in_one_sentence)
]


class Input(RunInput):
    """The endpoint, how its traffic is to be split, and optionally the configuration that it is to be moved to."""

    endpoint: Name = Field(description="the endpoint's name, e.g. churn-prediction")
    weights: Weights = Field(
        "as configured",
        description='the weight of every production variant, e.g. {"current": 9, "candidate": 1}; those of the endpoint'
        " configuration if absent, and literal after the diagnosis",
    )
    instance_counts: dict[Name, Annotated[int, Field(ge=1)]] | None = Field(
        None, description="instances of the variants that are to be resized; all others stay as they are"
    )
    endpoint_configuration: Name | None = Field(
        None,
        description="the endpoint configuration to deploy, blue/green; if absent, the present one stays, or the one"
        " that is made gets a name that follows from what is in it",
    )
    new_models: dict[Name, Name] | None = Field(
        None,
        description='other models of variants, e.g. {"candidate": "churn-7"}: an endpoint configuration is made that'
        " has them and is otherwise as the present one",
    )
    new_instance_types: dict[Name, InstanceType] | None = Field(
        None,
        description='other instance types of variants, e.g. {"candidate": "ml.m5.xlarge"}, in a configuration that is'
        " made in the same way",
    )
    rollback_alarms: list[AlarmName] = Field(
        default_factory=list,
        max_length=10,
        description="CloudWatch alarms on which SageMaker rolls the deployment back; those of the last deployment if"
        " absent",
    )
    probe: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = Field(
        None,
        description="a payload that every variant must answer after the change; the answers are not kept, but it is, in"
        " clear, in the plan, the state and the audit trail: no personal data, no secrets",
    )
    probe_content_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=255)] = Field(
        "application/json", description="the payload's MIME type"
    )
