"""What holds of every runbook, whichever there are: one name everywhere, and nothing that is named and not there."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks import catalogue, errors
from runbooks.frame.begin import parse_input
from workbench import scaffold, scenario
from workbench.asl import rules, template

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src/runbooks"
SECTIONS = ["Meaning", "Impact", "Procedure", "Rollback"]
ROLES = ("DiagnoseFunction", "DiagnoseRole", "ActFunction", "ActRole", "Machine", "MachineRole")
"""What a runbook's block in the template is made of."""

NAMES = catalogue.names()
RESOURCES: dict[str, dict[str, Any]] = template.load(ROOT / "template.yaml")["Resources"]
TRIGGERS = "triggers"
"""The folder of events that are no start inputs, but what AWS sends."""
EVENTS = [
    (path.parent.name, path.stem) for path in sorted((ROOT / "events").glob("*/*.json")) if path.parent.name != TRIGGERS
]
INVALID = {
    (name, each.event)
    for name in NAMES
    for each in scenario.of(name).values()
    if each.error == errors.InputInvalid.__name__
}
"""Inputs that a scenario shows to be refused."""
README = (ROOT / "README.md").read_text(encoding="utf-8")


def folder_of(name: str) -> Path:
    return catalogue.FOLDER / scaffold.stem_of(name)


def readme_of(name: str) -> str:
    return (folder_of(name) / "README.md").read_text(encoding="utf-8")


