"""SageMaker as its documentation has it: endpoints are deployed, updated, rolled back, and told about truthfully."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.embedded import EmbeddedAws, sagemaker
from workbench.embedded.sagemaker import Rescaling, Script

ENDPOINT, ARN = "Churn", "arn:aws:sagemaker:eu-central-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/churn-endpoint"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/churn:1.0"
ALARM = "churn-errors"


class World:
    """An endpoint with two variants, in service for a day, and the configuration of its next version."""

    def __init__(self, aws: EmbeddedAws, **next_version: Any) -> None:
        self.aws = aws
        self.client = aws.client("sagemaker")
        self.runtime = aws.client("sagemaker-runtime")
        aws.client("iam").create_role(RoleName="churn-endpoint", AssumeRolePolicyDocument="{}")
        self.allow("s3:GetObject", "kms:Decrypt")
        url = sagemaker.artifact(aws, "models", "churn/model.tar.gz")
        for name in ("churn-1", "churn-2"):
            sagemaker.model(aws, name, url, role=ROLE, image=IMAGE)
        sagemaker.configure(aws, "v1", {"A": ("churn-1", 9), "B": ("churn-2", 1)}, instances=2)
        sagemaker.configure(aws, "v2", {"A": ("churn-2", 1), "B": ("churn-2", 1)}, instances=4)
        sagemaker.script(aws, "v2", **({"in_service_after": 300} | next_version))
        sagemaker.deploy(aws, ENDPOINT, "v1", minutes_ago=1440)
        aws.client("cloudwatch").put_metric_alarm(
            AlarmName=ALARM,
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Threshold=1.0,
            MetricName="Invocation5XXErrors",
            Namespace="AWS/SageMaker",
            Period=60,
            Statistic="Sum",
        )

    def allow(self, *actions: str) -> None:
        """What the models' execution role may do, and nothing else."""
        document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}
        self.aws.client("iam").put_role_policy(
            RoleName="churn-endpoint", PolicyName="own", PolicyDocument=json.dumps(document)
        )

    def described(self) -> dict[str, Any]:
        return dict(self.client.describe_endpoint(EndpointName=ENDPOINT))

    def status(self) -> str:
        return str(self.described()["EndpointStatus"])

    def seen(self) -> tuple[str, str]:
        described = self.described()
        return described["EndpointStatus"], described["EndpointConfigName"]

    def weights(self) -> dict[str, tuple[float, float]]:
        return {
            each["VariantName"]: (each["CurrentWeight"], each["DesiredWeight"])
            for each in self.described()["ProductionVariants"]
        }

    def counts(self) -> dict[str, tuple[int, int]]:
        return {
            each["VariantName"]: (each["CurrentInstanceCount"], each["DesiredInstanceCount"])
            for each in self.described()["ProductionVariants"]
        }

    def update(self, **fields: Any) -> None:
        self.client.update_endpoint(**({"EndpointName": ENDPOINT, "EndpointConfigName": "v2"} | fields))

    def rescale(self, **wanted: Any) -> None:
        self.client.update_endpoint_weights_and_capacities(
            EndpointName=ENDPOINT,
            DesiredWeightsAndCapacities=[{"VariantName": name, **each} for name, each in wanted.items()],
        )

    def after(self, **time: float) -> None:
        self.aws.clock.advance(**time)

    def refused(self, call: Any, **arguments: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as raised:
            call(**arguments)
        error = raised.value.response["Error"]
        return error["Code"], error["Message"]


def blue_green(kind: str = "ALL_AT_ONCE", *, termination: int = 120, **routing: Any) -> dict[str, Any]:
    traffic = {"Type": kind, "WaitIntervalInSeconds": 60, **routing}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic, "TerminationWaitInSeconds": termination},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]},
    }


