"""Amazon SageMaker, as far as endpoints go: models, endpoint configurations, endpoints, and their invocation.

It answers as the service does, or raises NotImplementedError, which callers see as a 501. All else of SageMaker (model
packages, training, features) is left to moto. What becomes of a deployment is scripted per endpoint configuration; the
building blocks for scenarios stand at the end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends

from workbench.embedded import iam
from workbench.embedded.calls import Call, Response, ServiceError
from workbench.embedded.clock import VirtualClock
from workbench.embedded.sagemaker.endpoint import (
    NO_DATA,
    Alarms,
    Configuration,
    Endpoint,
    Fleet,
    Rescaling,
    Script,
    Variant,
)

if TYPE_CHECKING:
    from workbench.embedded.aws import EmbeddedAws

__all__ = [
    "Rescaling",
    "SageMaker",
    "Script",
    "artifact",
    "composite_alarm",
    "configure",
    "deploy",
    "model",
    "package",
    "scale",
    "script",
    "traffic",
]

NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
CONFIGURATION_FIELDS = {
    "AsyncInferenceConfig",
    "DataCaptureConfig",
    "EndpointConfigName",
    "ExecutionRoleArn",
    "KmsKeyId",
    "ProductionVariants",
    "ShadowProductionVariants",
    "Tags",
}
OURS = re.compile(r"Endpoint|InferenceComponent|Model$|Models$")
"""The operations that moto is not asked for, whether they are faked or not."""
NOT_OURS = re.compile(r"RecommendationJob|QualityJob|Bias|Explainability|MonitoringAlert|ModelCard|Hub")
PAGE = 10

Given = Mapping[str, Any]


@dataclass
class Model:
    """A model. `content` is what was created."""

    name: str
    arn: str
    content: dict[str, Any]
    created: datetime

    @property
    def containers(self) -> list[dict[str, Any]]:
        primary = self.content.get("PrimaryContainer")
        return [primary] if primary else list(self.content.get("Containers", ()))


class SageMaker:
    """The service in one account and region."""

    def __init__(self, clock: VirtualClock, account: str, region: str) -> None:
        self._clock = clock
        self._account = account
        self._region = region
        self._lock = threading.RLock()
        self._moment: datetime | None = None
        self._models: dict[str, Model] = {}
        self._configurations: dict[str, Configuration] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._components: dict[str, dict[str, Any]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._scripts: dict[str, Script] = {}
        self._limits: dict[str, int] = {}

    def answer(self, call: Call) -> dict[str, Any] | None:
        """Answers one API call, or leaves it to moto. Raises ServiceError as the service would, NotImplementedError."""
        given = json.loads(call.body or b"{}")
        if call.operation in _TAGGING and not self._is_ours(given["ResourceArn"]):
            return None
        if call.operation == "DescribeModelPackage":
            self._check_package(given["ModelPackageName"])
            return None
        if call.operation not in _OPERATIONS and (not OURS.search(call.operation) or NOT_OURS.search(call.operation)):
            return None
        return self.do(call.operation, given)

    def do(self, operation: str, given: Given, at: datetime | None = None) -> dict[str, Any]:
        """The operation with boto3's parameters, as of a moment in the past if one is given; tell the past in order."""
        handler = _OPERATIONS.get(operation)
        if handler is None:
            raise NotImplementedError(f"{operation} is not among the operations of the embedded SageMaker")
        with self._lock:
            self._moment = at
            try:
                for endpoint in self._endpoints.values():
                    endpoint.catch_up(self._now())
                return handler(self, given)
            finally:
                self._moment = None

    def set_script(self, configuration: str, script: Script) -> None:
        """What becomes of fleets of that configuration: those that start from now on, and the one that runs."""
        with self._lock:
            self._scripts[configuration] = script
            for endpoint in self._endpoints.values():
                if endpoint.fleet is not None and endpoint.fleet.configuration.name == configuration:
                    endpoint.fleet.script = script

    def limit(self, instance_type: str, instances: int) -> None:
        """The account's quota of instances of that type for endpoints; without one there is no limit."""
        with self._lock:
            self._limits[instance_type] = instances

    def maintain(self, endpoint: str, seconds: float) -> None:
        """A maintenance by the service itself begins."""
        with self._lock:
            self._endpoints[endpoint].maintain(seconds, self._now())

    def _now(self) -> datetime:
        return self._moment or self._clock.now()

    # -- models --------------------------------------------------------------------------------------------------------

    def _create_model(self, given: Given) -> dict[str, Any]:
        name = _name(given, "ModelName")
        arn = self._arn("model", name)
        if name in self._models:
            _invalid(f'Cannot create already existing model "{arn}".')
        if ("PrimaryContainer" in given) == bool(given.get("Containers")):
            raise NotImplementedError("a model with both a primary container and others, or with none")
        made = Model(name, arn, {key: value for key, value in given.items() if key != "Tags"}, self._now())
        for container in made.containers:
            url = container.get("ModelDataUrl")
            if url is not None and not self._is_there(url):
                _invalid(f"Could not find model data at {url}.")
        self._models[name] = made
        self._tag(arn, given.get("Tags", ()))
        return {"ModelArn": arn}

    def _describe_model(self, given: Given) -> dict[str, Any]:
        found = self._model(_name(given, "ModelName"))
        isolated = bool(found.content.get("EnableNetworkIsolation", False))
        return {
            **found.content,
            "ModelArn": found.arn,
            "CreationTime": found.created,
            "EnableNetworkIsolation": isolated,
        }

    def _delete_model(self, given: Given) -> dict[str, Any]:
        found = self._model(_name(given, "ModelName"))
        del self._models[found.name]
        self._tags.pop(found.arn, None)
        return {}

    def _list_models(self, given: Given) -> dict[str, Any]:
        shown = [
            {"ModelName": each.name, "ModelArn": each.arn, "CreationTime": each.created}
            for each in self._models.values()
        ]
        return _listed("Models", shown, given, "ModelName")

    def _model(self, name: str) -> Model:
        if name not in self._models:
            _invalid(f'Could not find model "{self._arn("model", name)}".')
        return self._models[name]

    def _is_there(self, url: str) -> bool:
        return bool(self._objects(url))

    def _is_readable(self, url: str, role: str) -> bool:
        """Whether the data is there for that role, and the keys that it is encrypted with can be used by it."""
        found = self._objects(url)
        return bool(found) and all(self._may_read(role, each) for each in found)

    def _may_read(self, role: str, found: Any) -> bool:
        """Whether the role's own policies let it read an object. Policies of buckets and keys give nothing here."""
        via = {"kms:viaservice": [f"s3.{self._region}.amazonaws.com"]}
        name = f"arn:aws:s3:::{found.bucket_name}/{found.name}"
        if not iam.permits(role, self._account, "s3:GetObject", name, {}):
            if s3_backends[self._account]["aws"].buckets[found.bucket_name].policy:
                raise NotImplementedError("model data in a bucket that has a policy of its own")
            return False
        key = found.kms_key_id
        return not key or (self._is_enabled(key) and iam.permits(role, self._account, "kms:Decrypt", key, via))

    def _objects(self, url: str) -> list[Any]:
        """What lies in S3 under a URI, or a URL with the bucket in its path or in its host's name."""
        address = urlsplit(url)
        bucket, key = address.netloc, address.path.removeprefix("/")
        if address.scheme == "https":
            name, _, _ = address.netloc.rpartition("s3.")
            if name:
                bucket = name.removesuffix(".")
            else:
                bucket, _, key = key.partition("/")
        known = s3_backends[self._account]["aws"].buckets.get(bucket)
        return [known.keys[name] for name in known.keys if name.startswith(key)] if known is not None else []

    def _is_enabled(self, arn: str) -> bool:
        region, key = arn.split(":")[3], arn.rpartition("/")[2]
        known = kms_backends[self._account][region].keys.get(key)
        return known is not None and known.key_state == "Enabled"

    def _check_package(self, wanted: str) -> None:
        """moto knows model packages, but not what SageMaker says of one that does not exist."""
        backend = sagemaker_backends[self._account][self._region]
        if backend.model_package_name_mapping.get(wanted, wanted) not in backend.model_packages:
            arn = wanted if wanted.startswith("arn:") else self._arn("model-package", wanted)
            _invalid(f"ModelPackage {arn} does not exist.")

    # -- endpoint configurations ---------------------------------------------------------------------------------------

    def _create_configuration(self, given: Given) -> dict[str, Any]:
        name = _name(given, "EndpointConfigName")
        unknown = set(given) - CONFIGURATION_FIELDS
        if unknown:
            raise NotImplementedError(f"CreateEndpointConfig with {', '.join(sorted(unknown))}")
        arn = self._arn("endpoint-config", name)
        if name in self._configurations:
            _invalid(f'Cannot create already existing endpoint configuration "{arn}".')
        variants, shadows = given["ProductionVariants"], given.get("ShadowProductionVariants", [])
        for variant in [*variants, *shadows]:
            self._check_variant(variant)
        names = [variant["VariantName"] for variant in [*variants, *shadows]]
        if len(set(names)) < len(names):
            raise NotImplementedError("two variants of one name")
        if shadows and (len(variants), len(shadows)) != (1, 1):
            raise NotImplementedError("shadow variants beside more than one production variant")
        if len(variants) > 1 and any("ServerlessConfig" in variant for variant in variants):
            raise NotImplementedError("a serverless variant beside another")
        content = {key: value for key, value in given.items() if key != "Tags"}
        for variant in [*variants, *shadows]:
            variant.setdefault("InitialVariantWeight", 1.0)
        self._configurations[name] = Configuration(name, arn, content, self._now())
        self._tag(arn, given.get("Tags", ()))
        return {"EndpointConfigArn": arn}

    def _check_variant(self, variant: Mapping[str, Any]) -> None:
        _name(variant, "VariantName")
        if "ModelName" in variant:
            self._model(variant["ModelName"])
        sized = {"InstanceType", "InitialInstanceCount"} & set(variant)
        if len(sized) != (0 if "ServerlessConfig" in variant else 2):
            raise NotImplementedError("a variant that is neither serverless nor has an instance type and count")

    def _describe_configuration(self, given: Given) -> dict[str, Any]:
        found = self._configuration(_name(given, "EndpointConfigName"))
        return {**found.content, "EndpointConfigArn": found.arn, "CreationTime": found.created}

    def _delete_configuration(self, given: Given) -> dict[str, Any]:
        found = self._configuration(_name(given, "EndpointConfigName"))
        del self._configurations[found.name]
        self._tags.pop(found.arn, None)
        return {}

    def _list_configurations(self, given: Given) -> dict[str, Any]:
        shown = [
            {"EndpointConfigName": each.name, "EndpointConfigArn": each.arn, "CreationTime": each.created}
            for each in self._configurations.values()
        ]
        return _listed("EndpointConfigs", shown, given, "EndpointConfigName")

    def _configuration(self, name: str) -> Configuration:
        if name not in self._configurations:
            _invalid(f'Could not find endpoint configuration "{self._arn("endpoint-config", name)}".')
        return self._configurations[name]

    # -- endpoints -----------------------------------------------------------------------------------------------------

    def _create_endpoint(self, given: Given) -> dict[str, Any]:
        name = _name(given, "EndpointName")
        arn = self._arn("endpoint", name)
        if name in self._endpoints:
            _invalid(f'Cannot create already existing endpoint "{arn}".')
        now = self._now()
        fleet = self._fleet(self._configuration(_name(given, "EndpointConfigName")), now)
        self._check_limits(fleet.variants)
        endpoint = Endpoint(name, arn, now, Alarms(self._ringing, self._set_alarm))
        self._endpoints[name] = endpoint
        self._tag(arn, given.get("Tags", ()))
        endpoint.deploy(fleet, given.get("DeploymentConfig"), now)
        return {"EndpointArn": arn}

    def _update_endpoint(self, given: Given) -> dict[str, Any]:
        endpoint = self._changeable(given)
        now = self._now()
        wanted = self._configuration(_name(given, "EndpointConfigName"))
        present = endpoint.configuration
        # The old configuration must still be there: without it, SageMaker updates nothing.
        self._configuration(present.name)
        if wanted.name == present.name:
            raise NotImplementedError("an update to the configuration that the endpoint has")
        deployment = given.get("DeploymentConfig")
        if given.get("RetainDeploymentConfig"):
            if deployment is not None:
                raise NotImplementedError("RetainDeploymentConfig with a new deployment configuration")
            deployment = endpoint.deployment
        fleet = self._fleet(wanted, now)
        self._check_deployment(endpoint, fleet, deployment)
        self._check_scaling(endpoint, fleet)
        if given.get("RetainAllVariantProperties"):
            excluded = {each["VariantPropertyType"] for each in given.get("ExcludeRetainedVariantProperties", ())}
            _retain(endpoint, fleet, excluded)
        self._check_limits(fleet.variants)
        endpoint.deploy(fleet, deployment, now)
        return {"EndpointArn": endpoint.arn}

    def _check_deployment(self, endpoint: Endpoint, fleet: Fleet, deployment: Given | None) -> None:
        policy = deployment or {}
        if "BlueGreenUpdatePolicy" in policy and "RollingUpdatePolicy" in policy:
            raise NotImplementedError("two update policies")
        if policy and {each.name for each in fleet.variants} != {each.name for each in endpoint.deployed.variants}:
            raise NotImplementedError("a deployment policy for variants of other names")
        if "RollingUpdatePolicy" in policy and len(fleet.variants) > 1:
            raise NotImplementedError("a rolling update of more than one variant")
        known = cloudwatch_backends[self._account][self._region].alarms
        for alarm in policy.get("AutoRollbackConfiguration", {}).get("Alarms", ()):
            if alarm["AlarmName"] not in known:
                raise NotImplementedError(f"a rollback alarm that does not exist: {alarm['AlarmName']}")
            if known[alarm["AlarmName"]].rule:
                raise NotImplementedError(f"a rollback alarm that is a composite one: {alarm['AlarmName']}")

    def _check_scaling(self, endpoint: Endpoint, fleet: Fleet) -> None:
        backend = applicationautoscaling_backends[self._account][self._region]
        targets = backend.targets.get("sagemaker:variant:DesiredInstanceCount", {})
        types = {variant.name: variant.content.get("InstanceType") for variant in fleet.variants}
        for variant in endpoint.deployed.variants:
            scales = f"endpoint/{endpoint.name}/variant/{variant.name}" in targets
            if scales and types.get(variant.name) != variant.content.get("InstanceType"):
                raise NotImplementedError(
                    f"another instance type of {variant.name}, which is a scalable target, or none"
                )

    def _update_weights(self, given: Given) -> dict[str, Any]:
        endpoint = self._changeable(given)
        fleet = endpoint.deployed
        known = {variant.name: variant for variant in fleet.variants}
        wanted: dict[str, tuple[float | None, int | None]] = {}
        for each in given["DesiredWeightsAndCapacities"]:
            name = each["VariantName"]
            if name in wanted:
                _invalid(f'The variant name "{name}" was non-unique within the request.')
            if name not in known:
                _invalid(
                    f'The variant name(s) "{name}" is/are not present within endpoint configuration'
                    f' "{fleet.configuration.name}".'
                )
            if "ServerlessConfig" in known[name].content or "ServerlessUpdateConfig" in each:
                raise NotImplementedError("weights and capacities of a serverless variant")
            wanted[name] = each.get("DesiredWeight"), each.get("DesiredInstanceCount")
        grown = [
            Variant(name, known[name].content, 0.0, 0.0, None, max(count - (known[name].desired_count or 0), 0))
            for name, (_, count) in wanted.items()
            if count is not None
        ]
        self._check_limits(grown)
        endpoint.rescale(wanted, self._now())
        return {"EndpointArn": endpoint.arn}

    def _delete_endpoint(self, given: Given) -> dict[str, Any]:
        endpoint = self._endpoint(_name(given, "EndpointName"))
        if endpoint.in_progress:
            _invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        del self._endpoints[endpoint.name]
        self._tags.pop(endpoint.arn, None)
        return {}

    def _describe_endpoint(self, given: Given) -> dict[str, Any]:
        endpoint = self._endpoint(_name(given, "EndpointName"))
        configuration = endpoint.configuration
        described: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": configuration.name,
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
        if endpoint.fleet is not None:
            described["ProductionVariants"] = [self._summary(each) for each in endpoint.fleet.variants]
            if endpoint.fleet.shadows:
                described["ShadowProductionVariants"] = [self._summary(each) for each in endpoint.fleet.shadows]
        if endpoint.pending is not None:
            described["PendingDeploymentSummary"] = {
                "EndpointConfigName": endpoint.pending.configuration.name,
                "ProductionVariants": [self._summary(each) for each in endpoint.pending.variants],
                "StartTime": endpoint.pending.started,
            }
        if endpoint.failure is not None:
            described["FailureReason"] = endpoint.failure
        if endpoint.deployment is not None:
            described["LastDeploymentConfig"] = endpoint.deployment
        capture = configuration.content.get("DataCaptureConfig")
        if capture is not None:
            on = bool(capture.get("EnableCapture", True))
            works = on and (endpoint.fleet is None or endpoint.fleet.script.captures)
            described["DataCaptureConfig"] = {
                "EnableCapture": on,
                "CaptureStatus": "Started" if works else "Stopped",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture.get("KmsKeyId", ""),
            }
        if "AsyncInferenceConfig" in configuration.content:
            described["AsyncInferenceConfig"] = configuration.content["AsyncInferenceConfig"]
        return described

    def _summary(self, variant: Variant) -> dict[str, Any]:
        summary: dict[str, Any] = {
            "VariantName": variant.name,
            "CurrentWeight": variant.current_weight,
            "DesiredWeight": variant.desired_weight,
        }
        known = self._models.get(variant.content.get("ModelName", ""))
        if known is not None:
            images = [container["Image"] for container in known.containers if "Image" in container]
            summary["DeployedImages"] = [
                {"SpecifiedImage": image, "ResolvedImage": _resolved(image), "ResolutionTime": known.created}
                for image in images
            ]
        if "ServerlessConfig" in variant.content:
            summary["CurrentServerlessConfig"] = summary["DesiredServerlessConfig"] = variant.content[
                "ServerlessConfig"
            ]
        else:
            summary["CurrentInstanceCount"] = variant.current_count
            summary["DesiredInstanceCount"] = variant.desired_count
        if variant.doing is not None:
            status, message, since = variant.doing
            summary["VariantStatus"] = [{"Status": status, "StatusMessage": message, "StartTime": since}]
        return summary

    def _list_endpoints(self, given: Given) -> dict[str, Any]:
        shown = [
            {
                "EndpointName": each.name,
                "EndpointArn": each.arn,
                "CreationTime": each.created,
                "LastModifiedTime": each.modified,
                "EndpointStatus": each.status,
            }
            for each in self._endpoints.values()
            if given.get("StatusEquals") in (None, each.status)
        ]
        return _listed("Endpoints", shown, given, "EndpointName")

    def _endpoint(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            _invalid(f'Could not find endpoint "{self._arn("endpoint", name)}".')
        return self._endpoints[name]

    def _changeable(self, given: Given) -> Endpoint:
        endpoint = self._endpoint(_name(given, "EndpointName"))
        if endpoint.in_progress:
            _invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        if endpoint.status == "Failed":
            _invalid(f'Cannot update failed endpoint "{endpoint.arn}".')
        if endpoint.status != "InService":
            raise NotImplementedError(f"changes of an endpoint that is {endpoint.status}")
        return endpoint

    def _fleet(self, configuration: Configuration, now: datetime) -> Fleet:
        script = self._scripts.get(configuration.name, Script())
        volumes = configuration.content.get("KmsKeyId")
        if volumes is not None and not (volumes.startswith("arn:") and self._is_enabled(volumes)):
            raise NotImplementedError(f"volumes that are encrypted with {volumes}, which is no ARN or cannot be used")
        unread = self._unread(configuration)
        if unread is not None:
            container, url = unread
            script = replace(script, in_service_after=None, reason=NO_DATA.format(container=container, url=url))
        variants = [Variant.launched(content) for content in configuration.variants]
        shadows = [Variant.launched(content) for content in configuration.shadows]
        return Fleet(configuration, script, variants, shadows, now)

    def _unread(self, configuration: Configuration) -> tuple[str, str] | None:
        """The first container whose data no instance could download now, with its URL. Models that are gone raise."""
        for content in [*configuration.variants, *configuration.shadows]:
            model = self._model(content["ModelName"]) if "ModelName" in content else None
            for number, container in enumerate(model.containers if model else (), 1):
                sources = [container.get("ModelDataSource", {}), *container.get("AdditionalModelDataSources", ())]
                found = [
                    container.get("ModelDataUrl"),
                    *(each.get("S3DataSource", {}).get("S3Uri") for each in sources),
                ]
                for url in found:
                    if url is not None and model and not self._is_readable(url, model.content["ExecutionRoleArn"]):
                        return f"container_{number}", url
        return None

    def _check_limits(self, added: Sequence[Variant]) -> None:
        """Both fleets of a blue/green deployment count."""
        for kind, quota in self._limits.items():
            used = sum(
                variant.desired_count or 0
                for endpoint in self._endpoints.values()
                if endpoint.fleet is not None
                for variant in [*endpoint.fleet.variants, *endpoint.fleet.shadows]
                if variant.content.get("InstanceType") == kind
            )
            more = sum(each.desired_count or 0 for each in added if each.content.get("InstanceType") == kind)
            if more and used + more > quota:
                raise ServiceError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{kind} for endpoint usage' is {quota} Instances, with current"
                    f" utilization of {used} Instances and a request delta of {more} Instances. Please use AWS Service"
                    " Quotas to request an increase for this quota.",
                )

    def _ringing(self, names: Sequence[str]) -> list[str]:
        known = cloudwatch_backends[self._account][self._region].alarms
        return [name for name in names if name in known and known[name].state_value == "ALARM"]

    def _set_alarm(self, name: str, state: str, reason: str) -> None:
        backend = cloudwatch_backends[self._account][self._region]
        backend.set_alarm_state(name, reason, "{}", state)

    # -- inference components ------------------------------------------------------------------------------------------

    def _create_component(self, given: Given) -> dict[str, Any]:
        name = given["InferenceComponentName"]
        endpoint = self._endpoint(given["EndpointName"])
        arn = self._arn("inference-component", name)
        if name in self._components:
            raise NotImplementedError("two inference components of one name")
        now = self._now()
        self._components[name] = {
            "InferenceComponentName": name,
            "InferenceComponentArn": arn,
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "VariantName": given["VariantName"],
            "InferenceComponentStatus": "InService",
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        return {"InferenceComponentArn": arn}

    def _list_components(self, given: Given) -> dict[str, Any]:
        shown = [
            each
            for each in self._components.values()
            if given.get("EndpointNameEquals") in (None, each["EndpointName"])
            and given.get("VariantNameEquals") in (None, each["VariantName"])
            and given.get("StatusEquals") in (None, each["InferenceComponentStatus"])
        ]
        return _listed("InferenceComponents", shown, given, "InferenceComponentName")

    # -- tags ----------------------------------------------------------------------------------------------------------

    def _is_ours(self, arn: str) -> bool:
        kinds = ("endpoint", "endpoint-config", "model", "inference-component")
        return any(arn.startswith(self._arn(kind, "")) for kind in kinds)

    def _tag(self, arn: str, tags: Sequence[Mapping[str, str]]) -> None:
        self._tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})

    def _tagged(self, arn: str) -> dict[str, str]:
        if arn not in self._tags:
            raise NotImplementedError(f"the tags of {arn}, which does not exist")
        return self._tags[arn]

    def _add_tags(self, given: Given) -> dict[str, Any]:
        self._tagged(given["ResourceArn"])
        self._tag(given["ResourceArn"], given["Tags"])
        return self._list_tags(given)

    def _list_tags(self, given: Given) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tagged(given["ResourceArn"]).items()]}

    def _delete_tags(self, given: Given) -> dict[str, Any]:
        tags = self._tagged(given["ResourceArn"])
        for key in given["TagKeys"]:
            tags.pop(key, None)
        return {}

    # -- invocation ----------------------------------------------------------------------------------------------------

    def invoke(self, call: Call) -> Response:
        """Answers InvokeEndpoint of the runtime. Raises ServiceError as it would."""
        if call.operation != "InvokeEndpoint":
            raise NotImplementedError(f"{call.operation} of the SageMaker runtime")
        name = unquote(call.environ["PATH_INFO"].split("/")[2])
        target = call.environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT")
        with self._lock:
            endpoint = self._endpoints.get(name)
            if endpoint is not None:
                endpoint.catch_up(self._now())
            fleet = endpoint.serving if endpoint is not None and endpoint.status != "Failed" else None
            if endpoint is None or fleet is None:
                _wrong(f"Endpoint {name} of account {self._account} not found.")
            if "AsyncInferenceConfig" in fleet.configuration.content:
                raise NotImplementedError("InvokeEndpoint of an asynchronous endpoint")
            if any("ModelName" not in variant.content for variant in fleet.variants):
                _wrong(
                    "Inference Component Name header is required for endpoints to which you plan to deploy inference"
                    " components. Please include Inference Component Name header or consider using SageMaker models."
                )
            taking = [variant.name for variant in fleet.variants if variant.current_weight > 0]
            variant = target or (taking or [fleet.variants[0].name])[0]
            if variant not in {each.name for each in fleet.variants}:
                _wrong(f"Variant {variant} not found for endpoint {name}.")
            serving = next(each for each in fleet.variants if each.name == variant)
            known = self._models.get(serving.content["ModelName"])
            if known is not None and known.content.get("InferenceExecutionConfig", {}).get("Mode") == "Direct":
                raise NotImplementedError("InvokeEndpoint of one of the containers of a model")
            status = fleet.script.failing.get(variant, 200)
        if status != 200:
            self._model_error(name, variant, status)
        headers = {"Content-Type": "application/json", "x-Amzn-Invoked-Production-Variant": variant}
        return 200, headers, b'{"predictions": [0.5]}'

    def _model_error(self, endpoint: str, variant: str, status: int) -> NoReturn:
        kind = "server" if status >= 500 else "client"
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        console = f"https://{self._region}.console.aws.amazon.com/cloudwatch/home?region={self._region}"
        raise ServiceError(
            "ModelError",
            f'Received {kind} error ({status}) from primary with message "{variant} cannot say". See'
            f" {console}#logEventViewer:group={group} in account {self._account} for more information.",
            424,
            OriginalStatusCode=status,
            OriginalMessage=f"{variant} cannot say",
            LogStreamArn=f"arn:aws:logs:{self._region}:{self._account}:log-group:{group}",
        )

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self._region}:{self._account}:{kind}/{name.lower()}"


