"""The files beside the template: where it is deployed to, and what is packaged with it."""

import re
import tomllib
from typing import Any

import pytest

from .conftest import ROOT

PINNED = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def samconfig() -> dict[str, Any]:
    return tomllib.loads((ROOT / "samconfig.toml").read_text())


def pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split())


@pytest.mark.parametrize(("stage", "retention"), [("dev", "30"), ("prod", "3653")])
def test_a_stage_is_deployed_with_its_parameters_and_tags(
    samconfig: dict[str, Any], source: dict[str, Any], stage: str, retention: str
) -> None:
    deploy = samconfig[stage]["deploy"]["parameters"]
    parameters, tags = pairs(deploy["parameter_overrides"]), pairs(deploy["tags"])

    assert parameters["Environment"] == stage
    assert parameters["LogRetentionDays"] == retention
    assert set(parameters) <= set(source["Parameters"])
    assert tags == {
        "Environment": stage,
        "GxP": parameters["GxP"],
        "System": samconfig[stage]["global"]["parameters"]["stack_name"],
        "DataType": parameters["DataType"],
    }


def test_prod_asks_before_it_deploys(samconfig: dict[str, Any]) -> None:
    assert samconfig["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


def test_what_deploys_is_what_is_tested() -> None:
    locked = dict(PINNED.findall((ROOT / "requirements.lock").read_text()))
    deployed = dict(PINNED.findall((ROOT / "src/requirements.txt").read_text()))
    assert deployed
    assert deployed == {name: locked[name] for name in deployed}


def test_every_dependency_deploys() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=!~\[ ]", dependency)[0] for dependency in project["dependencies"]}
    deployed = dict(PINNED.findall((ROOT / "src/requirements.txt").read_text()))
    assert names <= set(deployed)


@pytest.mark.parametrize("name", ["requirements.lock", "src/requirements.txt"])
def test_the_pins_name_no_place(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=sha256:", ""), re.MULTILINE)


def test_every_pin_in_the_lock_has_a_hash() -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text())
    for block in blocks:
        if PINNED.match(block):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_who_deploys_is_told_where_the_address_for_alarms_belongs(source: dict[str, Any]) -> None:
    assert source["Parameters"]["AlarmEmail"]["Default"] == ""
    for page in ("README.md", "samconfig.toml"):
        assert "AlarmEmail=<address>" in (ROOT / page).read_text(encoding="utf-8"), page
