"""What CloudWatch has of an endpoint's variants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from runbooks.aws.session import AwsSession
from runbooks.model import Model

LOOK_BACK = timedelta(hours=1)
_PERIOD = 300
_METRICS = ("Invocations", "Invocation5XXErrors")


class Traffic(Model):
    """A variant's last hour. `invocations` is null if it published no metric at all."""

    variant: str
    invocations: int | None
    errors: int = 0


def read_traffic(aws: AwsSession, endpoint: str, variants: Sequence[str], now: datetime) -> tuple[Traffic, ...]:
    """The variants' invocations, and those answered with 500 and above. Calls: cloudwatch GetMetricData."""
    if not variants:
        return ()
    queries = [
        _query(f"m{number}_{index}", metric, endpoint, variant)
        for number, variant in enumerate(variants)
        for index, metric in enumerate(_METRICS)
    ]
    pages = (
        aws.client("cloudwatch")
        .get_paginator("get_metric_data")
        .paginate(MetricDataQueries=queries, StartTime=now - LOOK_BACK, EndTime=now)
    )
    sums: dict[str, int] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            if result["Values"]:
                sums[result["Id"]] = sums.get(result["Id"], 0) + round(sum(result["Values"]))
    return tuple(
        Traffic(variant=variant, invocations=sums.get(f"m{number}_0"), errors=sums.get(f"m{number}_1", 0))
        for number, variant in enumerate(variants)
    )


def _query(name: str, metric: str, endpoint: str, variant: str) -> dict[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    measured = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": measured, "Period": _PERIOD, "Stat": "Sum"}}
