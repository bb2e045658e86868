"""What goes wrong with the variants of SageMaker endpoints, as guide 000 describes it, and what a fix must end in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbooks.catalogue.sagemaker_variant_fix.making import TARGET
from runbooks.catalogue.sagemaker_variant_fix.plan import CREATE, DEPLOY, PROBE, SCALE_IN, SCALE_OUT
from workbench.embedded import sagemaker
from workbench.embedded.sagemaker import Rescaling
from workbench.embedded.sagemaker.endpoint import IN_PROGRESS
from workbench.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.embedded import EmbeddedAws

RUNBOOK = "sagemaker-variant-fix"
ENDPOINT, BUCKET, ROLE, ALARM = "churn-prediction", "sagemaker-churn", "churn-endpoint", "churn-new-fleet-errors"
OLD, NEW = "churn-v1", "churn-v2"
MADE = "churn-v1-rb-6f119a83"
"""What a run makes of the old configuration with the next candidate in it: the name follows from the content."""
CURRENT, CANDIDATE = "current", "candidate"
HALVES = {CURRENT: 5.0, CANDIDATE: 5.0}
TRAFFIC = {CURRENT: 900, CANDIDATE: 100}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": f"s3://{BUCKET}/captured",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}


def role(aws: EmbeddedAws, *, publishes: bool = True) -> str:
    """The models' execution role; its ARN. It publishes metrics in SageMaker's namespaces only, if it may at all."""
    client = aws.client("iam")
    arn = client.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    reads = {
        "Effect": "Allow",
        "Action": ["cloudwatch:DescribeAlarms", "kms:Decrypt", "s3:GetObject"],
        "Resource": "*",
    }
    metrics = {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringLike": {"cloudwatch:namespace": "*SageMaker*"}},
    }
    document = {"Version": "2012-10-17", "Statement": [reads, *([metrics] if publishes else [])]}
    client.put_role_policy(RoleName=ROLE, PolicyName="own", PolicyDocument=json.dumps(document))
    return str(arn)


def model(aws: EmbeddedAws, name: str, arn: str, **container: Any) -> str:
    """A model whose artifact is encrypted with a key of its own; its name."""
    key = aws.client("kms").create_key(Description=name)["KeyMetadata"]["Arn"]
    url = sagemaker.artifact(aws, BUCKET, f"{name}/model.tar.gz", kms_key=key)
    image = f"{aws.account_id}.dkr.ecr.{aws.region}.amazonaws.com/churn:1.4"
    return sagemaker.model(aws, name, url, role=arn, image=image, **container)


def in_service(
    aws: EmbeddedAws,
    *,
    publishes: bool = True,
    approval: str = "Approved",
    invocations: Mapping[str, int] = TRAFFIC,
) -> None:
    """Two variants that share the traffic nine to one for a day, and a configuration with the next candidate."""
    arn = role(aws, publishes=publishes)
    model(aws, "churn-5", arn)
    model(aws, "churn-6", arn)
    model(aws, "churn-7", arn, ModelPackageName=sagemaker.package(aws, "churn", approval))
    before = {CURRENT: ("churn-5", 9.0), CANDIDATE: ("churn-6", 1.0)}
    after = {CURRENT: ("churn-5", 9.0), CANDIDATE: ("churn-7", 1.0)}
    sagemaker.configure(aws, OLD, before, instances=2, DataCaptureConfig=CAPTURE)
    sagemaker.configure(aws, NEW, after, instances=2, DataCaptureConfig=CAPTURE)
    sagemaker.script(aws, NEW, in_service_after=240)
    sagemaker.deploy(aws, ENDPOINT, OLD, minutes_ago=1440)
    sagemaker.traffic(aws, ENDPOINT, invocations)
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName=ALARM,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": CANDIDATE}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
    )


def set_weights(aws: EmbeddedAws, weights: Mapping[str, float]) -> None:
    """Somebody sets weights by hand."""
    wanted = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    aws.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=wanted
    )


def drifted(aws: EmbeddedAws, **fields: Any) -> None:
    """Somebody gave the candidate half of the traffic for a demonstration, and left it so."""
    in_service(aws, **fields)
    set_weights(aws, HALVES)
    sagemaker.script(aws, OLD, rescales_after=45)


def without_metrics(aws: EmbeddedAws) -> None:
    """The weights have drifted, and the candidate has no metrics: its role may not publish any."""
    drifted(aws, publishes=False, invocations={CURRENT: 900})


def candidate_broken(aws: EmbeddedAws) -> None:
    """The candidate fails its invocations; it could be launched again, and would fail them again."""
    in_service(aws)
    sagemaker.traffic(aws, ENDPOINT, {CANDIDATE: 60}, errors={CANDIDATE: 55}, minutes_ago=5)


def broken_and_then(**fields: Any) -> Callable[[EmbeddedAws], None]:
    """The candidate is broken, and this becomes of the configuration that is to mend it."""

    def arrange(aws: EmbeddedAws) -> None:
        candidate_broken(aws)
        sagemaker.script(aws, NEW, **fields)

    return arrange


def broken_for_good(aws: EmbeddedAws) -> None:
    """The candidate's artifact was deleted too, so there is no way back; and the next candidate answers nobody."""
    broken_and_then(in_service_after=240, failing={CANDIDATE: 500})(aws)
    artifact_gone(aws)


