"""Every branch of the decision, as a table of facts -> decision, without AWS; and what is read, on the embedded one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jmespath
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from pydantic import ValidationError

from runbooks.aws.session import AwsSession
from runbooks.catalogue.sagemaker_variant_fix import RUNBOOK, keys, targets
from runbooks.catalogue.sagemaker_variant_fix import facts as facts_module
from runbooks.catalogue.sagemaker_variant_fix import making as making_module
from runbooks.catalogue.sagemaker_variant_fix.access import (
    DECRYPT,
    LOOK,
    READ,
    Access,
    Permission,
    may_publish,
    read_access,
    simulated,
)
from runbooks.catalogue.sagemaker_variant_fix.decide import decide
from runbooks.catalogue.sagemaker_variant_fix.facts import (
    Alarm,
    Configuration,
    ConfiguredVariant,
    Endpoint,
    Facts,
    Variant,
    configuration_of,
    gather,
    recheck_creation,
    recheck_deployment,
    watch,
    watch_creation,
)
from runbooks.catalogue.sagemaker_variant_fix.input import Input
from runbooks.catalogue.sagemaker_variant_fix.making import Making, content_of, content_wanted, name_for
from runbooks.catalogue.sagemaker_variant_fix.metrics import Traffic
from runbooks.catalogue.sagemaker_variant_fix.models import Artifact, Package, ServedModel, artifact_at, read_model
from runbooks.catalogue.sagemaker_variant_fix.plan import CREATE, DEPLOY, PROBE, SCALE_IN, SCALE_OUT, SET
from runbooks.catalogue.sagemaker_variant_fix.progress import (
    configuration_is_in_service,
    configuration_is_there,
    every_variant_has_answered,
    instances_are_added,
    instances_are_removed,
    weights_are_set,
    what_scaling_in_rests_on,
    what_scaling_out_rests_on,
    what_the_creation_rests_on,
    what_the_deployment_rests_on,
    what_the_probe_rests_on,
    what_the_weights_rest_on,
)
from runbooks.catalogue.sagemaker_variant_fix.reading import describe_configuration
from runbooks.catalogue.sagemaker_variant_fix.scaling import Scaled
from runbooks.model import Change, Decision, Irreversible, NothingToUndo, Severity, Undo, Verdict
from runbooks.policy import explain
from workbench import scenario
from workbench.asl import template
from workbench.embedded import EmbeddedAws, sagemaker
from workbench.incident import run_scenario

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ARN = "arn:aws:sagemaker:eu-central-1:123456789012"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/one"
SPLIT = {"A": 9.0, "B": 1.0}


def given(**more: Any) -> Input:
    values = {"mode": "execute", "reason": "INC-1", "requested_by": "alice", "endpoint": "Churn"}
    return Input.model_validate(values | more)


TO_V2 = given(endpoint_configuration="v2", rollback_alarms=["errors"])


def variants(a: float = 9.0, b: float = 1.0, **more: Any) -> tuple[Variant, ...]:
    return tuple(
        Variant.model_validate(
            {
                "name": name,
                "current_weight": weight,
                "desired_weight": weight,
                "current_instances": 2,
                "desired_instances": 2,
            }
            | more
        )
        for name, weight in (("A", a), ("B", b))
    )


def changed(name: str, **update: Any) -> Configuration:
    """A configuration whose first variant is another one."""
    first, second = configured().variants
    return configured(name, variants=(first.model_copy(update=update), second))


def of_inferentia(name: str) -> Configuration:
    return changed(name, instance_type="ml.inf1.xlarge")


def counted(a: int, b: int, *, running: int | None = None) -> tuple[Variant, ...]:
    """Variants that are told these numbers of instances, which run unless another number does."""
    return tuple(
        variant.model_copy(update={"desired_instances": told, "current_instances": running or told})
        for variant, told in zip(variants(), (a, b), strict=True)
    )


def endpoint(**more: Any) -> Endpoint:
    values: dict[str, Any] = {
        "name": "Churn",
        "arn": f"{ARN}:endpoint/churn",
        "status": "InService",
        "configuration": "v1",
        "since": "2026-11-20T09:00:00Z",
        "variants": variants(),
    }
    return Endpoint.model_validate(values | more)


def served(name: str = "churn-1", **more: Any) -> ServedModel:
    artifact = Artifact(url=f"s3://models/{name}", state="there", object=f"models/{name}", key=KEY, key_state="Enabled")
    return ServedModel.model_validate(
        {"name": name, "exists": True, "role": "arn:aws:iam::123456789012:role/m", "artifacts": (artifact,)} | more
    )


def configured(name: str = "v1", weights: dict[str, float] = SPLIT, **more: Any) -> Configuration:
    of = tuple(ConfiguredVariant(name=each, model="churn-1", weight=weight) for each, weight in weights.items())
    return Configuration.model_validate({"name": name, "variants": of, "models": (served(),)} | more)


def one(name: str = "v1", **more: Any) -> Configuration:
    return configured(name, variants=(ConfiguredVariant.model_validate({"name": "A", "weight": 1.0} | more),))


def facts(
    of: Endpoint | None = None, current: Configuration | None = None, wanted: Configuration | None = None, **more: Any
) -> Facts:
    current = current or configured()
    ends_on = wanted or current
    return Facts.model_validate(
        {"endpoint": of or endpoint(), "current": current, "wanted": ends_on, "ends_on": ends_on.name} | more
    )


SCALED = (Scaled(variant="A", minimum=1, maximum=4),)
LARGER = configured(
    "v2",
    variants=tuple(
        ConfiguredVariant(name=name, model="churn-1", weight=weight, instance_type="ml.m5.xlarge")
        for name, weight in SPLIT.items()
    ),
)
OK = (Alarm(name="errors", state="OK", endpoints=("churn",), rings_after=60),)
DRIFTED = endpoint(variants=variants(5.0, 5.0))


FORBIDDEN = Artifact(url="s3://models/x", state="forbidden")
HIDDEN = Package(arn="p/1", approval=None, seen=False)
REJECTED = Package(arn="p/1", approval="Rejected")
SOLD = Package(arn="p/1", approval="Approved", marketplace=True)
STRANGE = Artifact(url="https://models.example.com/x", state="unknown")


def access(permission: Permission, action: str = READ, **more: Any) -> Access:
    """What the models' role may do to the artifact of a model, or to another resource."""
    values = {"role": "arn:aws:iam::123456789012:role/m", "action": action, "resource": "arn:aws:s3:::models/churn-1"}
    return Access.model_validate(values | {"permission": permission} | more)


CONTENT: dict[str, Any] = {
    "ProductionVariants": [
        {"VariantName": "A", "ModelName": "churn-1", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2},
        {"VariantName": "B", "ModelName": "churn-1", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2},
    ],
    "KmsKeyId": KEY,
}
TO_BE_MADE = given(new_models={"B": "churn-2"}, rollback_alarms=["errors"])


def making(**more: Any) -> Making:
    values = {"name": "v1-rb-1", "arn": f"{ARN}:endpoint-config/v1-rb-1", "content": CONTENT, "there": "no"}
    return Making.model_validate(values | more)


def made(**more: Any) -> Facts:
    """A configuration with another model for B is to be made of v1."""
    variants = tuple(
        ConfiguredVariant(name=name, model=model, weight=weight)
        for (name, weight), model in zip(SPLIT.items(), ("churn-1", "churn-2"), strict=True)
    )
    return facts(wanted=configured("v1-rb-1", variants=variants), alarms=OK, making=making(**more))


def with_model(**more: Any) -> Facts:
    return facts(DRIFTED, configured(models=(served(**more),)))


@dataclass(frozen=True)
class Case:
    name: str
    facts: Facts
    verdict: Verdict
    says: str
    given: Input = given()  # noqa: RUF009 - frozen


