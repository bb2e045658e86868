"""The endpoint configuration that is to be made: the present one with other models or instance types, under its name.

SageMaker changes no configuration: whoever wants another one makes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue

from runbooks.aws.session import AwsSession
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.reading import describe_configuration
from runbooks.model import Model, digest

TARGET = "runbooks:target"
"""The tag of what a run has made: the ARN of the endpoint that it was made for."""

_NOT_CONTENT = {"EndpointConfigName", "EndpointConfigArn", "CreationTime", "ResponseMetadata"}
_OURS = re.compile(r"-rb-[0-9a-f]{8}$")
_LONGEST = 63
_OF_AWS = "aws:"
MOST_TAGS = 50
"""How many tags SageMaker lets a configuration have."""


class Making(Model):
    """What is to be made. `content` are the parameters of CreateEndpointConfig but for the name and the tags.

    `tags` are those that the present configuration has, but for the ones of AWS and of an earlier run.
    `there`: whether something of that name exists, and whether it is just this and made by a run for this endpoint.
    """

    name: str
    arn: str
    content: dict[str, JsonValue]
    tags: dict[str, str] = Field(default_factory=dict)
    there: Literal["no", "ours", "other"]


def content_of(described: Mapping[str, Any]) -> dict[str, JsonValue]:
    """What a described configuration was created with. What is empty or off is so by default, and left out."""
    return {key: value for key, value in described.items() if value and key not in _NOT_CONTENT}


def content_wanted(given: Input, content: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The content with the models, instance types and instance counts that are asked for. Weights stay as they are."""
    variants: Any = content["ProductionVariants"]
    return {**content, "ProductionVariants": [_variant_wanted(given, each) for each in variants]}


def _variant_wanted(given: Input, variant: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    name = str(variant["VariantName"])
    asked = {
        "ModelName": (given.new_models or {}).get(name),
        "InstanceType": (given.new_instance_types or {}).get(name),
        "InitialInstanceCount": (given.instance_counts or {}).get(name),
    }
    return {**variant, **{key: value for key, value in asked.items() if value is not None}}


def name_for(present: str, content: Mapping[str, JsonValue]) -> str:
    """A name that follows from the content, so that who wants the same again finds it."""
    end = f"-rb-{digest(content)[:8]}"
    return _OURS.sub("", present)[: _LONGEST - len(end)].rstrip("-") + end


def asks_for_another(given: Input) -> bool:
    """Whether a configuration is described, rather than named only."""
    return bool(given.new_models or given.new_instance_types)


def read_making(given: Input, aws: AwsSession, endpoint_arn: str, described: Mapping[str, Any] | None) -> Making | None:
    """What is to be made of the present configuration; None if nothing is, or if it is what is asked for already.

    Calls: sagemaker DescribeEndpointConfig, ListTags.
    """
    if described is None or not asks_for_another(given):
        return None
    present = content_of(described)
    content = content_wanted(given, present)
    if digest(content) == digest(present):
        return None
    name = given.endpoint_configuration or name_for(described["EndpointConfigName"], content)
    arn = f"{described['EndpointConfigArn'].rpartition('/')[0]}/{name.lower()}"
    found = describe_configuration(aws, name)
    there: Literal["no", "ours", "other"] = "no"
    if found is not None:
        mine = _tags_of(aws, arn).get(TARGET) == endpoint_arn and digest(content_of(found)) == digest(content)
        there = "ours" if mine else "other"
        name = found["EndpointConfigName"]
    tags = {
        key: value
        for key, value in _tags_of(aws, described["EndpointConfigArn"]).items()
        if key != TARGET and not key.startswith(_OF_AWS)
    }
    return Making(name=name, arn=arn, content=content, tags=tags, there=there)


def _tags_of(aws: AwsSession, arn: str) -> dict[str, str]:
    pages = aws.client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
