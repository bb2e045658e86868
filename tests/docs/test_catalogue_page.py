"""The catalogue's page says what the declarations say: no more, no less, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runbooks import catalogue
from runbooks.model import RunInput
from workbench import catalogue_page

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / catalogue_page.PAGE).read_text(encoding="utf-8")


def section(name: str) -> str:
    found = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"{name} has no section"
    return found[1]


def test_the_page_is_what_the_declarations_say() -> None:
    assert catalogue_page.drift(ROOT) == []


def test_the_page_has_a_section_for_each_runbook_and_for_nothing_else() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == catalogue.names()


@pytest.mark.parametrize("name", catalogue.names())
def test_a_section_has_title_risk_inputs_phases_and_the_way_to_the_procedure(name: str) -> None:
    runbook, text = catalogue.load(name), section(name)
    assert f"{runbook.title}. Risk: {runbook.risk.value}." in text
    own = [field for field in runbook.input.model_fields if field not in RunInput.model_fields]
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == sorted(own)
    for phase in runbook.phases:
        listed = f"{phase.name} (once it is verified)" if phase.after_verification else phase.name
        assert f"| {listed} | {phase.question} |" in text
    (link,) = re.findall(r"\[README\]\((.+?)\)", text)
    assert (ROOT / "docs" / link).resolve() == catalogue.FOLDER / name.replace("-", "_") / "README.md"
    assert (ROOT / "docs" / link).exists()


def test_required_fields_stand_first_and_defaults_are_said() -> None:
    head = TEXT.partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \| (.+?) \|", head, re.MULTILINE) == [
        ("reason", "required"),
        ("requested_by", "required"),
        ("mode", '`"plan"` if absent'),
        ("ticket", "optional"),
        ("region", "optional"),
    ]