ROLLING = {
    "RollingUpdatePolicy": {
        "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 60,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]},
}


# -- creation ----------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_created_and_then_in_service(aws: EmbeddedAws) -> None:
    world = World(aws)
    made = world.client.create_endpoint(EndpointName="Next", EndpointConfigName="v2")
    assert made["EndpointArn"] == f"{ARN}:endpoint/next"
    described = world.client.describe_endpoint(EndpointName="Next")
    assert described["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in described
    pending = described["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "v2"
    assert pending["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Creating"
    assert pending["ProductionVariants"][0]["VariantStatus"][0]["StatusMessage"] == "Launching 4 instance(s)."
    world.after(seconds=301)
    described = world.client.describe_endpoint(EndpointName="Next")
    assert described["EndpointStatus"] == "InService"
    assert "PendingDeploymentSummary" not in described
    assert [each["CurrentInstanceCount"] for each in described["ProductionVariants"]] == [4, 4]


def test_an_endpoint_that_cannot_be_created_fails_with_the_reason_and_can_only_be_deleted(aws: EmbeddedAws) -> None:
    world = World(aws, in_service_after=None, fails_after=1500)
    world.client.create_endpoint(EndpointName="Next", EndpointConfigName="v2")
    world.after(seconds=1501)
    described = world.client.describe_endpoint(EndpointName="Next")
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith("The primary container for production variant A did not pass the ping")
    assert world.refused(world.client.update_endpoint, EndpointName="Next", EndpointConfigName="v1") == (
        "ValidationException",
        f'Cannot update failed endpoint "{ARN}:endpoint/next".',
    )
    assert world.refused(world.runtime.invoke_endpoint, EndpointName="Next", Body=b"1")[0] == "ValidationError"
    world.client.delete_endpoint(EndpointName="Next")
    assert world.refused(world.client.describe_endpoint, EndpointName="Next")[0] == "ValidationException"


# -- weights and capacities --------------------------------------------------------------------------------------------


def test_weights_and_counts_are_desired_first_and_current_once_the_endpoint_is_in_service_again(
    aws: EmbeddedAws,
) -> None:
    world = World(aws)
    sagemaker.script(aws, "v1", rescales_after=90)
    world.rescale(A={"DesiredWeight": 1.0}, B={"DesiredInstanceCount": 3})
    assert world.status() == "Updating"
    assert world.weights() == {"A": (9.0, 1.0), "B": (1.0, 1.0)}
    assert world.counts() == {"A": (2, 2), "B": (2, 3)}
    doing = world.described()["ProductionVariants"][1]["VariantStatus"][0]
    assert (doing["Status"], doing["StatusMessage"]) == ("Updating", "Scaling out desired instance count to 3.")
    world.after(seconds=91)
    assert world.status() == "InService"
    assert world.weights() == {"A": (1.0, 1.0), "B": (1.0, 1.0)}
    assert world.counts() == {"A": (2, 2), "B": (3, 3)}
    assert "VariantStatus" not in world.described()["ProductionVariants"][1]


def test_a_change_of_weights_that_fails_is_rolled_back_by_the_service(aws: EmbeddedAws) -> None:
    world = World(aws)
    sagemaker.script(aws, "v1", rescales_after=30, rescaling=Rescaling.ROLLED_BACK, rollback_takes=60)
    world.rescale(A={"DesiredInstanceCount": 50})
    world.after(seconds=31)
    assert world.status() == "RollingBack"
    world.after(seconds=61)
    described = world.described()
    assert described["EndpointStatus"] == "InService"
    assert "InsufficientInstanceCapacity" in described["FailureReason"]
    assert world.counts()["A"] == (2, 2)


def test_a_change_of_capacity_can_fail_the_endpoint(aws: EmbeddedAws) -> None:
    world = World(aws)
    aws.sagemaker.set_script("v1", Script(rescaling=Rescaling.FAILED))
    world.rescale(A={"DesiredInstanceCount": 50})
    assert world.status() == "Failed"


def test_a_variant_that_is_not_there_and_one_that_is_named_twice_are_refused(aws: EmbeddedAws) -> None:
    world = World(aws)
    call, one = world.client.update_endpoint_weights_and_capacities, {"VariantName": "C", "DesiredWeight": 1.0}
    assert world.refused(call, EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[one]) == (
        "ValidationException",
        'The variant name(s) "C" is/are not present within endpoint configuration "v1".',
    )
    twice = [{"VariantName": "A", "DesiredWeight": 1.0}] * 2
    assert world.refused(call, EndpointName=ENDPOINT, DesiredWeightsAndCapacities=twice)[1] == (
        'The variant name "A" was non-unique within the request.'
    )
    assert world.weights() == {"A": (9.0, 9.0), "B": (1.0, 1.0)}


# -- deployments -------------------------------------------------------------------------------------------------------


def test_an_update_launches_a_fleet_beside_the_old_one_bakes_it_and_then_shows_its_configuration(
    aws: EmbeddedAws,
) -> None:
    world = World(aws)
    world.update(DeploymentConfig=blue_green())
    assert world.seen() == ("Updating", "v1")
    assert world.described()["PendingDeploymentSummary"]["EndpointConfigName"] == "v2"
    world.after(seconds=301)
    doing = world.described()["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]
    assert doing["Status"] == "Baking"
    assert doing["StatusMessage"] == (
        "Baking for 120 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 4 instance(s)."
    )
    assert world.seen() == ("Updating", "v1")
    world.after(seconds=120)
    assert world.seen() == ("InService", "v2")
    described = world.described()
    assert "PendingDeploymentSummary" not in described
    assert "FailureReason" not in described
    assert described["LastDeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": ALARM}]}
    assert world.weights() == {"A": (1.0, 1.0), "B": (1.0, 1.0)}
    assert world.counts() == {"A": (4, 4), "B": (4, 4)}


def test_an_update_can_retain_the_weights_and_counts_that_the_endpoint_has(aws: EmbeddedAws) -> None:
    world = World(aws, in_service_after=0)
    world.rescale(A={"DesiredWeight": 7.0, "DesiredInstanceCount": 3})
    world.update(RetainAllVariantProperties=True)
    assert world.seen() == ("InService", "v2")
    assert world.weights() == {"A": (7.0, 7.0), "B": (1.0, 1.0)}
    assert world.counts() == {"A": (3, 3), "B": (2, 2)}
    world.update(
        EndpointConfigName="v1",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    assert world.weights() == {"A": (9.0, 9.0), "B": (1.0, 1.0)}
    assert world.counts() == {"A": (3, 3), "B": (2, 2)}


@pytest.mark.parametrize(
    ("routing", "baked"),
    [
        ({"kind": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25}}, 60 + 120),
        ({"kind": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25}}, 3 * 60 + 120),
        ({"kind": "LINEAR", "LinearStepSize": {"Type": "INSTANCE_COUNT", "Value": 4}}, 60 + 120),
    ],
)
def test_traffic_is_shifted_in_steps_that_are_baked_one_after_the_other(
    aws: EmbeddedAws, routing: dict[str, Any], baked: int
) -> None:
    world = World(aws)
    world.update(DeploymentConfig=blue_green(**routing))
    world.after(seconds=301)
    pending = world.described()["PendingDeploymentSummary"]
    assert "(WaitIntervalInSeconds)" in pending["ProductionVariants"][0]["VariantStatus"][0]["StatusMessage"]
    world.after(seconds=baked - 5)
    assert world.seen() == ("Updating", "v1")
    world.after(seconds=6)
    assert world.seen() == ("InService", "v2")


def test_a_fleet_that_does_not_pass_its_health_check_leaves_the_old_configuration_and_the_reason(
    aws: EmbeddedAws,
) -> None:
    world = World(aws, in_service_after=None, fails_after=1500, rollback_takes=60)
    world.update(DeploymentConfig=blue_green())
    world.after(seconds=1501)
    assert world.seen() == ("RollingBack", "v1")
    world.after(seconds=61)
    assert world.seen() == ("InService", "v1")
    assert "did not pass the ping health check" in world.described()["FailureReason"]
    assert world.weights() == {"A": (9.0, 9.0), "B": (1.0, 1.0)}


def test_an_alarm_rolls_the_deployment_back(aws: EmbeddedAws) -> None:
    world = World(aws, trips=(ALARM,), trips_after=30, rollback_takes=60)
    world.update(DeploymentConfig=blue_green())
    world.after(seconds=331)
    alarms = aws.client("cloudwatch")
    world.described()
    assert alarms.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert world.seen() == ("RollingBack", "v1")
    world.after(seconds=61)
    assert world.seen() == ("InService", "v1")
    assert ALARM in world.described()["FailureReason"]
    assert alarms.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]["StateValue"] == "OK"


def test_an_alarm_that_the_old_fleet_has_set_off_ends_the_deployment_too(aws: EmbeddedAws) -> None:
    world = World(aws)
    aws.client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="the old fleet fails")
    world.update(DeploymentConfig=blue_green())
    world.after(seconds=301 + 120 + 61)
    assert world.seen() == ("InService", "v1")


