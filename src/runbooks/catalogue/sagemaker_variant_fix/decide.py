"""Whether an endpoint's variants can be fixed, and how: pure, every branch with its reason."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from runbooks.catalogue.sagemaker_variant_fix.access import Access, barred
from runbooks.catalogue.sagemaker_variant_fix.facts import Alarm, Configuration, Endpoint, Facts
from runbooks.catalogue.sagemaker_variant_fix.findings import findings, not_probed
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.making import MOST_TAGS, TARGET, Making
from runbooks.catalogue.sagemaker_variant_fix.plan import IN_PROGRESS, changes
from runbooks.catalogue.sagemaker_variant_fix.scaling import Scaled
from runbooks.catalogue.sagemaker_variant_fix.split import (
    desired_weights,
    drifted,
    in_words,
    resized,
    same,
    scaled_out,
    wanted_weights,
)
from runbooks.model import Decision, Verdict, hand_off, healthy, refused, remediable


def decide(given: Input, facts: Facts, now: datetime) -> Decision:
    """Healthy when every variant is in service with the wanted weight on the wanted configuration."""
    endpoint = facts.endpoint
    if endpoint is None:
        return refused(f"There is no endpoint {given.endpoint}.")
    decision, seen = _decide(given, facts, endpoint), findings(given, facts, endpoint)
    if decision.verdict is Verdict.HEALTHY and given.probe is not None:
        seen.append(not_probed(endpoint))
    return decision.seeing(seen)


def _decide(given: Input, facts: Facts, endpoint: Endpoint) -> Decision:
    if (stuck := _by_status(endpoint)) is not None:
        return stuck
    current, wanted = facts.current, facts.wanted
    if current is None and not endpoint.configuration:
        return hand_off(
            f"SageMaker names no endpoint configuration that {endpoint.name} has, so what it should be is unknown.",
            command=_look(endpoint.name),
        )
    if current is None:
        return hand_off(
            f"The endpoint configuration {endpoint.configuration} was deleted while {endpoint.name} uses it,"
            " and SageMaker updates no endpoint whose configuration is gone; create it again under the same name.",
            command="aws sagemaker list-endpoint-configs --sort-by CreationTime",
        )
    if wanted is None:
        return refused(f"There is no endpoint configuration {facts.ends_on}.")
    grows = bool(scaled_out(given, endpoint))
    unfit = (
        _kind_unfit(given, facts, current, wanted)
        or _input_unfit(given, endpoint, current, wanted)
        or _not_while_it_scales(given, endpoint, facts.scaling, current.retyped(wanted))
        or _not_to_be_made(facts.making)
        or _not_deployable(wanted, facts.access, launches=current.name != wanted.name or grows)
        or (_not_guarded(facts.alarms, current, wanted) if current.name != wanted.name else None)
    )
    if unfit is not None:
        return refused(unfit)
    return _fix(given, endpoint, facts, current, wanted)


def _by_status(endpoint: Endpoint) -> Decision | None:
    """What comes of an endpoint that is not in service."""
    name, why = endpoint.name, endpoint.failure or "SageMaker gives no reason"
    if endpoint.status in IN_PROGRESS:
        going = f" to {endpoint.pending}" if endpoint.pending else ""
        return refused(
            f"{name} is {endpoint.status}{going} since {endpoint.since}, and SageMaker does one thing at a time;"
            " look again when it has finished.",
            for_now=endpoint.status != "Deleting",
        )
    match endpoint.status:
        case "InService":
            return None
        case "Failed":
            again = endpoint.configuration and (
                f" && aws sagemaker wait endpoint-deleted --endpoint-name {name} && aws sagemaker create-endpoint"
                f" --endpoint-name {name} --endpoint-config-name {endpoint.configuration}"
            )
            return hand_off(
                f"{name} is Failed ({why}), and all that can be done with a failed endpoint is to delete it.",
                command=f"aws sagemaker delete-endpoint --endpoint-name {name}{again}",
            )
        case "UpdateRollbackFailed":
            return hand_off(
                f"{name} serves with a mix of two configurations: an update failed, and so did its rollback ({why})."
                " The findings have what a support case needs.",
                command=_look(name),
            )
        case _:
            return hand_off(f"{name} is {endpoint.status} ({why}).", command=_look(name))


def _look(endpoint: str) -> str:
    return f"aws sagemaker describe-endpoint --endpoint-name {endpoint}"


def _kind_unfit(given: Input, facts: Facts, current: Configuration, wanted: Configuration) -> str | None:
    """Why weights and counts mean nothing to this kind of endpoint."""
    serverless = [variant.name for each in (current, wanted) for variant in each.variants if variant.serverless]
    if serverless:
        return (
            f"{serverless[0]} is serverless: it is the only variant of its endpoint, so there is no traffic to split,"
            " and it has no instances to count; its concurrency is what can be changed."
        )
    hosting = [each for each in (current, wanted) if any(variant.model is None for variant in each.variants)]
    if hosting:
        named = f" ({', '.join(facts.components)})" if facts.components else ""
        host = given.endpoint if hosting[0] is current else hosting[0].name
        return (
            f"{host} hosts inference components{named}: they are invoked by name and have copies of their"
            " own, so weights and instance counts do not apply."
        )
    if given.probe is not None and wanted.asynchronous:
        return f"{given.endpoint} is asynchronous: it answers into S3, so no probe can tell whether it works."
    many = [model.name for model in wanted.models if model.multi_model]
    if given.probe is not None and many:
        return (
            f"{many[0]} is a multi-model container: every invocation of it names one of its models, which a probe does"
            " not."
        )
    many = [model.name for model in wanted.models if model.direct]
    if given.probe is not None and many:
        return (
            f"The containers of {many[0]} are invoked directly: every invocation of it names one of them"
            " (TargetContainerHostname), which a probe does not."
        )
    before, after = _names(current), _names(wanted)
    if before != after:
        return (
            f"{wanted.name} has the variants {', '.join(sorted(after))} and {current.name} has"
            f" {', '.join(sorted(before))}: a deployment that can be rolled back needs the same ones."
        )
    return None


def _input_unfit(given: Input, endpoint: Endpoint, current: Configuration, wanted: Configuration) -> str | None:
    """Why what is asked for does not fit the endpoint's variants."""
    known, weights = _names(current), wanted_weights(given, wanted)
    named = weights.keys() | {
        *(given.instance_counts or ()),
        *(given.new_models or ()),
        *(given.new_instance_types or ()),
    }
    shadows = [name for name in endpoint.shadows if name in named]
    if shadows:
        return (
            f"{shadows[0]} is a shadow variant of {given.endpoint}: it gets a copy of the traffic and answers nobody,"
            " so it has no part in the split, and this runbook changes production variants only."
        )
    if weights.keys() != known:
        return (
            f"The weights are of {', '.join(sorted(weights))}, but the production variants of {given.endpoint} are"
            f" {', '.join(sorted(known))}."
        )
    if not any(weights.values()):
        return "Every weight is 0, so no variant would get any traffic."
    strangers = sorted((given.instance_counts or {}).keys() - known)
    if strangers:
        return f"{given.endpoint} has no production variant {strangers[0]} whose instances could be counted."
    strangers = sorted(((given.new_models or {}) | (given.new_instance_types or {})).keys() - known)
    if strangers:
        return f"{given.endpoint} has no production variant {strangers[0]} that could be made otherwise."
    pooled = [each.name for each in current.variants if each.pools and each.name in (given.new_instance_types or ())]
    if pooled:
        return (
            f"The instances of {pooled[0]} come from pools of several types, so it can be given no instance type;"
            " create the new endpoint configuration and name it."
        )
    pooled = [each.name for each in current.variants if each.pool_models and each.name in (given.new_models or ())]
    if pooled:
        return (
            f"Pools of {pooled[0]} serve models of their own, so that one new model would not be all that it serves;"
            " create the new endpoint configuration and name it."
        )
    return None