_OPERATIONS: dict[str, Callable[[SageMaker, Given], dict[str, Any]]] = {
    "AddTags": SageMaker._add_tags,
    "CreateEndpoint": SageMaker._create_endpoint,
    "CreateEndpointConfig": SageMaker._create_configuration,
    "CreateInferenceComponent": SageMaker._create_component,
    "CreateModel": SageMaker._create_model,
    "DeleteEndpoint": SageMaker._delete_endpoint,
    "DeleteEndpointConfig": SageMaker._delete_configuration,
    "DeleteModel": SageMaker._delete_model,
    "DeleteTags": SageMaker._delete_tags,
    "DescribeEndpoint": SageMaker._describe_endpoint,
    "DescribeEndpointConfig": SageMaker._describe_configuration,
    "DescribeModel": SageMaker._describe_model,
    "ListEndpointConfigs": SageMaker._list_configurations,
    "ListEndpoints": SageMaker._list_endpoints,
    "ListInferenceComponents": SageMaker._list_components,
    "ListModels": SageMaker._list_models,
    "ListTags": SageMaker._list_tags,
    "UpdateEndpoint": SageMaker._update_endpoint,
    "UpdateEndpointWeightsAndCapacities": SageMaker._update_weights,
}
_TAGGING = ("AddTags", "DeleteTags", "ListTags")


