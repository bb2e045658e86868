"""The keys that an operator has pinned: several, with blanks in their names, in the environment or in a file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from workbench.evidence.pinned import VARIABLE, BadConfiguration, Pinned, pinned

ONE, OTHER = f"sha256:{'4f' * 32}", f"sha256:{'a0' * 32}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "runbook").mkdir()
    return tmp_path / "runbook" / "config.toml"


def of(file: Path, **more: str) -> Pinned:
    return pinned({"XDG_CONFIG_HOME": str(file.parents[1]), **more})


@pytest.mark.parametrize(
    "keys",
    [
        ["key.pem"],
        ["/keys of 2026/the key.pem"],
        [ONE],
        [ONE, OTHER],
        ["/keys/sha256", ONE, "/keys/of sha256/key.pem", OTHER, "key.pem"],
    ],
)
def test_the_variable_holds_one_key_or_several_as_path_holds_folders(keys: list[str]) -> None:
    assert pinned({VARIABLE: os.pathsep.join(keys)}) == Pinned(keys, VARIABLE)


def test_the_file_pins_several_keys_and_finds_files_from_its_own_folder(file: Path) -> None:
    file.write_text(f'[audit]\nkeys = ["old seals.pem", "/elsewhere/key.pem", "~/key.pem", "{ONE}"]\n')
    found = of(file)
    assert found.keys == [str(file.parent / "old seals.pem"), "/elsewhere/key.pem", str(Path.home() / "key.pem"), ONE]
    assert found.where == str(file)


def test_the_variable_comes_before_the_file(file: Path) -> None:
    file.write_text(f'[audit]\nkeys = ["{ONE}"]\n')
    assert of(file, **{VARIABLE: OTHER}) == Pinned([OTHER], VARIABLE)
    assert of(file, **{VARIABLE: ""}) == Pinned([ONE], str(file))


def test_without_any_nothing_is_pinned(file: Path) -> None:
    assert of(file) == Pinned()
    file.write_text('[another]\nthing = "x"\n')
    assert of(file) == Pinned()


def test_the_file_is_in_the_home_if_the_variable_says_nothing_that_can_be_considered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config/runbook").mkdir(parents=True)
    (tmp_path / ".config/runbook/config.toml").write_text(f'audit.keys = ["{ONE}"]\n')
    for environment in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}):
        assert pinned(environment).keys == [ONE]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[audit", "cannot be read as TOML"),
        ('[audit]\nkey = "x"', "all that it may say of the audit trail is"),
        ('audit = "x"', "all that it may say of the audit trail is"),
        ('[audit]\nkeys = "key.pem"', "keys is not a list of file names and fingerprints"),
        ('[audit]\nkeys = ["key.pem", 1]', "keys is not a list of file names and fingerprints"),
        ('[audit]\nkeys = [""]', "keys is not a list of file names and fingerprints"),
    ],
)
def test_a_file_that_does_not_say_which_keys_are_trusted_is_refused(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(BadConfiguration, match=says):
        of(file)


def test_the_example_in_the_documentation_pins_two_keys(file: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/audit.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert str(file.relative_to(file.parents[1])) in page
    file.write_text(example)
    assert of(file).keys == [str(file.parent / "seals until 2026.pem"), "sha256:4f1c9d..."]