def drifted_and_then(change: Callable[[EmbeddedAws], Any]) -> Callable[[EmbeddedAws], None]:
    """The weights have drifted, and something else is wrong."""

    def arrange(aws: EmbeddedAws) -> None:
        drifted(aws)
        change(aws)

    return arrange


def weights_taken_back(aws: EmbeddedAws) -> None:
    """SageMaker cannot change the weights, and goes back to the old ones."""
    sagemaker.script(aws, OLD, rescales_after=45, rescaling=Rescaling.ROLLED_BACK)


def artifact_gone(aws: EmbeddedAws) -> None:
    aws.client("s3").delete_object(Bucket=BUCKET, Key="churn-6/model.tar.gz")


def key_disabled(aws: EmbeddedAws) -> None:
    """Somebody has disabled the key that the candidate's artifact is encrypted with."""
    head = aws.client("s3").head_object(Bucket=BUCKET, Key="churn-6/model.tar.gz")
    aws.client("kms").disable_key(KeyId=head["SSEKMSKeyId"].rpartition("/")[2])


def deny(aws: EmbeddedAws, *actions: str) -> None:
    """Somebody denies the models' role something, on top of what it is allowed."""
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": list(actions), "Resource": "*"}}
    aws.client("iam").put_role_policy(RoleName=ROLE, PolicyName="denied", PolicyDocument=json.dumps(document))


def role_denied(aws: EmbeddedAws) -> None:
    """The role of the models may not use the keys of their artifacts any more, so no instance could be launched."""
    candidate_broken(aws)
    deny(aws, "kms:Decrypt")


def not_simulated(aws: EmbeddedAws) -> None:
    """The diagnosis may not ask IAM what the models' role may do."""
    candidate_broken(aws)
    aws.faults.fail(
        "iam:SimulatePrincipalPolicy",
        code="AccessDenied",
        status=403,
        message="not authorized to perform: iam:SimulatePrincipalPolicy",
    )


def with_volumes(aws: EmbeddedAws, *, usable: bool = True) -> None:
    """The new configuration encrypts the volumes of its instances with a key, and launches more of them."""
    candidate_broken(aws)
    client, key = aws.client("sagemaker"), aws.client("kms").create_key(Description="volumes")["KeyMetadata"]
    variants = client.describe_endpoint_config(EndpointConfigName=NEW)["ProductionVariants"]
    client.delete_endpoint_config(EndpointConfigName=NEW)
    client.create_endpoint_config(
        EndpointConfigName=NEW,
        KmsKeyId=key["Arn"],
        ProductionVariants=[variant | {"InitialInstanceCount": 4} for variant in variants],
    )
    if not usable:
        aws.client("kms").schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)


def volumes_key_deleted(aws: EmbeddedAws) -> None:
    """The key of the new configuration's volumes is about to be deleted."""
    with_volumes(aws, usable=False)


def alarm_is_composite(aws: EmbeddedAws) -> None:
    """The alarm that is named is made of others."""
    candidate_broken(aws)
    aws.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])
    sagemaker.composite_alarm(aws, ALARM, "churn-5xx", "churn-latency")