def test_a_deployment_that_takes_too_long_is_rolled_back(aws: EmbeddedAws) -> None:
    world = World(aws, in_service_after=900)
    deployment = blue_green()
    deployment["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 600
    world.update(DeploymentConfig=deployment)
    world.after(seconds=601)
    assert world.status() == "RollingBack"


def test_a_rolling_update_whose_rollback_fails_too_leaves_the_endpoint_between_the_two(aws: EmbeddedAws) -> None:
    world = World(aws)
    sagemaker.configure(aws, "one", {"A": ("churn-1", 1)})
    sagemaker.configure(aws, "one-more", {"A": ("churn-2", 1)})
    sagemaker.deploy(aws, "single", "one", minutes_ago=60)
    sagemaker.script(aws, "one-more", in_service_after=None, fails_after=300, rolls_back=False)
    world.update(EndpointName="single", EndpointConfigName="one-more", DeploymentConfig=ROLLING)
    world.after(seconds=361)
    world.client.describe_endpoint(EndpointName="single")
    described = world.client.describe_endpoint(EndpointName="single")
    assert described["EndpointStatus"] == "UpdateRollbackFailed"
    assert "did not pass the ping health check" in described["FailureReason"]


def test_the_deployment_configuration_is_reused_only_if_it_is_to_be_retained(aws: EmbeddedAws) -> None:
    """UpdateEndpoint, RetainDeploymentConfig: "The default value is false (the configuration is not reused)."."""
    world = World(aws, in_service_after=0)
    world.update(DeploymentConfig=blue_green(termination=120))
    world.after(seconds=121)
    assert world.seen() == ("InService", "v2")
    alarm = {"AlarmName": ALARM, "StateValue": "ALARM", "StateReason": "the old fleet fails"}
    aws.client("cloudwatch").set_alarm_state(**alarm)
    world.update(EndpointConfigName="v1")
    # Neither baked nor stopped by the alarm; what the last deployment had is told all the same.
    assert world.seen() == ("InService", "v1")
    assert "AutoRollbackConfiguration" in world.described()["LastDeploymentConfig"]
    world.update(RetainDeploymentConfig=True)
    world.after(seconds=121)
    assert world.seen() == ("RollingBack", "v1")


@pytest.mark.parametrize("missing", ["artifact", "key", "leave to read", "leave to decrypt", "role"])
def test_a_fleet_whose_data_cannot_be_downloaded_never_comes_into_service(aws: EmbeddedAws, missing: str) -> None:
    world = World(aws, fails_after=900, rollback_takes=60)
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]
    url = sagemaker.artifact(aws, "models", "churn/next.tar.gz", kms_key=key["Arn"])
    sagemaker.model(aws, "churn-3", url, role=ROLE, image=IMAGE)
    sagemaker.configure(aws, "v3", {"A": ("churn-3", 1), "B": ("churn-2", 1)})
    sagemaker.script(aws, "v3", in_service_after=300, fails_after=900, rollback_takes=60)
    match missing:
        case "artifact":
            aws.client("s3").delete_object(Bucket="models", Key="churn/next.tar.gz")
        case "key":
            kms.disable_key(KeyId=key["KeyId"])
        case "leave to read":
            world.allow("kms:Decrypt")
        case "leave to decrypt":
            world.allow("s3:GetObject")
        case _:
            aws.client("iam").delete_role_policy(RoleName="churn-endpoint", PolicyName="own")
            aws.client("iam").delete_role(RoleName="churn-endpoint")
    world.update(EndpointConfigName="v3")
    world.after(seconds=899)
    assert world.seen() == ("Updating", "v1")
    world.after(seconds=2)
    assert world.seen() == ("RollingBack", "v1")
    world.after(seconds=61)
    assert world.seen() == ("InService", "v1")
    assert world.described()["FailureReason"] == (
        f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that there is an'
        " object located at the URL and that the role passed to CreateModel has permissions to download the object."
    )


