"""How the traffic is to be split, and how it is: weights by variant, as SageMaker tells them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from runbooks.catalogue.sagemaker_variant_fix.facts import Configuration, Endpoint
from runbooks.catalogue.sagemaker_variant_fix.input import Input

TOLERANCE = 1e-4
"""Weights are 32-bit floats in the service: 0.7 may come back as 0.699999988. It is a part of the weight, so that the
smallest weight is not taken for none, which is always exact."""


def same(one: float, other: float) -> bool:
    """Whether two weights are the same but for the service's precision."""
    return math.isclose(one, other, rel_tol=TOLERANCE)


def wanted_weights(given: Input, wanted: Configuration | None) -> dict[str, float]:
    """The weight that every variant is to have; what is as configured is literal once the diagnosis was made."""
    configured = {variant.name: variant.weight for variant in wanted.variants} if wanted else {}
    if isinstance(given.weights, str):
        return configured
    order = list(configured)
    return dict(sorted(given.weights.items(), key=lambda each: order.index(each[0]) if each[0] in order else -1))


def desired_weights(endpoint: Endpoint) -> dict[str, float]:
    """The weights that the endpoint is told to have."""
    return {variant.name: variant.desired_weight for variant in endpoint.variants}


def drifted(wanted: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """The variants whose weight is not the wanted one."""
    return [name for name in now if name in wanted and not same(wanted[name], now[name])]


def resized(given: Input, endpoint: Endpoint) -> dict[str, int]:
    """The variants that are told to have another number of instances than is asked for, with the number asked for."""
    asked = given.instance_counts or {}
    return {
        variant.name: asked[variant.name]
        for variant in endpoint.variants
        if variant.name in asked and variant.desired_instances != asked[variant.name]
    }


def scaled_out(given: Input, endpoint: Endpoint) -> dict[str, int]:
    """The variants that are to have more instances, with their number."""
    told = {variant.name: variant.desired_instances or 0 for variant in endpoint.variants}
    return {name: count for name, count in resized(given, endpoint).items() if count > told[name]}


def scaled_in(given: Input, endpoint: Endpoint) -> dict[str, int]:
    """The variants that are to have fewer instances, with their number."""
    more = scaled_out(given, endpoint)
    return {name: count for name, count in resized(given, endpoint).items() if name not in more}


def share(weights: Mapping[str, float], name: str) -> str:
    """A variant's part of the traffic, in percent."""
    whole = sum(weights.values())
    return f"{100 * weights[name] / whole:.3g} %" if whole else "no traffic"


def in_words(weights: Mapping[str, float], names: Collection[str] | None = None) -> str:
    """The split, or what these variants have of it, e.g. `A=9 (90 %), B=1 (10 %)`."""
    return ", ".join(
        f"{name}={weight:g} ({share(weights, name)})"
        for name, weight in weights.items()
        if names is None or name in names
    )