def _not_while_it_scales(
    given: Input, endpoint: Endpoint, scaling: tuple[Scaled, ...] | None, retyped: list[str]
) -> str | None:
    """Why Application Auto Scaling is in the way: of another instance type always, of counts beyond its limits."""
    if scaling is None and retyped:
        return (
            f"Whether {retyped[0]} may get another instance type cannot be told: this runbook may not look whether it"
            " is a scalable target (application-autoscaling:DescribeScalableTargets)."
        )
    counts = resized(given, endpoint)
    for each in scaling or ():
        if each.variant in retyped:
            return (
                f"{each.variant} is a scalable target of Application Auto Scaling, and SageMaker changes the instance"
                " type of none; deregister it first, and register it again afterwards."
            )
        count = counts.get(each.variant)
        if count is not None and not each.minimum <= count <= each.maximum:
            return (
                f"Application Auto Scaling keeps {each.variant} between {each.minimum} and {each.maximum} instances,"
                f" and {count} are asked for; change its limits first."
            )
    return None


def _not_to_be_made(making: Making | None) -> str | None:
    """Why a configuration cannot be made as it is described."""
    if making is None:
        return None
    if making.there == "other":
        return (
            f"There is an endpoint configuration {making.name} already, which is another than the one that is described"
            " or was not made by a run for this endpoint."
        )
    if len(making.tags) >= MOST_TAGS:
        return (
            f"The present endpoint configuration has {len(making.tags)} tags, as many as SageMaker allows, so one that"
            f" is made like it has no room for the tag {TARGET}; create the new one and name it."
        )
    if "ExecutionRoleArn" in making.content:
        return (
            "The present endpoint configuration has an execution role of its own, which this runbook may not pass on;"
            " create the new one and name it."
        )
    return None