def test_a_fleet_downloads_what_its_containers_have_beside_their_model_too(aws: EmbeddedAws) -> None:
    world = World(aws)
    beside = {"S3Uri": "s3://models/adapters/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    more = [{"ChannelName": "adapters", "S3DataSource": beside}]
    sagemaker.model(
        aws, "churn-3", "s3://models/churn/model.tar.gz", role=ROLE, image=IMAGE, AdditionalModelDataSources=more
    )
    sagemaker.configure(aws, "v3", {"A": ("churn-3", 1), "B": ("churn-2", 1)})
    world.update(EndpointConfigName="v3")
    world.after(seconds=700)
    assert world.seen() == ("InService", "v1")
    assert 'from URL: "s3://models/adapters/"' in world.described()["FailureReason"]


def test_a_configuration_whose_model_is_gone_is_not_deployed(aws: EmbeddedAws) -> None:
    world = World(aws)
    world.client.delete_model(ModelName="churn-2")
    gone = ("ValidationException", f'Could not find model "{ARN}:model/churn-2".')
    assert world.refused(world.client.update_endpoint, EndpointName=ENDPOINT, EndpointConfigName="v2") == gone
    assert world.refused(world.client.create_endpoint, EndpointName="Next", EndpointConfigName="v2") == gone
    assert world.seen() == ("InService", "v1")


def test_model_data_may_be_named_by_a_url_of_s3(aws: EmbeddedAws) -> None:
    World(aws)
    for url in (
        "https://models.s3.eu-central-1.amazonaws.com/churn/model.tar.gz",
        "https://s3.eu-central-1.amazonaws.com/models/churn/model.tar.gz",
    ):
        assert sagemaker.model(aws, f"by-{url.count('/models/')}", url, role=ROLE, image=IMAGE)


@pytest.mark.parametrize("state", ["Creating", "Updating", "SystemUpdating", "RollingBack"])
def test_an_endpoint_does_one_thing_at_a_time(aws: EmbeddedAws, state: str) -> None:
    world = World(aws, in_service_after=None if state == "RollingBack" else 300, fails_after=0)
    name = "Next" if state == "Creating" else ENDPOINT
    match state:
        case "Creating":
            world.client.create_endpoint(EndpointName="Next", EndpointConfigName="v2")
        case "SystemUpdating":
            aws.sagemaker.maintain(ENDPOINT, 600)
        case _:
            world.update()
    assert world.client.describe_endpoint(EndpointName=name)["EndpointStatus"] == state
    busy = ("ValidationException", f'Cannot update in-progress endpoint "{ARN}:endpoint/{name.lower()}".')
    assert world.refused(world.client.update_endpoint, EndpointName=name, EndpointConfigName="v2") == busy
    assert world.refused(world.client.delete_endpoint, EndpointName=name) == busy
    weights = [{"VariantName": "A", "DesiredWeight": 1.0}]
    call = world.client.update_endpoint_weights_and_capacities
    assert world.refused(call, EndpointName=name, DesiredWeightsAndCapacities=weights) == busy


def test_both_fleets_of_a_deployment_count_against_the_quota(aws: EmbeddedAws) -> None:
    world = World(aws)
    aws.sagemaker.limit("ml.m5.large", 10)
    code, message = world.refused(world.client.update_endpoint, EndpointName=ENDPOINT, EndpointConfigName="v2")
    assert code == "ResourceLimitExceeded"
    assert message.startswith(
        "The account-level service limit 'ml.m5.large for endpoint usage' is 10 Instances, with current utilization of"
        " 4 Instances and a request delta of 8 Instances."
    )
    assert world.seen() == ("InService", "v1")
    world.rescale(A={"DesiredInstanceCount": 8})
    call, wanted = world.client.update_endpoint_weights_and_capacities, {"VariantName": "B", "DesiredInstanceCount": 3}
    assert world.refused(call, EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[wanted])[0] == code


# -- what is not there, and what is there already ----------------------------------------------------------------------


def test_what_is_not_there_is_named_by_its_arn(aws: EmbeddedAws) -> None:
    world = World(aws)
    client, invalid = world.client, "ValidationException"
    endpoint = (invalid, f'Could not find endpoint "{ARN}:endpoint/nobody".')
    configuration = (invalid, f'Could not find endpoint configuration "{ARN}:endpoint-config/nobody".')
    missing = (invalid, f'Could not find model "{ARN}:model/nobody".')
    assert world.refused(client.describe_endpoint, EndpointName="Nobody") == endpoint
    assert world.refused(client.update_endpoint, EndpointName="Nobody", EndpointConfigName="v2") == endpoint
    assert world.refused(client.delete_endpoint, EndpointName="Nobody") == endpoint
    assert world.refused(client.describe_endpoint_config, EndpointConfigName="nobody") == configuration
    assert world.refused(client.delete_endpoint_config, EndpointConfigName="nobody") == configuration
    assert world.refused(client.update_endpoint, EndpointName=ENDPOINT, EndpointConfigName="nobody") == configuration
    assert world.refused(client.create_endpoint, EndpointName="x", EndpointConfigName="nobody") == configuration
    assert world.refused(client.describe_model, ModelName="nobody") == missing
    variant = {"VariantName": "A", "ModelName": "nobody", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    call = client.create_endpoint_config
    assert world.refused(call, EndpointConfigName="v3", ProductionVariants=[variant]) == missing
    package = f"{ARN}:model-package/churn/7"
    assert world.refused(client.describe_model_package, ModelPackageName=package) == (
        invalid,
        f"ModelPackage {package} does not exist.",
    )


def test_what_is_there_already_is_not_created_again(aws: EmbeddedAws) -> None:
    world = World(aws)
    client = world.client
    assert world.refused(client.create_endpoint, EndpointName=ENDPOINT, EndpointConfigName="v1")[1] == (
        f'Cannot create already existing endpoint "{ARN}:endpoint/churn".'
    )
    variants = client.describe_endpoint_config(EndpointConfigName="v1")["ProductionVariants"]
    call = client.create_endpoint_config
    assert world.refused(call, EndpointConfigName="v1", ProductionVariants=variants)[1] == (
        f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/v1".'
    )
    container = {"Image": IMAGE}
    assert world.refused(client.create_model, ModelName="churn-1", PrimaryContainer=container)[1] == (
        f'Cannot create already existing model "{ARN}:model/churn-1".'
    )


def test_a_model_needs_its_artifact_only_when_it_is_created(aws: EmbeddedAws) -> None:
    world = World(aws)
    url = "s3://models/churn/model-9.tar.gz"
    container = {"Image": IMAGE, "ModelDataUrl": url}
    assert world.refused(world.client.create_model, ModelName="churn-9", PrimaryContainer=container) == (
        "ValidationException",
        f"Could not find model data at {url}.",
    )
    aws.client("s3").delete_object(Bucket="models", Key="churn/model.tar.gz")
    described = world.client.describe_model(ModelName="churn-1")
    assert described["PrimaryContainer"]["ModelDataUrl"] == "s3://models/churn/model.tar.gz"
    assert described["ExecutionRoleArn"] == ROLE


def test_a_configuration_in_use_can_be_deleted_and_then_the_endpoint_is_not_updated_any_more(aws: EmbeddedAws) -> None:
    world = World(aws)
    world.client.delete_endpoint_config(EndpointConfigName="v1")
    assert world.seen() == ("InService", "v1")
    assert world.refused(world.client.update_endpoint, EndpointName=ENDPOINT, EndpointConfigName="v2") == (
        "ValidationException",
        f'Could not find endpoint configuration "{ARN}:endpoint-config/v1".',
    )


def test_a_name_that_is_none_is_refused(aws: EmbeddedAws) -> None:
    world = World(aws)
    code, message = world.refused(world.client.describe_endpoint, EndpointName="not_a_name")
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value 'not_a_name' at 'endpointName' failed to satisfy")


# -- lists, tags, registry ---------------------------------------------------------------------------------------------


def test_lists_are_filtered_ordered_and_paged(aws: EmbeddedAws) -> None:
    world = World(aws)
    for number in range(11):
        sagemaker.deploy(aws, f"other-{number}", "v1")
    names = [each["EndpointName"] for each in world.client.list_endpoints(SortBy="Name")["Endpoints"]]
    assert len(names) == 10
    assert names == sorted(names, reverse=True)
    everything = world.client.get_paginator("list_endpoints").paginate()
    assert len([each for page in everything for each in page["Endpoints"]]) == 12
    assert len(world.client.list_endpoints(NameContains="Churn")["Endpoints"]) == 1
    assert world.client.list_endpoints(StatusEquals="Failed")["Endpoints"] == []
    configurations = world.client.list_endpoint_configs(SortOrder="Ascending")["EndpointConfigs"]
    assert [each["EndpointConfigName"] for each in configurations] == ["v1", "v2"]


def test_tags_are_kept_of_endpoints_configurations_and_models(aws: EmbeddedAws) -> None:
    world = World(aws)
    arn = f"{ARN}:endpoint/churn"
    world.client.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "crm"}])
    assert world.client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "crm"}]
    world.client.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert world.client.list_tags(ResourceArn=arn)["Tags"] == []


