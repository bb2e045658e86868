"""What is committed in `statemachines/` is what deploys, so it is this that is checked."""

import json
import shutil
from pathlib import Path

import pytest
from statelint.linter import Linter

from runbooks import catalogue
from workbench.asl import template
from workbench.asl.check import problems
from workbench.asl.compiler import file_of

ROOT = Path(__file__).parents[2]


def test_the_committed_machines_have_no_problem() -> None:
    assert problems(ROOT) == []


@pytest.mark.parametrize("name", catalogue.names())
def test_statelint_finds_nothing(name: str) -> None:
    assert Linter.validate(json.loads(file_of(ROOT / "statemachines", name).read_text())) == []


def test_every_runbook_has_a_machine_in_the_template() -> None:
    deployed = template.machines(template.load(ROOT / "template.yaml"))
    assert sorted(machine.definition.as_posix() for machine in deployed) == [
        f"statemachines/{name}.asl.json" for name in catalogue.names()
    ]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "statemachines", tmp_path / "statemachines")
    shutil.copy(ROOT / "template.yaml", tmp_path)
    return tmp_path


def test_a_slip_in_a_committed_file_is_named_by_each_that_can_see_it(copied: Path) -> None:
    path = file_of(copied / "statemachines", "ecs-service-rollback")
    definition = json.loads(path.read_text())
    definition["States"]["Diagnose"]["Next"] = "Nowhere"
    path.write_text(json.dumps(definition))

    found = problems(copied)

    assert found[0].startswith("ecs-service-rollback.asl.json is not what the declaration")
    assert any("No state found named" in sentence for sentence in found)
    assert "ecs-service-rollback.asl.json: 'Diagnose' leads to 'Nowhere', which is no state." in found


def test_a_shorter_deadline_than_the_template_gives_the_function_is_named(copied: Path) -> None:
    text = (copied / "template.yaml").read_text()
    (copied / "template.yaml").write_text(text.replace("Timeout: 60", "Timeout: 90"))
    assert (
        "ecs-service-rollback.asl.json: 'Verify' gives up after 75 s, while its function may still run: that takes "
        "up to 90 s." in problems(copied)
    )


def test_a_machine_that_does_not_deploy_is_named(copied: Path) -> None:
    (copied / "statemachines" / "stray.asl.json").write_text("{}")
    assert problems(copied) == [
        "stray.asl.json belongs to no runbook of the catalogue; delete it.",
        "template.yaml deploys no machine from stray.asl.json.",
    ]
