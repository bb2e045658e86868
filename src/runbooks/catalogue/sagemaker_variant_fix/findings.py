"""What was seen of an endpoint, worst first."""

from __future__ import annotations

from runbooks.catalogue.sagemaker_variant_fix.access import LOOK, barred, doubtful
from runbooks.catalogue.sagemaker_variant_fix.facts import Configuration, Endpoint, Facts
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.plan import BAKING, GIVES_UP_AFTER, no_way_back
from runbooks.catalogue.sagemaker_variant_fix.split import desired_weights, drifted, resized, share, wanted_weights
from runbooks.model import Finding, Severity

_GUARDRAILS = "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-rolling.html"
_SYMPTOM = "A/B Testing Configuration Issues"
_ENOUGH = 100
"""Invocations of the last hour below which their split says nothing."""
_OFF = 10
"""Percentage points by which a split differs noticeably from its weights."""


def findings(given: Input, facts: Facts, endpoint: Endpoint) -> list[Finding]:
    """Every finding of the diagnosis, worst first."""
    found = [
        *_case(endpoint, facts),
        *_faults(facts),
        *_no_way_back(facts),
        *_not_seen(facts),
        *_not_read(facts),
        *_alarms_not_read(facts),
        *_alarms_of_no_use(endpoint, facts),
        *_slow_to_start(endpoint, facts),
        *_scaling(given, endpoint, facts),
        *_retained(given, endpoint, facts),
        *_errors(facts),
        *_drift(given, endpoint, facts.wanted),
        *_instances(endpoint),
        *_last_update(endpoint),
        *_observed(endpoint, facts),
        *_silent(facts),
        *_other_parts(endpoint, facts),
    ]
    order = list(Severity)
    return sorted(found, key=lambda each: -order.index(each.severity))


def not_probed(endpoint: Endpoint) -> Finding:
    """Of an endpoint that needs no change, although a payload was given: a diagnosis invokes nothing."""
    evidence = f"this diagnosis has sent the payload to no variant of {endpoint.name}"
    return _found("not-probed", Severity.INFO, evidence, "variants are probed after a change, and none is needed")


def _found(name: str, severity: Severity, evidence: str, meaning: str) -> Finding:
    return Finding(id=name, severity=severity, evidence=evidence, meaning=meaning, symptom=_SYMPTOM)


def _case(endpoint: Endpoint, facts: Facts) -> list[Finding]:
    """What a support case asks for, when nobody but AWS or a person can go on."""
    if endpoint.status not in {"Failed", "OutOfService", "UpdateRollbackFailed"}:
        return []
    variants = "; ".join(
        f"{variant.name}: weight {variant.current_weight:g} of {variant.desired_weight:g},"
        f" {variant.current_instances or 0} of {variant.desired_instances or 0} instances"
        for variant in endpoint.variants
    )
    models = ", ".join(model.name for model in facts.current.models) if facts.current else "unknown"
    evidence = (
        f"{endpoint.arn} is {endpoint.status} since {endpoint.since}; reason: {endpoint.failure}; configuration"
        f" {endpoint.configuration or 'unknown'}, and {endpoint.pending or 'none'} pending; SageMaker says"
        f" {endpoint.doing or 'nothing of the variants'}; models {models}; variants {variants}; rollback alarms"
        f" {', '.join(endpoint.alarms) or 'none'}; logs /aws/sagemaker/Endpoints/{endpoint.name};"
        f" console {_console(endpoint)}; how updates are rolled back {_GUARDRAILS}"
    )
    return [_found("case-bundle", Severity.CRITICAL, evidence, "what to put into a support case")]


def _console(endpoint: Endpoint) -> str:
    region = endpoint.arn.split(":")[3]
    return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/endpoints/{endpoint.name}"


