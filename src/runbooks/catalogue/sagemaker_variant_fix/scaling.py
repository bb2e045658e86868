"""What Application Auto Scaling does with the instance counts of an endpoint's variants."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession
from runbooks.model import Model

_COUNT = "sagemaker:variant:DesiredInstanceCount"


class Scaled(Model):
    """A variant that is a scalable target: its instances are kept between a minimum and a maximum."""

    variant: str
    minimum: int
    maximum: int


def read_scaling(aws: AwsSession, endpoint: str, variants: Sequence[str]) -> tuple[Scaled, ...] | None:
    """Those of the variants that are scalable targets; None if this role may not look.

    Calls: application-autoscaling DescribeScalableTargets, if there is any variant to ask about.
    """
    if not variants:
        return ()
    names = {f"endpoint/{endpoint}/variant/{variant}": variant for variant in variants}
    pages = (
        aws.client("application-autoscaling")
        .get_paginator("describe_scalable_targets")
        .paginate(ServiceNamespace="sagemaker", ResourceIds=list(names), ScalableDimension=_COUNT)
    )
    try:
        found = [target for page in pages for target in page["ScalableTargets"]]
    except ClientError as failure:
        if failure.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return None
    return tuple(
        Scaled(variant=names[each["ResourceId"]], minimum=each["MinCapacity"], maximum=each["MaxCapacity"])
        for each in found
    )