def _invalid(message: str) -> NoReturn:
    raise ServiceError("ValidationException", message)


def _wrong(message: str) -> NoReturn:
    """The runtime's name for the same."""
    raise ServiceError("ValidationError", message)


def _name(given: Given, parameter: str) -> str:
    value = str(given[parameter])
    if not re.fullmatch(NAME, value):
        field = parameter[0].lower() + parameter[1:]
        _invalid(
            f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: Member must"
            f" satisfy regular expression pattern: ^{NAME}"
        )
    return value


def _retain(endpoint: Endpoint, fleet: Fleet, excluded: set[str]) -> None:
    """The new fleet's variants get the weights and counts of the old ones, but for what is excluded."""
    before = {variant.name: variant for variant in endpoint.deployed.variants}
    for variant in fleet.variants:
        old = before.get(variant.name)
        if old is None:
            continue
        if "DesiredWeight" not in excluded:
            variant.current_weight = variant.desired_weight = old.desired_weight
        if "DesiredInstanceCount" not in excluded and variant.desired_count is not None:
            variant.desired_count = old.desired_count


def _resolved(image: str) -> str:
    return f"{image.rpartition(':')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)


def _listed(key: str, shown: list[dict[str, Any]], given: Given, name: str) -> dict[str, Any]:
    """A page of a list, by the filters and orders that all lists of the service have; the newest first by default."""
    wanted = [
        each
        for each in shown
        if given.get("NameContains", "") in each[name]
        and ("CreationTimeAfter" not in given or each["CreationTime"] > _moment(given["CreationTimeAfter"]))
        and ("CreationTimeBefore" not in given or each["CreationTime"] < _moment(given["CreationTimeBefore"]))
    ]
    by = given.get("SortBy", "CreationTime")
    order = {"Name": name, "CreationTime": "CreationTime", "Status": "EndpointStatus"}[by]
    wanted.sort(key=lambda each: each[order], reverse=given.get("SortOrder", "Descending") == "Descending")
    start = int(base64.b64decode(given["NextToken"])) if given.get("NextToken") else 0
    end = start + int(given.get("MaxResults", PAGE))
    page: dict[str, Any] = {key: wanted[start:end]}
    if end < len(wanted):
        page["NextToken"] = base64.b64encode(str(end).encode()).decode()
    return page


