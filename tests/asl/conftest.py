from datetime import timedelta

import pytest
from pydantic import Field

from runbooks.model import Model, Phase, Risk, Runbook, RunInput, healthy, settled


class Input(RunInput):
    cluster: str = Field(description="the cluster, e.g. analytics")
    service: str
    revision: str | None = None


class Facts(Model):
    pass


def phase(name: str, question: str, **given: object) -> Phase:
    return Phase(
        **{
            "name": name,
            "question": question,
            "settled": lambda given, facts: settled("it is"),
            "rests_on": lambda facts: None,
            "within": timedelta(minutes=10),
        }
        | given
    )


def runbook(*phases: Phase, **given: object) -> Runbook:
    return Runbook(
        **{
            "name": "copy-and-cut-over",
            "title": "Copy the snapshot and cut over",
            "risk": Risk.CHANGES_PRODUCTION,
            "input": Input,
            "facts": Facts,
            "targets": lambda given, account, region: [],
            "gather": lambda given, aws, now: Facts(),
            "decide": lambda given, facts, now: healthy("it is"),
            "phases": phases,
        }
        | given
    )


@pytest.fixture
def two_phases() -> Runbook:
    return runbook(
        phase("Copy the snapshot", "Is the copy complete?"),
        phase("Cut over", "Does the new cluster answer?", within=timedelta(minutes=30)),
    )


@pytest.fixture
def tidying() -> Runbook:
    return runbook(
        phase("Cut over", "Does the new cluster answer?"),
        phase("Delete the old cluster", "Is it gone?", after_verification=True, asked="Is it past its retention?"),
    )


@pytest.fixture
def read_only() -> Runbook:
    return runbook(name="look-around", risk=Risk.READ_ONLY)
