"""Requests that nobody thought of, made from the served OpenAPI document: every answer is one that it documents.

Most of them fit the document, and some of those are let through; the rest does not fit it, and none of that is.
`FUZZ_REQUESTS` says how many there are at least; `make fuzz` makes them more.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
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
    negative_data_rejection,
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
    """What exists: a run that has ended, one that waits for a decision, a yes in advance, and inputs that fit."""
    over = alice.starts("plan-only").document["run_id"]
    ended(aws, ledger, over)
    waiting = alice.starts().document["run_id"]
    plan = asked(ledger, waiting)
    fits = {"reason": "fuzz", "cluster": "none", "service": "none"}
    target, later = alice.get(f"/runs/{waiting}")["targets"][0], aws.clock.now().replace(year=2090).isoformat()
    bounds = {"operations": ["ecs:UpdateService"], "most_changes": 1}
    standing = {"target": target, "bounds": bounds, "expires_at": later}
    assert alice.send("PUT", f"/standing-approvals/{RUNBOOK}", standing).status == 200
    return {
        "run_id": [waiting, over],
        "runbook": [RUNBOOK, "watermark-reset"],
        "plan_hash": [plan],
        "input": [fits, fits | {"mode": "execute"}],
        "target": [target],
        "next": [bob.get("/runs", limit=1)["next"]],
        "expires_at": [later],
    }


PARTS = {
    ParameterLocation.PATH: "path_parameters",
    ParameterLocation.QUERY: "query",
    ParameterLocation.BODY: "body",
}


ANYTHING = st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))


def filled_in(data: st.DataObject, case: schemathesis.Case, known: dict[str, list[Any]], *, wholly: bool) -> None:
    """Puts what exists in place of what was made up, where that leaves the request as fitting as it was.

    `wholly`: everywhere, or else it would be left to chance whether any request meets something that exists.
    """
    for location, name in PARTS.items():
        part, made = getattr(case, name), case.meta.components.get(location)
        if isinstance(part, dict) and made is not None and made.mode is GenerationMode.POSITIVE:
            for field in sorted(part.keys() & known.keys()):
                drawn = data.draw(st.sampled_from([part[field], *known[field]]))
                part[field] = known[field][0] if wholly else drawn


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_documented(
    aws: EmbeddedAws, bob: Someone, known: dict[str, list[Any]], path: str, method: str
) -> None:
    schema = schemathesis.openapi.from_dict(bob.get("/openapi.json"))
    schema.config.update(base_url=aws.api_url)
    # The signature is no data: each request gets the one that fits it.
    schema.config.generation.update(with_security_parameters=False)
    operation = schema[path][method.upper()]
    takes_something = bool(list(operation.iter_parameters())) or bool(operation.body)

    def answers(mode: GenerationMode, number: int) -> Counter[int]:
        """How often which status was answered to that many requests, each of which was checked."""
        seen: Counter[int] = Counter()
        cases = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=number,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(data=st.data())
        def requests(data: st.DataObject) -> None:
            case = data.draw(cases)
            filled_in(data, case, known, wholly=seen.total() % 2 == 0)
            if not takes_something:
                case.query = data.draw(ANYTHING)
            answer = case.call_and_validate(checks=CHECKS, auth=Signed(bob))
            seen[answer.status_code] += 1
            # That word is the gateway's, about a signature that does not fit: the request was never let in.
            assert answer.json() != {"message": "Forbidden"}

        requests()
        return seen

    unfitting = answers(GenerationMode.NEGATIVE, EACH // 3) if takes_something else Counter[int]()
    fitting = answers(GenerationMode.POSITIVE, EACH - unfitting.total())
    assert (fitting + unfitting).total() >= EACH
    assert min(fitting) < 300, f"no request that fits was let through: {fitting}"
    if takes_something:
        # A name that is none may as well be one that nothing has.
        refused = unfitting[400] if operation.body else unfitting[400] + unfitting[404]
        assert refused, f"no request that does not fit was refused for that: {unfitting}"
    assert aws.defects == []
    assert "Traceback" not in json.dumps(aws.log("ApiFunction"))