CASES = [
    Case("no such endpoint", Facts(endpoint=None), Verdict.REFUSED, "There is no endpoint Churn"),
    *(
        Case(
            f"an endpoint that is {status}",
            facts(endpoint(status=status, pending="v2")),
            Verdict.REFUSED,
            f"is {status} to v2 since 2026-11-20T09:00:00Z",
        )
        for status in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
    ),
    Case(
        "an endpoint that has failed",
        facts(endpoint(status="Failed", failure="no ping")),
        Verdict.HAND_OFF,
        "Churn is Failed (no ping), and all that can be done",
    ),
    Case(
        "an update whose rollback failed too",
        facts(endpoint(status="UpdateRollbackFailed", failure="no ping")),
        Verdict.HAND_OFF,
        "serves with a mix of two configurations",
    ),
    Case(
        "an endpoint out of service",
        facts(endpoint(status="OutOfService")),
        Verdict.HAND_OFF,
        "Churn is OutOfService (SageMaker gives no reason)",
    ),
    Case(
        "its configuration was deleted",
        Facts(endpoint=DRIFTED, ends_on="v1"),
        Verdict.HAND_OFF,
        "The endpoint configuration v1 was deleted while Churn uses it",
    ),
    Case(
        "SageMaker names no configuration of it",
        Facts(endpoint=endpoint(configuration="")),
        Verdict.HAND_OFF,
        "SageMaker names no endpoint configuration that Churn has",
    ),
    Case(
        "the wanted configuration does not exist",
        Facts(endpoint=endpoint(), current=configured(), ends_on="v2"),
        Verdict.REFUSED,
        "There is no endpoint configuration v2",
        TO_V2,
    ),
    Case("a serverless variant", facts(current=one(model="m", serverless=True)), Verdict.REFUSED, "A is serverless"),
    Case(
        "a serverless variant in the wanted configuration",
        facts(wanted=one("v2", model="m", serverless=True), alarms=OK),
        Verdict.REFUSED,
        "A is serverless",
        TO_V2,
    ),
    Case(
        "inference components",
        facts(current=one(model=None), components=("llm",)),
        Verdict.REFUSED,
        "hosts inference components (llm)",
    ),
    Case(
        "no inference component yet",
        facts(current=one(model=None)),
        Verdict.REFUSED,
        "hosts inference components: they are invoked by name",
    ),
    Case(
        "inference components in the wanted configuration only",
        facts(wanted=one("v2", model=None), alarms=OK),
        Verdict.REFUSED,
        "v2 hosts inference components: they are invoked by name",
        TO_V2,
    ),
    Case(
        "a probe of a multi-model container",
        facts(DRIFTED, configured(models=(served(multi_model=True),))),
        Verdict.REFUSED,
        "churn-1 is a multi-model container",
        given(probe="1"),
    ),
    Case(
        "a probe of containers that are invoked directly",
        facts(DRIFTED, configured(models=(served(direct=True),))),
        Verdict.REFUSED,
        "The containers of churn-1 are invoked directly",
        given(probe="1"),
    ),
    Case(
        "weights of containers that are invoked directly",
        facts(DRIFTED, configured(models=(served(direct=True),))),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    Case(
        "weights of a multi-model container",
        facts(DRIFTED, configured(models=(served(multi_model=True),))),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    Case(
        "a probe of an asynchronous endpoint",
        facts(DRIFTED, configured(asynchronous=True)),
        Verdict.REFUSED,
        "is asynchronous: it answers into S3",
        given(probe="1"),
    ),
    Case(
        "weights of an asynchronous endpoint",
        facts(DRIFTED, configured(asynchronous=True)),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    Case(
        "a configuration with other variants",
        facts(wanted=configured("v2", {"A": 1.0, "C": 1.0}), alarms=OK),
        Verdict.REFUSED,
        "v2 has the variants A, C and v1 has A, B",
        TO_V2,
    ),
    Case(
        "weights of a variant that there is not",
        facts(DRIFTED),
        Verdict.REFUSED,
        "The weights are of A, C, but the production variants of Churn are A, B",
        given(weights={"A": 1.0, "C": 1.0}),
    ),
    Case(
        "weights of some variants only",
        facts(DRIFTED),
        Verdict.REFUSED,
        "The weights are of A, but",
        given(weights={"A": 1.0}),
    ),
    Case(
        "no traffic for anybody",
        facts(DRIFTED),
        Verdict.REFUSED,
        "Every weight is 0",
        given(weights={"A": 0.0, "B": 0.0}),
    ),
    Case(
        "counts of a variant that there is not",
        facts(DRIFTED),
        Verdict.REFUSED,
        "has no production variant C",
        given(instance_counts={"C": 2}),
    ),
    *(
        Case(
            f"{field} of a shadow variant",
            facts(endpoint(variants=variants(5.0, 5.0), shadows=("R", "S"))),
            Verdict.REFUSED,
            "S is a shadow variant of Churn: it gets a copy of the traffic and answers nobody",
            given(**{field: value}),
        )
        for field, value in (
            ("weights", {"A": 9.0, "B": 1.0, "S": 1.0}),
            ("instance_counts", {"S": 2}),
            ("new_models", {"S": "churn-2"}),
            ("new_instance_types", {"S": "ml.m5.large"}),
        )
    ),
    Case(
        "another model for a variant that there is not",
        facts(DRIFTED),
        Verdict.REFUSED,
        "has no production variant C that could be made otherwise",
        given(new_models={"C": "churn-2"}),
    ),
    Case(
        "another instance type for a variant that there is not",
        facts(DRIFTED),
        Verdict.REFUSED,
        "has no production variant C that could be made otherwise",
        given(new_models={"B": "churn-2"}, new_instance_types={"C": "ml.m5.large"}),
    ),
    Case("a configuration that is to be made", made(), Verdict.REMEDIABLE, "is on v1 instead of v1-rb-1", TO_BE_MADE),
    Case(
        "a configuration that an earlier run has made",
        made(there="ours"),
        Verdict.REMEDIABLE,
        "is on v1 instead of v1-rb-1",
        TO_BE_MADE,
    ),
    Case(
        "a name that another configuration has",
        made(there="other"),
        Verdict.REFUSED,
        "There is an endpoint configuration v1-rb-1 already",
        TO_BE_MADE,
    ),
    Case(
        "a configuration with an execution role of its own",
        made(content=CONTENT | {"ExecutionRoleArn": "arn:aws:iam::123456789012:role/e"}),
        Verdict.REFUSED,
        "has an execution role of its own",
        TO_BE_MADE,
    ),
    Case(
        "another instance type of a variant that is a scalable target",
        facts(wanted=LARGER, alarms=OK, scaling=SCALED),
        Verdict.REFUSED,
        "A is a scalable target of Application Auto Scaling, and SageMaker changes the instance type of none;",
        TO_V2,
    ),
    Case(
        "another instance type of a variant of which nobody can tell whether it is a scalable target",
        facts(wanted=LARGER, alarms=OK, scaling=None),
        Verdict.REFUSED,
        "Whether A may get another instance type cannot be told",
        TO_V2,
    ),
    Case(
        "another instance type of a variant that is none",
        facts(wanted=LARGER, alarms=OK),
        Verdict.REMEDIABLE,
        "is on v1 instead of v2",
        TO_V2,
    ),
    Case(
        "another model for a variant that is a scalable target",
        facts(wanted=configured("v2", models=(served("churn-2"),)), alarms=OK, scaling=SCALED),
        Verdict.REMEDIABLE,
        "is on v1 instead of v2",
        TO_V2,
    ),
    *(
        Case(
            f"{count} instances of a variant that is kept between 1 and 4",
            facts(scaling=SCALED),
            verdict,
            says,
            given(instance_counts={"A": count}),
        )
        for count, verdict, says in (
            (1, Verdict.REMEDIABLE, "is to have 1 instances of A"),
            (4, Verdict.REMEDIABLE, "is to have 4 instances of A"),
            (5, Verdict.REFUSED, "Auto Scaling keeps A between 1 and 4 instances, and 5 are asked for"),
        )
    ),
    Case(
        "instances of a variant of which nobody can tell whether it is a scalable target",
        facts(scaling=None),
        Verdict.REMEDIABLE,
        "is to have 3 instances of A",
        given(instance_counts={"A": 3}),
    ),
    Case("a configuration that is made already", facts(), Verdict.HEALTHY, "in service on v1", TO_BE_MADE),
    Case("a model that is gone", with_model(exists=False), Verdict.REFUSED, "the model churn-1 does not exist"),
    Case(
        "an artifact that is gone",
        with_model(artifacts=(Artifact(url="s3://models/x", state="gone"),)),
        Verdict.REFUSED,
        "No new instance of v1 could start: the artifact s3://models/x of churn-1 is gone",
    ),
    Case(
        "an artifact that this runbook may not see, where nothing is launched",
        with_model(artifacts=(FORBIDDEN,)),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    Case(
        "an artifact that this runbook may not see, and a variant that grows",
        facts(current=configured(models=(served(artifacts=(FORBIDDEN,)),))),
        Verdict.REFUSED,
        "Whether a new instance of v1 could start cannot be told: this runbook may not look whether the artifact",
        given(instance_counts={"A": 3}),
    ),
    Case(
        "an artifact that this runbook may not see, and a variant that shrinks",
        facts(current=configured(models=(served(artifacts=(FORBIDDEN,)),))),
        Verdict.REMEDIABLE,
        "is to have 1 instances of A",
        given(instance_counts={"A": 1}),
    ),
    Case(
        "an artifact of the wanted configuration that this runbook may not see",
        facts(wanted=configured("v2", models=(served("churn-2", artifacts=(FORBIDDEN,)),)), alarms=OK),
        Verdict.REFUSED,
        "Whether a new instance of v2 could start cannot be told",
        TO_V2,
    ),
    Case(
        "an artifact with an address that is not understood",
        facts(wanted=configured("v2", models=(served("churn-2", artifacts=(STRANGE,)),)), alarms=OK),
        Verdict.REMEDIABLE,
        "is on v1 instead of v2",
        TO_V2,
    ),
    Case(
        "a key that this runbook may not look at",
        with_model(artifacts=(Artifact(url="s3://models/x", state="there", key=KEY, key_state="unreadable"),)),
        Verdict.REFUSED,
        f"Whether a new instance of v1 could start cannot be told: this runbook may not look at the key {KEY}",
    ),
    *(
        Case(
            f"a deployment with a role that {because}",
            facts(wanted=configured("v2"), alarms=OK, access=(access(permission),)),
            Verdict.REFUSED,
            f"No new instance of v2 could start: {because}",
            TO_V2,
        )
        for permission, because in (
            ("denied", "a policy denies that arn:aws:iam::123456789012:role/m may s3:GetObject on"),
            ("no role", "the role arn:aws:iam::123456789012:role/m does not exist for churn-1"),
        )
    ),
    *(
        Case(
            f"a deployment with a role whose leave to read is {permission}",
            facts(wanted=configured("v2"), alarms=OK, access=(access(permission),)),
            Verdict.REMEDIABLE,
            "is on v1 instead of v2",
            TO_V2,
        )
        for permission in ("allowed", "not allowed", "unclear", "not checked")
    ),
    Case(
        "a role that may not read, where nothing is launched",
        facts(DRIFTED, access=(access("denied"),)),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    *(
        Case(
            f"volumes with a key that is {state}",
            facts(wanted=configured("v2", volume_key=KEY, volume_key_state=state), alarms=OK),
            Verdict.REFUSED,
            f"the key {KEY} of its volumes is {state}",
            TO_V2,
        )
        for state in ("Disabled", "PendingDeletion", "gone")
    ),
    Case(
        "volumes with a key that this runbook may not look at",
        facts(wanted=configured("v2", volume_key=KEY, volume_key_state="unreadable"), alarms=OK),
        Verdict.REFUSED,
        f"cannot be told: this runbook may not look at the key {KEY} of its volumes",
        TO_V2,
    ),
    Case(
        "volumes with a key that can be used",
        facts(wanted=configured("v2", volume_key=KEY, volume_key_state="Enabled"), alarms=OK),
        Verdict.REMEDIABLE,
        "is on v1 instead of v2",
        TO_V2,
    ),
    *(
        Case(
            f"a deployment of {name}",
            facts(current=before, wanted=after, alarms=OK),
            Verdict.REFUSED,
            f"{says}, and of such endpoints SageMaker moves all traffic at once and watches no alarm",
            TO_V2,
        )
        for name, before, after, says in (
            ("Inf1", configured(), of_inferentia("v2"), "v2 runs A on ml.inf1.xlarge"),
            ("what is off Inf1", of_inferentia("v1"), configured("v2"), "v1 runs A on ml.inf1.xlarge"),
            (
                "pools with Inf1",
                configured(),
                changed("v2", pools=("ml.inf2.xlarge", "ml.inf1.xlarge")),
                "v2 runs A on ml.inf1.xlarge",
            ),
            (
                "a shadow variant on Inf1",
                configured(),
                configured(
                    "v2", shadows=(ConfiguredVariant(name="S", model="m", weight=1.0, instance_type="ml.inf1.2xlarge"),)
                ),
                "v2 runs S on ml.inf1.2xlarge",
            ),
            (
                "Elastic Inference",
                configured(),
                changed("v2", accelerated=True),
                "v2 runs A on instances with Elastic Inference",
            ),
            (
                "a product of AWS Marketplace",
                configured(),
                configured("v2", models=(served(packages=(SOLD,)),)),
                "v2 serves churn-1 from AWS Marketplace",
            ),
        )
    ),
    Case(
        "another instance type for a variant with instance pools",
        facts(current=changed("v1", pools=("ml.m5.large", "ml.m5.xlarge"))),
        Verdict.REFUSED,
        "The instances of A come from pools of several types",
        given(new_instance_types={"A": "ml.m5.xlarge"}),
    ),
    Case(
        "another model for a variant with models for its instance pools",
        facts(current=changed("v1", pools=("ml.m5.large", "ml.inf2.xlarge"), pool_models=("churn-1-neuron",))),
        Verdict.REFUSED,
        "Pools of A serve models of their own",
        given(new_models={"A": "churn-2"}),
    ),
    Case(
        "another model and instance type for a variant beside one with instance pools",
        facts(
            current=changed("v1", pools=("ml.m5.large", "ml.inf2.xlarge"), pool_models=("churn-1-neuron",)),
            wanted=configured("v1-rb-1"),
            alarms=OK,
        ),
        Verdict.REMEDIABLE,
        "is on v1 instead of v1-rb-1",
        given(new_models={"B": "churn-2"}, new_instance_types={"B": "ml.m5.xlarge"}, rollback_alarms=["errors"]),
    ),
    Case(
        "an alarm that is a composite one",
        facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state="OK", composite=True),)),
        Verdict.REFUSED,
        "The alarm errors is a composite one",
        TO_V2,
    ),
    Case(
        "a key that is disabled",
        with_model(artifacts=(Artifact(url="s3://models/x", state="there", key=KEY, key_state="PendingDeletion"),)),
        Verdict.REFUSED,
        f"the key {KEY} of the artifact s3://models/x is PendingDeletion, so churn-1 cannot be read",
    ),
    Case(
        "a model package that was rejected, where nothing is launched",
        with_model(packages=(REJECTED,)),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    Case(
        "a model package that was rejected, and a variant that grows",
        facts(current=configured(models=(served(packages=(REJECTED,)),))),
        Verdict.REFUSED,
        "No new instance of v1 should start: the model package p/1 of churn-1 is Rejected, not Approved",
        given(instance_counts={"A": 3}),
    ),
    Case(
        "a model package of the wanted configuration that waits for its approval",
        facts(
            wanted=configured("v2", models=(served(packages=(Package(arn="p/1", approval="PendingManualApproval"),)),)),
            alarms=OK,
        ),
        Verdict.REFUSED,
        "No new instance of v2 should start: the model package p/1 of churn-1 is PendingManualApproval, not Approved",
        TO_V2,
    ),
    Case(
        "a model package that this runbook may not see, where nothing is launched",
        with_model(packages=(HIDDEN,)),
        Verdict.REMEDIABLE,
        "splits its traffic",
    ),
    Case(
        "a model package of the wanted configuration that this runbook may not see",
        facts(wanted=configured("v2", models=(served(packages=(HIDDEN,)),)), alarms=OK),
        Verdict.REFUSED,
        "Whether a new instance of v2 could start cannot be told: this runbook may not look at the model package p/1",
        TO_V2,
    ),
    Case(
        "a model package that is gone",
        with_model(packages=(Package(arn="p/1", approval=None),)),
        Verdict.REFUSED,
        "the model package p/1 of churn-1 does not exist",
    ),
    Case(
        "a model of the wanted configuration cannot start",
        facts(wanted=configured("v2", models=(served("churn-2", exists=False),)), alarms=OK),
        Verdict.REFUSED,
        "No new instance of v2 could start: the model churn-2 does not exist",
        TO_V2,
    ),
    Case(
        "a deployment without an alarm",
        facts(wanted=configured("v2")),
        Verdict.REFUSED,
        "at least one alarm that rolls it back",
        given(endpoint_configuration="v2"),
    ),
    Case(
        "an alarm that does not exist",
        facts(wanted=configured("v2"), alarms=(*OK, Alarm(name="other", state=None))),
        Verdict.REFUSED,
        "There is no alarm other",
        TO_V2,
    ),
    Case(
        "an alarm that rings already",
        facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state="ALARM"),)),
        Verdict.REFUSED,
        "The alarm errors is in the state ALARM already",
        TO_V2,
    ),
    Case(
        "told what is asked, and not there yet",
        facts(endpoint(variants=variants(current_instances=1))),
        Verdict.HAND_OFF,
        "Churn is told what is asked, but A has 1 of 2 instances",
    ),
    Case(
        "told the weights, and they are not there",
        facts(endpoint(variants=variants(current_weight=5.0))),
        Verdict.HAND_OFF,
        "and the weight 5",
    ),
    Case(
        "healthy already",
        facts(),
        Verdict.HEALTHY,
        "Churn is in service on v1 and splits its traffic as asked: A=9 (90 %), B=1 (10 %)",
    ),
    Case(
        "healthy but for the service's precision",
        facts(endpoint(variants=variants(0.699999988079071, 0.30000001192092896))),
        Verdict.HEALTHY,
        "as asked",
        given(weights={"A": 0.7, "B": 0.3}),
    ),
    Case(
        "healthy on the wanted configuration",
        facts(endpoint(configuration="v2"), configured("v2"), configured("v2")),
        Verdict.HEALTHY,
        "in service on v2",
        TO_V2,
    ),
    Case(
        "the weights have drifted from the configuration",
        facts(DRIFTED),
        Verdict.REMEDIABLE,
        "Churn splits its traffic A=5 (50 %), B=5 (50 %) instead of A=9 (90 %), B=1 (10 %).",
    ),
    Case(
        "the weights are not those that are asked for",
        facts(),
        Verdict.REMEDIABLE,
        "splits its traffic A=9 (90 %), B=1 (10 %) instead of A=1 (100 %), B=0 (0 %)",
        given(weights={"B": 0.0, "A": 1.0}),
    ),
    Case(
        "another number of instances is asked for",
        facts(),
        Verdict.REMEDIABLE,
        "Churn is to have 3 instances of B.",
        given(instance_counts={"A": 2, "B": 3}),
    ),
    Case(
        "another configuration is asked for",
        facts(wanted=configured("v2"), alarms=OK),
        Verdict.REMEDIABLE,
        "Churn is on v1 instead of v2.",
        TO_V2,
    ),
    Case(
        "another configuration is asked for, and its alarm has no data",
        facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state="INSUFFICIENT_DATA"),)),
        Verdict.REMEDIABLE,
        "Churn is on v1 instead of v2.",
        TO_V2,
    ),
    Case(
        "weights and instance counts differ",
        facts(DRIFTED),
        Verdict.REMEDIABLE,
        "instead of A=9 (90 %), B=1 (10 %), and is to have 3 instances of B.",
        given(instance_counts={"B": 3}),
    ),
    Case(
        "a weight that is small is not none",
        facts(endpoint(variants=variants(1.0, 0.0)), configured(weights={"A": 1.0, "B": 0.00005})),
        Verdict.REMEDIABLE,
        "instead of A=1 (100 %), B=5e-05",
    ),
    Case(
        "another configuration in place of one that is broken",
        facts(
            current=configured(models=(served(exists=False),)),
            wanted=configured("v2", {"A": 1.0, "B": 1.0}),
            alarms=OK,
        ),
        Verdict.REMEDIABLE,
        "is on v1 instead of v2, and splits its traffic A=9 (90 %), B=1 (10 %) instead of A=1 (50 %), B=1 (50 %)",
        TO_V2,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_situation_is_decided_with_its_reason(case: Case) -> None:
    decision = decide(case.given, case.facts, NOW)
    assert decision.verdict is case.verdict
    assert case.says in decision.reason
    assert bool(decision.command) == (case.verdict is Verdict.HAND_OFF)
    assert bool(decision.changes) == (case.verdict is Verdict.REMEDIABLE)


# -- the plan ----------------------------------------------------------------------------------------------------------


def planned(asked: Input, of: Facts) -> Decision:
    decision = decide(asked, of, NOW)
    assert decision.verdict is Verdict.REMEDIABLE
    return decision


def described(weights: dict[str, float], **more: Any) -> dict[str, Any]:
    """What DescribeEndpoint would answer."""
    told = [
        {"VariantName": name, "DesiredWeight": weight, "DesiredInstanceCount": more.get(name, 2)}
        for name, weight in weights.items()
    ]
    return {
        "EndpointStatus": more.get("status", "InService"),
        "EndpointConfigName": more.get("configuration", "v1"),
        "ProductionVariants": told,
    }


def shows(change: Change, world: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the world proves the change, and its inverse."""
    assert isinstance(change.undo, Undo)
    assert change.proof is not None
    return tuple(jmespath.search(proof.path, world) == proof.equals for proof in (change.proof, change.undo.proof))


def may_be_undone(change: Change, world: dict[str, Any]) -> bool:
    assert isinstance(change.undo, Undo)
    assert change.undo.when is not None
    return bool(jmespath.search(change.undo.when.path, world) == change.undo.when.equals)


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"])
def test_an_undo_waits_until_sagemaker_has_finished_and_is_over_only_then(status: str) -> None:
    (deployed,) = planned(TO_V2, facts(wanted=configured("v2"), alarms=OK)).changes
    (weighted,) = planned(given(weights={"A": 9.0, "B": 3.0}), facts()).changes
    for change in (deployed, weighted):
        assert may_be_undone(change, described(SPLIT))
        assert not may_be_undone(change, described(SPLIT, status=status))
        assert shows(change, described(SPLIT)) == (False, True)
        assert shows(change, described(SPLIT, status=status)) == (False, False)


def test_counts_are_undone_unless_somebody_else_has_counted_all_of_them_anew() -> None:
    (more,) = planned(given(instance_counts={"A": 3, "B": 4}), facts()).changes
    (fewer,) = planned(given(instance_counts={"A": 1, "B": 1}), facts()).changes
    for change, a, b in ((more, 3, 4), (fewer, 1, 1)):
        assert change.repeat_harmless
        assert isinstance(change.undo, Undo)
        only_if = change.undo.only_if
        assert only_if is not None
        for counts, whether in (({"A": a, "B": b}, True), ({"A": 5, "B": b}, True), ({"A": 5, "B": 5}, False)):
            assert (jmespath.search(only_if.path, described(SPLIT, **counts)) == only_if.equals) is whether


def test_weights_that_somebody_else_has_set_are_left_and_not_taken_for_undone() -> None:
    (weighted,) = planned(given(weights={"A": 9.0, "B": 3.0}), facts()).changes
    assert isinstance(weighted.undo, Undo)
    assert weighted.undo.only_if is None
    assert shows(weighted, described({"A": 2.0, "B": 2.0})) == (False, False)


def test_an_endpoint_that_was_deleted_shows_neither_what_was_set_nor_what_was_before() -> None:
    asked = given(weights={"A": 9.0, "B": 3.0}, instance_counts={"A": 3})
    for change in planned(asked, facts()).changes:
        assert shows(change, {}) == (False, False)
        assert isinstance(change.undo, Undo)
        if change.undo.only_if is not None:
            assert jmespath.search(change.undo.only_if.path, {}) is False


def test_there_is_no_way_back_to_a_configuration_that_could_not_start() -> None:
    broken = configured(models=(served(exists=False),))
    decision = planned(TO_V2, facts(current=broken, wanted=configured("v2", {"A": 1.0, "B": 1.0}), alarms=OK))
    deployed, weighted = decision.changes
    assert deployed.undo == Irreversible(
        irreversible="no new instance of v1 could start: the model churn-1 does not exist"
    )
    assert isinstance(weighted.undo, Undo)
    assert decision.findings[1].id == "no-way-back"
    assert decision.findings[1].severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"current": configured(volume_key=KEY, volume_key_state="Disabled")},
            f"the key {KEY} of its volumes is Disabled",
        ),
        ({"access": (access("no role"),)}, "the role arn:aws:iam::123456789012:role/m does not exist for churn-1"),
    ],
)
def test_there_is_no_way_back_if_the_volumes_or_the_role_of_the_old_fleet_are_of_no_use(
    more: dict[str, Any], why: str
) -> None:
    other = configured("v2", models=(served("churn-2", role="arn:aws:iam::123456789012:role/other"),))
    (change,) = planned(TO_V2, facts(wanted=other, alarms=OK, **more)).changes
    assert change.undo == Irreversible(irreversible=f"no new instance of v1 could start: {why}")


def test_a_model_that_was_rejected_since_can_be_gone_back_to() -> None:
    rejected = configured(models=(served(packages=(REJECTED,)),))
    (change,) = planned(TO_V2, facts(current=rejected, wanted=configured("v2"), alarms=OK)).changes
    assert isinstance(change.undo, Undo)


def test_calls_name_the_endpoint_as_it_names_itself() -> None:
    asked = RESOLVED.model_copy(update={"endpoint": "CHURN"})
    for change in planned(asked, facts(wanted=configured("v2"), alarms=OK)).changes:
        assert change.parameters["EndpointName"] == "Churn"
        proofs = [change.proof, *((change.undo.proof, change.undo.when) if isinstance(change.undo, Undo) else ())]
        assert {proof.parameters["EndpointName"] for proof in proofs if proof} <= {"Churn"}


def test_drift_is_one_call_with_the_variants_that_differ_and_the_old_weights_as_its_undo() -> None:
    decision = planned(given(weights={"A": 9.0, "B": 3.0}), facts())
    (change,) = decision.changes
    assert (change.phase, change.operation) == (SET, "sagemaker:UpdateEndpointWeightsAndCapacities")
    assert change.parameters == {
        "EndpointName": "Churn",
        "DesiredWeightsAndCapacities": [{"VariantName": "B", "DesiredWeight": 3.0}],
    }
    assert isinstance(change.undo, Undo)
    assert change.undo.parameters["DesiredWeightsAndCapacities"] == [{"VariantName": "B", "DesiredWeight": 1.0}]
    assert (change.was, change.becomes) == ("weights B=1 (10 %)", "weights B=3 (25 %)")
    assert decision.resolved == {"weights": {"A": 9.0, "B": 3.0}}


def test_instances_come_before_the_traffic_and_go_after_it_each_with_an_inverse_of_its_own() -> None:
    asked = given(weights={"A": 9.0, "B": 3.0}, instance_counts={"A": 1, "B": 4})
    more, weights, fewer = planned(asked, facts()).changes
    assert [change.phase for change in (more, weights, fewer)] == [SCALE_OUT, SET, SCALE_IN]
    for change, after, before in (
        (more, {"VariantName": "B", "DesiredInstanceCount": 4}, {"VariantName": "B", "DesiredInstanceCount": 2}),
        (weights, {"VariantName": "B", "DesiredWeight": 3.0}, {"VariantName": "B", "DesiredWeight": 1.0}),
        (fewer, {"VariantName": "A", "DesiredInstanceCount": 1}, {"VariantName": "A", "DesiredInstanceCount": 2}),
    ):
        assert change.parameters["DesiredWeightsAndCapacities"] == [after]
        assert isinstance(change.undo, Undo)
        assert change.undo.parameters["DesiredWeightsAndCapacities"] == [before]
    assert [(change.was, change.becomes) for change in (more, fewer)] == [
        ("instances B=2", "instances B=4"),
        ("instances A=2", "instances A=1"),
    ]


def test_weights_can_be_undone_though_somebody_has_set_the_instance_counts_since() -> None:
    more, weights = planned(given(weights={"A": 9.0, "B": 3.0}, instance_counts={"A": 4}), facts()).changes
    assert shows(more, described({"A": 9.0, "B": 3.0}, A=4)) == (True, False)
    assert shows(more, described({"A": 9.0, "B": 1.0}, A=2)) == (False, True)
    scaled = described({"A": 9.0, "B": 3.0}, A=3)
    assert shows(more, scaled) == (False, False)
    assert shows(weights, scaled) == (True, False)


def test_weights_are_recognised_in_the_services_precision() -> None:
    (change,) = planned(given(weights={"A": 0.7, "B": 0.3}), facts()).changes
    assert shows(change, described({"A": 0.699999988079071, "B": 0.30000001192092896})) == (True, False)
    assert shows(change, described({"A": 0.69, "B": 0.3})) == (False, False)
    assert shows(change, described({"A": 9.0, "B": 1.0})) == (False, True)
    (small,) = planned(given(weights={"A": 1.0, "B": 0.00005}), facts(endpoint(variants=variants(1.0, 0.0)))).changes
    assert shows(small, described({"A": 1.0, "B": 4.999999873689376e-05})) == (True, False)
    assert shows(small, described({"A": 1.0, "B": 0.0})) == (False, True)


def test_a_configuration_is_deployed_blue_green_with_the_alarms_and_retains_what_the_endpoint_has() -> None:
    decision = planned(TO_V2, facts(wanted=configured("v2"), alarms=OK))
    (change,) = decision.changes
    assert (change.phase, change.operation) == (DEPLOY, "sagemaker:UpdateEndpoint")
    assert change.parameters["EndpointConfigName"] == "v2"
    assert change.parameters["RetainAllVariantProperties"] is True
    deployment: Any = change.parameters["DeploymentConfig"]
    assert deployment["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "errors"}]}
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    assert deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == routing
    assert not change.repeat_harmless
    assert isinstance(change.undo, Undo)
    assert change.undo.parameters == {
        "EndpointName": "Churn",
        "EndpointConfigName": "v1",
        "RetainAllVariantProperties": True,
    }
    assert decision.resolved == {
        "weights": SPLIT,
        "endpoint_configuration": "v2",
        "rollback_alarms": ["errors"],
    }


def test_a_configuration_is_asked_for_by_the_name_that_it_has_itself() -> None:
    asked = given(endpoint_configuration="V2", rollback_alarms=["errors"])
    decision = planned(asked, facts(wanted=configured("v2"), alarms=OK))
    resolved = Input.model_validate(asked.model_dump() | decision.resolved)
    assert resolved.endpoint_configuration == "v2"
    assert configuration_is_in_service(resolved, facts(endpoint(configuration="v2"))).state == "settled"


def test_a_configuration_is_made_before_it_is_deployed_and_everything_of_it_is_literal() -> None:
    decision = planned(TO_BE_MADE, made())
    created, deployed = decision.changes
    assert (created.phase, created.operation) == (CREATE, "sagemaker:CreateEndpointConfig")
    assert created.parameters == CONTENT | {
        "EndpointConfigName": "v1-rb-1",
        "Tags": [{"Key": "runbooks:target", "Value": f"{ARN}:endpoint/churn"}],
    }
    assert created.was == "no configuration v1-rb-1"
    assert created.becomes == "configuration v1-rb-1: v1 with B: model churn-1 -> churn-2"
    assert not created.adopts
    assert (deployed.phase, deployed.parameters["EndpointConfigName"]) == (DEPLOY, "v1-rb-1")
    assert decision.resolved["endpoint_configuration"] == "v1-rb-1"


def test_what_was_made_is_deleted_only_with_our_tag_and_when_the_endpoint_has_left_it() -> None:
    created, _ = planned(TO_BE_MADE, made()).changes
    assert isinstance(created.undo, Undo)
    assert (created.undo.operation, created.undo.parameters) == (
        "sagemaker:DeleteEndpointConfig",
        {"EndpointConfigName": "v1-rb-1"},
    )
    assert shows(created, {"EndpointConfigName": "v1-rb-1"}) == (True, False)
    assert shows(created, {}) == (False, True)
    assert may_be_undone(created, described(SPLIT))
    assert not may_be_undone(created, described(SPLIT, configuration="v1-rb-1"))
    assert not may_be_undone(created, described(SPLIT, status="Updating"))
    only_if = created.undo.only_if
    assert only_if is not None
    for tags, whether in (
        ([{"Key": "runbooks:target", "Value": f"{ARN}:endpoint/churn"}], True),
        ([{"Key": "runbooks:target", "Value": f"{ARN}:endpoint/other"}], False),
        ([], False),
    ):
        assert (jmespath.search(only_if.path, {"Tags": tags}) == only_if.equals) is whether


def test_what_an_earlier_run_has_made_is_adopted_if_it_has_our_tag() -> None:
    created, _ = planned(TO_BE_MADE, made(there="ours")).changes
    assert created.adopts
    assert created.was == "configuration v1-rb-1, unused"
    assert created.proof is not None
    assert created.proof.operation == "sagemaker:ListTags"


def test_what_was_there_before_the_run_stays_when_the_run_is_undone() -> None:
    created, _ = planned(TO_BE_MADE, made(there="ours")).changes
    assert created.undo == NothingToUndo(nothing_to_undo="it was there before this run")


def test_what_is_made_has_the_tags_of_what_it_is_made_of() -> None:
    created, _ = planned(TO_BE_MADE, made(tags={"CostCentre": "42"})).changes
    assert created.parameters["Tags"] == [
        {"Key": "CostCentre", "Value": "42"},
        {"Key": "runbooks:target", "Value": f"{ARN}:endpoint/churn"},
    ]
    full = decide(TO_BE_MADE, made(tags={str(number): "x" for number in range(50)}), NOW)
    assert full.verdict is Verdict.REFUSED
    assert "has 50 tags, as many as SageMaker allows" in full.reason


def test_a_content_differs_in_what_is_asked_for_and_its_name_follows_from_it() -> None:
    asked = given(
        new_models={"B": "churn-2"}, new_instance_types={"A": "ml.m5.xlarge"}, instance_counts={"B": 3, "C": 1}
    )
    described_as = CONTENT | {
        "EndpointConfigName": "v1",
        "EndpointConfigArn": "arn",
        "CreationTime": NOW,
        "EnableNetworkIsolation": False,
        "ShadowProductionVariants": [],
    }
    content: Any = content_wanted(asked, content_of(described_as))
    first, second = CONTENT["ProductionVariants"]
    assert content == CONTENT | {
        "ProductionVariants": [
            first | {"InstanceType": "ml.m5.xlarge"},
            second | {"ModelName": "churn-2", "InitialInstanceCount": 3},
        ]
    }
    name = name_for("v1", content)
    assert name == name_for(name, content)
    assert name != name_for("v1", CONTENT)
    assert len(name_for("v" * 63, content)) == 63


def test_a_deployment_under_way_is_recognised_and_one_that_was_rolled_back_too() -> None:
    (change,) = planned(TO_V2, facts(wanted=configured("v2"), alarms=OK)).changes
    under_way = described(SPLIT) | {"PendingDeploymentSummary": {"EndpointConfigName": "v2"}}
    going_back = described(SPLIT, configuration="v2") | {"PendingDeploymentSummary": {"EndpointConfigName": "v1"}}
    assert shows(change, under_way) == (True, False)
    assert shows(change, described(SPLIT, configuration="v2")) == (True, False)
    assert shows(change, described(SPLIT)) == (False, True)
    assert shows(change, going_back) == (False, True)
    assert shows(change, described(SPLIT, configuration="v3")) == (False, False)


def test_the_alarms_of_the_last_deployment_are_taken_if_none_are_named() -> None:
    of = facts(endpoint(alarms=("last",)), wanted=configured("v2"), alarms=(Alarm(name="last", state="OK"),))
    decision = planned(given(endpoint_configuration="v2"), of)
    deployment: Any = decision.changes[0].parameters["DeploymentConfig"]
    assert deployment["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "last"}]}
    assert decision.resolved["rollback_alarms"] == ["last"]


def test_the_traffic_is_split_after_the_deployment_and_probed_at_the_end() -> None:
    asked = given(endpoint_configuration="v2", rollback_alarms=["errors"], weights={"A": 1.0, "B": 1.0}, probe="[1]")
    decision = planned(asked, facts(wanted=configured("v2"), alarms=OK))
    assert [change.phase for change in decision.changes] == [DEPLOY, SET, PROBE, PROBE]
    assert [change.parameters.get("TargetVariant") for change in decision.changes[2:]] == ["A", "B"]


def test_a_probe_carries_the_payload_and_leaves_nothing_to_take_back() -> None:
    asked = given(weights={"A": 1.0, "B": 1.0}, probe="1,2", probe_content_type="text/csv")
    probe = planned(asked, facts()).changes[-1]
    assert probe.operation == "sagemaker-runtime:InvokeEndpoint"
    assert probe.parameters == {
        "EndpointName": "Churn",
        "TargetVariant": "B",
        "ContentType": "text/csv",
        "Body": "1,2",
    }
    assert isinstance(probe.undo, NothingToUndo)
    assert (probe.proof, probe.repeat_harmless) == (None, True)


def test_whoever_gives_a_payload_is_told_that_the_plan_shows_it() -> None:
    asked = given(weights={"A": 1.0, "B": 1.0}, probe="1,2")
    assert "1,2" in planned(asked, facts()).model_dump_json()
    described = Input.model_json_schema()["properties"]["probe"]["description"]
    assert "in clear, in the plan, the state and the audit trail: no personal data, no secrets" in described


def test_a_healthy_endpoint_is_not_probed_and_the_diagnosis_says_so() -> None:
    decision = decide(given(probe="[1]"), facts(), NOW)
    assert decision.verdict is Verdict.HEALTHY
    (finding,) = decision.findings
    assert (finding.id, finding.severity) == ("not-probed", Severity.INFO)
    assert finding.evidence == "this diagnosis has sent the payload to no variant of Churn"
    assert finding.meaning == "variants are probed after a change, and none is needed"
    planned_with = decide(given(probe="[1]"), facts(DRIFTED), NOW)
    assert "not-probed" not in {each.id for each in planned_with.findings}


def test_the_diagnosis_on_its_own_resolved_input_is_healthy_once_the_plan_is_applied() -> None:
    asked = given(endpoint_configuration="v2", rollback_alarms=["errors"], weights={"A": 1.0, "B": 1.0}, probe="[1]")
    decision = planned(asked, facts(wanted=configured("v2"), alarms=OK))
    resolved = Input.model_validate(asked.model_dump() | decision.resolved)
    after = endpoint(configuration="v2", variants=variants(1.0, 1.0))
    assert decide(resolved, facts(after, configured("v2")), NOW).verdict is Verdict.HEALTHY


# -- the findings ------------------------------------------------------------------------------------------------------


def found(of: Facts, asked: Input | None = None) -> dict[str, str]:
    return {each.id: each.evidence for each in decide(asked or given(), of, NOW).findings}


def traffic(a: int | None, b: int | None, **errors: int) -> tuple[Traffic, ...]:
    counts = (("A", a), ("B", b))
    return tuple(Traffic(variant=name, invocations=count, errors=errors.get(name, 0)) for name, count in counts)


def test_an_endpoint_that_is_as_it_should_be_has_no_finding() -> None:
    assert found(facts(traffic=traffic(90, 10))) == {}


def test_drift_and_what_differs_from_the_configuration_are_two_findings() -> None:
    assert found(facts(DRIFTED)).keys() == {"weight-drift"}
    evidence = found(facts(), given(weights={"A": 9.0, "B": 3.0}))
    assert evidence == {
        "weight-drift": "B has the weight 1 (10 %), and 3 (25 %) is wanted",
        "differs-from-configuration": "B is to have the weight 3, and 1 is configured",
    }


def test_failed_invocations_are_counted_and_do_not_decide() -> None:
    of = facts(traffic=traffic(90, 10, B=7))
    assert decide(given(), of, NOW).verdict is Verdict.HEALTHY
    assert found(of) == {"variant-errors": "7 of 10 invocations of B failed with 5XX in the last hour"}


@pytest.mark.parametrize(
    ("counts", "seen"),
    [
        ((500, 500), True),
        ((880, 120), False),
        ((800, 200), False),
        ((799, 201), True),
        ((50, 50), True),
        ((49, 50), False),
        ((900, None), False),
    ],
)
def test_a_split_that_callers_do_not_see_is_found_if_there_is_enough_traffic(
    counts: tuple[int | None, int | None], seen: bool
) -> None:
    assert ("traffic-not-split" in found(facts(traffic=traffic(*counts)))) is seen
    assert "traffic-not-split" not in found(facts(endpoint(variants=variants(0.0, 0.0)), traffic=traffic(*counts)))


@pytest.mark.parametrize(
    ("may", "seen"),
    [("allowed", True), ("denied", False), ("not allowed", False), ("unclear", False), ("not checked", False)],
)
def test_a_variant_that_may_publish_and_has_no_metrics_got_no_traffic(may: str, seen: bool) -> None:
    of = facts(endpoint(variants=variants(5.0, 5.0)), traffic=traffic(10000, None), may_publish={"B": may})
    split = [each.evidence for each in decide(given(), of, NOW).findings if each.id == "traffic-not-split"]
    assert [evidence.partition(",")[0] for evidence in split] == (
        ["A got 100 % of 10000 invocations in the last hour", "B got 0 % of 10000 invocations in the last hour"]
        if seen
        else []
    )


@pytest.mark.parametrize(
    ("may", "meaning", "severity"),
    [
        ("allowed", "nobody has invoked it", "info"),
        ("denied", "may not publish metrics (cloudwatch:PutMetricData)", "warning"),
        ("not allowed", "may not publish metrics (cloudwatch:PutMetricData)", "warning"),
        ("unclear", "depends on conditions", "warning"),
        ("not checked", "could not be checked", "warning"),
        ("no role", "does not exist any more", "warning"),
    ],
)
def test_a_variant_without_metrics_is_a_finding_with_its_reason(may: str, meaning: str, severity: str) -> None:
    of = facts(traffic=traffic(900, None), may_publish={"B": may})
    decision = decide(given(), of, NOW)
    assert decision.verdict is Verdict.HEALTHY
    (finding,) = decision.findings
    assert (finding.id, finding.severity) == ("no-metrics", severity)
    assert finding.evidence == "B has published no metric in the last hour"
    assert meaning in finding.meaning


def test_what_is_wrong_with_the_configuration_that_is_left_is_found_too() -> None:
    broken = configured(models=(served(artifacts=(Artifact(url="s3://models/x", state="gone"),)),))
    assert found(facts(current=broken, wanted=configured("v2"), alarms=OK), TO_V2) == {
        "model-cannot-start": "the artifact s3://models/x of churn-1 is gone",
        "no-way-back": "no new instance of v1 could start: the artifact s3://models/x of churn-1 is gone",
    }


def test_a_model_that_was_rejected_is_a_warning_and_is_not_said_to_be_unable_to_start() -> None:
    (finding,) = decide(given(), facts(current=configured(models=(served(packages=(REJECTED,)),))), NOW).findings
    assert (finding.id, finding.severity) == ("model-not-approved", Severity.WARNING)
    assert finding.evidence == "the model package p/1 of churn-1 is Rejected, not Approved"
    assert finding.meaning == "no new instance of v1 should start"


@pytest.mark.parametrize(
    ("artifact", "says"), [(FORBIDDEN, "may not look whether the artifact"), (STRANGE, "none of S3 that this runbook")]
)
def test_what_could_not_be_looked_at_is_a_warning(artifact: Artifact, says: str) -> None:
    (finding,) = decide(given(), facts(current=configured(models=(served(artifacts=(artifact,)),))), NOW).findings
    assert (finding.id, finding.severity) == ("artifact-not-seen", Severity.WARNING)
    assert says in finding.evidence


@pytest.mark.parametrize(
    ("permission", "says"),
    [
        ("not allowed", "none of its own policies says that arn:aws:iam::123456789012:role/m may s3:GetObject on"),
        ("unclear", "may s3:GetObject on arn:aws:s3:::models/churn-1 depends on aws:SourceVpc"),
        ("not checked", "it could not be checked whether arn:aws:iam::123456789012:role/m may s3:GetObject"),
    ],
)
def test_what_is_not_known_of_a_role_is_a_warning_and_never_passes(permission: Permission, says: str) -> None:
    asked = access(permission, depends_on=("aws:SourceVpc",))
    (finding,) = decide(given(), facts(access=(asked,)), NOW).findings
    assert (finding.id, finding.severity) == ("artifact-perhaps-not-readable", Severity.WARNING)
    assert says in finding.evidence
    assert finding.evidence.endswith("for churn-1")


def test_a_role_that_may_read_is_no_finding_and_a_model_without_one_is() -> None:
    assert found(facts(access=(access("allowed"), access("allowed", DECRYPT, resource=KEY)))) == {}
    assert found(facts(current=configured(models=(served(role=None),)))) == {
        "artifact-perhaps-not-readable": "churn-1 has no execution role"
    }


@pytest.mark.parametrize("permission", ["denied", "no role"])
def test_a_role_that_may_surely_not_read_is_critical(permission: Permission) -> None:
    both = (access(permission), access(permission, DECRYPT, resource=KEY))
    findings = decide(given(), facts(access=both), NOW).findings
    assert {(each.id, each.severity) for each in findings} == {("artifact-not-readable", Severity.CRITICAL)}
    assert len(findings) == (2 if permission == "denied" else 1)


def test_a_role_that_may_not_look_at_the_rollback_alarms_is_a_warning() -> None:
    alarm = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:errors"
    seen = facts(wanted=configured("v2"), alarms=OK, access=(access("not allowed", LOOK, resource=alarm),))
    (finding,) = decide(TO_V2, seen, NOW).findings
    assert (finding.id, finding.severity) == ("alarm-not-readable", Severity.WARNING)
    assert alarm in finding.evidence
    may = facts(wanted=configured("v2"), alarms=OK, access=(access("allowed", LOOK, resource=alarm),))
    assert found(may, TO_V2) == {}


def test_alarms_that_would_not_ring_of_a_bad_fleet_or_not_in_time_are_warnings() -> None:
    elsewhere = (Alarm(name="cpu", state="OK", rings_after=60), Alarm(name="other", state="OK", endpoints=("o",)))
    assert found(facts(wanted=configured("v2"), alarms=elsewhere), TO_V2) == {
        "alarms-elsewhere": "no metric of Churn is watched by cpu, other"
    }
    one_of_them = (*elsewhere, *OK)
    assert found(facts(wanted=configured("v2"), alarms=one_of_them), TO_V2) == {}
    late = (*OK, Alarm(name="slow", state="OK", endpoints=("churn",), rings_after=301))
    assert found(facts(wanted=configured("v2"), alarms=late), TO_V2) == {
        "alarm-rings-late": "slow rings after 301 seconds of bad metrics at the earliest"
    }
    in_time = (Alarm(name="slow", state="OK", endpoints=("churn",), rings_after=300),)
    gone = (Alarm(name="gone", state=None, rings_after=301),)
    composite = (Alarm(name="all", state="OK", composite=True, rings_after=301),)
    for alarms in (in_time, gone, composite):
        assert found(facts(wanted=configured("v2"), alarms=alarms), TO_V2) == {}


def test_a_configuration_that_may_start_later_than_sagemaker_is_told_to_give_up_is_a_warning() -> None:
    slow = changed("v2", starts_within=3301)
    assert found(facts(wanted=slow, alarms=OK), TO_V2) == {
        "may-start-too-slowly": "v2 gives an instance of A 3301 seconds to start"
    }
    assert found(facts(wanted=changed("v2", starts_within=3300), alarms=OK), TO_V2) == {}
    shadow = ConfiguredVariant(name="S", model="churn-1", weight=1.0, starts_within=3301)
    assert found(facts(wanted=configured("v2", shadows=(shadow,)), alarms=OK), TO_V2) == {
        "may-start-too-slowly": "v2 gives an instance of S 3301 seconds to start"
    }
    assert found(facts(current=changed("v1", starts_within=3301)), given()) == {}


def test_that_application_auto_scaling_may_set_a_count_again_is_told() -> None:
    asked = given(instance_counts={"A": 3})
    assert found(facts(scaling=SCALED), asked) == {
        "variant-scales": "Application Auto Scaling keeps A between 1 and 4 instances, and 3 are asked for"
    }
    assert found(facts(scaling=None), asked) == {
        "scaling-not-seen": "this runbook may not look whether A is a scalable target"
        " (application-autoscaling:DescribeScalableTargets)"
    }
    for as_it_is in (given(), given(instance_counts={"A": 2})):
        assert found(facts(scaling=SCALED), as_it_is) == found(facts(scaling=None), as_it_is) == {}


def test_instances_that_a_deployment_keeps_whatever_is_configured_are_told() -> None:
    sized = tuple(
        ConfiguredVariant(name=name, model="churn-1", weight=SPLIT[name], instances=count)
        for name, count in (("A", 4), ("B", 2))
    )
    of = facts(wanted=configured("v2", variants=sized), alarms=OK)
    assert found(of, TO_V2) == {"instances-retained": "v2 has 4 instances of A, and the 2 that it has now are kept"}
    assert "instances-retained" not in found(of, TO_V2.model_copy(update={"instance_counts": {"A": 4}}))
    assert "instances-retained" not in found(facts(current=configured(variants=sized)))


@pytest.mark.parametrize(
    ("current", "named", "says"),
    [
        (configured(models=(served(exists=False, role=None),)), "v1", "its model churn-1 does not exist any more"),
        (configured(models=(served(role=None),)), "v1", "its model churn-1 has no execution role"),
        (one(model=None), "v1", "it has no model of its own"),
        (None, "v1", "its configuration was deleted"),
        (None, "", "its configuration is not named by SageMaker"),
    ],
)
def test_a_variant_without_metrics_whose_role_is_not_known_says_why(
    current: Configuration | None, named: str, says: str
) -> None:
    of = Facts(
        endpoint=endpoint(configuration=named), current=current, wanted=current, ends_on="v1", traffic=traffic(None, 10)
    )
    (finding,) = [each for each in decide(given(), of, NOW).findings if each.id == "no-metrics"]
    assert says in finding.meaning


@pytest.mark.parametrize(
    ("status", "for_now"), [("Creating", True), ("Updating", True), ("SystemUpdating", True), ("Deleting", False)]
)
def test_a_verification_waits_for_what_sagemaker_does_unless_it_deletes_the_endpoint(
    status: str, for_now: bool
) -> None:
    assert decide(given(), facts(endpoint(status=status)), NOW).for_now is for_now


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (
            "Failed",
            (
                "aws sagemaker delete-endpoint --endpoint-name Churn"
                " && aws sagemaker wait endpoint-deleted --endpoint-name Churn"
                " && aws sagemaker create-endpoint --endpoint-name Churn --endpoint-config-name v1"
            ),
        ),
        ("UpdateRollbackFailed", "aws sagemaker describe-endpoint --endpoint-name Churn"),
        ("OutOfService", "aws sagemaker describe-endpoint --endpoint-name Churn"),
    ],
)
def test_what_is_handed_off_comes_with_a_command_that_works_as_it_stands(status: str, command: str) -> None:
    assert decide(given(), facts(endpoint(status=status)), NOW).command == command


def test_the_last_failed_update_and_missing_instances_are_found() -> None:
    of = facts(endpoint(failure="no ping", variants=variants(current_instances=1)))
    assert found(of) == {"last-update-failed": "no ping", "too-few-instances": "1 of 2 instances of B run"}
    starting = endpoint(status="Updating", failure="no ping", variants=variants(current_instances=None))
    assert found(facts(starting)) == {"too-few-instances": "0 of 2 instances of B run"}
    assert found(facts(endpoint(variants=variants(current_instances=None, desired_instances=None)))) == {}


def test_shadow_variants_and_data_capture_are_told() -> None:
    capturing = configured(captures_to="s3://captured")
    assert found(facts(endpoint(shadows=("S",)), capturing)) == {
        "shadow-variant": "S is a shadow variant",
        "data-capture": "data capture writes to s3://captured",
    }
    of = facts(current=capturing, wanted=configured("v2"), alarms=OK)
    assert found(of, TO_V2) == {"data-capture-changes": "data capture writes to s3://captured, and under v2 to nowhere"}
    of = facts(current=capturing, wanted=configured("v2", captures_to="s3://other"), alarms=OK)
    assert found(of, TO_V2)["data-capture-changes"].endswith("and under v2 to s3://other")
    without = Facts(endpoint=endpoint(), current=capturing, ends_on="v2")
    assert found(without, TO_V2) == {"data-capture": "data capture writes to s3://captured"}


def test_data_capture_that_has_stopped_is_a_warning() -> None:
    stopped = endpoint(capture="Stopped")
    (finding,) = decide(given(), facts(stopped, configured(captures_to="s3://captured")), NOW).findings
    assert (finding.id, finding.severity) == ("data-capture", Severity.WARNING)
    assert (finding.evidence, finding.meaning) == (
        "data capture to s3://captured is Stopped",
        "nothing is captured, though the configuration asks for it",
    )
    assert found(facts(stopped)) == {}


def test_data_capture_is_read_as_enabled_unless_it_is_disabled_with_what_became_of_it(
    aws: EmbeddedAws, session: AwsSession
) -> None:
    scenario.of("sagemaker-variant-fix")["healthy-already"].arrange(aws)
    variants = aws.client("sagemaker").describe_endpoint_config(EndpointConfigName="churn-v1")["ProductionVariants"]
    capture = {"InitialSamplingPercentage": 20, "DestinationS3Uri": "s3://captured", "CaptureOptions": []}
    for name, asked, works in (("on", {}, True), ("stopped", {}, False), ("off", {"EnableCapture": False}, True)):
        aws.sagemaker.do(
            "CreateEndpointConfig",
            {"EndpointConfigName": name, "ProductionVariants": variants, "DataCaptureConfig": capture | asked},
        )
        sagemaker.script(aws, name, captures=works)
        sagemaker.deploy(aws, name, name)
    seen = {name: gather(given(endpoint=name), session, NOW) for name in ("on", "stopped", "off")}
    assert {
        name: (each.endpoint.capture, each.current.captures_to)
        for name, each in seen.items()
        if each.endpoint and each.current
    } == {
        "on": ("Started", "s3://captured"),
        "stopped": ("Stopped", "s3://captured"),
        "off": ("Stopped", None),
    }


def test_what_nobody_here_can_mend_comes_with_what_a_support_case_needs() -> None:
    stuck = endpoint(
        status="UpdateRollbackFailed", failure="no ping", alarms=("errors",), pending="v2", doing="A: Creating."
    )
    case = found(facts(stuck))["case-bundle"]
    for needed in (
        "v2 pending",
        "A: Creating.",
        f"{ARN}:endpoint/churn",
        "no ping",
        "v1",
        "churn-1",
        "A: weight 9 of 9",
        "errors",
        "Endpoints/Churn",
        "https://eu-central-1.console.aws.amazon.com/sagemaker/home?region=eu-central-1#/endpoints/Churn",
    ):
        assert needed in case
    bare = endpoint(
        status="Failed", configuration="", variants=variants(current_instances=None, desired_instances=None)
    )
    case = found(Facts(endpoint=bare))["case-bundle"]
    for needed in (
        "configuration unknown, and none pending",
        "SageMaker says nothing of the variants",
        "models unknown",
        "0 of 0 instances",
        "rollback alarms none",
    ):
        assert needed in case


def test_findings_are_told_worst_first() -> None:
    of = facts(endpoint(shadows=("S",), variants=variants(5.0, 5.0)), traffic=traffic(50, 50, B=7))
    severities = [finding.severity for finding in decide(given(), of, NOW).findings]
    assert severities == ["critical", "warning", "warning", "info"]


# -- the phases --------------------------------------------------------------------------------------------------------

RESOLVED = given(endpoint_configuration="v2", rollback_alarms=["errors"], weights={"A": 1.0, "B": 1.0}, probe="[1]")


def test_the_wait_for_a_configuration_ends_when_it_shows() -> None:
    assert configuration_is_there(RESOLVED, Facts(endpoint=None)).state == "pending"
    assert configuration_is_there(RESOLVED, Facts(endpoint=None, wanted=configured("v2"))).state == "settled"


def test_a_configuration_is_not_made_of_another_than_the_plan_saw_nor_under_a_name_that_was_taken() -> None:
    before = what_the_creation_rests_on(made())
    third = made().model_copy(update={"endpoint": endpoint(configuration="v3")})
    for moved in (made(there="other"), made(content=CONTENT | {"KmsKeyId": "other"}), third, facts()):
        assert what_the_creation_rests_on(moved) != before
    assert what_the_creation_rests_on(made()) == before


@pytest.mark.parametrize(
    ("asked", "now", "state", "says"),
    [
        (RESOLVED, endpoint(status="Updating", pending="v2", doing="A: Baking."), "pending", "to v2. A: Baking."),
        (RESOLVED, endpoint(status="SystemUpdating"), "pending", "SystemUpdating"),
        (RESOLVED, endpoint(status="RollingBack", pending="v2"), "pending", "RollingBack from v2"),
        (RESOLVED, endpoint(configuration="v2"), "settled", "in service on v2"),
        (
            RESOLVED,
            endpoint(failure="no ping"),
            "failed",
            "Churn is in service on v1, not on v2. SageMaker has rolled it back itself: no ping",
        ),
        (RESOLVED, endpoint(configuration="v3"), "failed", "on v3, not on v2. SageMaker gives no reason, so somebody"),
        (RESOLVED, endpoint(status="Failed", failure="no ping"), "failed", "Churn is Failed: no ping"),
        (RESOLVED, endpoint(status="UpdateRollbackFailed", failure="no"), "failed", "UpdateRollbackFailed: no"),
        (RESOLVED, None, "failed", "Churn is gone"),
        (given(), endpoint(), "settled", "no other endpoint configuration is asked for"),
    ],
)
def test_the_wait_for_a_deployment_ends_on_the_new_configuration_or_back_on_the_old_one(
    asked: Input, now: Endpoint | None, state: str, says: str
) -> None:
    progress = configuration_is_in_service(asked, Facts(endpoint=now))
    assert progress.state == state
    assert says in progress.reason


@pytest.mark.parametrize(
    ("now", "state", "says"),
    [
        (endpoint(status="Updating", variants=variants(1.0, 1.0)), "pending", "Updating"),
        (endpoint(variants=variants(1.0, 1.0)), "settled", "every variant has its weight"),
        (endpoint(variants=variants(1.0, 1.0, current_weight=9.0)), "pending", "InService"),
        (endpoint(variants=variants(1.0, 1.0, current_instances=1)), "settled", "every variant has its weight"),
        (
            endpoint(failure="no capacity"),
            "failed",
            "SageMaker has gone back to weights A=9 (90 %), B=1 (10 %) itself: no capacity",
        ),
        (endpoint(), "failed", "Churn is told weights A=9 (90 %), B=1 (10 %), which is not what this run has set"),
        (endpoint(status="Failed", failure="no capacity"), "failed", "Churn is Failed: no capacity"),
        (None, "failed", "Churn is gone"),
    ],
)
def test_the_wait_for_the_weights_ends_when_they_are_there_or_taken_back(
    now: Endpoint | None, state: str, says: str
) -> None:
    progress = weights_are_set(RESOLVED, Facts(endpoint=now))
    assert progress.state == state
    assert says in progress.reason


@pytest.mark.parametrize(
    ("now", "added", "removed", "says"),
    [
        (endpoint(status="Updating"), "pending", "pending", "Updating"),
        (
            endpoint(variants=counted(2, 2)),
            "failed",
            "failed",
            "is told instances A=2, B=2, which is not what this run",
        ),
        (endpoint(variants=counted(2, 3, running=2)), "pending", "failed", "InService"),
        (endpoint(variants=counted(2, 3)), "settled", "failed", "has the instances that it was to get"),
        (endpoint(variants=counted(1, 3, running=2)), "pending", "pending", "InService"),
        (endpoint(variants=counted(1, 3)), "settled", "settled", "has the instances that it was to get"),
        (endpoint(variants=counted(2, 2), failure="no capacity"), "failed", "failed", "itself: no capacity"),
        (None, "failed", "failed", "is gone"),
    ],
)
def test_the_wait_for_instances_ends_when_they_run_or_somebody_has_set_others(
    now: Endpoint | None, added: str, removed: str, says: str
) -> None:
    asked = given(instance_counts={"A": 1, "B": 3})
    progress = instances_are_added(asked, Facts(endpoint=now))
    assert (progress.state, instances_are_removed(asked, Facts(endpoint=now)).state) == (added, removed)
    assert says in progress.reason


@pytest.mark.parametrize(
    ("asked", "now", "state", "says"),
    [
        (RESOLVED, endpoint(), "settled", "A, B have answered with 200"),
        (given(), endpoint(), "settled", "no probe is asked for"),
        (RESOLVED, None, "failed", "Churn is gone"),
    ],
)
def test_a_probe_is_answered_or_the_run_would_not_be_here(
    asked: Input, now: Endpoint | None, state: str, says: str
) -> None:
    progress = every_variant_has_answered(asked, Facts(endpoint=now))
    assert progress.state == state
    assert says in progress.reason


def test_a_plan_is_stale_when_somebody_has_changed_what_it_rests_on() -> None:
    before = facts(wanted=configured("v2"), alarms=OK)
    variant, other = configured("v2").variants
    for moved in (
        facts(DRIFTED, wanted=configured("v2"), alarms=OK),
        facts(endpoint(configuration="v3"), wanted=configured("v2"), alarms=OK),
        facts(wanted=configured("v2", models=(served(exists=False),)), alarms=OK),
        facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state="ALARM"),)),
        facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state=None),)),
        facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state="OK", composite=True),)),
        facts(wanted=configured("v2", volume_key=KEY, volume_key_state="Enabled"), alarms=OK),
        facts(wanted=configured("v2", models=(served(artifacts=(FORBIDDEN,)),)), alarms=OK),
        # Another under the same name, by what it is made of, and by its time where that is the same.
        facts(wanted=configured("v2", created="2026-11-21T02:00:00+00:00"), alarms=OK),
        facts(wanted=configured("v2", models=(served(created="2026-11-21T02:00:00+00:00"),)), alarms=OK),
        facts(wanted=configured("v2", {"A": 9.0, "B": 2.0}), alarms=OK),
        *(
            facts(wanted=configured("v2", variants=(variant.model_copy(update=update), other)), alarms=OK)
            for update in ({"model": "churn-2"}, {"instance_type": "ml.p5.48xlarge"}, {"instances": 40})
        ),
    ):
        assert what_the_deployment_rests_on(moved) != what_the_deployment_rests_on(before)
    assert what_the_weights_rest_on(facts(DRIFTED)) != what_the_weights_rest_on(facts())
    assert what_the_probe_rests_on(facts(endpoint(status="Updating"))) != what_the_probe_rests_on(facts())


def test_a_plan_is_not_stale_when_traffic_comes_in_or_the_endpoint_scales_by_itself() -> None:
    later = facts(
        endpoint(since="2026-11-21T03:00:00Z", variants=variants(desired_instances=5)),
        traffic=traffic(9, 1),
        may_publish={"B": "denied"},
    )
    for rests_on in (what_the_deployment_rests_on, what_the_weights_rest_on, what_the_probe_rests_on):
        assert rests_on(later) == rests_on(facts())
    asked = {"counts": {"A": 6}}
    for rests_on in (what_the_deployment_rests_on, what_scaling_out_rests_on):
        assert rests_on(later.model_copy(update=asked)) != rests_on(facts(**asked))


def test_removing_instances_does_not_rest_on_those_that_the_run_has_added() -> None:
    asked = {"counts": {"A": 1, "B": 4}}
    before, added = facts(**asked), facts(endpoint(variants=counted(2, 4)), **asked)
    assert what_scaling_in_rests_on(added) == what_scaling_in_rests_on(before)
    taken = facts(endpoint(variants=counted(3, 4)), **asked)
    assert what_scaling_in_rests_on(taken) != what_scaling_in_rests_on(before)


def test_a_plan_is_not_stale_when_its_alarm_has_no_data_any_more() -> None:
    states = ("OK", "INSUFFICIENT_DATA")
    seen = [facts(wanted=configured("v2"), alarms=(Alarm(name="errors", state=state),)) for state in states]
    assert what_the_deployment_rests_on(seen[0]) == what_the_deployment_rests_on(seen[1])
    rings: Any = what_the_deployment_rests_on(facts(alarms=(*OK, Alarm(name="cpu", state="ALARM"))))
    assert rings["alarms"] == {"cpu": "rings"}


def test_the_weights_rest_on_the_configuration_that_the_deployment_leaves_and_on_no_third_one(
    aws: EmbeddedAws, session: AwsSession
) -> None:
    incident = scenario.of("sagemaker-variant-fix")["new-configuration-and-weights"]
    incident.arrange(aws)
    asked = given(endpoint="churn-prediction", endpoint_configuration="churn-v2")
    planned_on = what_the_weights_rest_on(gather(asked, session, aws.clock.now()))
    client = aws.client("sagemaker")
    content = client.describe_endpoint_config(EndpointConfigName="churn-v2")["ProductionVariants"]
    client.create_endpoint_config(EndpointConfigName="churn-v3", ProductionVariants=content)
    for configuration, same in (("churn-v2", True), ("churn-v3", False)):
        client.update_endpoint(
            EndpointName="churn-prediction", EndpointConfigName=configuration, RetainAllVariantProperties=True
        )
        aws.clock.advance(seconds=600)
        assert (what_the_weights_rest_on(watch(asked, session, aws.clock.now())) == planned_on) is same


def test_a_namesake_of_the_wanted_configuration_or_of_its_model_is_told_from_it(
    aws: EmbeddedAws, session: AwsSession
) -> None:
    scenario.of("sagemaker-variant-fix")["new-configuration"].arrange(aws)
    asked = given(endpoint="churn-prediction", endpoint_configuration="churn-v2", rollback_alarms=["errors"])
    client = aws.client("sagemaker")
    aws.clock.advance(seconds=60)

    def rests_on() -> Any:
        return what_the_deployment_rests_on(recheck_deployment(asked, session, aws.clock.now()))

    before = what_the_deployment_rests_on(gather(asked, session, aws.clock.now()))
    assert rests_on() == before
    model = client.describe_model(ModelName="churn-7")
    client.delete_model(ModelName="churn-7")
    client.create_model(**{key: model[key] for key in ("ModelName", "ExecutionRoleArn", "PrimaryContainer")})
    with_other_model = rests_on()
    assert with_other_model != before
    variants = client.describe_endpoint_config(EndpointConfigName="churn-v2")["ProductionVariants"]
    client.delete_endpoint_config(EndpointConfigName="churn-v2")
    aws.clock.advance(seconds=60)
    client.create_endpoint_config(EndpointConfigName="churn-v2", ProductionVariants=variants)
    assert rests_on() != with_other_model


def test_nobody_looks_before_sagemaker_shows_what_it_was_told() -> None:
    assert [phase.at_least.total_seconds() for phase in RUNBOOK.phases] == [0, 15, 15, 15, 15, 0]


def test_nothing_rests_on_an_endpoint_that_is_gone() -> None:
    for rests_on in (
        what_the_creation_rests_on,
        what_the_deployment_rests_on,
        what_the_weights_rest_on,
        what_the_probe_rests_on,
    ):
        assert rests_on(Facts(endpoint=None, wanted=configured("v2"), making=making())) is None
    assert what_the_deployment_rests_on(Facts(endpoint=endpoint())) is None


# -- the input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {"A": -1.0}},
        {"weights": "evenly"},
        {"weights": {}},
        {"endpoint": "a-" * 40 + "a"},
        {"rollback_alarms": ["  "]},
        {"rollback_alarms": ["errors\n"]},
        {"instance_counts": {"A": 0}},
        {"probe": "x" * 2049},
        {"rollback_alarms": [f"alarm-{number}" for number in range(11)]},
        {"endpoint_configuration": "not_a_name"},
        {"new_models": {"A": "not_a_name"}},
        {"new_instance_types": {"A": "m5.large"}},
    ],
)
def test_an_input_that_no_endpoint_could_have_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        given(**wrong)


@pytest.mark.parametrize("wrong", ["evenly", {}, {"A": "x"}, {"A": -1}, {"A": float("nan")}, {"a_b": 1}, 3, None])
def test_weights_that_are_none_are_told_in_one_sentence_with_what_was_given(wrong: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        given(weights=wrong)
    assert explain(refused.value) == (
        'weights: must be "as configured", or a number of 0 or more for every production variant by its name, e.g.'
        f' {{"current": 9, "candidate": 1}} (got {wrong!r})'
    )


def test_an_alarm_may_have_blanks_in_its_name() -> None:
    assert given(rollback_alarms=[" new fleet: errors "]).rollback_alarms == [" new fleet: errors "]


def test_the_lock_is_on_the_endpoint_as_its_arn_has_it() -> None:
    assert targets(given(), "123456789012", "eu-central-1") == [f"{ARN}:endpoint/churn"]


# -- what is read ------------------------------------------------------------------------------------------------------

ROLE = "arn:aws:iam::123456789012:role/churn"


@pytest.fixture
def session(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> AwsSession:
    """An audited session on the embedded AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "embedded")
    return AwsSession(aws.region)


def read(aws: EmbeddedAws, session: AwsSession, **container: Any) -> ServedModel:
    """A model with this one container, as it is read."""
    content = {"Image": "churn:1"} | container
    aws.client("sagemaker").create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=content)
    return read_model(session, "m")