def not_approved(aws: EmbeddedAws) -> None:
    """The registry has not approved the model that the new configuration serves."""
    in_service(aws, approval="PendingManualApproval")


def other_type_and_scales(aws: EmbeddedAws) -> None:
    """The new configuration has larger instances, and Application Auto Scaling counts those of the candidate."""
    candidate_broken(aws)
    client = aws.client("sagemaker")
    variants = client.describe_endpoint_config(EndpointConfigName=NEW)["ProductionVariants"]
    client.delete_endpoint_config(EndpointConfigName=NEW)
    client.create_endpoint_config(
        EndpointConfigName=NEW, ProductionVariants=[variant | {"InstanceType": "ml.m5.xlarge"} for variant in variants]
    )
    sagemaker.scale(aws, ENDPOINT, CANDIDATE, 1, 4)


def scales(aws: EmbeddedAws) -> None:
    """Application Auto Scaling counts the instances of a variant."""
    sagemaker.scale(aws, ENDPOINT, CURRENT, 1, 4)


def alarm_rings(aws: EmbeddedAws) -> None:
    """The alarm that is to guard the deployment looks at the old fleet too."""
    candidate_broken(aws)
    aws.client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="55 errors")


def configuration_deleted(aws: EmbeddedAws) -> None:
    aws.client("sagemaker").delete_endpoint_config(EndpointConfigName=OLD)


def being_updated(aws: EmbeddedAws) -> None:
    """Somebody is deploying the next version."""
    in_service(aws)
    aws.client("sagemaker").update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=NEW)


def rollback_failed(aws: EmbeddedAws) -> None:
    """A rolling update has failed, and its rollback too."""
    arn = role(aws)
    for configuration, name in ((OLD, "churn-5"), (NEW, "churn-6")):
        sagemaker.configure(aws, configuration, {CURRENT: (model(aws, name, arn), 1.0)}, instances=4)
    sagemaker.deploy(aws, ENDPOINT, OLD, minutes_ago=1440)
    sagemaker.script(aws, NEW, in_service_after=None, fails_after=600, rolls_back=False)
    batch = {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 25}, "WaitIntervalInSeconds": 60}
    sagemaker.deploy(aws, ENDPOINT, NEW, minutes_ago=60, DeploymentConfig={"RollingUpdatePolicy": batch})


def failed_for_good(aws: EmbeddedAws) -> None:
    """The endpoint could not even be created."""
    arn = role(aws)
    sagemaker.configure(aws, OLD, {CURRENT: (model(aws, "churn-5", arn), 1.0)})
    sagemaker.script(aws, OLD, in_service_after=None, fails_after=600)
    sagemaker.deploy(aws, ENDPOINT, OLD, minutes_ago=60)


def serverless(aws: EmbeddedAws) -> None:
    """The endpoint has one serverless variant."""
    variant = {
        "VariantName": CURRENT,
        "ModelName": model(aws, "churn-5", role(aws)),
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 20},
    }
    aws.client("sagemaker").create_endpoint_config(EndpointConfigName=OLD, ProductionVariants=[variant])
    sagemaker.deploy(aws, ENDPOINT, OLD, minutes_ago=60)


def inference_components(aws: EmbeddedAws) -> None:
    """The endpoint hosts an inference component in place of a model."""
    client = aws.client("sagemaker")
    variant = {"VariantName": CURRENT, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=OLD, ExecutionRoleArn=role(aws), ProductionVariants=[variant])
    sagemaker.deploy(aws, ENDPOINT, OLD, minutes_ago=60)
    client.create_inference_component(
        InferenceComponentName="churn-5",
        EndpointName=ENDPOINT,
        VariantName=CURRENT,
        Specification={"ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024}},
        RuntimeConfig={"CopyCount": 1},
    )


def no_quota(aws: EmbeddedAws) -> None:
    """The account's quota has no room for a second fleet."""
    candidate_broken(aws)
    aws.sagemaker.limit("ml.m5.large", 6)


def denied(aws: EmbeddedAws) -> None:
    """The acting role lacks sagemaker:UpdateEndpointWeightsAndCapacities."""
    drifted(aws)
    aws.faults.fail(
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        code="AccessDeniedException",
        message="You are not authorized to perform sagemaker:UpdateEndpointWeightsAndCapacities",
        only_from=f"-{RUNBOOK}-act",
    )


def maintenance_begins(aws: EmbeddedAws, _execution: str) -> None:
    """SageMaker maintains the endpoint for three minutes."""
    aws.sagemaker.maintain(ENDPOINT, 180)


def verification_is_denied(aws: EmbeddedAws, _execution: str) -> None:
    """Somebody takes the reading role's permission away while the run is under way."""
    aws.faults.fail(
        "sagemaker:DescribeEndpoint",
        code="AccessDeniedException",
        message="You are not authorized to perform sagemaker:DescribeEndpoint",
        only_from=f"-{RUNBOOK}-diagnose",
    )


def somebody_moves_traffic(aws: EmbeddedAws, _execution: str = "") -> None:
    """Somebody takes the candidate out of the traffic, as soon as SageMaker lets them."""
    at_rest(aws)
    set_weights(aws, {CURRENT: 1.0, CANDIDATE: 0.0})


def at_rest(aws: EmbeddedAws) -> None:
    """Waits as somebody would whom SageMaker lets change nothing yet."""
    client = aws.client("sagemaker")
    while client.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] in IN_PROGRESS:
        aws.clock.advance(seconds=15)