def _faults(facts: Facts) -> list[Finding]:
    """Of the present configuration too, when it is to be left: that may be why."""
    return [
        _found("model-cannot-start", Severity.CRITICAL, fault, f"no new instance of {configuration.name} could start")
        for configuration in _configurations(facts)
        for fault in configuration.lacks
    ] + [
        _found("model-not-approved", Severity.WARNING, fault, f"no new instance of {configuration.name} should start")
        for configuration in _configurations(facts)
        for fault in configuration.unapproved
    ]


def _configurations(facts: Facts) -> list[Configuration]:
    """The present configuration and the wanted one, or the one that is both."""
    return list({each.name: each for each in (facts.current, facts.wanted) if each}.values())


def _no_way_back(facts: Facts) -> list[Finding]:
    """A deployment off a configuration that cannot be launched again: whoever approves it must know."""
    current, wanted = facts.current, facts.wanted
    if (
        current is None
        or wanted is None
        or current.name == wanted.name
        or (why := no_way_back(current, facts.access)) is None
    ):
        return []
    meaning = f"a deployment of {wanted.name} cannot be undone by this runbook"
    return [_found("no-way-back", Severity.CRITICAL, why, meaning)]


def _not_seen(facts: Facts) -> list[Finding]:
    """What could not be looked at of the models that the run ends on, and of those that an undo would launch again."""
    clauses = [
        clause
        for configuration in _configurations(facts)
        for clause in (
            *configuration.locked,
            *configuration.unseen,
            *(each for model in configuration.models for each in model.not_understood),
        )
    ]
    return [
        _found("artifact-not-seen", Severity.WARNING, clause, "whether a new instance could start is not known")
        for clause in dict.fromkeys(clauses)
    ]


def _not_read(facts: Facts) -> list[Finding]:
    """Whether the models' own roles may read their artifacts, which is who an instance reads them as."""
    models = list({model.name: model for each in _configurations(facts) for model in each.models}.values())
    return [
        _found("artifact-not-readable", Severity.CRITICAL, clause, "no new instance with that model could start")
        for clause in barred(models, facts.access)
    ] + [
        _found(
            "artifact-perhaps-not-readable",
            Severity.WARNING,
            clause,
            "unless the policy of the bucket or of the key lets it, no new instance with that model could start",
        )
        for clause in doubtful(models, facts.access)
    ]


def _alarms_not_read(facts: Facts) -> list[Finding]:
    """AWS asks that the execution role may look at the rollback alarms, besides whoever deploys."""
    return [
        _found(
            "alarm-not-readable",
            Severity.WARNING,
            each.in_words,
            "SageMaker may not see the alarm ring, and then would not roll the deployment back",
        )
        for each in facts.access
        if each.action == LOOK and each.permission != "allowed"
    ]


def _alarms_of_no_use(endpoint: Endpoint, facts: Facts) -> list[Finding]:
    """Rollback alarms that would not ring of a new fleet that fails, or not in time."""
    there = [alarm for alarm in facts.alarms if alarm.state is not None and not alarm.composite]
    watched = {name.lower() for alarm in there for name in alarm.endpoints}
    found = [
        _found(
            "alarm-rings-late",
            Severity.WARNING,
            f"{alarm.name} rings after {alarm.rings_after} seconds of bad metrics at the earliest",
            f"SageMaker watches it for {BAKING} seconds when the new fleet has all traffic, so it may ring too late",
        )
        for alarm in there
        if alarm.rings_after > BAKING
    ]
    if there and endpoint.name.lower() not in watched:
        found.append(
            _found(
                "alarms-elsewhere",
                Severity.WARNING,
                f"no metric of {endpoint.name} is watched by {', '.join(alarm.name for alarm in there)}",
                "a new fleet that fails may ring none of them, and then is not rolled back",
            )
        )
    return found


