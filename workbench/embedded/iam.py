"""IAM's policy simulator for roles, which moto lacks. Roles and policies themselves are moto's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.iam.models import Role, iam_backends

from workbench.embedded.calls import Call, ServiceError

READ = {"PolicySourceArn", "ActionNames", "ResourceArns", "PolicyInputList", "MaxItems"}
"""What of a request is understood."""

Statement = Mapping[str, Any]


def simulate(call: Call, account: str) -> dict[str, Any]:
    """Answers SimulatePrincipalPolicy for a role. Raises ServiceError as IAM would.

    Raises NotImplementedError for other principals, resource policies, boundaries, and statements with conditions.
    """
    given = call.params
    unknown = set(given) - READ
    if unknown:
        raise NotImplementedError(f"SimulatePrincipalPolicy with {', '.join(sorted(unknown))}")
    role = _role(str(given["PolicySourceArn"]), account)
    statements = list(_statements(role, given.get("PolicyInputList", ())))
    return {
        "EvaluationResults": [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": _decision(statements, action, resource),
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in given["ActionNames"]
            for resource in given.get("ResourceArns") or ["*"]
        ],
        "IsTruncated": False,
    }


def _role(arn: str, account: str) -> Role:
    if ":role/" not in arn:
        raise NotImplementedError(f"simulating the policies of {arn}")
    known = {role.arn: role for role in iam_backends[account]["aws"].roles.values()}
    if arn not in known:
        raise ServiceError("NoSuchEntity", f"Role {arn} does not exist.", 404)
    if known[arn].permissions_boundary_arn:
        raise NotImplementedError("simulating a permissions boundary")
    return known[arn]


def _statements(role: Role, more: Any) -> Iterator[Statement]:
    managed = [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.is_default
    ]
    for document in [*role.policies.values(), *managed, *more]:
        found = json.loads(document)["Statement"]
        yield from [found] if isinstance(found, dict) else found


def _decision(statements: list[Statement], action: str, resource: str) -> str:
    concerned = [each for each in statements if _concerns(each, action, resource)]
    if any("Condition" in each for each in concerned):
        raise NotImplementedError("simulating a statement that has a condition")
    if any(each["Effect"] == "Deny" for each in concerned):
        return "explicitDeny"
    return "allowed" if concerned else "implicitDeny"


def _concerns(statement: Statement, action: str, resource: str) -> bool:
    return _among(statement, "Action", action, re.IGNORECASE) and _among(statement, "Resource", resource, 0)


def _among(statement: Statement, element: str, value: str, flags: int) -> bool:
    """Whether the element, or its negation `Not...`, takes the value in."""
    name = element if element in statement else f"Not{element}"
    patterns = statement[name] if isinstance(statement[name], list) else [statement[name]]
    found = any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, flags) for pattern in patterns
    )
    return found is (name == element)