def source(uri: str, kind: str) -> dict[str, Any]:
    return {"ModelDataSource": {"S3DataSource": {"S3Uri": uri, "S3DataType": kind, "CompressionType": "None"}}}


def test_a_model_is_read_with_its_artifact_and_the_state_of_its_key(aws: EmbeddedAws, session: AwsSession) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    url = sagemaker.artifact(aws, "models", "m.tar.gz", kms_key=key)
    model = read(aws, session, ModelDataUrl=url)
    assert (model.exists, model.role, model.lacks) == (True, ROLE, [])
    assert model.artifacts == (
        Artifact(url=url, state="there", object="models/m.tar.gz", key=key, key_state="Enabled"),
    )


def test_a_key_that_is_gone_is_told(aws: EmbeddedAws, session: AwsSession) -> None:
    url = sagemaker.artifact(aws, "models", "m.tar.gz", kms_key=KEY)
    (artifact,) = read(aws, session, ModelDataUrl=url).artifacts
    assert (artifact.state, artifact.key_state) == ("there", "gone")


def test_a_key_that_nobody_here_may_look_at_is_unreadable(aws: EmbeddedAws, session: AwsSession) -> None:
    url = sagemaker.artifact(aws, "models", "m.tar.gz", kms_key=KEY)
    aws.faults.fail("kms:DescribeKey", code="AccessDeniedException", status=400)
    model = read(aws, session, ModelDataUrl=url)
    assert model.artifacts[0].key_state == "unreadable"
    assert (model.lacks, len(model.locked)) == ([], 1)
    assert "kms:DescribeKey" in model.locked[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://models.s3.eu-central-1.amazonaws.com/m%20/m.tar.gz",
        "https://models.s3.amazonaws.com/m%20/m.tar.gz",
        "https://s3.eu-central-1.amazonaws.com/models/m%20/m.tar.gz",
        "https://s3-eu-central-1.amazonaws.com/models/m%20/m.tar.gz",
        "https://s3.dualstack.eu-central-1.amazonaws.com/models/m%20/m.tar.gz",
        "s3://models/m /m.tar.gz",
    ],
)
def test_an_artifact_is_found_however_its_address_is_written(aws: EmbeddedAws, session: AwsSession, url: str) -> None:
    sagemaker.artifact(aws, "models", "m /m.tar.gz")
    assert artifact_at(session, url, one_object=True).state == "there"
    assert artifact_at(session, url.replace("m.tar.gz", "other"), one_object=True).state == "gone"


