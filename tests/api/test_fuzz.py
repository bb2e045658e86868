"""Requests that nobody thought of, made from the served OpenAPI document: every answer is one that it documents.

`FUZZ_REQUESTS` says how many there are at least; `make fuzz` makes them more.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from runbooks.api.routes import document

from .conftest import RUNBOOK, Someone, asked, ended

if TYPE_CHECKING:
    from runbooks.store.runs import Ledger
    from workbench import scenario
    from workbench.embedded import EmbeddedAws

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [(path, method) for path, calls in document.document()["paths"].items() for method in calls]
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))
EACH = -(-REQUESTS // len(OPERATIONS))


class Signed(AuthBase):
    """Signs what `requests` sends, as it is on the wire."""

    def __init__(self, someone: Someone) -> None:
        self.someone = someone

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body
        copy = AWSRequest(request.method, request.url, data=body)
        SigV4Auth(self.someone.api.credentials, "execute-api", self.someone.aws.region).add_auth(copy)
        request.headers.update(dict(copy.headers.items()))
        return request


@pytest.fixture
def known(
    aws: EmbeddedAws, ledger: Ledger, alice: Someone, bob: Someone, broken: scenario.Scenario
) -> dict[str, list[Any]]:
    """What exists: a run that has ended, one that waits for a decision, and inputs that fit."""
    over = alice.starts("plan-only").document["run_id"]
    ended(aws, ledger, over)
    waiting = alice.starts().document["run_id"]
    fits = {"reason": "fuzz", "cluster": "none", "service": "none"}
    return {
        "run_id": [over, waiting],
        "runbook": [RUNBOOK, "watermark-reset"],
        "plan_hash": [asked(ledger, waiting)],
        "input": [fits, fits | {"mode": "execute"}],
        "next": [bob.get("/runs", limit=1)["next"]],
        "expires_at": [aws.clock.now().replace(year=2090).isoformat()],
    }


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_documented(
    aws: EmbeddedAws, bob: Someone, known: dict[str, list[Any]], path: str, method: str
) -> None:
    schema = schemathesis.openapi.from_dict(bob.get("/openapi.json"))
    schema.config.update(base_url=aws.api_url)
    operation = schema[path][method.upper()]
    sent = 0

    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def requests(data: st.DataObject) -> None:
        nonlocal sent
        case = data.draw(operation.as_strategy())
        for part in (case.path_parameters, case.query, case.body):
            if isinstance(part, dict):
                for name in part.keys() & known.keys():
                    if data.draw(st.booleans()):
                        part[name] = data.draw(st.sampled_from(known[name]))
        sent += 1
        case.call_and_validate(checks=CHECKS, auth=Signed(bob))

    requests()
    assert sent >= EACH
    assert aws.defects == []
    assert "Traceback" not in json.dumps(aws.log("ApiFunction"))
