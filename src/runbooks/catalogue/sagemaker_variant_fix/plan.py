"""The calls that fix an endpoint's variants, each with its inverse."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue

from runbooks.catalogue.sagemaker_variant_fix.access import Access, barred
from runbooks.catalogue.sagemaker_variant_fix.facts import Configuration, Endpoint, Facts, Variant
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.making import TARGET, Making
from runbooks.catalogue.sagemaker_variant_fix.split import (
    TOLERANCE,
    desired_weights,
    drifted,
    in_words,
    scaled_in,
    scaled_out,
)
from runbooks.model import Change, Irreversible, NothingToUndo, Proof, Undo

CREATE = "Create the endpoint configuration"
DEPLOY = "Deploy the new endpoint configuration"
SCALE_OUT = "Scale the variants out"
SET = "Set the weights"
SCALE_IN = "Scale the variants in"
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

    A deployment retains the weights and counts that the endpoint has, and they are set afterwards: so each of them has
    an exact inverse, and traffic is shifted on the new fleet only. Instances come before the traffic and go after it.
    """
    stuck = no_way_back(current, facts.access)
    planned = [_create(endpoint, facts.making, current, wanted)] if facts.making else []
    if endpoint.configuration != wanted.name:
        planned.append(_deploy(given, endpoint, wanted, stuck))
    if more := scaled_out(given, endpoint):
        planned.append(_scale(SCALE_OUT, endpoint, more))
    if drifted(weights, desired_weights(endpoint)):
        planned.append(_set(endpoint, weights))
    if fewer := scaled_in(given, endpoint):
        planned.append(_scale(SCALE_IN, endpoint, fewer))
    if planned and given.probe is not None:
        planned += [_probe(given, endpoint, variant, given.probe) for variant in endpoint.variants]
    return planned


def no_way_back(current: Configuration, access: tuple[Access, ...]) -> str | None:
    """Why a deployment could not be undone: the fleet of the old configuration would have to be launched again."""
    lacks = current.lacks + barred(current.models, access)
    return f"no new instance of {current.name} could start: {'; '.join(lacks)}" if lacks else None


def _create(endpoint: Endpoint, making: Making, current: Configuration, wanted: Configuration) -> Change:
    """The present configuration with what is asked for and its tags, tagged as made for this endpoint.

    One that is there is adopted, and stays. One that the run makes is taken away again only while it has that tag, and
    never while the endpoint is on it or does not rest.
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
    delete = Undo(
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
    )
    theirs: list[JsonValue] = [{"Key": key, "Value": value} for key, value in making.tags.items()]
    adopts = making.there == "ours"
    return Change(
        phase=CREATE,
        operation="sagemaker:CreateEndpointConfig",
        parameters=making.content | named | {"Tags": [*theirs, tag]},
        was=f"no configuration {making.name}" if making.there == "no" else f"configuration {making.name}, unused",
        becomes=f"configuration {making.name}: {current.name} with {_what_differs(current, wanted)}",
        undo=NothingToUndo(nothing_to_undo="it was there before this run") if adopts else delete,
        proof=ours if adopts else shows,
        adopts=adopts,
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


def _set(endpoint: Endpoint, weights: dict[str, float]) -> Change:
    """One call for all variants whose weight differs."""
    now = desired_weights(endpoint)
    moved = drifted(weights, now)
    return _tell(
        endpoint,
        SET,
        "DesiredWeight",
        before={name: now[name] for name in moved},
        after={name: weights[name] for name in moved},
        was=f"weights {in_words(now, moved)}",
        becomes=f"weights {in_words(weights, moved)}",
    )


def _scale(phase: str, endpoint: Endpoint, counts: dict[str, int]) -> Change:
    """One call for all variants that get more instances, or fewer.

    Its inverse is left out once somebody else has counted all of them anew: nothing of this run is left then, and what
    was changed before the counts is to be undone all the same.
    """
    now = {each.name: each.desired_instances or 0 for each in endpoint.variants if each.name in counts}
    return _tell(
        endpoint,
        phase,
        "DesiredInstanceCount",
        before=now,
        after=counts,
        was=f"instances {', '.join(f'{name}={count}' for name, count in now.items())}",
        becomes=f"instances {', '.join(f'{name}={counts[name]}' for name in now)}",
        undone_if_ours=True,
    )


def _tell(
    endpoint: Endpoint,
    phase: str,
    what: str,
    *,
    before: Mapping[str, float],
    after: Mapping[str, float],
    was: str,
    becomes: str,
    undone_if_ours: bool = False,
) -> Change:
    """Tells SageMaker the weights, or the counts, of these variants and nothing else of them.

    `undone_if_ours`: the inverse is needed only while at least one of them is told what this sets.
    """

    def told(values: Mapping[str, float]) -> list[dict[str, JsonValue]]:
        return [
            {"VariantName": each.name, what: values[each.name]} for each in endpoint.variants if each.name in values
        ]

    named: dict[str, JsonValue] = {"EndpointName": endpoint.name}
    operation = "sagemaker:UpdateEndpointWeightsAndCapacities"
    return Change(
        phase=phase,
        operation=operation,
        parameters=named | {"DesiredWeightsAndCapacities": list(told(after))},
        was=was,
        becomes=becomes,
        undo=Undo(
            operation=operation,
            parameters=named | {"DesiredWeightsAndCapacities": list(told(before))},
            proof=_and_at_rest(_all_told(endpoint.name, told(before))),
            only_if=_any_told(endpoint.name, told(after)) if undone_if_ours else None,
            when=_at_rest(endpoint.name),
        ),
        proof=_all_told(endpoint.name, told(after)),
        repeat_harmless=True,
    )


def _all_told(endpoint: str, wanted: list[dict[str, JsonValue]]) -> Proof:
    """All these variants are told to have these weights and counts."""
    return Proof(
        operation=DESCRIBE, parameters={"EndpointName": endpoint}, path=_number_told(wanted), equals=len(wanted)
    )


def _any_told(endpoint: str, wanted: list[dict[str, JsonValue]]) -> Proof:
    """At least one of these variants is told so."""
    return Proof(
        operation=DESCRIBE, parameters={"EndpointName": endpoint}, path=f"{_number_told(wanted)} > `0`", equals=True
    )


def _number_told(wanted: list[dict[str, JsonValue]]) -> str:
    """JMESPath to the number of variants that are told to have these weights and counts."""
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
    # An endpoint that is gone has none.
    return f"length(ProductionVariants[?{' || '.join(conditions)}] || `[]`)"


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