@pytest.mark.parametrize(
    "url", ["https://models.example.com/m.tar.gz", "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/models/m"]
)
def test_an_address_that_is_not_understood_is_no_reason_to_call_it_gone(session: AwsSession, url: str) -> None:
    assert artifact_at(session, url, one_object=True) == Artifact(url=url, state="unknown")


@pytest.mark.parametrize("kind", ["S3Prefix", "S3Object"])
def test_uncompressed_artifacts_are_found_by_their_prefix(aws: EmbeddedAws, session: AwsSession, kind: str) -> None:
    sagemaker.artifact(aws, "models", "m/weights.bin")
    uri = "s3://models/m/" if kind == "S3Prefix" else "s3://models/m/weights.bin"
    assert read(aws, session, **source(uri, kind)).artifacts == (
        Artifact(url=uri, state="there", object="models/m/weights.bin"),
    )


def test_what_a_container_downloads_beside_its_model_is_looked_at_too(aws: EmbeddedAws, session: AwsSession) -> None:
    sagemaker.artifact(aws, "models", "m/weights.bin")
    adapters = {"S3Uri": "s3://models/adapters/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    more = [{"ChannelName": "adapters", "S3DataSource": adapters}]
    model = read(aws, session, **source("s3://models/m/", "S3Prefix"), AdditionalModelDataSources=more)
    assert {artifact.url: artifact.state for artifact in model.artifacts} == {
        "s3://models/m/": "there",
        "s3://models/adapters/": "gone",
    }
    assert model.lacks == ["the artifact s3://models/adapters/ of m is gone"]


def test_the_artifacts_of_a_multi_model_container_are_a_prefix_too(aws: EmbeddedAws, session: AwsSession) -> None:
    sagemaker.artifact(aws, "models", "many/one.tar.gz")
    model = read(aws, session, ModelDataUrl="s3://models/many/", Mode="MultiModel")
    assert model.artifacts == (Artifact(url="s3://models/many/", state="there", object="models/many/one.tar.gz"),)
    assert model.multi_model


@pytest.mark.parametrize(("mode", "direct"), [("Direct", True), ("Serial", False)])
def test_whether_the_containers_are_invoked_directly_is_read(
    aws: EmbeddedAws, session: AwsSession, mode: str, direct: bool
) -> None:
    aws.client("sagemaker").create_model(
        ModelName="m",
        ExecutionRoleArn=ROLE,
        Containers=[{"Image": "churn:1", "ContainerHostname": name} for name in ("one", "two")],
        InferenceExecutionConfig={"Mode": mode},
    )
    assert read_model(session, "m").direct is direct


def test_a_prefix_with_nothing_under_it_is_gone(aws: EmbeddedAws, session: AwsSession) -> None:
    assert read(aws, session, **source("s3://nowhere/m/", "S3Prefix")).artifacts[0].state == "gone"
    sagemaker.artifact(aws, "nowhere", "n")
    assert read_model(session, "m").artifacts[0].state == "gone"


@pytest.mark.parametrize(("status", "state", "named"), [(403, "forbidden", "models/m.tar.gz"), (404, "gone", None)])
def test_what_s3_does_not_show_is_forbidden_or_gone(
    aws: EmbeddedAws, session: AwsSession, status: int, state: str, named: str | None
) -> None:
    url = sagemaker.artifact(aws, "models", "m.tar.gz")
    aws.faults.fail("s3:HeadObject", code=str(status), status=status)
    assert read(aws, session, ModelDataUrl=url).artifacts == (Artifact(url=url, state=state, object=named),)


def test_a_package_is_read_with_its_approval_and_its_artifacts(aws: EmbeddedAws, session: AwsSession) -> None:
    url = sagemaker.artifact(aws, "models", "p.tar.gz")
    client = aws.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="churn")
    container = {"Image": "churn:1", "ModelDataUrl": url}
    arn = client.create_model_package(
        ModelPackageGroupName="churn",
        ModelApprovalStatus="Rejected",
        InferenceSpecification={"Containers": [container]},
    )["ModelPackageArn"]
    model = read(aws, session, ModelPackageName=arn)
    assert model.packages == (Package(arn=arn, approval="Rejected"),)
    assert model.artifacts == (Artifact(url=url, state="there", object="models/p.tar.gz"),)


