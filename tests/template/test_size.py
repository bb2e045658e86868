"""CloudFormation takes 500 resources a stack, and there will be 45 runbooks."""

from typing import Any

import pytest

from runbooks import catalogue

from .conftest import Resources, translate, with_runbooks

LIMIT = 500
RUNBOOKS = 45
PER_RUNBOOK = 8


@pytest.fixture(scope="module")
def full(source: dict[str, Any]) -> Resources:
    return translate(with_runbooks(source, RUNBOOKS))


def test_a_runbook_takes_at_most_eight_resources(source: dict[str, Any], resources: Resources) -> None:
    number = len(catalogue.names()) + 1
    added = set(translate(with_runbooks(source, number))) - set(resources)
    assert sorted(added) == [
        f"Number{number}ActFunction",
        f"Number{number}ActRole",
        f"Number{number}DiagnoseFunction",
        f"Number{number}DiagnoseRole",
        f"Number{number}Machine",
        f"Number{number}MachineAliaslive",
        f"Number{number}MachineRole",
        f"Number{number}MachineVersion",
    ]
    assert len(added) == PER_RUNBOOK


def test_all_runbooks_fit_into_one_stack(full: Resources, resources: Resources) -> None:
    assert len(full) == len(resources) + (RUNBOOKS - len(catalogue.names())) * PER_RUNBOOK
    assert len(full) < LIMIT
