"""`runbook new`: what it writes works as it is, fits what is there already, and touches nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import catalogue_page, scaffold
from workbench.asl import template as sam
from workbench.scaffold import LONGEST_NAME, LONGEST_TITLE, Unfit, planned, with_block, with_row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/add-a-runbook.md"
PARTS = ("src", "workbench", "tests", "events", "statemachines", "docs")
NAME, STEM = "log-retention", "log_retention"

Run = Callable[..., subprocess.CompletedProcess[str]]


def copy(target: Path) -> Path:
    """The repository without what is installed or built."""
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info")
    target.mkdir(exist_ok=True)
    for part in PARTS:
        shutil.copytree(ROOT / part, target / part, ignore=junk)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, target)
    return target


def commands() -> list[list[str]]:
    """The page's commands that change the repository: those are marked as `bash`, and followed here in a copy."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def run(repository: Path) -> Run:
    """Runs a Python module on the copy, which is all that it sees of the repository."""
    # What is measured is the repository's own code, not a copy's.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    env |= {
        "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(repository)]),
        "AWS_DEFAULT_REGION": "eu-central-1",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=repository,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def followed(repository: Path, run: Run) -> dict[str, subprocess.CompletedProcess[str]]:
    """The answers to the page's commands, in their order."""
    return {shlex.join(words): run("workbench.cli", *words[1:]) for words in commands()}


def test_the_page_is_about_the_runbook_that_it_makes() -> None:
    assert next(words[:3] for words in commands()) == ["runbook", "new", NAME]
    assert all(words[0] == "runbook" for words in commands())


