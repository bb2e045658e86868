"""Split an endpoint's traffic as asked, if every variant could start a new instance, and wait until it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

PAUSE = 20.0
"""Seconds between two looks."""
LOOKS = 90


def main(client: Callable[[str], Any], sleep: Callable[[float], None], given: Mapping[str, Any]) -> None:
    """Raises RuntimeError if a variant could not start, or the weights are not taken."""
    service, name, weights = client("sagemaker"), given["endpoint"], given["weights"]

    def described() -> dict[str, Any]:
        endpoint: dict[str, Any] = service.describe_endpoint(EndpointName=name)
        return endpoint

    endpoint = described()
    if endpoint["EndpointStatus"] != "InService":
        raise RuntimeError(f"{name} is {endpoint['EndpointStatus']}")
    configuration = service.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    for variant in configuration["ProductionVariants"]:
        container = service.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]
        bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
        head = client("s3").head_object(Bucket=bucket, Key=key)
        if "SSEKMSKeyId" in head:
            state = client("kms").describe_key(KeyId=head["SSEKMSKeyId"])["KeyMetadata"]["KeyState"]
            if state != "Enabled":
                raise RuntimeError(f"the key of {key} is {state}")
    _report(client("cloudwatch"), name, list(weights))
    service.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": variant, "DesiredWeight": weight} for variant, weight in weights.items()
        ],
    )
    for _ in range(LOOKS):
        sleep(PAUSE)
        endpoint = described()
        if endpoint["EndpointStatus"] == "InService":
            break
    if {each["VariantName"]: each["CurrentWeight"] for each in endpoint["ProductionVariants"]} != weights:
        raise RuntimeError(f"{name} is {endpoint['EndpointStatus']}, and its weights are not {weights}")


def _report(cloudwatch: Any, endpoint: str, variants: list[str]) -> None:
    """Prints the last hour's invocations."""
    now = datetime.now(UTC)
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SageMaker",
                    "MetricName": "Invocations",
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": endpoint},
                        {"Name": "VariantName", "Value": variant},
                    ],
                },
                "Period": 300,
                "Stat": "Sum",
            },
        }
        for number, variant in enumerate(variants)
    ]
    data = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=now - timedelta(hours=1), EndTime=now)
    for variant, result in zip(variants, data["MetricDataResults"], strict=True):
        print(variant, sum(result["Values"]), file=sys.stderr)