# -- building blocks for scenarios -------------------------------------------------------------------------------------


def artifact(aws: EmbeddedAws, bucket: str, key: str, *, kms_key: str | None = None) -> str:
    """A model's artifact in S3, in a bucket that is made if need be; its URL."""
    client = aws.client("s3")
    if bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    client.put_object(Bucket=bucket, Key=key, Body=b"a model", **encryption)
    return f"s3://{bucket}/{key}"


def package(aws: EmbeddedAws, group: str, approval: str) -> str:
    """The next version of a model in the registry, with its approval status; its ARN."""
    client = aws.client("sagemaker")
    groups = client.list_model_package_groups()["ModelPackageGroupSummaryList"]
    if group not in {each["ModelPackageGroupName"] for each in groups}:
        client.create_model_package_group(ModelPackageGroupName=group)
    made = client.create_model_package(ModelPackageGroupName=group, ModelApprovalStatus=approval)
    return str(made["ModelPackageArn"])


def model(aws: EmbeddedAws, name: str, url: str, *, role: str, image: str, **container: Any) -> str:
    """A model with one container; its name. `container` are further fields of the container."""
    primary = {"Image": image, "ModelDataUrl": url, **container}
    aws.sagemaker.do("CreateModel", {"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": primary})
    return name


def configure(
    aws: EmbeddedAws, name: str, variants: Mapping[str, tuple[str, float]], *, instances: int = 1, **fields: Any
) -> str:
    """An endpoint configuration; its name. `variants` has model and weight by the variant's name."""
    production = [
        {
            "VariantName": variant,
            "ModelName": model_name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": instances,
            "InitialVariantWeight": weight,
        }
        for variant, (model_name, weight) in variants.items()
    ]
    aws.sagemaker.do("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": production, **fields})
    return name


