"""CloudFormation takes 500 resources a stack, and there will be 45 runbooks."""

from typing import Any

import pytest

from .conftest import Resources, translate, with_runbooks

LIMIT = 500
RUNBOOKS = 45
PER_RUNBOOK = 8


@pytest.fixture(scope="module")
def full(source: dict[str, Any]) -> Resources:
    return translate(with_runbooks(source, RUNBOOKS))


def test_a_runbook_takes_at_most_eight_resources(source: dict[str, Any], resources: Resources) -> None:
    added = set(translate(with_runbooks(source, 2))) - set(resources)
    assert sorted(added) == [
        "Number2ActFunction",
        "Number2ActRole",
        "Number2DiagnoseFunction",
        "Number2DiagnoseRole",
        "Number2Machine",
        "Number2MachineAliaslive",
        "Number2MachineRole",
        "Number2MachineVersion",
    ]
    assert len(added) == PER_RUNBOOK


def test_all_runbooks_fit_into_one_stack(full: Resources, resources: Resources) -> None:
    assert len(full) == len(resources) + (RUNBOOKS - 1) * PER_RUNBOOK
    assert len(full) < LIMIT