def definition_of(name: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads((ROOT / "statemachines" / f"{name}.asl.json").read_text(encoding="utf-8"))
    return definition


def properties_of(name: str, part: str) -> dict[str, Any]:
    properties: dict[str, Any] = RESOURCES[f"{scaffold.logical_id_of(name)}{part}"]["Properties"]
    return properties


# One name


def test_every_place_has_exactly_the_runbooks_of_the_catalogue() -> None:
    def stems(folder: str, pattern: str, prefix: str = "", suffix: str = "") -> list[str]:
        paths = sorted((ROOT / folder).glob(pattern))
        found = [path.name.removeprefix(prefix).removesuffix(suffix).replace("_", "-") for path in paths]
        return [name for name in found if name not in {"--init--.py", "--init--", "--pycache--"}]

    assert [catalogue.load(name).name for name in NAMES] == NAMES
    assert stems("src/runbooks/catalogue", "*/") == NAMES
    assert stems("statemachines", "*.asl.json", suffix=".asl.json") == NAMES
    assert stems("events", "*") == sorted([*NAMES, TRIGGERS])
    assert stems("tests/catalogue", "test_*.py", "test_", ".py") == NAMES
    assert stems("workbench/scenarios", "*.py", suffix=".py") == NAMES


def test_the_template_has_a_block_for_each_runbook_and_for_nothing_else() -> None:
    machines = [name for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::StateMachine"]
    told = {
        name: each["Properties"]["Environment"]["Variables"]["RUNBOOK"]
        for name, each in RESOURCES.items()
        if "RUNBOOK" in each.get("Properties", {}).get("Environment", {}).get("Variables", {})
    }
    assert sorted(machines) == sorted(f"{scaffold.logical_id_of(name)}Machine" for name in NAMES)
    assert told == {
        f"{scaffold.logical_id_of(name)}{kind}Function": name for name in NAMES for kind in ("Diagnose", "Act")
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_block_of_the_template_says_the_runbooks_name_throughout(name: str) -> None:
    own = scaffold.logical_id_of(name)
    assert {f"{own}{role}" for role in ROLES} <= set(RESOURCES)
    for kind in ("diagnose", "act"):
        function = properties_of(name, f"{kind.capitalize()}Function")
        assert function["Handler"] == f"runbooks.frame.{kind}.handler"
        assert function["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}-{kind}"}
        assert function["Role"] == {"Fn::GetAtt": [f"{own}{kind.capitalize()}Role", "Arn"]}
        assert function["Environment"]["Variables"] == {"RUNBOOK": name}
    machine = properties_of(name, "Machine")
    assert machine["Name"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
    assert machine["DefinitionUri"] == f"statemachines/{name}.asl.json"
    assert machine["Role"] == {"Fn::GetAtt": [f"{own}MachineRole", "Arn"]}
    substituted = {key: value["Fn::GetAtt"][0] for key, value in machine["DefinitionSubstitutions"].items()}
    assert substituted["DiagnoseFunctionArn"] == f"{own}DiagnoseFunction"
    assert substituted["ActFunctionArn"] == f"{own}ActFunction"


@pytest.mark.parametrize("name", NAMES)
def test_every_payload_of_the_machine_names_the_runbook(name: str) -> None:
    tasks = [state for state in definition_of(name)["States"].values() if state["Type"] == "Task"]
    assert {task["Parameters"]["Payload"]["runbook"] for task in tasks} == {name}


# What is told


@pytest.mark.parametrize("name", NAMES)
def test_the_procedure_has_the_title_and_the_sections(name: str) -> None:
    readme = readme_of(name)
    assert readme.splitlines()[0] == f"# {catalogue.load(name).title}"
    assert re.findall(r"^## (.+)$", readme, re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("name", NAMES)
def test_the_numbered_steps_of_the_procedure_are_the_states(name: str) -> None:
    assert rules.steps_of(readme_of(name)) == list(definition_of(name)["States"])


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_lists_the_runbook_with_its_title(name: str) -> None:
    folder = folder_of(name).relative_to(ROOT).as_posix()
    assert f"| [`{name}`]({folder}/README.md) | {catalogue.load(name).title} |\n" in README


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_to_be_replaced(name: str) -> None:
    stem = scaffold.stem_of(name)
    files = [
        *folder_of(name).glob("*.*"),
        *(ROOT / "events" / name).glob("*.json"),
        ROOT / f"tests/catalogue/test_{stem}.py",
        ROOT / f"workbench/scenarios/{stem}.py",
    ]
    left = [str(path.relative_to(ROOT)) for path in files if scaffold.MARK in path.read_text(encoding="utf-8")]
    assert left == []


def test_nothing_in_the_template_is_left_to_be_replaced() -> None:
    assert scaffold.MARK not in (ROOT / "template.yaml").read_text(encoding="utf-8")


# What is named is there


@pytest.mark.parametrize(("name", "event"), [event for event in EVENTS if event not in INVALID])
def test_every_start_input_fits_its_runbook(name: str, event: str) -> None:
    text = (ROOT / "events" / name / f"{event}.json").read_text(encoding="utf-8")
    assert parse_input(catalogue.load(name), json.loads(text))


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_starts_with_an_event_that_exists_and_ends_in_an_error_that_exists(name: str) -> None:
    for each in scenario.of(name).values():
        assert (name, each.event) in EVENTS, each.name
        assert each.error is None or each.error in errors.NAMES, each.name
        assert (each.error is None) == (each.ends == "SUCCEEDED"), each.name


@pytest.mark.parametrize("name", NAMES)
def test_the_first_scenario_is_the_standard_incident_which_is_healed(name: str) -> None:
    standard = next(iter(scenario.of(name).values()))
    assert (standard.ends, standard.error, standard.decision) == ("SUCCEEDED", None, "approve")
    if catalogue.load(name).phases:
        assert standard.changes
        assert standard.world_after is not None


@pytest.mark.parametrize("name", NAMES)
def test_every_error_that_the_machine_mentions_exists(name: str) -> None:
    mentioned = set(_errors(definition_of(name)))
    ours = {error for error in mentioned if not error.startswith(("States.", "Lambda.", "Sandbox.", "Runtime."))}
    assert ours
    assert ours <= errors.NAMES


def _errors(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value.get("ErrorEquals", ())
        if isinstance(value.get("Error"), str):
            yield value["Error"]
        for item in value.values():
            yield from _errors(item)
    elif isinstance(value, list):
        for item in value:
            yield from _errors(item)


# What deploys, and what does not


def test_what_deploys_knows_nothing_of_the_workbench_and_of_tests() -> None:
    forbidden = {"workbench", "moto", "pytest", "tests", "stepfunctions", "typer", "rich"}
    found = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in SRC.rglob("*.py")
        for module in _imported(ast.parse(path.read_text(encoding="utf-8")))
        if module.split(".")[0] in forbidden
    }
    assert found == set()


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_nothing_but_its_own_places_and_the_triggers_knows_a_runbook_by_its_name() -> None:
    """So that a runbook can be added, and taken away, without a change of what all of them share."""
    shared = [SRC / part for part in ("aws", "evidence", "frame", "store")]
    shared += [ROOT / "workbench" / part for part in ("asl", "embedded", "matrix", "scaffold")]
    known = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder in shared
        for path in folder.rglob("*.py")
        for name in NAMES
        if any(form in path.read_text(encoding="utf-8") for form in (f'"{name}"', scaffold.stem_of(name)))
    ]
    assert known == []


def test_only_what_is_in_src_deploys() -> None:
    source = template.load(ROOT / "template.yaml")
    assert source["Globals"]["Function"]["CodeUri"] == "src/"
    for name, resource in source["Resources"].items():
        if not resource["Type"].endswith("::Function"):
            continue
        assert "CodeUri" not in resource["Properties"], name
        module = resource["Properties"]["Handler"].rpartition(".")[0]
        assert (ROOT / "src" / f"{module.replace('.', '/')}.py").exists(), name
    packaged = {path.name for path in (ROOT / "src").iterdir() if not path.name.endswith((".egg-info", "__pycache__"))}
    assert packaged == {"runbooks", "requirements.txt"}


def test_everything_public_that_deploys_says_what_it_is_for() -> None:
    silent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(SRC.rglob("*.py"))
        for name in _without_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def _without_docstring(module: ast.Module) -> Iterator[str]:
    if module.body and ast.get_docstring(module) is None:
        yield "the module"
    public = (node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))
    yield from (node.name for node in public if not node.name.startswith("_") and ast.get_docstring(node) is None)