def test_the_specification_of_a_package_that_the_container_names_is_read_and_not_the_default_one(
    aws: EmbeddedAws, session: AwsSession
) -> None:
    default, additional, more = (sagemaker.artifact(aws, "models", f"{name}.tar.gz") for name in ("p", "q", "r"))
    client = aws.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="churn")
    second = {
        "Image": "churn:1",
        "ModelDataUrl": additional,
        "AdditionalS3DataSource": {"S3Uri": more, "S3DataType": "S3Object"},
    }
    arn = client.create_model_package(
        ModelPackageGroupName="churn",
        ModelApprovalStatus="Approved",
        InferenceSpecification={"Containers": [{"Image": "churn:1", "ModelDataUrl": default}]},
        AdditionalInferenceSpecifications=[{"Name": "small", "Containers": [second]}],
    )["ModelPackageArn"]
    model = read(aws, session, ModelPackageName=arn, InferenceSpecificationName="small")
    assert [artifact.url for artifact in model.artifacts] == [additional, more]
    assert model.unseen == []
    client.delete_model(ModelName="m")
    model = read(aws, session, ModelPackageName=arn, InferenceSpecificationName="tiny")
    assert model.artifacts == ()
    assert model.unseen == [
        f"the model package {arn} of m has no inference specification tiny, so which artifacts it has is unknown"
    ]