def test_model_packages_have_their_approval(aws: EmbeddedAws) -> None:
    arn = sagemaker.package(aws, "churn", "PendingManualApproval")
    client = aws.client("sagemaker")
    assert arn == f"{ARN}:model-package/churn/1"
    assert client.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "PendingManualApproval"
    client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert client.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Approved"


# -- kinds of endpoints ------------------------------------------------------------------------------------------------


def test_serverless_variants_have_no_instances(aws: EmbeddedAws) -> None:
    world = World(aws)
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    variant = {"VariantName": "A", "ModelName": "churn-1", "ServerlessConfig": serverless}
    world.client.create_endpoint_config(EndpointConfigName="serverless", ProductionVariants=[variant])
    world.client.create_endpoint(EndpointName="serverless", EndpointConfigName="serverless")
    (shown,) = world.client.describe_endpoint(EndpointName="serverless")["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == serverless
    assert "CurrentInstanceCount" not in shown


def test_shadow_variants_and_data_capture_are_shown(aws: EmbeddedAws) -> None:
    world = World(aws)
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://captured/churn",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    shadow = {"VariantName": "S", "ModelName": "churn-2", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.configure(
        aws, "shadowed", {"A": ("churn-1", 1)}, ShadowProductionVariants=[shadow], DataCaptureConfig=capture
    )
    sagemaker.deploy(aws, "shadowed", "shadowed")
    described = world.client.describe_endpoint(EndpointName="shadowed")
    assert [each["VariantName"] for each in described["ShadowProductionVariants"]] == ["S"]
    assert described["DataCaptureConfig"]["CaptureStatus"] == "Started"
    assert described["DataCaptureConfig"]["CurrentSamplingPercentage"] == 50