def _slow_to_start(endpoint: Endpoint, facts: Facts) -> list[Finding]:
    """What the configuration itself gives an instance to start, against when SageMaker is told to give up."""
    wanted = facts.wanted
    if wanted is None or wanted.name == endpoint.configuration:
        return []
    return [
        _found(
            "may-start-too-slowly",
            Severity.WARNING,
            f"{wanted.name} gives an instance of {variant.name} {variant.starts_within} seconds to start",
            f"SageMaker is told to roll the deployment back after {GIVES_UP_AFTER} seconds, bake time included",
        )
        for variant in (*wanted.variants, *wanted.shadows)
        if variant.starts_within + BAKING > GIVES_UP_AFTER
    ]


def _scaling(given: Input, endpoint: Endpoint, facts: Facts) -> list[Finding]:
    """Application Auto Scaling sets instance counts too, whatever a run has set."""
    counts = resized(given, endpoint)
    if facts.scaling is None:
        return [
            _found(
                "scaling-not-seen",
                Severity.WARNING,
                f"this runbook may not look whether {name} is a scalable target"
                " (application-autoscaling:DescribeScalableTargets)",
                "Application Auto Scaling may set another instance count again",
            )
            for name in counts
        ]
    return [
        _found(
            "variant-scales",
            Severity.WARNING,
            f"Application Auto Scaling keeps {each.variant} between {each.minimum} and {each.maximum} instances, and"
            f" {counts[each.variant]} are asked for",
            "it may set another instance count again",
        )
        for each in facts.scaling
        if each.variant in counts
    ]


def _retained(given: Input, endpoint: Endpoint, facts: Facts) -> list[Finding]:
    """A deployment keeps the numbers of instances that run, whatever the new configuration says."""
    wanted = facts.wanted
    if wanted is None or wanted.name == endpoint.configuration:
        return []
    asked, told = given.instance_counts or {}, {each.name: each.desired_instances for each in endpoint.variants}
    return [
        _found(
            "instances-retained",
            Severity.WARNING,
            f"{wanted.name} has {each.instances} instances of {each.name}, and the {told[each.name]} that it has now"
            " are kept",
            "the deployment retains the instance counts; ask for others with instance_counts",
        )
        for each in wanted.variants
        if each.name in told.keys() - asked.keys() and each.instances not in {None, told[each.name]}
    ]


def _errors(facts: Facts) -> list[Finding]:
    return [
        _found(
            "variant-errors",
            Severity.CRITICAL,
            f"{each.errors} of {each.invocations or 0} invocations of {each.variant} failed with 5XX in the last hour",
            "the variant's container fails; no weight mends that, another configuration may",
        )
        for each in facts.traffic
        if each.errors
    ]


def _drift(given: Input, endpoint: Endpoint, wanted: Configuration | None) -> list[Finding]:
    weights, now = wanted_weights(given, wanted), desired_weights(endpoint)
    found = [
        _found(
            "weight-drift",
            Severity.WARNING,
            f"{name} has the weight {now[name]:g} ({share(now, name)}), and {weights[name]:g} ({share(weights, name)})"
            " is wanted",
            "the traffic is not split as it should be",
        )
        for name in drifted(weights, now)
    ]
    configured = {variant.name: variant.weight for variant in wanted.variants} if wanted else {}
    found += [
        _found(
            "differs-from-configuration",
            Severity.INFO,
            f"{name} is to have the weight {weights[name]:g}, and {configured[name]:g} is configured",
            "the next deployment that does not retain the weights takes them back",
        )
        for name in drifted(weights, configured)
    ]
    return found


def _instances(endpoint: Endpoint) -> list[Finding]:
    return [
        _found(
            "too-few-instances",
            Severity.WARNING,
            f"{variant.current_instances or 0} of {variant.desired_instances} instances of {variant.name} run",
            "the variant serves with less than it should",
        )
        for variant in endpoint.variants
        if (variant.current_instances or 0) < (variant.desired_instances or 0)
    ]


def _last_update(endpoint: Endpoint) -> list[Finding]:
    if endpoint.status != "InService" or endpoint.failure is None:
        return []
    meaning = f"the last update was rolled back, and the endpoint serves on {endpoint.configuration}"
    return [_found("last-update-failed", Severity.WARNING, endpoint.failure, meaning)]


