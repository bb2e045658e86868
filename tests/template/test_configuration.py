"""The files beside the template: where it is deployed to, and what is packaged with it."""

import re
import tomllib
from typing import Any

import pytest

from runbooks.policy import Policy

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


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_table_of_the_stages_is_what_is_deployed(samconfig: dict[str, Any], stage: str) -> None:
    deploy = samconfig[stage]["deploy"]["parameters"]
    given = pairs(deploy["parameter_overrides"])
    shown = table_of_the_stages(stage)
    assert shown.pop("Stack") == samconfig[stage]["global"]["parameters"]["stack_name"]
    assert shown.pop("sam deploy") == ("yes" if deploy.get("confirm_changeset") else "no")
    unverified = shown.pop("A run whose requester nobody vouches for")
    assert unverified == ("may be approved" if Policy().approve_unverified[stage] else "may not")
    assert shown == {name: value for name, value in given.items() if name != "DataType"}


def table_of_the_stages(stage: str) -> dict[str, str]:
    """What the page says of a stage, by the parameter or by the first words."""
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    block = page.partition("## dev and prod\n")[2].partition("\n\n**")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in block.splitlines() if line.startswith("|")]
    column = rows[0].index(f"--config-env {stage}")
    found = {}
    for row in rows[2:]:
        name = re.split(r"`|,| \(| asks", row[0])[0]
        found[name] = row[column]
    return found


def test_who_deploys_is_told_what_it_needs(source: dict[str, Any]) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Deploy it\n")[2].partition("\n## ")[0]
    needs = section.partition("```sh")[0]
    assert f"`{source['Globals']['Function']['Runtime']}`" in needs
    assert "--use-container" in needs
    assert "CloudTrail trail" in needs


@pytest.mark.parametrize("page", ["README.md", "samconfig.toml", "docs/operating.md"])
def test_who_deploys_prod_is_warned_that_its_archive_cannot_be_deleted(samconfig: dict[str, Any], page: str) -> None:
    assert pairs(samconfig["prod"]["deploy"]["parameters"]["parameter_overrides"])["RetentionMode"] == "COMPLIANCE"
    text = (ROOT / page).read_text(encoding="utf-8").lower()
    assert "compliance" in text
    assert re.search(r"not (even )?(the account's )?root", text)
    assert "GOVERNANCE".lower() in text


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