def test_a_package_that_is_sold_in_the_marketplace_is_told_from_ones_own(aws: EmbeddedAws, session: AwsSession) -> None:
    arn = aws.client("sagemaker").create_model_package(
        ModelPackageName="sold", InferenceSpecification={"Containers": [{"Image": "sold:1", "ProductId": "prod-1"}]}
    )["ModelPackageArn"]
    (package,) = read(aws, session, ModelPackageName=arn).packages
    assert package.marketplace


def test_a_package_of_a_registry_that_this_role_may_not_see_is_told(aws: EmbeddedAws, session: AwsSession) -> None:
    arn = "arn:aws:sagemaker:eu-central-1:210987654321:model-package/churn/1"
    aws.faults.fail("sagemaker:DescribeModelPackage", code="AccessDeniedException")
    model = read(aws, session, ModelPackageName=arn)
    assert model.packages == (Package(arn=arn, approval=None, seen=False),)
    assert (model.lacks, model.unapproved) == ([], [])
    (finding,) = decide(given(), facts(current=configured(models=(served(packages=model.packages),))), NOW).findings
    assert (finding.id, finding.severity) == ("artifact-not-seen", Severity.WARNING)
    assert f"may not look at the model package {arn} of churn-1 (sagemaker:DescribeModelPackage)" in finding.evidence


