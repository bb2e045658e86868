"""What each phase waits for, and what must still be true when it starts."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue

from runbooks.catalogue.sagemaker_variant_fix.facts import Alarm, Configuration, Endpoint, Facts
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.split import (
    desired_weights,
    drifted,
    in_words,
    resized,
    scaled_out,
    wanted_weights,
)
from runbooks.model import Progress, failed, pending, settled

_ON_ITS_WAY = {"Updating", "SystemUpdating", "RollingBack"}


def configuration_is_there(given: Input, facts: Facts) -> Progress:
    """Whether the configuration shows: SageMaker may not find it at once, and a deployment would be refused."""
    if facts.wanted is None:
        return pending(f"the endpoint configuration {given.endpoint_configuration} does not show yet")
    return settled(f"the endpoint configuration {facts.wanted.name} is there")


def configuration_is_in_service(given: Input, facts: Facts) -> Progress:
    """Whether the endpoint has come to rest on the wanted configuration, and not back on the old one."""
    endpoint = facts.endpoint
    if given.endpoint_configuration is None:
        return settled("no other endpoint configuration is asked for")
    if endpoint is None:
        return failed(f"{given.endpoint} is gone")
    if endpoint.status in _ON_ITS_WAY:
        return pending(_going_on(endpoint))
    if endpoint.status != "InService":
        return failed(f"{given.endpoint} is {endpoint.status}: {endpoint.failure}")
    if endpoint.configuration == given.endpoint_configuration:
        return settled(f"{given.endpoint} is in service on {endpoint.configuration}")
    if endpoint.failure:
        why = f"SageMaker has rolled it back itself: {endpoint.failure}"
    else:
        why = "SageMaker gives no reason, so somebody else may have deployed it"
    return failed(
        f"{given.endpoint} is in service on {endpoint.configuration}, not on {given.endpoint_configuration}. {why}"
    )


def weights_are_set(given: Input, facts: Facts) -> Progress:
    """Whether every variant has the wanted weight, and nobody has taken it back."""
    endpoint = facts.endpoint
    if endpoint is None or endpoint.status != "InService":
        return _not_in_service(given, endpoint)
    weights = wanted_weights(given, facts.wanted)
    if drifted(weights, desired_weights(endpoint)):
        return _told_otherwise(endpoint, f"weights {in_words(desired_weights(endpoint))}")
    if drifted(weights, {variant.name: variant.current_weight for variant in endpoint.variants}):
        return pending(_going_on(endpoint))
    return settled("every variant has its weight")


def instances_are_added(given: Input, facts: Facts) -> Progress:
    """Whether every variant has at least the instances that are asked for."""
    endpoint = facts.endpoint
    if endpoint is None or endpoint.status != "InService":
        return _not_in_service(given, endpoint)
    if scaled_out(given, endpoint):
        return _told_otherwise(endpoint, _counts(endpoint))
    asked = given.instance_counts or {}
    if any((each.current_instances or 0) < asked.get(each.name, 0) for each in endpoint.variants):
        return pending(_going_on(endpoint))
    return settled("every variant has the instances that it was to get")


def instances_are_removed(given: Input, facts: Facts) -> Progress:
    """Whether every variant of which a count is asked for has just that many instances."""
    endpoint = facts.endpoint
    if endpoint is None or endpoint.status != "InService":
        return _not_in_service(given, endpoint)
    if resized(given, endpoint):
        return _told_otherwise(endpoint, _counts(endpoint))
    asked = given.instance_counts or {}
    if any(each.current_instances != asked.get(each.name, each.current_instances) for each in endpoint.variants):
        return pending(_going_on(endpoint))
    return settled("every variant has its instances")


def _not_in_service(given: Input, endpoint: Endpoint | None) -> Progress:
    if endpoint is None:
        return failed(f"{given.endpoint} is gone")
    if endpoint.status in _ON_ITS_WAY:
        return pending(_going_on(endpoint))
    return failed(f"{given.endpoint} is {endpoint.status}: {endpoint.failure}")


def _told_otherwise(endpoint: Endpoint, told: str) -> Progress:
    if endpoint.failure:
        return failed(f"SageMaker has gone back to {told} itself: {endpoint.failure}")
    return failed(
        f"{endpoint.name} is told {told}, which is not what this run has set; SageMaker gives no reason, so auto"
        " scaling or somebody else may have set it"
    )


def _counts(endpoint: Endpoint) -> str:
    return f"instances {', '.join(f'{each.name}={each.desired_instances}' for each in endpoint.variants)}"


def every_variant_has_answered(given: Input, facts: Facts) -> Progress:
    """Whether the probes were answered. A variant that does not answer with 200 has failed its call."""
    if facts.endpoint is None:
        return failed(f"{given.endpoint} is gone")
    if given.probe is None:
        return settled("no probe is asked for")
    return settled(f"{', '.join(variant.name for variant in facts.endpoint.variants)} have answered with 200")


def _going_on(endpoint: Endpoint) -> str:
    going = f" {'from' if endpoint.status == 'RollingBack' else 'to'} {endpoint.pending}" if endpoint.pending else ""
    return f"the endpoint is {endpoint.status}{going}{f'. {endpoint.doing}' if endpoint.doing else ''}"


def what_the_creation_rests_on(facts: Facts) -> JsonValue:
    """A configuration is right as long as the one that it is made from is the endpoint's, and its name is free."""
    endpoint, making = facts.endpoint, facts.making
    if endpoint is None or making is None:
        return None
    return {
        "status": endpoint.status,
        "configuration": endpoint.configuration,
        "making": making.model_dump(mode="json"),
    }


