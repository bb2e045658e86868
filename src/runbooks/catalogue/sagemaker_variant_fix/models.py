"""What is read of a model, its artifacts and its package: whether a new instance could start with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession
from runbooks.model import Model

_USABLE = "Enabled"


class Artifact(Model):
    """A model's data in S3. `key` is its KMS key, if it has a customer managed one, and `key_state` that key's."""

    url: str
    state: Literal["there", "gone", "forbidden"]
    key: str | None = None
    key_state: str | None = None


class Package(Model):
    """A version in the model registry; `approval` is null if it does not exist."""

    arn: str
    approval: str | None


class ServedModel(Model):
    """A model that a configuration serves. `role` is null if it does not exist."""

    name: str
    exists: bool
    role: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    packages: tuple[Package, ...] = ()

    @property
    def faults(self) -> list[str]:
        """Why no new instance could start with this model, one clause each."""
        if not self.exists:
            return [f"the model {self.name} does not exist"]
        found = []
        for artifact in self.artifacts:
            if artifact.state == "gone":
                found.append(f"the artifact {artifact.url} of {self.name} is gone")
            if artifact.state == "forbidden":
                found.append(
                    f"this runbook may not look whether the artifact {artifact.url} of {self.name} is there (the"
                    " stack's parameter ModelBuckets names the buckets that it may look into)"
                )
            if artifact.key is not None and artifact.key_state != _USABLE:
                found.append(
                    f"the key {artifact.key} of the artifact {artifact.url} is {artifact.key_state}, so {self.name}"
                    " cannot be read"
                )
        for package in self.packages:
            if package.approval is None:
                found.append(f"the model package {package.arn} of {self.name} does not exist")
            elif package.approval != "Approved":
                found.append(f"the model package {package.arn} of {self.name} is {package.approval}, not Approved")
        return found


def read_model(aws: AwsSession, name: str) -> ServedModel:
    """The model with what it needs to start.

    Calls: sagemaker DescribeModel, DescribeModelPackage; s3 HeadObject, ListObjectsV2; kms DescribeKey.
    """
    try:
        described = aws.client("sagemaker").describe_model(ModelName=name)
    except ClientError as failure:
        if not failure.response["Error"]["Message"].startswith("Could not find"):
            raise
        return ServedModel(name=name, exists=False)
    primary = described.get("PrimaryContainer")
    containers: list[dict[str, Any]] = [primary] if primary else described.get("Containers", [])
    packages: list[Package] = []
    for arn in dict.fromkeys(each["ModelPackageName"] for each in containers if "ModelPackageName" in each):
        package, specified = _package(aws, arn)
        packages.append(package)
        containers = [*containers, *specified]
    return ServedModel(
        name=name,
        exists=True,
        role=described.get("ExecutionRoleArn"),
        artifacts=tuple(_artifact(aws, *place) for place in dict.fromkeys(_places(containers))),
        packages=tuple(packages),
    )


def _package(aws: AwsSession, arn: str) -> tuple[Package, list[dict[str, Any]]]:
    """The package with its containers."""
    try:
        described = aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
    except ClientError as failure:
        if not failure.response["Error"]["Message"].endswith("does not exist."):
            raise
        return Package(arn=arn, approval=None), []
    containers: list[dict[str, Any]] = described.get("InferenceSpecification", {}).get("Containers", [])
    # A version that was registered outside a group has no approval to wait for.
    return Package(arn=arn, approval=described.get("ModelApprovalStatus", "Approved")), containers


def _places(containers: Iterable[dict[str, Any]]) -> Iterable[tuple[str, bool]]:
    """Where the containers' data lies: a URL each, and whether it is one object."""
    for container in containers:
        if "ModelDataUrl" in container:
            yield container["ModelDataUrl"], container.get("Mode") != "MultiModel"
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source is not None:
            yield source["S3Uri"], source["S3DataType"] == "S3Object"


def _artifact(aws: AwsSession, url: str, one_object: bool) -> Artifact:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    s3 = aws.client("s3")
    try:
        if not one_object:
            listed = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
            if not listed:
                return Artifact(url=url, state="gone")
            key = listed[0]["Key"]
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as failure:
        status = failure.response["ResponseMetadata"]["HTTPStatusCode"]
        if status not in {403, 404}:
            raise
        return Artifact(url=url, state="gone" if status == 404 else "forbidden")
    kms_key = head.get("SSEKMSKeyId")
    return Artifact(url=url, state="there", key=kms_key, key_state=_key_state(aws, kms_key) if kms_key else None)


def _key_state(aws: AwsSession, key: str) -> str:
    kms = aws.client("kms")
    try:
        return str(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
    except kms.exceptions.NotFoundException:
        return "gone"
