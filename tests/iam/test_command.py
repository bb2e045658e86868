"""`python -m workbench.iam` prints what the flows were seen to need, and fails if a role differs."""

from __future__ import annotations

import contextlib
import json
import sys

import pytest

import workbench.embedded
from workbench.iam import __main__ as command
from workbench.iam import flows
from workbench.iam.actions import Need
from workbench.iam.flows import Seen
from workbench.iam.template import Function, Statement

TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders"
READS = Statement("Read", True, ("dynamodb:GetItem",), (TABLE,))


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """What the only function's role allows; it was seen to get an item."""
    statements: list[Statement] = []
    seen = Seen()
    seen.needed["small-reader"]["dynamodb:GetItem"].add(Need("dynamodb:GetItem", TABLE))
    monkeypatch.setattr(workbench.embedded, "EmbeddedAws", contextlib.nullcontext)
    monkeypatch.setattr(flows, "seen_in_all_flows", lambda _aws, _tell: seen)
    monkeypatch.setattr(
        flows, "allowed", lambda _: {"small-reader": Function("small-reader", "ReaderRole", tuple(statements), {})}
    )
    monkeypatch.setattr(sys, "argv", ["python -m workbench.iam"])
    return statements


def test_it_prints_a_line_for_each_need(role: list[Statement], capsys: pytest.CaptureFixture[str]) -> None:
    role.append(READS)
    assert command.main() == 0
    assert capsys.readouterr().out == (f"small-reader  (ReaderRole)\n  dynamodb:GetItem  dynamodb:GetItem  {TABLE}\n")


def test_it_prints_json_and_fails_if_a_role_differs(
    role: list[Statement], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--json"])
    assert command.main() == 1
    printed = json.loads(capsys.readouterr().out)
    need = {
        "operation": "dynamodb:GetItem",
        "action": "dynamodb:GetItem",
        "resources": ["not allowed"],
        "conditions": [],
    }
    assert printed["functions"] == {"small-reader": {"role": "ReaderRole", "rows": [need]}}
    (sentence,) = printed["differences"]
    assert sentence.startswith("small-reader called dynamodb:GetItem")