def _not_deployable(wanted: Configuration, access: tuple[Access, ...], *, launches: bool) -> str | None:
    """Why no new instance could or should start on this configuration, or nobody can tell.

    Artifacts that are not seen or not to be read matter only if instances are to be launched; it is the stack that
    decides what is seen. So do approvals: traffic may always be moved away from a model that was rejected.
    """
    faults = wanted.lacks + (barred(wanted.models, access) if launches else [])
    if faults:
        return f"No new instance of {wanted.name} could start: {'; '.join(faults)}."
    if launches and wanted.unapproved:
        return f"No new instance of {wanted.name} should start: {'; '.join(wanted.unapproved)}."
    unseen = wanted.locked + (wanted.unseen if launches else [])
    if unseen:
        return f"Whether a new instance of {wanted.name} could start cannot be told: {'; '.join(unseen)}."
    return None


def _not_guarded(alarms: tuple[Alarm, ...], *configurations: Configuration) -> str | None:
    """Why SageMaker could not roll a deployment back by itself."""
    excluded = [clause for configuration in configurations for clause in _excluded(configuration)]
    if excluded:
        return (
            f"{excluded[0]}, and of such endpoints SageMaker moves all traffic at once and watches no alarm: nothing"
            " would roll the deployment back."
        )
    if not alarms:
        return (
            "A deployment needs at least one alarm that rolls it back, and neither the input nor the last one has any."
        )
    for alarm in alarms:
        if alarm.state is None:
            return f"There is no alarm {alarm.name}, so it could not roll the deployment back."
        if alarm.composite:
            return (
                f"The alarm {alarm.name} is a composite one, and SageMaker is documented to watch alarms on metrics"
                " only; name those that it is made of."
            )
        if alarm.state == "ALARM":
            return (
                f"The alarm {alarm.name} is in the state ALARM already, so SageMaker would roll the deployment back;"
                " name one that looks at the new fleet only."
            )
    return None


def _excluded(configuration: Configuration) -> list[str]:
    """What AWS lists as endpoints without deployment guardrails, one clause each."""
    return [
        f"{configuration.name} serves {model.name} from AWS Marketplace"
        for model in configuration.models
        if any(package.marketplace for package in model.packages)
    ] + [
        f"{configuration.name} runs {variant.name} on {what}"
        for variant in (*configuration.variants, *configuration.shadows)
        for what in (
            *(each for each in (variant.instance_type, *variant.pools) if each and each.startswith("ml.inf1.")),
            *(["instances with Elastic Inference"] if variant.accelerated else []),
        )
    ]


def _names(configuration: Configuration) -> set[str]:
    return {variant.name for variant in configuration.variants}


def _fix(given: Input, endpoint: Endpoint, facts: Facts, current: Configuration, wanted: Configuration) -> Decision:
    name, weights = endpoint.name, wanted_weights(given, wanted)
    planned = changes(given, endpoint, facts, current, wanted, weights)
    if planned:
        alarms: list[JsonValue] = [alarm.name for alarm in facts.alarms]
        split: dict[str, JsonValue] = dict(weights.items())
        # As it names itself: what the endpoint is on is compared with it.
        asked = facts.making or given.endpoint_configuration
        made: dict[str, JsonValue] = {"endpoint_configuration": wanted.name} if asked else {}
        return remediable(
            _what_is_wrong(given, endpoint, wanted, weights),
            *planned,
            resolved={"weights": split} | made | ({"rollback_alarms": alarms} if alarms else {}),
        )
    short = [each for each in endpoint.variants if each.current_instances != each.desired_instances]
    slow = [each for each in endpoint.variants if not same(each.current_weight, weights[each.name])]
    if short or slow:
        variant = (short or slow)[0]
        return hand_off(
            f"{name} is told what is asked, but {variant.name} has {variant.current_instances} of"
            f" {variant.desired_instances} instances and the weight {variant.current_weight:g}.",
            command=_look(name),
        )
    return healthy(f"{name} is in service on {wanted.name} and splits its traffic as asked: {in_words(weights)}.")


def _what_is_wrong(given: Input, endpoint: Endpoint, wanted: Configuration, weights: dict[str, float]) -> str:
    parts = []
    if endpoint.configuration != wanted.name:
        parts.append(f"is on {endpoint.configuration} instead of {wanted.name}")
    now = desired_weights(endpoint)
    if drifted(weights, now):
        parts.append(f"splits its traffic {in_words(now)} instead of {in_words(weights)}")
    counts = resized(given, endpoint)
    if counts:
        parts.append(f"is to have {', '.join(f'{count} instances of {name}' for name, count in counts.items())}")
    return f"{endpoint.name} {', and '.join(parts)}."
