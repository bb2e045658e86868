"""The calls that fix an endpoint's variants, each with its inverse."""

from __future__ import annotations

import json

from pydantic import JsonValue

from runbooks.catalogue.sagemaker_variant_fix.access import Access, barred
from runbooks.catalogue.sagemaker_variant_fix.facts import Configuration, Endpoint, Facts, Variant
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.making import TARGET, Making
from runbooks.catalogue.sagemaker_variant_fix.split import TOLERANCE, desired_weights, drifted, resized, share
from runbooks.model import Change, Irreversible, NothingToUndo, Proof, Undo

CREATE = "Create the endpoint configuration"
DEPLOY = "Deploy the new endpoint configuration"
SET = "Set the weights"
PROBE = "Probe every variant"

BAKING = 300
"""Seconds for which the rollback alarms watch the new fleet with all traffic on it."""
IN_PROGRESS = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
"""The states in which SageMaker accepts no other change of an endpoint."""
GIVES_UP_AFTER = 3600
"""Seconds after which SageMaker itself rolls a deployment back; the phase waits longer than that."""
DESCRIBE, DESCRIBE_CONFIGURATION = "sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"
_TOLD_CONFIGURATION = "PendingDeploymentSummary.EndpointConfigName || EndpointConfigName"
"""The configuration that the endpoint is told to have; what it has is the old one until the deployment is complete."""


_IS_BUSY = f"contains(`{json.dumps(sorted(IN_PROGRESS))}`, EndpointStatus)"


def _at_rest(endpoint: str) -> Proof:
    """SageMaker changes an endpoint only when it has finished the change before."""
    return Proof(operation=DESCRIBE, parameters={"EndpointName": endpoint}, path=_IS_BUSY, equals=False)


def _and_at_rest(shown: Proof) -> Proof:
    """An endpoint is as it was when it is told so, and SageMaker has finished."""
    path = f"!{_IS_BUSY} && ({shown.path}) == `{json.dumps(shown.equals)}`"
    return shown.model_copy(update={"path": path, "equals": True})


def changes(
    given: Input,
    endpoint: Endpoint,
    facts: Facts,
    current: Configuration,
    wanted: Configuration,
    weights: dict[str, float],
) -> list[Change]:
    """What leads from the endpoint as it is to what is wanted, in order; nothing if nothing is to be changed.

    A deployment retains the weights and counts that the endpoint has, and they are set afterwards: so each of the two
    has an exact inverse, and traffic is shifted on the new fleet only.
    """
    stuck = no_way_back(current, facts.access)
    planned = [_create(endpoint, facts.making, current, wanted)] if facts.making else []
    if endpoint.configuration != wanted.name:
        planned.append(_deploy(given, endpoint, wanted, stuck))
    if drifted(weights, desired_weights(endpoint)) or resized(given, endpoint):
        planned.append(_set(given, endpoint, weights))
    if planned and given.probe is not None:
        planned += [_probe(given, endpoint, variant, given.probe) for variant in endpoint.variants]
    return planned


def no_way_back(current: Configuration, access: tuple[Access, ...]) -> str | None:
    """Why a deployment could not be undone: the fleet of the old configuration would have to be launched again."""
    lacks = current.lacks + barred(current.models, access)
    return f"no new instance of {current.name} could start: {'; '.join(lacks)}" if lacks else None


def _create(endpoint: Endpoint, making: Making, current: Configuration, wanted: Configuration) -> Change:
    """The present configuration with what is asked for, tagged as made for this endpoint: adopted if it is there.

    It is taken away again only while it has that tag, and never while an endpoint that rests is on it.
    """
    named: dict[str, JsonValue] = {"EndpointConfigName": making.name}
    tag: dict[str, JsonValue] = {"Key": TARGET, "Value": endpoint.arn}
    ours = Proof(
        operation="sagemaker:ListTags",
        parameters={"ResourceArn": making.arn},
        path=f"Tags[?Key=='{TARGET}'].Value | [0]",
        equals=endpoint.arn,
    )
    shows = Proof(operation=DESCRIBE_CONFIGURATION, parameters=named, path="EndpointConfigName", equals=making.name)
    return Change(
        phase=CREATE,
        operation="sagemaker:CreateEndpointConfig",
        parameters=making.content | named | {"Tags": [tag]},
        was=f"no configuration {making.name}" if making.there == "no" else f"configuration {making.name}, unused",
        becomes=f"configuration {making.name}: {current.name} with {_what_differs(current, wanted)}",
        undo=Undo(
            operation="sagemaker:DeleteEndpointConfig",
            parameters=named,
            proof=shows.model_copy(update={"equals": None}),
            only_if=ours,
            when=Proof(
                operation=DESCRIBE,
                parameters={"EndpointName": endpoint.name},
                path=f"!{_IS_BUSY} && EndpointConfigName != `{json.dumps(making.name)}`",
                equals=True,
            ),
        ),
        proof=ours if making.there == "ours" else shows,
        adopts=making.there == "ours",
    )


def _what_differs(current: Configuration, wanted: Configuration) -> str:
    """What the variants get instead of what they have, e.g. `candidate: model churn-6 -> churn-7`."""
    parts = []
    for before, after in zip(current.variants, wanted.variants, strict=True):
        told = [
            f"{what} {one} -> {other}"
            for what, one, other in (
                ("model", before.model, after.model),
                ("instance type", before.instance_type, after.instance_type),
                ("instances", before.instances, after.instances),
            )
            if one != other
        ]
        if told:
            parts.append(f"{before.name}: {', '.join(told)}")
    return "; ".join(parts)