def what_the_deployment_rests_on(facts: Facts) -> JsonValue:
    """A deployment is right as long as nobody has changed the endpoint, and the new configuration is the same still.

    It must be able to start, too, and its alarms to guard it.
    """
    endpoint, wanted = facts.endpoint, facts.wanted
    if endpoint is None or wanted is None:
        return None
    return {
        "status": endpoint.status,
        "configuration": endpoint.configuration,
        "variants": _told(facts, endpoint),
        "wanted": _made_of(wanted),
        "faults": [*wanted.faults, *wanted.locked, *wanted.unseen],
        "alarms": {alarm.name: trouble for alarm in facts.alarms if (trouble := _trouble(alarm))},
    }


def what_the_weights_rest_on(facts: Facts) -> JsonValue:
    """New weights are right as long as the variants have the old ones, on the configuration that they are meant for."""
    endpoint = facts.endpoint
    if endpoint is None:
        return None
    return {"status": endpoint.status, "ends_on": facts.ends_on, "weights": dict(desired_weights(endpoint))}


def what_scaling_out_rests_on(facts: Facts) -> JsonValue:
    """More instances are right as long as the variants that are to get them have as few as they had."""
    return _resting_on_counts(facts, lambda told, asked: told < asked)


def what_scaling_in_rests_on(facts: Facts) -> JsonValue:
    """Fewer instances are right as long as the variants that are to lose them have as many as they had."""
    return _resting_on_counts(facts, lambda told, asked: told > asked)


def _resting_on_counts(facts: Facts, concerned: Callable[[int, int], bool]) -> JsonValue:
    endpoint = facts.endpoint
    if endpoint is None:
        return None
    told = {each.name: each.desired_instances or 0 for each in endpoint.variants if each.name in facts.counts}
    counts: dict[str, JsonValue] = {name: count for name, count in told.items() if concerned(count, facts.counts[name])}
    return {"status": endpoint.status, "ends_on": facts.ends_on, "instances": counts}


def what_the_probe_rests_on(facts: Facts) -> JsonValue:
    """A probe needs an endpoint in service; what changed about it is what it is for."""
    return facts.endpoint.status if facts.endpoint else None


def _made_of(wanted: Configuration) -> dict[str, JsonValue]:
    """What a deployment would launch: a namesake of what was approved may have anything else in it."""
    variants: dict[str, JsonValue] = {
        each.name: [each.model, each.instance_type, each.instances, each.weight, each.serverless]
        for each in wanted.variants
    }
    models: dict[str, JsonValue] = {model.name: model.created for model in wanted.models}
    return {
        "created": wanted.created,
        "content": wanted.content,
        "variants": variants,
        "models": models,
        "volume_key": wanted.volume_key,
    }


def _trouble(alarm: Alarm) -> str | None:
    """Why an alarm could not guard a deployment. One without data guards it as well as one that is OK."""
    if alarm.state is None:
        return "missing"
    if alarm.composite:
        return "composite"
    return "rings" if alarm.state == "ALARM" else None


def _told(facts: Facts, endpoint: Endpoint) -> dict[str, JsonValue]:
    """Instance counts move by themselves where the endpoint scales, so they count only if they are asked for."""
    return {
        variant.name: [variant.desired_weight, variant.desired_instances if facts.counts else None]
        for variant in endpoint.variants
    }
