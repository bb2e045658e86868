"""The committed OpenAPI document is the one that is served."""

from __future__ import annotations

import json

from openapi_spec_validator import validate

from runbooks.api.routes import document
from workbench.openapi import COMMITTED


def test_what_is_committed_is_what_is_served() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == document.text(), "run `python -m workbench.openapi`"


def test_it_is_openapi_3_1_and_every_route_is_signed_and_may_be_refused() -> None:
    described = json.loads(document.text())
    validate(described)
    assert described["openapi"].startswith("3.1")
    for calls in described["paths"].values():
        for call in calls.values():
            assert call["security"] == [{"AWS_IAM": []}]
            assert "application/problem+json" in call["responses"]["400"]["content"]
            assert {"403", "503"} <= set(call["responses"])
