"""What the models' execution roles may do, as far as IAM's simulation of their own policies tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from botocore.exceptions import ClientError

from runbooks.aws.session import AwsSession
from runbooks.catalogue.sagemaker_variant_fix.models import ServedModel
from runbooks.model import Model

READ, DECRYPT, LOOK, PUBLISH = "s3:GetObject", "kms:Decrypt", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricData"
NAMESPACE = "AWS/SageMaker"
"""Where the variants' metrics are, and what a policy on PutMetricData may be conditional on."""

Permission = Literal["allowed", "denied", "not allowed", "unclear", "not checked", "no role"]
"""What a simulation comes to. `denied` is explicit, and nothing else can give it; what is only `not allowed` by the
role's own policies may be so by that of the bucket or the key, which a simulation for a role does not take in."""

_NOT_CHECKED = {"AccessDenied", "AccessDeniedException", "PolicyEvaluation"}
_FOR_GOOD = {"denied", "no role"}


class Access(Model):
    """Whether a role may do something to a resource, an ARN. `depends_on` are condition keys of its policies."""

    role: str
    action: str
    resource: str
    permission: Permission
    depends_on: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """The outcome as a clause, with what it takes to know better."""
        what = f"{self.role} may {self.action} on {self.resource}"
        match self.permission:
            case "no role":
                return f"the role {self.role} does not exist"
            case "denied":
                return f"a policy denies that {what}"
            case "unclear":
                return f"whether {what} depends on {', '.join(self.depends_on)}"
            case "not checked":
                return f"it could not be checked whether {what} (iam:SimulatePrincipalPolicy)"
            case "not allowed":
                return f"none of its own policies says that {what}"
            case "allowed":
                return what


def read_access(aws: AwsSession, models: Iterable[ServedModel], alarms: Sequence[str] = ()) -> tuple[Access, ...]:
    """Whether the roles may read the artifacts, decrypt them, and look at these alarms (ARNs).

    Calls: iam SimulatePrincipalPolicy, once for each role and action.
    """
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for model in models:
        for artifact in model.artifacts if model.role else ():
            partition = str(model.role).split(":")[1]
            if artifact.object is not None:
                name = f"arn:{partition}:s3:::{artifact.object}"
                wanted.setdefault((str(model.role), READ), {})[name] = None
            if artifact.key is not None:
                wanted.setdefault((str(model.role), DECRYPT), {})[artifact.key] = None
        if model.role and alarms:
            wanted[model.role, LOOK] = dict.fromkeys(alarms)
    via = {"kms:ViaService": f"s3.{aws.region}.amazonaws.com"}
    return tuple(
        access
        for (role, action), resources in wanted.items()
        for access in simulated(aws, role, action, list(resources), via if action == DECRYPT else {})
    )


def may_publish(aws: AwsSession, role: str) -> Permission:
    """Whether the role may publish the metrics of its variant. Calls: iam SimulatePrincipalPolicy."""
    return simulated(aws, role, PUBLISH, ["*"], {"cloudwatch:namespace": NAMESPACE})[0].permission


def simulated(
    aws: AwsSession, role: str, action: str, resources: Sequence[str], told: Mapping[str, str]
) -> list[Access]:
    """The role's access to each resource, which is `*` where IAM takes none. `told` are condition keys' values."""
    context = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"} for key, value in told.items()
    ]
    pages = (
        aws.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(PolicySourceArn=role, ActionNames=[action], ResourceArns=list(resources), ContextEntries=context)
    )
    try:
        decided = dict(_decisions(result for page in pages for result in page["EvaluationResults"]))
    except ClientError as failure:
        code = failure.response["Error"]["Code"]
        if code != "NoSuchEntity" and code not in _NOT_CHECKED:
            raise
        without: Permission = "no role" if code == "NoSuchEntity" else "not checked"
        return [Access(role=role, action=action, resource=each, permission=without) for each in resources]
    return [_access(role, action, resource, decided.get(resource)) for resource in resources]


def _decisions(results: Iterable[dict[str, Any]]) -> Iterable[tuple[str, tuple[str, list[str]]]]:
    """Decision and missing condition keys by resource. What is on everything has none but the result's own."""
    for result in results:
        yield result["EvalResourceName"], (result["EvalDecision"], result.get("MissingContextValues", []))
        for each in result.get("ResourceSpecificResults", ()):
            yield each["EvalResourceName"], (each["EvalResourceDecision"], each.get("MissingContextValues", []))


def _access(role: str, action: str, resource: str, decided: tuple[str, list[str]] | None) -> Access:
    decision, missing = decided or ("", [])
    permission: Permission
    match decision:
        case "allowed":
            permission = "allowed"
        case "explicitDeny":
            permission = "denied"
        case "implicitDeny":
            permission = "unclear" if missing else "not allowed"
        case _:
            permission = "not checked"
    depends_on = tuple(missing) if permission == "unclear" else ()
    return Access(role=role, action=action, resource=resource, permission=permission, depends_on=depends_on)


def barred(models: Iterable[ServedModel], access: Iterable[Access]) -> list[str]:
    """Why roles can surely not read what they need, one clause each."""
    return [f"{each.in_words} for {model}" for model, each in _of(models, access) if each.permission in _FOR_GOOD]


def doubtful(models: Iterable[ServedModel], access: Iterable[Access]) -> list[str]:
    """What is not known about roles that have to read artifacts, one clause each."""
    models = list(models)
    return [
        f"{each.in_words} for {model}"
        for model, each in _of(models, access)
        if each.permission != "allowed" and each.permission not in _FOR_GOOD
    ] + [f"{model.name} has no execution role" for model in models if model.artifacts and model.role is None]


def _of(models: Iterable[ServedModel], access: Iterable[Access]) -> Iterable[tuple[str, Access]]:
    """The models that have to read something, with their access to it; a role that is gone is told once a model."""
    access = [each for each in access if each.action in {READ, DECRYPT}]
    for model in models:
        names = {artifact.object for artifact in model.artifacts}
        keys = {artifact.key for artifact in model.artifacts}
        told = False
        for each in access:
            mine = each.resource in keys or each.resource.partition(":::")[2] in names - {None}
            if each.role != model.role or not mine or (told and each.permission == "no role"):
                continue
            told = each.permission == "no role"
            yield model.name, each
