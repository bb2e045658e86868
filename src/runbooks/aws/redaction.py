"""Nothing secret is stored: by parameter name, by value, and by knowing what was read from Secrets Manager."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(password|passwd|passphrase|private_?key|secret_?(access_?)?key|secret_?(string|binary|value)|credential|"
    r"(auth|session|access|security|bearer|refresh|task)_?token|api_?key|connection_?string)",
    re.IGNORECASE,
)
_SECRET_VALUES = (
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(r"(?i)(?<=password=)[^\s;&'\"]+|(?<=passwd=)[^\s;&'\"]+|(?<=pwd=)[^\s;&'\"]+"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
)
_NO_SECRETS: frozenset[str] = frozenset()


def redact(value: Any, known: Iterable[str] = _NO_SECRETS) -> Any:
    """The same plain value with everything secret replaced by `[redacted]`.

    `known` are secret values that this process has resolved; they are replaced wherever they occur.
    References (`$secret`) are kept: they name a secret and do not hold one.
    """
    return _redact(value, tuple(secret for secret in known if secret))


def _redact(value: Any, known: tuple[str, ...]) -> Any:
    match value:
        case str():
            return _text(value, known)
        case dict():
            return {
                _text(key, known): REDACTED if _hides(key, item) else _redact(item, known)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_redact(item, known) for item in value]
        case _:
            return value


def _hides(key: str, item: Any) -> bool:
    is_reference = isinstance(item, dict) and set(item) == {"$secret"}
    return bool(_SECRET_NAME.search(key)) and item is not None and not isinstance(item, bool) and not is_reference


def _text(text: str, known: tuple[str, ...]) -> str:
    for secret in known:
        text = text.replace(secret, REDACTED)
    for pattern in _SECRET_VALUES:
        text = pattern.sub(REDACTED, text)
    return text