def _observed(endpoint: Endpoint, facts: Facts) -> list[Finding]:
    """Where the split of the last hour's invocations is not that of the current weights.

    SageMaker publishes no zeros: a variant without invocations had none, if its role may publish them at all.
    """
    unknown = {each.variant for each in facts.traffic if each.invocations is None} - {
        variant for variant, permission in facts.may_publish.items() if permission == "allowed"
    }
    counts = {each.variant: each.invocations or 0 for each in facts.traffic}
    weights = {variant.name: variant.current_weight for variant in endpoint.variants}
    total, whole = sum(counts.values()), sum(weights.values())
    if total < _ENOUGH or not whole or unknown:
        return []
    return [
        _found(
            "traffic-not-split",
            Severity.WARNING,
            f"{name} got {100 * count / total:.3g} % of {total} invocations in the last hour, and its weight is"
            f" {share(weights, name)}",
            "the weights changed within the hour, or callers name a TargetVariant",
        )
        for name, count in counts.items()
        if abs(100 * count / total - 100 * weights[name] / whole) > _OFF
    ]


def _silent(facts: Facts) -> list[Finding]:
    """Variants without metrics, and whether that is for want of a permission or for want of traffic."""
    said = {
        "allowed": "its role may publish metrics, so nobody has invoked it",
        "denied": "its role may not publish metrics (cloudwatch:PutMetricData); whether it was invoked is unknown",
        "not allowed": "its role may not publish metrics (cloudwatch:PutMetricData); whether it was invoked is unknown",
        "unclear": "whether its role may publish metrics depends on conditions that are not known here",
        "not checked": "whether its role may publish metrics could not be checked (iam:SimulatePrincipalPolicy)",
        "no role": "its role does not exist any more",
    }
    models = {variant.name: variant.model for variant in facts.current.variants} if facts.current else {}
    there = {model.name for model in facts.current.models if model.exists} if facts.current else set()

    def unread(variant: str) -> str:
        """Why there was no role to ask about."""
        if facts.current is None:
            gone = "was deleted" if facts.endpoint and facts.endpoint.configuration else "is not named by SageMaker"
            return f"its configuration {gone}, so which role it has is unknown"
        if models.get(variant) is None:
            return "it has no model of its own, and so no role"
        if models[variant] in there:
            return f"its model {models[variant]} has no execution role, and nothing to publish metrics as"
        return f"its model {models[variant]} does not exist any more, so which role it has is unknown"

    return [
        _found(
            "no-metrics",
            Severity.WARNING if facts.may_publish.get(each.variant) != "allowed" else Severity.INFO,
            f"{each.variant} has published no metric in the last hour",
            said[facts.may_publish[each.variant]] if each.variant in facts.may_publish else unread(each.variant),
        )
        for each in facts.traffic
        if each.invocations is None
    ]


def _other_parts(endpoint: Endpoint, facts: Facts) -> list[Finding]:
    found = [
        _found(
            "shadow-variant",
            Severity.INFO,
            f"{name} is a shadow variant",
            "it gets a copy of the traffic and answers nobody, so it has no part in the split",
        )
        for name in endpoint.shadows
    ]
    current, wanted = facts.current, facts.wanted
    if current is not None and current.captures_to is not None:
        stays, stopped = wanted is None or wanted.captures_to == current.captures_to, endpoint.capture == "Stopped"
        to = current.captures_to
        now = f"data capture to {to} is Stopped" if stopped else f"data capture writes to {to}"
        meaning = "nothing is captured, though the configuration asks for it" if stopped else "what is captured goes on"
        if stays:
            found.append(_found("data-capture", Severity.WARNING if stopped else Severity.INFO, now, meaning))
        elif wanted is not None:
            evidence = f"{now}, and under {wanted.name} to {wanted.captures_to or 'nowhere'}"
            meaning = "what reads the captured data will miss it"
            found.append(_found("data-capture-changes", Severity.WARNING, evidence, meaning))
    return found
