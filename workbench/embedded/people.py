"""Who signs a request, and what IAM lets them do: the users and sessions that moto's IAM and STS know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from moto.iam.models import Policy
from moto.sts.models import sts_backends

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW = timedelta(minutes=5)
"""How old a signature may be."""


class Unsigned(Exception):
    """A request is not signed, or its signature does not fit; the message says why."""


@dataclass(frozen=True)
class Person:
    """Who has signed. `policies` is None for a made-up key, which stands for the account itself and may do anything."""

    access_key: str
    arn: str
    user_id: str
    policies: tuple[Any, ...] | None = None

    def may(self, action: str, resource: str, told: Mapping[str, str] | None = None) -> bool:
        """Whether IAM allows it: one policy does, and none denies it. `told` is what a condition may ask for."""
        if self.policies is None:
            return True
        effects = {effect for policy in self.policies for effect in _effects(policy, action, resource, told or {})}
        return effects == {"Allow"}


def _effects(policy: Any, action: str, resource: str, told: Mapping[str, str]) -> Iterator[str]:
    """The effects of the statements that speak of this. moto's own reading takes the `$` of a stage for syntax."""
    if isinstance(policy, Policy):
        text = next(version.document for version in policy.versions if version.is_default)
    else:
        text = policy if isinstance(policy, str) else policy["policy_document"]
    statements = json.loads(text)["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        conditions = dict(statement.get("Condition", {}))
        equal = conditions.pop("StringEquals", {})
        unknown = {*statement, *conditions} - {"Action", "Condition", "Effect", "Resource", "Sid"}
        if unknown:
            raise NotImplementedError(f"{', '.join(sorted(unknown))} in a policy of a person")
        if any(told.get(key) not in _listed(values) for key, values in equal.items()):
            continue
        actions, resources = (_listed(statement[key]) for key in ("Action", "Resource"))
        if any(fits(each.lower(), action.lower()) for each in actions) and any(
            fits(each, resource) for each in resources
        ):
            yield str(statement["Effect"])


def fits(pattern: str, value: str) -> bool:
    """Whether IAM's pattern (`*` for anything, `?` for one character) fits the value."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, value, re.DOTALL) is not None


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def person_of(account: str, region: str, access_key: str, token: str | None) -> tuple[Person, str]:
    """Who the access key belongs to, and its secret. A key that IAM does not know is one that somebody made up."""
    user_id, arn, _ = sts_backends[account]["aws"].get_caller_identity(access_key, region)
    headers = {} if token is None else {"X-Amz-Security-Token": token}
    try:
        known = create_access_key(account, "aws", access_key, headers)
    except CreateAccessKeyFailure as failure:
        if failure.reason == "InvalidToken" or access_key.startswith(("AKIA", "ASIA")):
            raise Unsigned("The security token included in the request is invalid.") from None
        return Person(access_key, arn, user_id), access_key
    if not arn.startswith(known.arn.partition("/")[0]):
        raise Unsigned("The security token included in the request is invalid.")
    return Person(access_key, arn, user_id, tuple(known.collect_policies())), known.create_credentials().secret_key


def signer(account: str, service: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Person:
    """Who signed the request with Signature Version 4 for the service. Header names are lower case. Raises Unsigned."""
    told = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if told is None:
        raise Unsigned("Missing Authentication Token")
    if told["service"] != service:
        raise Unsigned(f"Credential should be scoped to correct service: {service!r}.")
    try:
        at = datetime.strptime(headers.get("x-amz-date", "") + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        raise Unsigned("Date must be in ISO-8601 'basic format'.") from None
    if abs(datetime.now(UTC) - at) > _SKEW:
        raise Unsigned(f"Signature expired: {headers['x-amz-date']} is not within 5 minutes of now")
    token = headers.get("x-amz-security-token")
    person, secret = person_of(account, told["region"], told["key"], token)
    signed = {name: headers[name] for name in told["signed"].split(";") if name in headers}
    request = AWSRequest(method=method, url=url, data=body, headers=signed)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials(told["key"], secret, token), service, told["region"])
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if expected != told["signature"]:
        raise Unsigned("The request signature we calculated does not match the signature you provided.")
    return person
