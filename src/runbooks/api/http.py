"""What every route has in common: who calls, what they sent, and RFC 9457 problem documents for what is wrong."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from runbooks.model import Model, canonical
from runbooks.policy import is_made_up

JSON = "application/json"
PROBLEM = "application/problem+json"

_LONGEST = 200
"""Characters that a requester's name may have in a start input."""


class ProblemDocument(Model):
    """RFC 9457. `title` is the same each time that something goes wrong, `detail` is about this time."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Problem(Exception):
    """An answer that is an error, as RFC 9457 has it."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail

    @property
    def document(self) -> ProblemDocument:
        return ProblemDocument(title=self.title, status=self.status, detail=self.detail)


def caller_of(event: Mapping[str, Any]) -> str:
    """The IAM identity that API Gateway vouches for; never taken from the body. Raises Problem 401."""
    identity = ((event["requestContext"].get("authorizer") or {}).get("iam") or {}).get("userArn")
    if not identity:
        raise Problem(401, "No identity", "sign the request with your IAM identity")
    return str(identity)


def somebody(identity: str) -> str:
    """The identity, if it tells one person from another. Raises Problem 403."""
    if is_made_up(identity):
        session = identity.rpartition("/")[2]
        raise Problem(
            403,
            "Nobody in particular",
            f"{session} is a name that a tool has made up for a session of the role, so it does not show that you are"
            " not the requester; assume the role under your own name (role_session_name in the profile, or"
            " --role-session-name; a trust policy demands it by sts:RoleSessionName)",
        )
    return identity


def name_of(identity: str) -> str:
    """The identity as a start input can carry it: an IAM user's ARN may be longer, by the path of the user."""
    if len(identity) <= _LONGEST:
        return identity
    head, _, rest = identity.partition("/")
    return f"{head}/{rest.rpartition('/')[2]}"[:_LONGEST]


def with_plain_body(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with its body as text that is surely JSON, and JSON that can be hashed and stored. Raises Problem 400.

    Left to the parsers further on, a body that nests a thousand levels deep or holds half a character is a 500.
    """
    text = event.get("body") or ""
    try:
        if event.get("isBase64Encoded"):
            text = base64.b64decode(text, validate=True).decode()
        if text.strip():
            canonical(json.loads(text, parse_constant=_no_constant, object_pairs_hook=_each_key_once))
    except binascii.Error as wrong:
        raise Problem(400, "Invalid body", f"the body is not base64: {wrong}") from None
    except RecursionError:
        raise Problem(400, "Invalid body", "the body is nested too deeply") from None
    except ValueError as wrong:
        raise Problem(400, "Invalid body", f"Invalid JSON: {wrong}") from None
    kind = {name: value for name, value in (event.get("headers") or {}).items() if name.lower() != "content-type"}
    return {**event, "body": text, "isBase64Encoded": False, "headers": kind | {"content-type": JSON}}


def what_is_wrong(errors: Iterable[Mapping[str, Any]]) -> str:
    """One sentence a field: where, what is wrong, and with which value."""
    sentences = []
    for error in errors:
        kind, *rest = error["loc"]
        where = ".".join(str(part) for part in rest) or f"the {kind}"
        got = "" if error["type"] in {"missing", "extra_forbidden"} else f" (got {_shown(error.get('input'))})"
        sentences.append(f"{where}: {error.get('msg', error['type'])}{got}")
    return "; ".join(sentences)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found