def set_counts(aws: EmbeddedAws, **instances: int) -> None:
    """Auto scaling, or somebody, sets other numbers of instances as soon as SageMaker lets them."""
    at_rest(aws)
    wanted = [{"VariantName": name, "DesiredInstanceCount": count} for name, count in instances.items()]
    aws.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=wanted
    )


def somebody_scales(aws: EmbeddedAws) -> None:
    """Somebody gives both variants more instances."""
    set_counts(aws, current=4, candidate=4)


def scaled_back_and_denied(aws: EmbeddedAws, execution: str) -> None:
    """Auto scaling takes the instance away that was added, and the endpoint cannot be verified."""
    set_counts(aws, current=2)
    verification_is_denied(aws, execution)


def scaled_further_and_denied(aws: EmbeddedAws, execution: str) -> None:
    """Auto scaling adds one more instance, and the endpoint cannot be verified."""
    set_counts(aws, current=4)
    verification_is_denied(aws, execution)


def grown_and_denied(aws: EmbeddedAws, execution: str) -> None:
    """Auto scaling gives the variant that was scaled in one more than it had, and the endpoint cannot be verified."""
    set_counts(aws, candidate=3)
    verification_is_denied(aws, execution)


def wanted_made_anew(aws: EmbeddedAws, _execution: str) -> None:
    """Somebody deletes the configuration that is to be deployed, and creates another under its name."""
    client = aws.client("sagemaker")
    variants = client.describe_endpoint_config(EndpointConfigName=NEW)["ProductionVariants"]
    client.delete_endpoint_config(EndpointConfigName=NEW)
    variants[1]["ModelName"] = "churn-6"
    client.create_endpoint_config(EndpointConfigName=NEW, ProductionVariants=variants)


def to_be_made(aws: EmbeddedAws, **fields: Any) -> None:
    """The candidate is broken, and nobody has made a configuration with the next one yet."""
    candidate_broken(aws)
    aws.client("sagemaker").delete_endpoint_config(EndpointConfigName=NEW)
    sagemaker.script(aws, MADE, **{"in_service_after": 240, **fields})


def make(aws: EmbeddedAws, *, tagged: bool = True) -> None:
    """A configuration just as a run would make it."""
    client = aws.client("sagemaker")
    described = client.describe_endpoint_config(EndpointConfigName=OLD)
    variants = described["ProductionVariants"]
    variants[1]["ModelName"] = "churn-7"
    client.create_endpoint_config(
        EndpointConfigName=MADE,
        ProductionVariants=variants,
        DataCaptureConfig=described["DataCaptureConfig"],
        Tags=[{"Key": TARGET, "Value": aws.sagemaker.do("DescribeEndpoint", {"EndpointName": ENDPOINT})["EndpointArn"]}]
        if tagged
        else [],
    )


def made_before(aws: EmbeddedAws) -> None:
    """A run that died has made the configuration already."""
    to_be_made(aws)
    make(aws)


def made_by_others(aws: EmbeddedAws) -> None:
    """Somebody else has a configuration of that name."""
    to_be_made(aws)
    make(aws, tagged=False)