def test_a_package_and_a_model_that_are_gone_are_told(aws: EmbeddedAws, session: AwsSession) -> None:
    gone = f"{ARN}:model-package/churn/9"
    assert read(aws, session, ModelPackageName=gone).packages == (Package(arn=gone, approval=None),)
    assert read_model(session, "nobody") == ServedModel(name="nobody", exists=False)


@pytest.mark.parametrize(
    ("operation", "reads"),
    [
        ("sagemaker:DescribeEndpoint", lambda session: gather(given(endpoint="churn-prediction"), session, NOW)),
        ("sagemaker:DescribeEndpointConfig", lambda session: gather(given(endpoint="churn-prediction"), session, NOW)),
        ("sagemaker:DescribeModel", lambda session: read_model(session, "churn-7")),
        ("sagemaker:DescribeModelPackage", lambda session: read_model(session, "churn-7")),
        ("s3:HeadObject", lambda session: read_model(session, "churn-7")),
        ("kms:DescribeKey", lambda session: read_model(session, "churn-7")),
    ],
)
def test_what_is_denied_is_not_taken_for_missing(
    aws: EmbeddedAws, session: AwsSession, operation: str, reads: Callable[[AwsSession], Any]
) -> None:
    scenario.of("sagemaker-variant-fix")["weights-drifted"].arrange(aws)
    aws.faults.fail(operation, code="ServiceFault", status=409)
    with pytest.raises(ClientError, match=r"ServiceFault|409"):
        reads(session)


def test_an_endpoint_without_a_configuration_is_read_as_such(session: AwsSession) -> None:
    described = {
        "EndpointName": "Churn",
        "EndpointArn": f"{ARN}:endpoint/churn",
        "EndpointStatus": "Failed",
        "CreationTime": NOW,
        "LastModifiedTime": NOW,
    }
    client = session.client("sagemaker")
    for asked in (given(), TO_BE_MADE):
        with Stubber(client) as sagemaker_says:
            sagemaker_says.add_response("describe_endpoint", described)
            seen = gather(asked, session, NOW)
        assert (seen.endpoint, seen.current, seen.making) == (
            endpoint(status="Failed", configuration="", variants=(), since="2026-11-21T03:00:00Z"),
            None,
            None,
        )
        assert decide(asked, seen, NOW).command == "aws sagemaker delete-endpoint --endpoint-name Churn"


def test_the_role_of_a_silent_variant_may_be_gone(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["without-metrics"].arrange(aws)
    asked = given(endpoint="churn-prediction")
    assert gather(asked, session, aws.clock.now()).may_publish == {"candidate": "not allowed"}
    iam = aws.client("iam")
    iam.delete_role_policy(RoleName="churn-endpoint", PolicyName="own")
    iam.delete_role(RoleName="churn-endpoint")
    assert gather(asked, session, aws.clock.now()).may_publish == {"candidate": "no role"}
    aws.faults.fail("iam:SimulatePrincipalPolicy", code="InvalidInput", status=400)
    with pytest.raises(ClientError, match="InvalidInput"):
        gather(asked, session, aws.clock.now())


# -- what the models' roles may do -------------------------------------------------------------------------------------

OBJECT = "arn:aws:s3:::models/churn/model.tar.gz"


def give(aws: EmbeddedAws, *statements: dict[str, Any]) -> None:
    """The models' role, with these statements and no others."""
    client = aws.client("iam")
    client.create_role(RoleName="churn", AssumeRolePolicyDocument="{}")
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    client.put_role_policy(RoleName="churn", PolicyName="own", PolicyDocument=document)


def statement(*actions: str, effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


THROUGH_S3 = {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}


@pytest.mark.parametrize(
    ("statements", "reads", "decrypts"),
    [
        ([statement(READ, DECRYPT)], "allowed", "allowed"),
        ([statement(READ, resource="arn:aws:s3:::models/*")], "allowed", "not allowed"),
        ([statement(READ, resource="arn:aws:s3:::others/*"), statement(DECRYPT)], "not allowed", "allowed"),
        ([statement(READ, DECRYPT), statement(DECRYPT, effect="Deny")], "allowed", "denied"),
        ([statement(DECRYPT, Condition=THROUGH_S3)], "not allowed", "allowed"),
        ([statement(READ, Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}})], "unclear", "not allowed"),
    ],
)
def test_the_role_is_asked_about_the_artifact_and_its_key(
    aws: EmbeddedAws, session: AwsSession, statements: list[dict[str, Any]], reads: str, decrypts: str
) -> None:
    give(aws, *statements)
    artifact = Artifact(url="s3://models/churn/model.tar.gz", state="there", object=OBJECT[13:], key=KEY)
    answers = read_access(session, [served(role=ROLE, artifacts=(artifact,)), served("two", role=None)])
    assert {(each.action, each.resource): each.permission for each in answers} == {
        (READ, OBJECT): reads,
        (DECRYPT, KEY): decrypts,
    }
    assert [each.depends_on for each in answers if each.permission == "unclear"] in ([], [("aws:SourceVpc",)])


def test_the_role_is_asked_about_the_alarms_too(aws: EmbeddedAws, session: AwsSession) -> None:
    alarms = [f"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{name}" for name in ("errors", "latency")]
    give(aws, statement(LOOK, resource=alarms[0]))
    answers = read_access(session, [served(role=ROLE, artifacts=())], alarms)
    assert {each.resource: each.permission for each in answers} == dict(
        zip(alarms, ["allowed", "not allowed"], strict=True)
    )


@pytest.mark.parametrize(
    ("namespace", "permission"), [("AWS/SageMaker", "allowed"), ("*SageMaker*", "allowed"), ("Custom", "not allowed")]
)
def test_metrics_are_asked_about_in_the_namespace_that_they_are_published_in(
    aws: EmbeddedAws, session: AwsSession, namespace: str, permission: str
) -> None:
    condition = {"StringLike": {"cloudwatch:namespace": namespace}}
    give(aws, statement("cloudwatch:PutMetricData", Condition=condition))
    assert may_publish(session, ROLE) == permission


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("PolicyEvaluation", 400)])
def test_a_simulation_that_is_refused_leaves_it_unchecked(
    aws: EmbeddedAws, session: AwsSession, code: str, status: int
) -> None:
    give(aws, statement(READ, "cloudwatch:PutMetricData"))
    aws.faults.fail("iam:SimulatePrincipalPolicy", code=code, status=status)
    assert may_publish(session, ROLE) == "not checked"
    assert {each.permission for each in read_access(session, [served(role=ROLE)])} == {"not checked"}


