"""What is read of a SageMaker endpoint before its variants are fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import Field

from runbooks.aws.session import AwsSession
from runbooks.catalogue.sagemaker_variant_fix.access import Access, Permission, may_publish, read_access
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.keys import UNREADABLE, USABLE, read_key
from runbooks.catalogue.sagemaker_variant_fix.making import Making, asks_for_another, content_of, read_making
from runbooks.catalogue.sagemaker_variant_fix.metrics import Traffic, read_traffic
from runbooks.catalogue.sagemaker_variant_fix.models import ServedModel, moment, read_model
from runbooks.catalogue.sagemaker_variant_fix.reading import describe_configuration, is_missing
from runbooks.catalogue.sagemaker_variant_fix.scaling import Scaled, read_scaling
from runbooks.model import Model, digest

_STARTING = (
    "VariantInstanceProvisionTimeoutInSeconds",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
)


class Variant(Model):
    """A production variant as it runs. Counts are of instances, and null for a serverless one."""

    name: str
    current_weight: float
    desired_weight: float
    current_instances: int | None
    desired_instances: int | None


class Endpoint(Model):
    """An endpoint as SageMaker describes it. Times are ISO 8601 UTC."""

    name: str
    arn: str
    status: str
    configuration: str = Field(description="empty if SageMaker names none")
    pending: str | None = Field(None, description="the configuration that is being deployed")
    doing: str = Field("", description="what SageMaker is changing now, in its own words")
    failure: str | None = None
    since: str = Field(description="when it was last changed")
    variants: tuple[Variant, ...] = ()
    shadows: tuple[str, ...] = ()
    alarms: tuple[str, ...] = Field((), description="the rollback alarms of the last deployment")
    capture: Literal["Started", "Stopped"] | None = Field(
        None, description="whether data capture works, if there is any"
    )


class ConfiguredVariant(Model):
    """A variant as an endpoint configuration has it. `model` is null if inference components are.

    `instance_type` and `instances` are null for a serverless one; `pools` are the types of one that has several,
    `pool_models` the models that pools of it serve instead of `model`.
    `starts_within` are the seconds that an instance is given to be provisioned, to download the model and to answer.
    """

    name: str
    model: str | None
    weight: float
    serverless: bool = False
    instance_type: str | None = None
    instances: int | None = None
    pools: tuple[str, ...] = ()
    pool_models: tuple[str, ...] = ()
    accelerated: bool = Field(False, description="whether Elastic Inference is attached to its instances")
    starts_within: int = 0


class Configuration(Model):
    """An endpoint configuration with the models that it serves. `captures_to` is where data capture writes.

    `created` is ISO 8601 UTC: a configuration cannot be changed, but deleted and created again under its name.
    `volume_key` is the KMS key of its instances' volumes: SageMaker makes a grant on it for every fleet. One that a run
    makes is known by the digest of its `content` instead of its time, which nobody knows beforehand.
    """

    name: str
    created: str | None = None
    content: str | None = None
    variants: tuple[ConfiguredVariant, ...]
    shadows: tuple[ConfiguredVariant, ...] = ()
    asynchronous: bool = False
    captures_to: str | None = None
    models: tuple[ServedModel, ...] = ()
    volume_key: str | None = None
    volume_key_state: str | None = None

    def retyped(self, wanted: Configuration) -> list[str]:
        """The variants that have another instance type there."""
        types = {variant.name: variant.instance_type for variant in wanted.variants}
        return [each.name for each in self.variants if types.get(each.name, each.instance_type) != each.instance_type]

    @property
    def lacks(self) -> list[str]:
        """What an instance needs to start and has not, one clause each."""
        return [clause for model in self.models for clause in model.lacks] + self._volume_faults

    @property
    def unapproved(self) -> list[str]:
        """Why no new instance should start, though one could; one clause each."""
        return [clause for model in self.models for clause in model.unapproved]

    @property
    def faults(self) -> list[str]:
        """Why no new instance could or should start, one clause each."""
        return self.lacks + self.unapproved

    @property
    def locked(self) -> list[str]:
        """The keys that this runbook may not look at, one clause each."""
        found = [clause for model in self.models for clause in model.locked]
        if self.volume_key_state == UNREADABLE:
            found.append(f"this runbook may not look at the key {self.volume_key} of its volumes (kms:DescribeKey)")
        return found

    @property
    def unseen(self) -> list[str]:
        """What this runbook may not look at, one clause each: it matters only if instances are launched."""
        return [clause for model in self.models for clause in model.unseen]

    @property
    def _volume_faults(self) -> list[str]:
        if self.volume_key is None or self.volume_key_state in {USABLE, UNREADABLE}:
            return []
        return [f"the key {self.volume_key} of its volumes is {self.volume_key_state}"]


class Alarm(Model):
    """A CloudWatch alarm; `state` and `arn` are null if it does not exist. A composite one watches other alarms.

    `endpoints` are those whose metrics it watches. It needs `rings_after` seconds of bad metrics.
    """

    name: str
    state: str | None
    composite: bool = False
    arn: str | None = None
    endpoints: tuple[str, ...] = ()
    rings_after: int = 0


class Facts(Model):
    """`current` and `wanted` are null if they do not exist; `wanted` is the configuration that the run ends on.

    `ends_on` is that one's name, and once the endpoint is only watched, the name of the one that it has.
    """

    endpoint: Endpoint | None
    current: Configuration | None = None
    wanted: Configuration | None = None
    ends_on: str = ""
    counts: dict[str, int] = Field(
        default_factory=dict, description="the instance counts that are asked for, by variant"
    )
    components: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    may_publish: dict[str, Permission] = Field(
        default_factory=dict, description="of variants without metrics: whether their role may publish them"
    )
    access: tuple[Access, ...] = Field((), description="what the models' roles may do")
    scaling: tuple[Scaled, ...] | None = Field(
        (),
        description="the scalable targets among the variants whose count or instance type is to change; null if unseen",
    )
    making: Making | None = Field(None, description="the configuration that is to be made; null if none is")


def gather(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the endpoint, its configuration and the wanted one, their models, and what CloudWatch has of the variants.

    Calls: sagemaker DescribeEndpoint, DescribeEndpointConfig, DescribeModel, DescribeModelPackage,
    ListInferenceComponents; s3 HeadObject, ListObjectsV2; kms DescribeKey; cloudwatch DescribeAlarms, GetMetricData;
    iam SimulatePrincipalPolicy; of a configuration that is to be made, sagemaker ListTags; of variants whose instance
    count or type is to change, application-autoscaling DescribeScalableTargets.
    """
    endpoint = _endpoint(given, aws)
    if endpoint is None:
        return Facts(endpoint=None)
    described = describe_configuration(aws, endpoint.configuration)
    current = configuration_of(aws, described) if described else None
    making = read_making(given, aws, endpoint.arn, described)
    ends_on = _ends_on(given, endpoint, making)
    wanted = current
    if making is not None:
        wanted = configuration_of(aws, making.content | {"EndpointConfigName": making.name})
    elif ends_on != endpoint.configuration:
        found = describe_configuration(aws, ends_on)
        wanted = configuration_of(aws, found) if found else None
        # By the name that it has itself, which the endpoint will show: it may be asked for in other letters.
        ends_on = wanted.name if wanted else ends_on
    names = [variant.name for variant in endpoint.variants]
    traffic = read_traffic(aws, endpoint.name, names, now)
    alarms = _alarms(given, aws, endpoint, ends_on)
    return Facts(
        endpoint=endpoint,
        current=current,
        wanted=wanted,
        ends_on=ends_on,
        counts=given.instance_counts or {},
        components=_components(aws, endpoint, current),
        alarms=alarms,
        traffic=traffic,
        may_publish=_may_publish(aws, current, traffic),
        access=_access(aws, current, wanted, alarms),
        scaling=_scaling(given, aws, endpoint, current, wanted),
        making=making,
    )