def _deploy(given: Input, endpoint: Endpoint, wanted: Configuration, stuck: str | None) -> Change:
    named: dict[str, JsonValue] = {"EndpointName": endpoint.name}
    alarms: list[JsonValue] = [{"AlarmName": name} for name in given.rollback_alarms or endpoint.alarms]
    policy: dict[str, JsonValue] = {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": BAKING,
        "MaximumExecutionTimeoutInSeconds": GIVES_UP_AFTER,
    }

    def told(configuration: str) -> Proof:
        return Proof(operation=DESCRIBE, parameters=named, path=_TOLD_CONFIGURATION, equals=configuration)

    undo = Undo(
        operation="sagemaker:UpdateEndpoint",
        # No alarm may stop the way back.
        parameters=named | {"EndpointConfigName": endpoint.configuration, "RetainAllVariantProperties": True},
        proof=_and_at_rest(told(endpoint.configuration)),
        when=_at_rest(endpoint.name),
    )
    return Change(
        phase=DEPLOY,
        operation="sagemaker:UpdateEndpoint",
        parameters=named
        | {
            "EndpointConfigName": wanted.name,
            "RetainAllVariantProperties": True,
            "DeploymentConfig": {
                "BlueGreenUpdatePolicy": policy,
                "AutoRollbackConfiguration": {"Alarms": alarms},
            },
        },
        was=f"configuration {endpoint.configuration}",
        becomes=f"configuration {wanted.name}",
        undo=Irreversible(irreversible=stuck) if stuck else undo,
        proof=told(wanted.name),
    )


def _set(given: Input, endpoint: Endpoint, weights: dict[str, float]) -> Change:
    """One call for all variants that differ."""
    now = desired_weights(endpoint)
    moved, counts = drifted(weights, now), resized(given, endpoint)
    touched = [variant for variant in endpoint.variants if variant.name in {*moved, *counts}]
    after = [
        _told(
            variant.name,
            weights[variant.name] if variant.name in moved else None,
            counts.get(variant.name),
        )
        for variant in touched
    ]
    before = [
        _told(
            variant.name,
            variant.desired_weight if variant.name in moved else None,
            variant.desired_instances if variant.name in counts else None,
        )
        for variant in touched
    ]
    named: dict[str, JsonValue] = {"EndpointName": endpoint.name}
    operation = "sagemaker:UpdateEndpointWeightsAndCapacities"
    return Change(
        phase=SET,
        operation=operation,
        parameters=named | {"DesiredWeightsAndCapacities": list(after)},
        was=_in_words(touched, now, {variant.name: variant.desired_instances for variant in touched}, counts),
        becomes=_in_words(touched, weights, counts, counts),
        undo=Undo(
            operation=operation,
            parameters=named | {"DesiredWeightsAndCapacities": list(before)},
            proof=_and_at_rest(_all_told(endpoint.name, before)),
            when=_at_rest(endpoint.name),
        ),
        proof=_all_told(endpoint.name, after),
        repeat_harmless=True,
    )


def _told(name: str, weight: float | None, count: int | None) -> dict[str, JsonValue]:
    """A variant of the request, with what is to be changed of it and nothing else."""
    told: dict[str, JsonValue] = {"VariantName": name}
    if weight is not None:
        told["DesiredWeight"] = weight
    if count is not None:
        told["DesiredInstanceCount"] = count
    return told


def _all_told(endpoint: str, wanted: list[dict[str, JsonValue]]) -> Proof:
    """All these variants are told to have these weights and counts."""
    conditions = []
    for each in wanted:
        parts = [f"VariantName==`{json.dumps(each['VariantName'])}`"]
        weight, count = each.get("DesiredWeight"), each.get("DesiredInstanceCount")
        if isinstance(weight, int | float):
            slack = TOLERANCE * weight
            parts += [f"DesiredWeight>=`{weight - slack:.9g}`", f"DesiredWeight<=`{weight + slack:.9g}`"]
        if count is not None:
            parts.append(f"DesiredInstanceCount==`{count}`")
        conditions.append(f"({' && '.join(parts)})")
    return Proof(
        operation=DESCRIBE,
        parameters={"EndpointName": endpoint},
        path=f"length(ProductionVariants[?{' || '.join(conditions)}])",
        equals=len(wanted),
    )


def _in_words(
    touched: list[Variant],
    weights: dict[str, float],
    counts: dict[str, int] | dict[str, int | None],
    sized: dict[str, int],
) -> str:
    parts = []
    for variant in touched:
        instances = f" on {counts[variant.name]} instances" if variant.name in sized else ""
        parts.append(f"{variant.name}={weights[variant.name]:g} ({share(weights, variant.name)}){instances}")
    return f"weights {', '.join(parts)}"


def _probe(given: Input, endpoint: Endpoint, variant: Variant, payload: str) -> Change:
    """An invocation of one variant. Its answer is not kept: that it was one is the outcome of the call."""
    named: dict[str, JsonValue] = {"EndpointName": endpoint.name}
    return Change(
        phase=PROBE,
        operation="sagemaker-runtime:InvokeEndpoint",
        parameters=named | {"TargetVariant": variant.name, "ContentType": given.probe_content_type, "Body": payload},
        was=f"{variant.name} not probed",
        becomes=f"{variant.name} has answered",
        undo=NothingToUndo(nothing_to_undo="an invocation leaves nothing behind"),
        proof=None,
        repeat_harmless=True,
    )