@pytest.mark.parametrize(
    ("asked", "works", "shown"),
    [
        ({}, True, (True, "Started")),
        ({}, False, (True, "Stopped")),
        ({"EnableCapture": False}, True, (False, "Stopped")),
    ],
)
def test_data_capture_is_enabled_unless_it_is_disabled_and_may_have_stopped(
    aws: EmbeddedAws, asked: dict[str, bool], works: bool, shown: tuple[bool, str]
) -> None:
    world = World(aws)
    capture = {"InitialSamplingPercentage": 50, "DestinationS3Uri": "s3://captured", "CaptureOptions": []} | asked
    sagemaker.configure(aws, "captured", {"A": ("churn-1", 1)}, DataCaptureConfig=capture)
    sagemaker.script(aws, "captured", captures=works)
    sagemaker.deploy(aws, "captured", "captured")
    described = world.client.describe_endpoint(EndpointName="captured")["DataCaptureConfig"]
    assert (described["EnableCapture"], described["CaptureStatus"]) == shown


def test_inference_components_are_listed_by_endpoint(aws: EmbeddedAws) -> None:
    world = World(aws)
    variant = {"VariantName": "A", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    world.client.create_endpoint_config(
        EndpointConfigName="components", ExecutionRoleArn=ROLE, ProductionVariants=[variant]
    )
    world.client.create_endpoint(EndpointName="components", EndpointConfigName="components")
    world.client.create_inference_component(
        InferenceComponentName="llm",
        EndpointName="components",
        VariantName="A",
        Specification={"ModelName": "churn-1"},
        RuntimeConfig={"CopyCount": 1},
    )
    listed = world.client.list_inference_components(EndpointNameEquals="components")["InferenceComponents"]
    assert [each["InferenceComponentName"] for each in listed] == ["llm"]
    assert world.client.list_inference_components(EndpointNameEquals=ENDPOINT)["InferenceComponents"] == []
    code, message = world.refused(world.runtime.invoke_endpoint, EndpointName="components", Body=b"1")
    assert code == "ValidationError"
    assert message.startswith("Inference Component Name header is required")


# -- invocation --------------------------------------------------------------------------------------------------------


def test_an_invocation_is_answered_by_the_variant_that_it_asks_for(aws: EmbeddedAws) -> None:
    world = World(aws)
    answer = world.runtime.invoke_endpoint(
        EndpointName=ENDPOINT, TargetVariant="B", ContentType="text/csv", Body="1,2,3"
    )
    assert answer["InvokedProductionVariant"] == "B"
    assert answer["ContentType"] == "application/json"
    assert answer["Body"].read()
    assert world.runtime.invoke_endpoint(EndpointName=ENDPOINT, Body=b"1")["InvokedProductionVariant"] == "A"
    assert aws.calls[-1].operation == "sagemaker-runtime:InvokeEndpoint"


def test_a_variant_or_endpoint_that_is_not_there_is_not_invoked(aws: EmbeddedAws) -> None:
    world = World(aws)
    call = world.runtime.invoke_endpoint
    assert world.refused(call, EndpointName="Nobody", Body=b"1") == (
        "ValidationError",
        "Endpoint Nobody of account 123456789012 not found.",
    )
    assert world.refused(call, EndpointName=ENDPOINT, TargetVariant="C", Body=b"1")[0] == "ValidationError"


@pytest.mark.parametrize(("status", "kind"), [(500, "server"), (400, "client")])
def test_what_the_container_answers_comes_back_as_a_model_error(aws: EmbeddedAws, status: int, kind: str) -> None:
    world = World(aws)
    sagemaker.script(aws, "v1", failing={"B": status})
    with pytest.raises(ClientError) as raised:
        world.runtime.invoke_endpoint(EndpointName=ENDPOINT, TargetVariant="B", Body=b"1")
    response = raised.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["Error"]["Message"].startswith(f'Received {kind} error ({status}) from primary with message "')
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert world.runtime.invoke_endpoint(EndpointName=ENDPOINT, TargetVariant="A", Body=b"1")


def test_the_new_fleet_answers_once_all_traffic_is_on_it(aws: EmbeddedAws) -> None:
    world = World(aws, failing={"A": 500})
    world.update(DeploymentConfig=blue_green())
    assert world.runtime.invoke_endpoint(EndpointName=ENDPOINT, TargetVariant="A", Body=b"1")
    world.after(seconds=301)
    call = world.runtime.invoke_endpoint
    assert world.refused(call, EndpointName=ENDPOINT, TargetVariant="A", Body=b"1")[0] == "ModelError"


# -- honesty -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("describe_inference_component", {"InferenceComponentName": "llm"}),
        ("update_endpoint", {"EndpointName": ENDPOINT, "EndpointConfigName": "v1"}),
        (
            "update_endpoint",
            {"EndpointName": ENDPOINT, "EndpointConfigName": "v2", "DeploymentConfig": ROLLING},
        ),
    ],
)
def test_what_is_not_faked_says_so(aws: EmbeddedAws, method: str, arguments: dict[str, Any]) -> None:
    world = World(aws)
    assert world.refused(getattr(world.client, method), **arguments)[0] == "NotImplemented"
    assert len(aws.defects) == 1