def name_taken(aws: EmbeddedAws, _execution: str = "") -> None:
    """Somebody else takes the name while the run waits for its approval."""
    make(aws, tagged=False)


def made_ones(aws: EmbeddedAws) -> list[str]:
    """The configurations that runs have made."""
    client = aws.client("sagemaker")
    found = client.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]
    return [
        each["EndpointConfigName"]
        for each in found
        if any(tag["Key"] == TARGET for tag in client.list_tags(ResourceArn=each["EndpointConfigArn"])["Tags"])
    ]


def world(aws: EmbeddedAws) -> dict[str, Any]:
    """What the endpoint is told to be, which is what a fix changes and an undo must restore."""
    described = aws.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    pending = described.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
    return {
        "made": made_ones(aws),
        "configuration": pending or described["EndpointConfigName"],
        "variants": {
            each["VariantName"]: {"weight": each["DesiredWeight"], "instances": each.get("DesiredInstanceCount")}
            for each in described.get("ProductionVariants", ())
        },
    }


def told(configuration: str, weights: Mapping[str, float], **instances: int) -> dict[str, Any]:
    """The world with these weights on that configuration, and two instances a variant but where others are named."""
    return {
        "made": [configuration] if configuration == MADE else [],
        "configuration": configuration,
        "variants": {name: {"weight": weight, "instances": instances.get(name, 2)} for name, weight in weights.items()},
    }


AS_CONFIGURED = {CURRENT: 9.0, CANDIDATE: 1.0}

STANDARD = Scenario(
    name="weights-drifted",
    title="The candidate gets half of the traffic instead of a tenth: fixed in place",
    event="weights-drifted",
    arrange=drifted,
    world=world,
    world_after=told(OLD, AS_CONFIGURED),
    changes=1,
    moves=somebody_moves_traffic,
)

DEPLOYED = replace(
    STANDARD,
    name="new-configuration",
    title="A variant is broken: another configuration is deployed, blue/green",
    event="new-configuration",
    arrange=candidate_broken,
    world_after=told(NEW, AS_CONFIGURED),
    passes=(DEPLOY,),
)

CREATED = replace(
    DEPLOYED,
    name="made-configuration",
    title="A variant is broken: a configuration with another model is made and deployed, blue/green",
    event="made-configuration",
    arrange=to_be_made,
    world_after=told(MADE, AS_CONFIGURED),
    changes=2,
    passes=(CREATE,),
)


def failing(name: str, title: str, error: str, of: Scenario = STANDARD, **more: Any) -> Scenario:
    """A run that fails, and the world is as it was unless `world_after` says otherwise."""
    changed = {"ends": "FAILED", "world_after": None, "changes": 0} | more
    return replace(of, name=name, title=title, error=error, **changed)