def _ends_on(given: Input, endpoint: Endpoint, making: Making | None) -> str:
    """The name of the configuration that the run ends on. One that would be made is the present one if it is alike."""
    if making is not None:
        return making.name
    named = None if asks_for_another(given) else given.endpoint_configuration
    return named or endpoint.configuration


def recheck_creation(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read again what the creation of a configuration rests on: the endpoint, its configuration, and who has the name.

    Calls: sagemaker DescribeEndpoint, DescribeEndpointConfig, ListTags.
    """
    endpoint = _endpoint(given, aws)
    if endpoint is None:
        return Facts(endpoint=None)
    described = describe_configuration(aws, endpoint.configuration)
    return Facts(endpoint=endpoint, making=read_making(given, aws, endpoint.arn, described))


def watch_creation(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Whether the configuration shows. Calls: sagemaker DescribeEndpointConfig."""
    name = given.endpoint_configuration or ""
    shows = describe_configuration(aws, name) is not None
    return Facts(endpoint=None, wanted=Configuration(name=name, variants=()) if shows else None)


def recheck_deployment(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read again what a deployment rests on: the endpoint, the configuration that it goes to, and the alarms.

    As `gather`, but for metrics, roles, inference components and the present configuration.
    """
    endpoint = _endpoint(given, aws)
    if endpoint is None:
        return Facts(endpoint=None)
    ends_on = given.endpoint_configuration or endpoint.configuration
    found = describe_configuration(aws, ends_on)
    if found and asks_for_another(given):
        del found["CreationTime"]
    return Facts(
        endpoint=endpoint,
        wanted=configuration_of(aws, found) if found else None,
        ends_on=ends_on,
        counts=given.instance_counts or {},
        alarms=_alarms(given, aws, endpoint, ends_on),
    )


def watch(given: Input, aws: AwsSession, now: datetime) -> Facts:
    """Read the endpoint and nothing else. Calls: sagemaker DescribeEndpoint."""
    endpoint = _endpoint(given, aws)
    if endpoint is None:
        return Facts(endpoint=None)
    # Its own configuration, whatever is asked for: somebody may have moved it on to a third one.
    return Facts(endpoint=endpoint, ends_on=endpoint.configuration, counts=given.instance_counts or {})


def _endpoint(given: Input, aws: AwsSession) -> Endpoint | None:
    try:
        described = aws.client("sagemaker").describe_endpoint(EndpointName=given.endpoint)
    except ClientError as failure:
        if not is_missing(failure):
            raise
        return None
    pending = described.get("PendingDeploymentSummary", {})
    rollback = described.get("LastDeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    return Endpoint(
        name=described["EndpointName"],
        arn=described["EndpointArn"],
        status=described["EndpointStatus"],
        configuration=described.get("EndpointConfigName", ""),
        pending=pending.get("EndpointConfigName"),
        doing=_doing([*pending.get("ProductionVariants", ()), *described.get("ProductionVariants", ())]),
        failure=described.get("FailureReason"),
        since=described["LastModifiedTime"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        variants=tuple(_variant(each) for each in described.get("ProductionVariants", ())),
        shadows=tuple(each["VariantName"] for each in described.get("ShadowProductionVariants", ())),
        alarms=tuple(alarm["AlarmName"] for alarm in rollback.get("Alarms", ())),
        capture=described.get("DataCaptureConfig", {}).get("CaptureStatus"),
    )


def _variant(described: dict[str, Any]) -> Variant:
    return Variant(
        name=described["VariantName"],
        current_weight=described.get("CurrentWeight", 0.0),
        desired_weight=described.get("DesiredWeight", 0.0),
        current_instances=described.get("CurrentInstanceCount"),
        desired_instances=described.get("DesiredInstanceCount"),
    )


def _doing(variants: Iterable[dict[str, Any]]) -> str:
    said = {
        f"{variant['VariantName']}: {status.get('StatusMessage') or status['Status']}": None
        for variant in variants
        for status in variant.get("VariantStatus", ())
    }
    return " ".join(said)


def configuration_of(aws: AwsSession, described: Mapping[str, Any]) -> Configuration:
    """A configuration as it is described, or as it would be: one that a run makes has no time of creation here."""
    created = described.get("CreationTime")
    variants = tuple(_configured(each) for each in described["ProductionVariants"])
    shadows = tuple(_configured(each) for each in described.get("ShadowProductionVariants", ()))
    served = dict.fromkeys(
        model for each in (*variants, *shadows) for model in (each.model, *each.pool_models) if model
    )
    capture = described.get("DataCaptureConfig", {})
    volume_key = described.get("KmsKeyId")
    return Configuration(
        name=described["EndpointConfigName"],
        created=moment(created) if created else None,
        content=None if created else digest(content_of(described)),
        variants=variants,
        shadows=shadows,
        asynchronous="AsyncInferenceConfig" in described,
        # Whoever leaves EnableCapture out has it enabled.
        captures_to=capture["DestinationS3Uri"] if capture and capture.get("EnableCapture", True) else None,
        models=tuple(read_model(aws, model) for model in served),
        volume_key=volume_key,
        volume_key_state=read_key(aws, volume_key).state if volume_key else None,
    )


def _configured(described: Mapping[str, Any]) -> ConfiguredVariant:
    pools = described.get("InstancePools", ())
    return ConfiguredVariant(
        name=described["VariantName"],
        model=described.get("ModelName"),
        weight=described.get("InitialVariantWeight", 1.0),
        serverless="ServerlessConfig" in described,
        instance_type=described.get("InstanceType"),
        instances=described.get("InitialInstanceCount"),
        pools=tuple(pool["InstanceType"] for pool in pools),
        pool_models=tuple(pool["ModelNameOverride"] for pool in pools if "ModelNameOverride" in pool),
        accelerated="AcceleratorType" in described,
        starts_within=sum(described.get(timeout, 0) for timeout in _STARTING),
    )


def _components(aws: AwsSession, endpoint: Endpoint, current: Configuration | None) -> tuple[str, ...]:
    """Inference components take the place of models: only a variant without a model can have any."""
    if current is None or all(variant.model for variant in current.variants):
        return ()
    pages = aws.client("sagemaker").get_paginator("list_inference_components")
    found = pages.paginate(EndpointNameEquals=endpoint.name)
    return tuple(each["InferenceComponentName"] for page in found for each in page["InferenceComponents"])


def _alarms(given: Input, aws: AwsSession, endpoint: Endpoint, ends_on: str) -> tuple[Alarm, ...]:
    """The alarms of a deployment that is still to be made, with their states."""
    names = given.rollback_alarms or list(endpoint.alarms)
    if ends_on == endpoint.configuration or not names:
        return ()
    described = aws.client("cloudwatch").describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    found = [_alarm(each) for each in [*described.get("MetricAlarms", ()), *described.get("CompositeAlarms", ())]]
    known = {alarm.name: alarm for alarm in found}
    return tuple(known.get(name, Alarm(name=name, state=None)) for name in names)


def _alarm(described: Mapping[str, Any]) -> Alarm:
    """An alarm is on one metric, or on several that an expression is made of."""
    parts = [each["MetricStat"] for each in described.get("Metrics", ()) if "MetricStat" in each]
    dimensions = [
        dimension
        for of in (described, *(each["Metric"] for each in parts))
        for dimension in of.get("Dimensions", ())
        if dimension["Name"] == "EndpointName"
    ]
    period = max((each.get("Period", 0) for each in (described, *parts)), default=0)
    return Alarm(
        name=described["AlarmName"],
        state=described["StateValue"],
        composite="AlarmRule" in described,
        arn=described["AlarmArn"],
        endpoints=tuple(dict.fromkeys(each["Value"] for each in dimensions)),
        rings_after=period * (described.get("DatapointsToAlarm") or described.get("EvaluationPeriods") or 0),
    )


def _access(
    aws: AwsSession, current: Configuration | None, wanted: Configuration | None, alarms: tuple[Alarm, ...]
) -> tuple[Access, ...]:
    """What the roles may do that launch the present configuration again, or the wanted one for the first time."""
    named = [alarm.arn for alarm in alarms if alarm.arn is not None]
    found = list(read_access(aws, wanted.models, named)) if wanted else []
    if current is not None and current != wanted:
        found += read_access(aws, current.models)
    return tuple(dict.fromkeys(found))


def _scaling(
    given: Input, aws: AwsSession, endpoint: Endpoint, current: Configuration | None, wanted: Configuration | None
) -> tuple[Scaled, ...] | None:
    """The scalable targets among the variants for which it matters: weights are nothing to Application Auto Scaling."""
    concerned = {*(given.instance_counts or ()), *(current.retyped(wanted) if current and wanted else ())}
    return read_scaling(aws, endpoint.name, [each.name for each in endpoint.variants if each.name in concerned])


def _may_publish(aws: AwsSession, current: Configuration | None, traffic: tuple[Traffic, ...]) -> dict[str, Permission]:
    """Whether the roles of variants without metrics may publish any, by variant."""
    if current is None:
        return {}
    roles = {model.name: model.role for model in current.models}
    silent = {each.variant for each in traffic if each.invocations is None}
    found: dict[str, Permission] = {}
    for variant in current.variants:
        role = roles.get(variant.model or "")
        if variant.name in silent and role is not None:
            found[variant.name] = may_publish(aws, role)
    return found
