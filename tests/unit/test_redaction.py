"""Nothing secret is stored."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.aws.redaction import REDACTED, redact
from runbooks.model import SecretRef


@pytest.mark.parametrize(
    "name",
    [
        "MasterUserPassword",
        "password",
        "SecretString",
        "secret_access_key",
        "SNOWFLAKE_PRIVATE_KEY",
        "AuthToken",
        "apiKey",
    ],
)
def test_a_parameter_with_a_secret_name_is_redacted(name: str) -> None:
    assert redact({"outer": [{name: "hunter2"}]}) == {"outer": [{name: REDACTED}]}


@pytest.mark.parametrize(
    "value",
    [
        {"SecretId": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db"},
        {"nextToken": "abc"},
        {"clientToken": "run-7f3a"},
        {"ManageMasterUserPassword": True},
        {"Password": SecretRef(secret="arn:s", version_id="v").as_parameter()},
        {"count": 3, "ratio": 0.5, "nothing": None},
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert redact(value) == value


@pytest.mark.parametrize(
    "text",
    [
        "key AKIAIOSFODNN7EXAMPLE leaked",
        "postgres://app:hunter2@db:5432/x",
        "jdbc:postgresql://db?user=a&password=hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_a_value_that_looks_like_a_secret_is_redacted_wherever_it_stands(text: str) -> None:
    clean = redact(text)
    assert REDACTED in clean
    for secret in ("hunter2", "AKIAIOSFODNN7EXAMPLE", "eyJzdWIiOiIxMjM0In0"):
        assert secret not in clean


def test_only_a_mere_reference_stays_under_a_secret_name() -> None:
    reference = SecretRef(secret="arn:s", version_id="v").as_parameter()
    assert isinstance(reference, dict)
    for value in ({"value": "hunter2"}, reference | {"value": "hunter2"}, ["hunter2"], 4711):
        assert redact({"Password": value}) == {"Password": REDACTED}
    assert redact({"Password": None}) == {"Password": None}


def test_a_secret_that_was_read_is_redacted_from_error_messages_too() -> None:
    assert redact(["login with s3cr3t! failed"], {"s3cr3t!", ""}) == [f"login with {REDACTED} failed"]
