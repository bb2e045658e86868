"""What is read of a model, its artifacts and its package: whether a new instance could start with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession
from runbooks.catalogue.sagemaker_variant_fix.keys import UNREADABLE, USABLE, read_key
from runbooks.model import Model

_HOST = r"s3[.-](?:dualstack\.)?(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?"
_ADDRESSES = tuple(
    re.compile(pattern)
    for pattern in (
        r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]+)(?:/(?P<key>.*))?",
        rf"https://{_HOST}/(?P<bucket>[a-z0-9][a-z0-9.-]+)/(?P<key>.*)",
        rf"https://(?P<bucket>[a-z0-9][a-z0-9.-]+)\.{_HOST}/(?P<key>.*)",
    )
)
"""The ways to write where a model's data lies: as a URI, and as a URL by the path or by the host's name."""


class Artifact(Model):
    """A model's data in S3. `key` is its KMS key, if it has a customer managed one, and `key_state` that key's.

    `unknown` is what has an address that is not understood. `object` is what an instance would read first, as bucket
    and key in one.
    """

    url: str
    state: Literal["there", "gone", "forbidden", "unknown"]
    object: str | None = None
    key: str | None = None
    key_state: str | None = None


class Package(Model):
    """A version in the model registry; `approval` is null if it does not exist, or if it is not `seen`.

    `unknown` are the inference specifications that a container names and that it does not have. `marketplace`: whether
    it is a product of AWS Marketplace.
    """

    arn: str
    approval: str | None
    seen: bool = True
    unknown: tuple[str, ...] = ()
    marketplace: bool = False


class ServedModel(Model):
    """A model that a configuration serves. `role` is null if it does not exist; `created` is ISO 8601 UTC.

    `multi_model`: whether a container serves many models, of which every invocation must name one. `direct`: whether
    there are many containers, of which every invocation must name one.
    """

    name: str
    exists: bool
    created: str | None = None
    role: str | None = None
    multi_model: bool = False
    direct: bool = False
    artifacts: tuple[Artifact, ...] = ()
    packages: tuple[Package, ...] = ()

    @property
    def lacks(self) -> list[str]:
        """What this model needs to start and has not, one clause each."""
        if not self.exists:
            return [f"the model {self.name} does not exist"]
        found = []
        for artifact in self.artifacts:
            if artifact.state == "gone":
                found.append(f"the artifact {artifact.url} of {self.name} is gone")
            if artifact.key is not None and artifact.key_state not in {USABLE, UNREADABLE}:
                found.append(
                    f"the key {artifact.key} of the artifact {artifact.url} is {artifact.key_state}, so {self.name}"
                    " cannot be read"
                )
        return found + [
            f"the model package {package.arn} of {self.name} does not exist"
            for package in self.packages
            if package.approval is None and package.seen
        ]

    @property
    def unapproved(self) -> list[str]:
        """Why no new instance should start with this model, though one could; one clause each."""
        return [
            f"the model package {package.arn} of {self.name} is {package.approval}, not Approved"
            for package in self.packages
            if package.approval not in {None, "Approved"}
        ]

    @property
    def locked(self) -> list[str]:
        """The keys that this runbook may not look at, one clause each."""
        return [
            f"this runbook may not look at the key {artifact.key} of the artifact {artifact.url} of {self.name}"
            " (kms:DescribeKey)"
            for artifact in self.artifacts
            if artifact.key_state == UNREADABLE
        ]

    @property
    def unseen(self) -> list[str]:
        """What this runbook may not look at, one clause each: it matters only if instances are launched."""
        found = [
            f"this runbook may not look whether the artifact {artifact.url} of {self.name} is there (the stack's"
            " parameters ModelBuckets and ModelsAccount say which buckets it may look into)"
            for artifact in self.artifacts
            if artifact.state == "forbidden"
        ]
        for package in self.packages:
            if not package.seen:
                found.append(
                    f"this runbook may not look at the model package {package.arn} of {self.name}"
                    " (sagemaker:DescribeModelPackage), so which artifacts it has, and whether it is approved, is"
                    " unknown"
                )
            found += [
                f"the model package {package.arn} of {self.name} has no inference specification {name}, so which"
                " artifacts it has is unknown"
                for name in package.unknown
            ]
        return found

    @property
    def not_understood(self) -> list[str]:
        """The artifacts whose address is none that this runbook knows, one clause each."""
        return [
            f"the address {artifact.url} of {self.name} is none of S3 that this runbook understands"
            for artifact in self.artifacts
            if artifact.state == "unknown"
        ]


def moment(time: datetime) -> str:
    """A time of creation, to the last digit that the service tells: it is what tells a namesake from the original."""
    return time.astimezone(UTC).isoformat()


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
        asked = [each.get("InferenceSpecificationName") for each in containers if each.get("ModelPackageName") == arn]
        package, specified = _package(aws, arn, asked)
        packages.append(package)
        containers = [*containers, *specified]
    return ServedModel(
        name=name,
        exists=True,
        created=moment(described["CreationTime"]),
        multi_model=any(each.get("Mode") == "MultiModel" for each in containers),
        direct=described.get("InferenceExecutionConfig", {}).get("Mode") == "Direct",
        role=described.get("ExecutionRoleArn"),
        artifacts=tuple(artifact_at(aws, url, one_object=one) for url, one in dict.fromkeys(_places(containers))),
        packages=tuple(packages),
    )


def _package(aws: AwsSession, arn: str, asked: Iterable[str | None]) -> tuple[Package, list[dict[str, Any]]]:
    """The package with the containers of these inference specifications, of which the default one has no name."""
    try:
        described = aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
    except ClientError as failure:
        error = failure.response["Error"]
        # A registry may be another account's, whose policy does not know this role.
        if error["Code"] == "AccessDeniedException":
            return Package(arn=arn, approval=None, seen=False), []
        if not error["Message"].endswith("does not exist."):
            raise
        return Package(arn=arn, approval=None), []
    known: dict[str | None, list[dict[str, Any]]] = {
        each["Name"]: each["Containers"] for each in described.get("AdditionalInferenceSpecifications", ())
    } | {None: described.get("InferenceSpecification", {}).get("Containers", [])}
    wanted = list(dict.fromkeys(asked))
    containers = [container for name in wanted for container in known.get(name, ())]
    unknown = tuple(name for name in wanted if name is not None and name not in known)
    # A version that was registered outside a group has no approval to wait for.
    approval = described.get("ModelApprovalStatus", "Approved")
    sold = any("ProductId" in container for container in containers)
    return Package(arn=arn, approval=approval, unknown=unknown, marketplace=sold), containers


def _places(containers: Iterable[dict[str, Any]]) -> Iterable[tuple[str, bool]]:
    """Where the containers' data lies: a URL each, and whether it is one object."""
    for container in containers:
        if "ModelDataUrl" in container:
            yield container["ModelDataUrl"], container.get("Mode") != "MultiModel"
        sources = [container.get("ModelDataSource", {}), *container.get("AdditionalModelDataSources", ())]
        found = [each["S3DataSource"] for each in sources if "S3DataSource" in each]
        # A package's container has another of its own.
        found += [container["AdditionalS3DataSource"]] if "AdditionalS3DataSource" in container else []
        for source in found:
            yield source["S3Uri"], source["S3DataType"] == "S3Object"


