"""IAM's policy simulator for roles, which moto lacks. Roles and policies themselves are moto's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from moto.iam.models import Role, iam_backends

from workbench.embedded.calls import Call, ServiceError

READ = {"PolicySourceArn", "ActionNames", "ResourceArns", "PolicyInputList", "ContextEntries", "MaxItems"}
"""What of a request is understood."""

_FORMATS = {
    "cloudwatch:describealarms": "arn:${Partition}:cloudwatch:${Region}:${Account}:alarm:${AlarmName}",
    "kms:decrypt": "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}",
    "s3:getobject": "arn:${Partition}:s3:::${BucketName}/${KeyName}",
}
"""The ARN format of what an action is on, which a result names in place of the resource that was asked about."""

_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "Bool": lambda wanted, told: wanted.lower() == told.lower(),
    "StringEquals": lambda wanted, told: wanted == told,
    "StringEqualsIgnoreCase": lambda wanted, told: wanted.lower() == told.lower(),
    "StringLike": lambda wanted, told: _matches(wanted, told, 0),
}
"""The condition operators that are simulated. A key that nothing is told of matches none of them."""

Statement = Mapping[str, Any]
Context = Mapping[str, Sequence[str]]
"""What the request is told to be, by the condition key in lower case."""


def simulate(call: Call, account: str) -> dict[str, Any]:
    """Answers SimulatePrincipalPolicy for a role. Raises ServiceError as IAM would.

    Raises NotImplementedError for other principals, resource policies, boundaries, and the rarer conditions.
    """
    given = call.params
    unknown = set(given) - READ
    if unknown:
        raise NotImplementedError(f"SimulatePrincipalPolicy with {', '.join(sorted(unknown))}")
    statements = list(_statements(_role(str(given["PolicySourceArn"]), account), given.get("PolicyInputList", ())))
    context = {each["ContextKeyName"].lower(): each["ContextKeyValues"] for each in given.get("ContextEntries", ())}
    resources = list(given.get("ResourceArns", ()))
    return {
        "EvaluationResults": [_result(statements, action, resources, context) for action in given["ActionNames"]],
        "IsTruncated": False,
    }


def permits(role: str, account: str, action: str, resource: str, context: Context) -> bool:
    """Whether the role's own policies allow it. A role that does not exist may do nothing.

    Raises NotImplementedError as `simulate` does.
    """
    known = {each.arn: each for each in iam_backends[account]["aws"].roles.values()}
    if role not in known:
        return False
    return _decision(list(_statements(known[role], ())), action, resource, context)[0] == "allowed"


def _result(statements: list[Statement], action: str, resources: list[str], context: Context) -> dict[str, Any]:
    """One result for an action, however many resources it is asked on; those are told apart within it."""
    if resources in ([], ["*"]):
        decision, missing = _decision(statements, action, "*", context)
        return _evaluated("Eval", "*", decision, missing) | {"EvalActionName": action}
    if action.lower() not in _FORMATS:
        raise NotImplementedError(f"simulating {action} on resources")
    found = {resource: _decision(statements, action, resource, context) for resource in resources}
    severest = next(
        each
        for each in ("explicitDeny", "implicitDeny", "allowed")
        if each in {decision for decision, _ in found.values()}
    )
    missing = {key for _, keys in found.values() for key in keys}
    return _evaluated("Eval", _FORMATS[action.lower()], severest, missing) | {
        "EvalActionName": action,
        "EvalDecisionDetails": {},
        "ResourceSpecificResults": [
            _evaluated("EvalResource", resource, decision, keys) for resource, (decision, keys) in found.items()
        ],
    }


def _evaluated(prefix: str, resource: str, decision: str, missing: set[str]) -> dict[str, Any]:
    return {
        "EvalResourceName": resource,
        f"{prefix}Decision": decision,
        "MatchedStatements": [],
        "MissingContextValues": sorted(missing),
    }


def _role(arn: str, account: str) -> Role:
    if ":role/" not in arn:
        raise NotImplementedError(f"simulating the policies of {arn}")
    known = {role.arn: role for role in iam_backends[account]["aws"].roles.values()}
    if arn not in known:
        raise ServiceError("NoSuchEntity", f"Role {arn} does not exist.", 404)
    return known[arn]


def _statements(role: Role, more: Any) -> Iterator[Statement]:
    if role.permissions_boundary_arn:
        raise NotImplementedError("simulating a permissions boundary")
    managed = [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.is_default
    ]
    for document in [*role.policies.values(), *managed, *more]:
        found = json.loads(document)["Statement"]
        yield from [found] if isinstance(found, dict) else found


def _decision(statements: list[Statement], action: str, resource: str, context: Context) -> tuple[str, set[str]]:
    """The decision, and the condition keys that it would take to know better."""
    concerned = [each for each in statements if _concerns(each, action, resource)]
    missing = {key for each in concerned for key in _keys(each) if key.lower() not in context}
    holding = [each for each in concerned if _holds(each, context)]
    if any(each["Effect"] == "Deny" for each in holding):
        return "explicitDeny", missing
    return ("allowed" if holding else "implicitDeny"), missing


def _keys(statement: Statement) -> Iterator[str]:
    for keys in statement.get("Condition", {}).values():
        yield from keys


def _holds(statement: Statement, context: Context) -> bool:
    for operator, keys in statement.get("Condition", {}).items():
        if operator not in _COMPARED:
            raise NotImplementedError(f"simulating a statement that has the condition {operator}")
        for key, wanted in keys.items():
            values = wanted if isinstance(wanted, list) else [wanted]
            told = context.get(key.lower(), ())
            if not any(_COMPARED[operator](str(value), each) for value in values for each in told):
                return False
    return True


def _concerns(statement: Statement, action: str, resource: str) -> bool:
    return _among(statement, "Action", action, re.IGNORECASE) and _among(statement, "Resource", resource, 0)


def _among(statement: Statement, element: str, value: str, flags: int) -> bool:
    """Whether the element, or its negation `Not...`, takes the value in."""
    name = element if element in statement else f"Not{element}"
    patterns = statement[name] if isinstance(statement[name], list) else [statement[name]]
    return any(_matches(pattern, value, flags) for pattern in patterns) is (name == element)


def _matches(pattern: str, value: str, flags: int) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, flags) is not None