def test_every_command_of_the_page_does_what_it_says(
    followed: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    for command, answer in followed.items():
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    demo = followed[f"runbook demo {NAME}"].stdout
    assert "SUCCEEDED" in demo
    assert "chain verified" in demo


@pytest.mark.usefixtures("followed")
def test_the_new_runbook_keeps_every_rule_but_that_nothing_is_left_to_be_replaced(run: Run) -> None:
    answer = run(
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_catalogue.py",
        f"tests/catalogue/test_{STEM}.py",
        "tests/asl/test_committed.py",
        "tests/template",
    )
    failed = re.findall(r"^FAILED \S+::(\S+)", answer.stdout, re.MULTILINE)
    assert failed == [
        f"test_nothing_is_left_to_be_replaced[{NAME}]",
        "test_nothing_in_the_template_is_left_to_be_replaced",
    ]
    assert " error" not in answer.stdout.splitlines()[-1]


@pytest.mark.usefixtures("followed")
def test_its_incidents_end_as_they_must_on_the_embedded_aws(run: Run) -> None:
    answer = run("pytest", "-q", "-p", "no:cacheprovider", "tests/test_scenarios.py", "-k", NAME)
    assert answer.returncode == 0, answer.stdout
    assert " passed" in answer.stdout


@pytest.mark.usefixtures("followed")
def test_its_code_passes_the_linters(run: Run) -> None:
    code = [f"src/runbooks/catalogue/{STEM}", f"workbench/scenarios/{STEM}.py"]
    for words in (["ruff", "check"], ["ruff", "format", "--check"]):
        answer = run(*words, *code, f"tests/catalogue/test_{STEM}.py")
        assert answer.returncode == 0, answer.stdout
    answer = run("mypy", "--strict", *code)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.usefixtures("followed")
def test_whatever_was_there_stays_as_it_was(repository: Path) -> None:
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            # The catalogue's page is compiled, and has another section now.
            if path.relative_to(ROOT) == catalogue_page.PAGE:
                continue
            if path.is_file() and not {"__pycache__"} & set(path.parts) and ".egg-info" not in str(path):
                assert (repository / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), path
    before = (ROOT / "template.yaml").read_text(encoding="utf-8")
    after = (repository / "template.yaml").read_text(encoding="utf-8")
    head, _, rest = after.partition(f"\n  # {NAME}\n")
    assert before.startswith(head)
    assert rest.endswith(before.removeprefix(head))
    assert (
        sam.load(repository / "template.yaml")["Resources"].keys()
        > sam.load(ROOT / "template.yaml")["Resources"].keys()
    )
    added = set((repository / "README.md").read_text(encoding="utf-8").splitlines()) - set(
        (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    )
    assert len(added) == 1


@pytest.mark.usefixtures("followed")
def test_a_runbook_is_not_written_over(run: Run) -> None:
    answer = run("workbench.cli", "new", NAME)
    assert answer.returncode == 2
    assert answer.stderr == f"There is a runbook '{NAME}' already. See it with `runbook show {NAME}`.\n"


# Without a copy


@pytest.mark.parametrize("service", sorted(scaffold.EXAMPLES))
@pytest.mark.parametrize("name", ["a", "a" * LONGEST_NAME, "zz9-" + "z" * (LONGEST_NAME - 4)])
def test_the_code_is_in_the_one_style_whatever_the_name(name: str, service: str, tmp_path: Path) -> None:
    root = copy(tmp_path / "repository")
    created = planned(root, name, "T" * LONGEST_TITLE, service).created
    for path, text in created.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    code = [str(path) for path in created if path.suffix == ".py"]
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", *code],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    ["", "Watermark", "watermark_reset", "-a", "a-", "a--b", "1-a", "ä", "a/b", "../a", "a" * (LONGEST_NAME + 1)],
)
def test_a_bad_name_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(Unfit, match="cannot be a runbook's name"):
        planned(ROOT, name)


@pytest.mark.parametrize("title", ['Say "so"', "a\nb", "It ends.", " x", "{a}", "a|b", "T" * (LONGEST_TITLE + 1)])
def test_a_bad_title_is_refused_with_a_sentence(title: str) -> None:
    with pytest.raises(Unfit, match="cannot be a runbook's title"):
        planned(ROOT, "a-name", title)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "ecs-service-rollback"}, "There is a runbook 'ecs-service-rollback' already"),
        ({"name": "a-name", "service": "punchcards"}, "There is no example for 'punchcards'. There are: logs"),
        ({"name": "a-name", "root": ROOT / "docs"}, "is not the runbooks' repository"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(Unfit, match=re.escape(says)):
        planned(**{"root": ROOT, **arguments})


def test_a_dry_run_lists_everything_and_writes_nothing(run: Run, repository: Path) -> None:
    before = sorted(repository.rglob("*"))
    answer = run("workbench.cli", "new", "only-seen", "--dry-run", "--json")
    document = json.loads(answer.stdout)
    assert (document["name"], document["dry_run"]) == ("only-seen", True)
    assert "statemachines/only-seen.asl.json" in document["written"]
    assert "docs/catalogue.md" in document["written"]
    assert "template.yaml" in document["written"]
    left = [path for path in sorted(repository.rglob("*")) if "__pycache__" not in path.parts]
    assert left == [path for path in before if "__pycache__" not in path.parts]


def test_a_runbook_that_does_not_compile_leaves_nothing_behind(tmp_path: Path) -> None:
    for file in ("template.yaml", "README.md"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "src/runbooks/catalogue").mkdir(parents=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(Unfit, match="could not be compiled, so nothing was written"):
        scaffold.write(tmp_path, planned(tmp_path, "a-name"), "a-name")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "src", "template.yaml"]


def test_the_block_goes_to_the_end_of_the_resources() -> None:
    template = "A: 1\n\nResources:\n  One: {}\n\n# what is told\nOutputs:\n  Two: {}\n"
    assert with_block(template, "  New: {}") == (
        "A: 1\n\nResources:\n  One: {}\n\n# what is told\n\n  New: {}\n\nOutputs:\n  Two: {}\n"
    )
    assert with_block("Resources:\n  One: {}\n", "  New: {}") == "Resources:\n  One: {}\n\n  New: {}\n"
    with pytest.raises(Unfit, match="has no Resources"):
        with_block("Outputs: {}\n", "  New: {}")


def test_the_row_goes_to_the_end_of_the_table() -> None:
    row = "| [`b`](src/runbooks/catalogue/b/README.md) | B |"
    readme = "x\n| [`a`](src/runbooks/catalogue/a/README.md) | A |\n\ny\n"
    assert with_row(readme, row) == f"x\n| [`a`](src/runbooks/catalogue/a/README.md) | A |\n{row}\n\ny\n"
    with pytest.raises(Unfit, match="no table of runbooks"):
        with_row("x\n", row)