def _address(url: str) -> tuple[str, str] | None:
    """Bucket and key of an artifact; None if the URL is of no kind that is known here, e.g. an access point's."""
    for pattern in _ADDRESSES:
        if found := pattern.fullmatch(url):
            key = found["key"] or ""
            return found["bucket"], unquote(key) if url.startswith("https:") else key
    return None


def artifact_at(aws: AwsSession, url: str, *, one_object: bool) -> Artifact:
    """What lies at this URL, which is a prefix unless it is one object, with the state of its key."""
    address = _address(url)
    if address is None:
        return Artifact(url=url, state="unknown")
    bucket, key = address
    s3, there = aws.client("s3"), f"{bucket}/{key}"
    try:
        if not one_object:
            listed = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
            if not listed:
                return Artifact(url=url, state="gone")
            key = listed[0]["Key"]
            there = f"{bucket}/{key}"
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as failure:
        status = failure.response["ResponseMetadata"]["HTTPStatusCode"]
        if status not in {403, 404}:
            raise
        return Artifact(url=url, state="gone") if status == 404 else Artifact(url=url, state="forbidden", object=there)
    kms_key = head.get("SSEKMSKeyId")
    known = read_key(aws, kms_key) if kms_key else None
    if known is None or known.by_aws:
        return Artifact(url=url, state="there", object=there)
    return Artifact(url=url, state="there", object=there, key=kms_key, key_state=known.state)