def test_a_rollback_alarm_that_is_a_composite_one_says_that_it_is_not_faked(aws: EmbeddedAws) -> None:
    world = World(aws)
    sagemaker.composite_alarm(aws, "any-error", ALARM)
    deployment = blue_green() | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "any-error"}]}}
    described = aws.client("cloudwatch").describe_alarms(AlarmNames=["any-error"], AlarmTypes=["CompositeAlarm"])
    assert [each["AlarmRule"] for each in described["CompositeAlarms"]] == [f"ALARM({ALARM})"]
    arguments = {"EndpointName": ENDPOINT, "EndpointConfigName": "v2", "DeploymentConfig": deployment}
    code, message = world.refused(world.client.update_endpoint, **arguments)
    assert code == "NotImplemented"
    assert "any-error" in message


def test_containers_that_are_invoked_directly_say_that_they_are_not_faked(aws: EmbeddedAws) -> None:
    world = World(aws)
    world.client.create_model(
        ModelName="many",
        ExecutionRoleArn=ROLE,
        Containers=[{"Image": IMAGE, "ContainerHostname": name} for name in ("one", "two")],
        InferenceExecutionConfig={"Mode": "Direct"},
    )
    sagemaker.configure(aws, "many", {"A": ("many", 1)})
    sagemaker.deploy(aws, "many", "many")
    with pytest.raises(ClientError, match="InvokeEndpoint of one of the containers of a model"):
        world.runtime.invoke_endpoint(EndpointName="many", Body=b"[1]")