SCENARIOS = (
    STANDARD,
    replace(
        STANDARD,
        name="as-configured",
        title="The weights are to be those of the configuration",
        event="as-configured",
    ),
    replace(
        STANDARD,
        name="weights-and-counts",
        title="A variant gets its traffic back, and another instance for it",
        event="weights-and-counts",
        world_after=told(OLD, AS_CONFIGURED, current=3),
        changes=2,
        moves=somebody_scales,
        passes=(SCALE_OUT,),
    ),
    replace(
        STANDARD,
        name="scaled-in",
        title="A variant loses its traffic, and afterwards an instance",
        event="scaled-in",
        world_after=told(OLD, AS_CONFIGURED, candidate=1),
        changes=2,
        moves=somebody_scales,
        passes=(SCALE_IN,),
    ),
    replace(
        STANDARD,
        name="counts-of-a-variant-that-scales",
        title="A variant gets another instance that Application Auto Scaling counts too: a finding, and no failure",
        event="weights-and-counts",
        arrange=drifted_and_then(scales),
        world_after=told(OLD, AS_CONFIGURED, current=3),
        changes=2,
    ),
    replace(
        STANDARD,
        name="without-metrics",
        title="A variant publishes no metrics: a finding, and no failure",
        arrange=without_metrics,
    ),
    DEPLOYED,
    replace(
        DEPLOYED,
        name="new-configuration-and-weights",
        title="Another configuration is deployed, and the traffic is split otherwise on it",
        event="new-configuration-and-weights",
        world_after=told(NEW, {CURRENT: 1.0, CANDIDATE: 1.0}),
        changes=2,
    ),
    replace(
        DEPLOYED,
        name="with-probe",
        title="Every variant of the new configuration is probed",
        event="with-probe",
        changes=3,
        passes=(PROBE,),
    ),
    CREATED,
    replace(
        CREATED,
        name="made-before",
        title="A run that died has made the configuration already: adopted by its tag",
        arrange=made_before,
        passes=(),
    ),
    replace(
        DEPLOYED,
        name="encrypted-volumes",
        title="The new configuration encrypts its volumes, and has more instances: those that run are kept",
        arrange=with_volumes,
        passes=(),
    ),
    replace(
        DEPLOYED,
        name="role-not-checked",
        title="Nobody can tell whether the models' role may read the artifacts: a finding, and no failure",
        arrange=not_simulated,
        passes=(),
    ),
    replace(
        STANDARD,
        name="healthy-already",
        title="The traffic is split as it should be: nothing to do",
        arrange=in_service,
        world_after=None,
        changes=0,
    ),
    replace(
        STANDARD,
        name="plan-only",
        title="Only a plan is asked for",
        event="plan-only",
        world_after=None,
        changes=0,
    ),
    failing(
        "rolled-back-by-sagemaker",
        "The new configuration does not start, and SageMaker rolls it back itself",
        "RemediationFailed",
        of=DEPLOYED,
        arrange=broken_and_then(in_service_after=None, fails_after=900),
        changes=1,
    ),
    failing(
        "rolled-back-by-alarm",
        "The new configuration sets off the alarm, and SageMaker rolls it back itself",
        "RemediationFailed",
        of=DEPLOYED,
        arrange=broken_and_then(in_service_after=240, trips=(ALARM,), trips_after=90),
        changes=1,
    ),
    failing(
        "weights-taken-back",
        "SageMaker cannot set the weights, and takes them back",
        "RemediationFailed",
        arrange=drifted_and_then(weights_taken_back),
        changes=1,
    ),
    failing(
        "fix-does-not-take",
        "The new configuration starts, and does not answer its probe: undone",
        "RemediationFailed",
        of=DEPLOYED,
        event="with-probe",
        arrange=broken_and_then(in_service_after=240, failing={CANDIDATE: 500}),
        changes=2,
    ),
    failing(
        "no-way-back",
        "The new configuration does not answer its probe, and the old one could not start again: it stays",
        "UndoFailed",
        of=DEPLOYED,
        event="with-probe",
        arrange=broken_for_good,
        world_after=told(NEW, AS_CONFIGURED),
        changes=2,
    ),
    replace(
        STANDARD,
        name="maintained-while-verified",
        title="SageMaker maintains the endpoint when it is to be verified: it is verified when that is over",
        on_state={"Verify": maintenance_begins},
    ),
    failing(
        "cannot-be-verified",
        "The weights are set, and that cannot be verified: undone",
        "RemediationFailed",
        changes=1,
        on_state={"Verify": verification_is_denied},
    ),
    failing(
        "counts-taken-back",
        "Auto scaling takes the added instance away, and the endpoint cannot be verified: the weights are undone",
        "RemediationFailed",
        event="weights-and-counts",
        changes=2,
        on_state={"Verify": scaled_back_and_denied},
    ),
    failing(
        "counts-of-others",
        "Auto scaling sets a count of its own, which stays; the weights are undone",
        "RemediationFailed",
        event="weights-and-counts",
        world_after=told(OLD, HALVES, current=4),
        changes=2,
        on_state={"Verify": scaled_further_and_denied},
    ),
    failing(
        "counts-of-others-after-the-traffic",
        "Auto scaling sets a count of its own where an instance was removed, which stays; the weights are undone",
        "RemediationFailed",
        event="scaled-in",
        world_after=told(OLD, HALVES, candidate=3),
        changes=2,
        on_state={"Verify": grown_and_denied},
    ),
    failing(
        "both-undone",
        "Configuration and weights are changed, and that cannot be verified: undone one after the other",
        "RemediationFailed",
        of=DEPLOYED,
        event="new-configuration-and-weights",
        arrange=broken_and_then(in_service_after=240, rescales_after=45),
        changes=2,
        on_state={"Verify": verification_is_denied},
    ),
    failing(
        "made-and-undone",
        "A configuration is made and deployed, and that cannot be verified: the endpoint goes back, then it is deleted",
        "RemediationFailed",
        of=CREATED,
        changes=2,
        passes=(),
        on_state={"Verify": verification_is_denied},
    ),
    failing(
        "adopted-and-kept",
        "A configuration that was there is deployed, and that cannot be verified: the endpoint goes back, and it stays",
        "RemediationFailed",
        of=CREATED,
        arrange=made_before,
        changes=2,
        passes=(),
        on_state={"Verify": verification_is_denied},
    ),
    failing(
        "made-by-others",
        "Somebody else has a configuration of that name",
        "Refused",
        of=CREATED,
        arrange=made_by_others,
        passes=(),
    ),
    failing(
        "name-taken",
        "Somebody takes the configuration's name before it is made",
        "PlanStale",
        of=CREATED,
        passes=(),
        on_state={"Wait for approval": name_taken},
    ),
    failing(
        "cannot-be-seen",
        "The new configuration is being deployed, and nobody can look: undone when SageMaker has finished",
        "RemediationFailed",
        of=DEPLOYED,
        changes=1,
        on_state={"Look: is the new endpoint configuration in service?": verification_is_denied},
    ),
    failing(
        "rollback-failed",
        "An update has failed and so has its rollback: a case for a human",
        "HandOff",
        event="as-configured",
        arrange=rollback_failed,
    ),
    failing(
        "failed-for-good", "The endpoint has failed for good", "HandOff", event="as-configured", arrange=failed_for_good
    ),
    failing(
        "configuration-deleted",
        "The endpoint's own configuration was deleted",
        "HandOff",
        arrange=drifted_and_then(configuration_deleted),
    ),
    failing("update-in-progress", "Somebody is deploying the next version", "Refused", arrange=being_updated),
    failing("artifact-gone", "The artifact of a variant is gone", "Refused", arrange=drifted_and_then(artifact_gone)),
    failing(
        "key-disabled", "The key of a variant's artifact is disabled", "Refused", arrange=drifted_and_then(key_disabled)
    ),
    failing("not-approved", "The model is not approved", "Refused", of=DEPLOYED, arrange=not_approved),
    failing(
        "role-denied",
        "The role of the models may not decrypt the artifacts",
        "Refused",
        of=DEPLOYED,
        arrange=role_denied,
    ),
    failing(
        "volumes-key-deleted",
        "The key of the new configuration's volumes is about to be deleted",
        "Refused",
        of=DEPLOYED,
        arrange=volumes_key_deleted,
    ),
    failing(
        "alarm-is-composite",
        "The rollback alarm is a composite one",
        "Refused",
        of=DEPLOYED,
        arrange=alarm_is_composite,
    ),
    failing(
        "other-type-of-a-variant-that-scales",
        "A variant that is a scalable target would get another instance type",
        "Refused",
        of=DEPLOYED,
        arrange=other_type_and_scales,
    ),
    failing("alarm-rings", "The rollback alarm rings already", "Refused", of=DEPLOYED, arrange=alarm_rings),
    failing("serverless", "The variant is serverless", "Refused", event="as-configured", arrange=serverless),
    failing(
        "inference-components",
        "The endpoint hosts inference components",
        "Refused",
        event="as-configured",
        arrange=inference_components,
    ),
    failing("unknown-variant", "The weights are of a variant that there is not", "Refused", event="unknown-variant"),
    failing("no-such-endpoint", "There is no endpoint of that name", "Refused", event="no-such-endpoint"),
    failing("no-quota", "The quota has no room for a second fleet", "AwsRejected", of=DEPLOYED, arrange=no_quota),
    failing("aws-denies", "AWS denies the change", "AccessDenied", arrange=denied),
    failing(
        "world-moved",
        "Somebody moves the traffic between plan and approval",
        "PlanStale",
        world_after=told(OLD, {CURRENT: 1.0, CANDIDATE: 0.0}),
        on_state={"Wait for approval": somebody_moves_traffic},
    ),
    failing(
        "wanted-made-anew",
        "Somebody creates another configuration under the approved one's name",
        "PlanStale",
        of=DEPLOYED,
        on_state={"Wait for approval": wanted_made_anew},
    ),
)
