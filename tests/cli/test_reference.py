"""`list`, `show` and `compile`: what there is."""

from __future__ import annotations

import json

import pytest

from runbooks import catalogue
from workbench import scenario
from workbench.cli import reference


def test_list_names_every_runbook_with_its_scenarios_and_how_they_end(runbook):
    answer = runbook("list", "--json")
    assert answer.code == 0
    assert [each["name"] for each in answer.document] == catalogue.names()
    for each in answer.document:
        of = scenario.of(each["name"])
        assert each["title"]
        assert each["risk"] in {"read-only", "repairs", "changes-production", "destroys-data"}
        assert [(one["name"], one["status"]) for one in each["scenarios"]] == [(s.name, s.ends) for s in of.values()]


def test_list_is_readable_without_json(runbook):
    answer = runbook("list")
    assert answer.code == 0
    for name in catalogue.names():
        assert f"{name}  {catalogue.load(name).title}" in answer.stdout


@pytest.mark.parametrize("name", catalogue.names())
def test_show_has_the_procedure_the_input_and_the_graph(runbook, name):
    shown = runbook("show", name, "--json").document
    assert shown.keys() == {"name", "title", "risk", "input_schema", "procedure", "states", "graph"}
    assert {"mode", "reason", "requested_by"} <= shown["input_schema"]["properties"].keys()
    assert shown["procedure"].startswith("# ")
    assert shown["states"][0] == shown["graph"]["start"] == "Begin run"
    assert {edge["to"] for edge in shown["graph"]["edges"]} <= set(shown["states"])


def test_show_prints_every_state_and_every_field(runbook):
    shown = runbook("show", "ecs-service-rollback", "--json").document
    text = runbook("show", "ecs-service-rollback").stdout
    for word in [*shown["states"], *shown["input_schema"]["properties"], "verdict is remediable"]:
        assert word in text
    assert shown["procedure"].strip() in text


def test_show_of_a_runbook_that_was_never_compiled_says_what_to_do(runbook, monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "MACHINES", tmp_path)
    answer = runbook("show", "ecs-service-rollback")
    assert answer.code == 2
    assert answer.complaint == (
        "The state machine of ecs-service-rollback has not been compiled. Run `runbook compile`."
    )


def test_the_compiled_machines_are_up_to_date(runbook):
    answer = runbook("compile", "--check", "--json")
    assert answer.document == {"drift": []}
    assert answer.code == 0


def test_an_edited_page_of_the_catalogue_is_found_and_written_anew(runbook, monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "MACHINES", tmp_path)
    monkeypatch.setattr(reference, "REPOSITORY", tmp_path)
    runbook("compile")
    page = tmp_path / "docs/catalogue.md"
    text = page.read_text()
    page.write_text(text + "and more\n")
    drift = ["docs/catalogue.md is not what the declarations say; run `runbook compile`."]
    assert runbook("compile", "--check", "--json").document == {"drift": drift}
    page.unlink()
    assert "docs/catalogue.md is missing" in runbook("compile", "--check").complaint
    assert runbook("compile").stdout == "Wrote docs/catalogue.md.\n"
    assert page.read_text() == text


def test_an_edited_machine_is_found_and_written_anew(runbook, monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "MACHINES", tmp_path)
    monkeypatch.setattr(reference, "REPOSITORY", tmp_path)
    machines = [f"{name}.asl.json" for name in catalogue.names()]
    assert runbook("compile", "--json").document == {"written": [*machines, "docs/catalogue.md"]}
    file = tmp_path / "ecs-service-rollback.asl.json"
    definition = json.loads(file.read_text())
    file.write_text(json.dumps(definition | {"TimeoutSeconds": 1}))

    found = runbook("compile", "--check")
    assert found.code == 1
    assert "ecs-service-rollback.asl.json is not what the declaration" in found.complaint
    as_json = runbook("compile", "--check", "--json")
    assert as_json.code == 1
    assert len(as_json.document["drift"]) == 1

    assert runbook("compile").stdout == "Wrote ecs-service-rollback.asl.json.\n"
    assert json.loads(file.read_text()) == definition
    assert runbook("compile").stdout == "Nothing has changed.\n"