def test_another_instance_type_of_a_scalable_target_says_that_it_is_not_faked(aws: EmbeddedAws) -> None:
    world = World(aws)
    variants = world.client.describe_endpoint_config(EndpointConfigName="v2")["ProductionVariants"]
    variants[0]["InstanceType"] = "ml.m5.xlarge"
    world.client.create_endpoint_config(EndpointConfigName="larger", ProductionVariants=variants)
    sagemaker.scale(aws, ENDPOINT, "A", 1, 4)
    with pytest.raises(ClientError, match="another instance type of A, which is a scalable target"):
        world.update(EndpointConfigName="larger")
    world.update()
    assert world.seen() == ("Updating", "v1")


def test_volumes_with_a_key_that_cannot_be_used_say_that_they_are_not_faked(aws: EmbeddedAws) -> None:
    world = World(aws)
    key = aws.client("kms").create_key()["KeyMetadata"]
    sagemaker.configure(aws, "v3", {"A": ("churn-1", 9), "B": ("churn-2", 1)}, KmsKeyId=key["Arn"])
    world.update(EndpointConfigName="v3")
    world.after(seconds=1)
    assert world.seen() == ("InService", "v3")
    aws.client("kms").disable_key(KeyId=key["KeyId"])
    sagemaker.configure(aws, "v4", {"A": ("churn-1", 9), "B": ("churn-2", 1)}, KmsKeyId=key["Arn"])
    arguments = {"EndpointName": ENDPOINT, "EndpointConfigName": "v4"}
    assert world.refused(world.client.update_endpoint, **arguments)[0] == "NotImplemented"


def test_what_is_no_endpoint_is_left_to_moto(aws: EmbeddedAws) -> None:
    client = aws.client("sagemaker")
    assert client.list_training_jobs()["TrainingJobSummaries"] == []
    assert aws.defects == []


def test_each_region_has_its_own_endpoints(aws: EmbeddedAws) -> None:
    World(aws)
    assert aws.client("sagemaker", "eu-west-1").list_endpoints()["Endpoints"] == []


def test_a_reset_forgets_everything(aws: EmbeddedAws) -> None:
    World(aws)
    aws.reset()
    assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_traffic_is_told_by_variant(aws: EmbeddedAws) -> None:
    sagemaker.traffic(aws, ENDPOINT, {"A": 90, "B": 10}, errors={"B": 4}, minutes_ago=10)
    now = aws.clock.now()
    dimensions = [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": "B"}]
    query = {
        "Id": "errors",
        "MetricStat": {
            "Metric": {"Namespace": "AWS/SageMaker", "MetricName": "Invocation5XXErrors", "Dimensions": dimensions},
            "Period": 3600,
            "Stat": "Sum",
        },
    }
    data = aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=[query], StartTime=now.timestamp() - 3600, EndTime=now
    )
    assert sum(data["MetricDataResults"][0]["Values"]) == 4