def test_a_simulation_that_comes_in_pages_is_read_to_its_end(session: AwsSession) -> None:
    names = [f"arn:aws:s3:::models/{name}" for name in ("a", "b")]
    more: list[dict[str, Any]] = [{"IsTruncated": True, "Marker": "1"}, {"IsTruncated": False}]
    with Stubber(session.client("iam")) as iam_says:
        for name, page in zip(names, more, strict=True):
            decided = {"EvalResourceName": name, "EvalResourceDecision": "allowed"}
            result = {
                "EvalActionName": READ,
                "EvalResourceName": "arn:${Partition}:s3:::${BucketName}/${KeyName}",
                "EvalDecision": "allowed",
                "ResourceSpecificResults": [decided],
            }
            iam_says.add_response("simulate_principal_policy", {"EvaluationResults": [result], **page})
        answers = simulated(session, ROLE, READ, names, {})
    assert {each.resource: each.permission for each in answers} == dict.fromkeys(names, "allowed")


def test_a_role_that_is_gone_is_told(session: AwsSession) -> None:
    assert {each.permission for each in read_access(session, [served(role=ROLE)])} == {"no role"}


def test_the_key_of_the_volumes_is_read_and_one_of_aws_is_no_concern(aws: EmbeddedAws, session: AwsSession) -> None:
    incident = scenario.of("sagemaker-variant-fix")["volumes-key-deleted"]
    incident.arrange(aws)
    seen = gather(given(endpoint="churn-prediction", endpoint_configuration="churn-v2"), session, aws.clock.now())
    assert seen.wanted is not None
    assert (seen.wanted.volume_key_state, len(seen.wanted.faults)) == ("PendingDeletion", 1)
    assert keys.read_key(session, KEY).state == "gone"


def test_the_alarms_are_read_with_their_kind(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["alarm-is-composite"].arrange(aws)
    asked = given(
        endpoint="churn-prediction", endpoint_configuration="churn-v2", rollback_alarms=["churn-new-fleet-errors"]
    )
    (alarm,) = gather(asked, session, aws.clock.now()).alarms
    assert (alarm.state, alarm.composite) == ("OK", True)


def test_the_alarms_are_read_with_what_they_watch_and_when_they_ring(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["new-configuration"].arrange(aws)
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency"}
    dimensions = [{"Name": "EndpointName", "Value": "churn-prediction"}, {"Name": "VariantName", "Value": "candidate"}]
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName="share",
        Metrics=[
            {
                "Id": "m",
                "MetricStat": {"Metric": metric | {"Dimensions": dimensions}, "Period": 120, "Stat": "Average"},
                "ReturnData": False,
            },
            {"Id": "e", "Expression": "m / 2", "ReturnData": True},
        ],
        EvaluationPeriods=4,
        DatapointsToAlarm=3,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    asked = given(
        endpoint="churn-prediction",
        endpoint_configuration="churn-v2",
        rollback_alarms=["churn-new-fleet-errors", "share"],
    )
    seen = gather(asked, session, aws.clock.now()).alarms
    assert [(alarm.endpoints, alarm.rings_after) for alarm in seen] == [
        (("churn-prediction",), 60),
        (("churn-prediction",), 360),
    ]


# -- what scales by itself ---------------------------------------------------------------------------------------------


def test_scalable_targets_are_read_of_the_variants_that_they_matter_for(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["other-type-of-a-variant-that-scales"].arrange(aws)
    sagemaker.scale(aws, "another", "current", 1, 9)
    read = {
        name: gather(given(endpoint="churn-prediction", **more), session, aws.clock.now()).scaling
        for name, more in {
            "weights": {"weights": {"current": 1.0, "candidate": 1.0}},
            "counts": {"instance_counts": {"candidate": 3}},
            "other counts": {"instance_counts": {"current": 3}},
            "types": {"endpoint_configuration": "churn-v2"},
            "made types": {"new_instance_types": {"candidate": "ml.m5.xlarge"}},
            "made models": {"new_models": {"candidate": "churn-7"}},
        }.items()
    }
    scales = (Scaled(variant="candidate", minimum=1, maximum=4),)
    assert read == {
        "weights": (),
        "counts": scales,
        "other counts": (),
        "types": scales,
        "made types": scales,
        "made models": (),
    }


def test_a_fix_of_weights_asks_nothing_of_application_auto_scaling(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["weights-drifted"].arrange(aws)
    aws.faults.fail("application-autoscaling:DescribeScalableTargets", code="AccessDeniedException")
    asked = given(endpoint="churn-prediction")
    assert decide(asked, gather(asked, session, aws.clock.now()), NOW).verdict is Verdict.REMEDIABLE
    sized = given(endpoint="churn-prediction", instance_counts={"current": 3})
    assert gather(sized, session, aws.clock.now()).scaling is None
    aws.faults.clear()
    aws.faults.fail("application-autoscaling:DescribeScalableTargets", code="InternalServiceException", status=400)
    with pytest.raises(ClientError, match="InternalServiceException"):
        gather(sized, session, aws.clock.now())


def test_a_configuration_that_is_found_in_other_letters_is_deployed_and_weighted_by_the_name_it_has_itself(
    aws: EmbeddedAws, session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.of("sagemaker-variant-fix")["new-configuration-and-weights"].arrange(aws)
    monkeypatch.setattr(
        facts_module, "describe_configuration", lambda of, name: describe_configuration(of, name.lower())
    )
    asked = given(
        endpoint="churn-prediction",
        endpoint_configuration="CHURN-V2",
        weights={"current": 1.0, "candidate": 1.0},
        rollback_alarms=["churn-new-fleet-errors"],
    )
    seen = gather(asked, session, aws.clock.now())
    resolved = Input.model_validate(asked.model_dump() | planned(asked, seen).resolved)
    assert (seen.ends_on, resolved.endpoint_configuration) == ("churn-v2", "churn-v2")
    sagemaker.deploy(aws, "churn-prediction", "churn-v2", RetainAllVariantProperties=True)
    aws.clock.advance(seconds=600)
    after = watch(resolved, session, aws.clock.now())
    assert configuration_is_in_service(resolved, after).state == "settled"
    assert what_the_weights_rest_on(after) == what_the_weights_rest_on(seen)


# -- a configuration that is made --------------------------------------------------------------------------------------

MADE = "churn-v1-rb-6f119a83"


def test_what_is_made_is_recognised_in_every_phase_by_its_content(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["made-configuration"].arrange(aws)
    asked = given(
        endpoint="churn-prediction", new_models={"candidate": "churn-7"}, rollback_alarms=["churn-new-fleet-errors"]
    )
    now = aws.clock.now()
    seen = gather(asked, session, now)
    decision = planned(asked, seen)
    resolved = Input.model_validate(asked.model_dump() | decision.resolved)
    assert (seen.ends_on, resolved.endpoint_configuration) == (MADE, MADE)
    creation, deployment = what_the_creation_rests_on(seen), what_the_deployment_rests_on(seen)
    assert what_the_creation_rests_on(recheck_creation(resolved, session, now)) == creation
    assert configuration_is_there(resolved, watch_creation(resolved, session, now)).state == "pending"
    parameters: Any = decision.changes[0].parameters
    client = aws.client("sagemaker")
    client.create_endpoint_config(**parameters)
    assert configuration_is_there(resolved, watch_creation(resolved, session, now)).state == "settled"
    assert what_the_deployment_rests_on(recheck_deployment(resolved, session, now)) == deployment
    again = gather(resolved, session, now)
    assert again.making is not None
    assert again.making.there == "ours"
    client.delete_endpoint_config(EndpointConfigName=MADE)
    client.create_endpoint_config(**parameters | {"KmsKeyId": KEY})
    assert what_the_deployment_rests_on(recheck_deployment(resolved, session, now)) != deployment
    other = gather(resolved, session, now)
    assert other.making is not None
    assert other.making.there == "other"


def test_what_an_earlier_run_has_made_is_adopted_by_the_name_that_it_has_itself(
    aws: EmbeddedAws, session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.of("sagemaker-variant-fix")["made-before"].arrange(aws)
    monkeypatch.setattr(
        making_module, "describe_configuration", lambda of, name: describe_configuration(of, name.lower())
    )
    asked = given(
        endpoint="churn-prediction",
        endpoint_configuration=MADE.upper(),
        new_models={"candidate": "churn-7"},
        rollback_alarms=["churn-new-fleet-errors"],
    )
    seen = gather(asked, session, aws.clock.now())
    assert seen.making is not None
    assert (seen.making.there, seen.making.name, seen.ends_on) == ("ours", MADE, MADE)
    deployed = planned(asked, seen).changes[1]
    assert deployed.parameters["EndpointConfigName"] == MADE


def test_the_tags_of_the_present_configuration_are_read_but_for_those_of_aws_and_of_runs(
    aws: EmbeddedAws, session: AwsSession
) -> None:
    scenario.of("sagemaker-variant-fix")["made-configuration"].arrange(aws)
    client = aws.client("sagemaker")
    arn = client.describe_endpoint_config(EndpointConfigName="churn-v1")["EndpointConfigArn"]
    tags = {"CostCentre": "42", "runbooks:target": "another", "aws:cloudformation:stack-name": "churn"}
    client.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    asked = given(endpoint="churn-prediction", new_models={"candidate": "churn-7"})
    seen = gather(asked, session, aws.clock.now()).making
    assert seen is not None
    assert (seen.name, seen.tags) == (MADE, {"CostCentre": "42"})


def test_what_a_variant_is_made_of_is_read_as_far_as_it_decides(aws: EmbeddedAws, session: AwsSession) -> None:
    described = {
        "EndpointConfigName": "v9",
        "CreationTime": NOW,
        "ProductionVariants": [
            {
                "VariantName": "A",
                "ModelName": "churn-1",
                "InstancePools": [
                    {"InstanceType": "ml.inf2.xlarge", "Priority": 1, "ModelNameOverride": "churn-1-neuron"},
                    {"InstanceType": "ml.m5.large", "Priority": 2},
                ],
                "VariantInstanceProvisionTimeoutInSeconds": 600,
                "ModelDataDownloadTimeoutInSeconds": 1200,
                "ContainerStartupHealthCheckTimeoutInSeconds": 900,
            },
            {"VariantName": "B", "InstanceType": "ml.m5.large", "AcceleratorType": "ml.eia2.medium"},
        ],
        "ShadowProductionVariants": [{"VariantName": "S", "InstanceType": "ml.inf1.xlarge"}],
    }
    read = configuration_of(session, described)
    first, second = read.variants
    assert (first.pools, first.pool_models) == (("ml.inf2.xlarge", "ml.m5.large"), ("churn-1-neuron",))
    assert (first.accelerated, first.starts_within) == (False, 2700)
    assert [(model.name, model.exists) for model in read.models] == [("churn-1", False), ("churn-1-neuron", False)]
    assert (second.pools, second.accelerated, second.starts_within) == ((), True, 0)
    assert [(shadow.name, shadow.instance_type) for shadow in read.shadows] == [("S", "ml.inf1.xlarge")]


def test_nothing_is_made_of_an_endpoint_that_has_what_is_asked_for(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["healthy-already"].arrange(aws)
    for asked in (
        given(endpoint="churn-prediction", new_models={"candidate": "churn-6"}),
        given(endpoint="churn-prediction", new_models={}),
        given(endpoint="churn-prediction", endpoint_configuration="x", new_instance_types={"current": "ml.m5.large"}),
    ):
        seen = gather(asked, session, aws.clock.now())
        assert (seen.making, seen.ends_on) == (None, "churn-v1")
        assert decide(asked, seen, NOW).verdict is Verdict.HEALTHY


def test_a_rerun_after_the_deployment_finds_nothing_to_do(aws: EmbeddedAws, session: AwsSession) -> None:
    scenario.of("sagemaker-variant-fix")["made-before"].arrange(aws)
    asked = given(endpoint="churn-prediction", new_models={"candidate": "churn-7"})
    aws.client("sagemaker").update_endpoint(EndpointName="churn-prediction", EndpointConfigName=MADE)
    aws.clock.advance(seconds=600)
    seen = gather(asked, session, aws.clock.now())
    assert (seen.making, seen.ends_on) == (None, MADE)
    assert decide(asked, seen, NOW).verdict is Verdict.HEALTHY


# -- the run and the stack --------------------------------------------------------------------------------------------


def test_a_target_that_is_maintained_is_verified_when_it_has_come_to_rest(aws: EmbeddedAws) -> None:
    maintained = scenario.of(RUNBOOK.name)["maintained-while-verified"]
    incident = run_scenario(aws, RUNBOOK.name, maintained)
    *waits, verified = [entry for entry in incident.audit if entry.state == "Verify"]
    assert {entry.event for entry in waits} == {"verification.waits"}
    assert len(waits) >= 2
    assert "is SystemUpdating" in waits[0].detail["reason"]
    assert verified.event == "verified"
    assert incident.unexpected() == []


@pytest.mark.parametrize(
    ("buckets", "allowed"),
    [
        ("sagemaker-*", True),
        ("churn-models", True),
        ("models.example.com", True),
        ("*", False),
        ("*-models", False),
        ("sage*maker", False),
        ("", False),
    ],
)
def test_the_buckets_of_models_are_named_or_begin_alike_and_are_never_all(buckets: str, allowed: bool) -> None:
    pattern = template.load(Path(__file__).parents[2] / "template.yaml")["Parameters"]["ModelBuckets"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, buckets)) is allowed