def script(aws: EmbeddedAws, configuration: str, **fields: Any) -> None:
    """What becomes of fleets of a configuration: the fields of `Script`."""
    aws.sagemaker.set_script(configuration, Script(**fields))


def deploy(aws: EmbeddedAws, endpoint: str, configuration: str, *, minutes_ago: float = 0, **fields: Any) -> None:
    """Creates the endpoint, or updates it to that configuration, as of that many minutes ago; in order of time."""
    at = aws.clock.now() - timedelta(minutes=minutes_ago)
    known = aws.sagemaker.do("ListEndpoints", {"NameContains": endpoint, "MaxResults": 100}, at)["Endpoints"]
    operation = "UpdateEndpoint" if any(each["EndpointName"] == endpoint for each in known) else "CreateEndpoint"
    aws.sagemaker.do(operation, {"EndpointName": endpoint, "EndpointConfigName": configuration, **fields}, at)


def traffic(
    aws: EmbeddedAws,
    endpoint: str,
    invocations: Mapping[str, int],
    *,
    errors: Mapping[str, int] | None = None,
    minutes_ago: float = 10,
) -> None:
    """What the endpoint has published to CloudWatch: invocations, and answers of 500 and above, by variant."""
    at = aws.clock.now() - timedelta(minutes=minutes_ago)
    data = [
        {
            "MetricName": metric,
            "Dimensions": [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
            "Timestamp": at,
            "Value": float(count),
            "Unit": "Count" if metric == "Invocations" else "None",
        }
        for metric, counts in (("Invocations", invocations), ("Invocation5XXErrors", errors or {}))
        for variant, count in counts.items()
    ]
    aws.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)


def scale(aws: EmbeddedAws, endpoint: str, variant: str, minimum: int, maximum: int) -> None:
    """Registers a variant with Application Auto Scaling, which keeps its instances between the two."""
    aws.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{endpoint}/variant/{variant}",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=minimum,
        MaxCapacity=maximum,
    )


def composite_alarm(aws: EmbeddedAws, name: str, *of: str) -> str:
    """A composite alarm, which rings while one of the others does; its name. moto has the alarm, not the operation."""
    # A composite alarm has none of these, which moto asks for all the same.
    unset: dict[str, Any] = dict.fromkeys(
        ("namespace", "metric_name", "comparison_operator", "evaluation_periods", "period", "threshold", "statistic")
    )
    cloudwatch_backends[aws.account_id][aws.region].put_metric_alarm(
        name=name,
        description="",
        dimensions=[],
        alarm_actions=[],
        rule=" OR ".join(f"ALARM({each})" for each in of),
        **unset,
    )
    return name
