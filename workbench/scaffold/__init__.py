"""A new runbook, ready to be changed: small, working, and marked wherever its author replaces something.

`planned` says what would be written, `write` writes it and compiles the machine and the catalogue's page. Both take
the repository's root.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench import catalogue_page

FILES = Path(__file__).parent / "files"
MARK = "Replace:"
"""Stands wherever the author of a new runbook has something to replace."""

LONGEST_NAME = 40
"""Characters: the function `<stack>-<name>-diagnose` has 64 at most, and the stack is `runbooks-prod`."""
LONGEST_TITLE = 80

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TITLE = re.compile(r"[^\s\"\\{}|]([^\"\\{}|\n]*[^\s\"\\{}|.])?")
_KEY = re.compile(r"^[^\s#]", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """What a new runbook starts from: a folder of `FILES`, and the name of its start input."""

    service: str
    event: str


EXAMPLES = {example.service: example for example in (Example("logs", "kept-for-ever"),)}


class Unfit(ValueError):
    """The name, the title, the service or the repository will not do; the message is a sentence for people."""


@dataclass(frozen=True)
class Planned:
    """What is written where: whole new files, and new texts of files that there are. Paths are relative to the root."""

    created: Mapping[Path, str]
    changed: Mapping[Path, str]

    @property
    def paths(self) -> list[Path]:
        """All files, the new ones first."""
        return [*self.created, *self.changed]


def stem_of(name: str) -> str:
    """The runbook's name as a Python module has it."""
    return name.replace("-", "_")


def logical_id_of(name: str) -> str:
    """What the logical ids of the runbook's resources begin with."""
    return "".join(word.capitalize() for word in name.split("-"))


def planned(root: Path, name: str, title: str | None = None, service: str = "logs") -> Planned:
    """What `write` would write. Raises Unfit."""
    title = title or name.replace("-", " ").capitalize()
    _check(root, name, title, service)
    example, stem = EXAMPLES[service], stem_of(name)
    words = {"name": name, "stem": stem, "Name": logical_id_of(name), "title": title}
    folder = Path("src/runbooks/catalogue", stem)

    def text(file: str) -> str:
        return _filled((FILES / service / f"{file}.txt").read_text(encoding="utf-8"), words)

    created = {folder / file: text(file) for file in ("README.md", "__init__.py", "input.py", "facts.py", "decide.py")}
    created[Path("events", name, f"{example.event}.json")] = text("event.json")
    created[Path("tests/catalogue", f"test_{stem}.py")] = text("test.py")
    created[Path("workbench/scenarios", f"{stem}.py")] = text("scenarios.py")
    for path in created:
        if (root / path).exists():
            raise Unfit(f"{path} is there already. Choose another name, or remove what is left of the earlier runbook.")
    granted = {"reads": text("reads.yaml").rstrip("\n"), "changes": text("changes.yaml").rstrip("\n")}
    block = _filled((FILES / "template.yaml.txt").read_text(encoding="utf-8"), words | granted)
    row = f"| [`{name}`]({folder.as_posix()}/README.md) | {title} |"
    changed = {
        Path("template.yaml"): with_block(_read(root / "template.yaml"), block),
        Path("README.md"): with_row(_read(root / "README.md"), row),
    }
    return Planned(created, changed)


def write(root: Path, plan: Planned, name: str) -> list[Path]:
    """Write all of it and compile it; returns what was written. If that fails, nothing stays.

    Raises Unfit when the runbook cannot be compiled.
    """
    before = {path: _read(root / path) for path in plan.changed}
    made: list[Path] = []
    try:
        for path, text in plan.created.items():
            made += _make_folders(root, path.parent)
            made.append(path)
            _write(root / path, text)
        for path, text in plan.changed.items():
            _write(root / path, text)
        compiled = _compiled(root, name)
    except BaseException:
        for path, text in before.items():
            _write(root / path, text)
        for path in reversed(made):
            (root / path).rmdir() if (root / path).is_dir() else (root / path).unlink(missing_ok=True)
        raise
    return [*plan.paths, *compiled]


def compiled_to(name: str) -> list[Path]:
    """What a runbook is compiled to, relative to the root: its machine, and the page of all runbooks."""
    return [Path("statemachines", f"{name}.asl.json"), catalogue_page.PAGE]


def with_block(template: str, block: str) -> str:
    """The template with the block as the last one of its resources; everything else stays as it is."""
    keys = [found.start() for found in _KEY.finditer(template)]
    try:
        resources = next(at for at in keys if template.startswith("Resources:", at))
    except StopIteration:
        raise Unfit("template.yaml has no Resources; is this the runbooks' repository?") from None
    end = next((at for at in keys if at > resources), len(template))
    head, rest = template[:end].rstrip("\n"), template[end:]
    return f"{head}\n\n{block.rstrip()}\n" + (f"\n{rest}" if rest else "")


def with_row(readme: str, row: str) -> str:
    """The README with the row as the last one of the table of runbooks; everything else stays as it is."""
    lines = readme.splitlines(keepends=True)
    rows = [number for number, line in enumerate(lines) if line.startswith("| [`") and "/catalogue/" in line]
    if not rows:
        raise Unfit("README.md has no table of runbooks to add a row to; is this the runbooks' repository?")
    lines.insert(rows[-1] + 1, f"{row}\n")
    return "".join(lines)


def _check(root: Path, name: str, title: str, service: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise Unfit(
            f"{name!r} cannot be a runbook's name. It has lower-case words with hyphens between them, such as"
            f" watermark-reset, and {LONGEST_NAME} characters at most."
        )
    if not _TITLE.fullmatch(title) or len(title) > LONGEST_TITLE:
        raise Unfit(
            f"{title!r} cannot be a runbook's title. It is one line of at most {LONGEST_TITLE} characters without"
            " quotes, backslashes, braces and pipes, and does not end with a full stop."
        )
    if service not in EXAMPLES:
        raise Unfit(f"There is no example for {service!r}. There are: {', '.join(sorted(EXAMPLES))}.")
    catalogue = root / "src/runbooks/catalogue"
    if not catalogue.is_dir():
        raise Unfit(f"{root} is not the runbooks' repository: it has no src/runbooks/catalogue.")
    for folder in (path.parent.name for path in catalogue.glob("*/__init__.py")):
        if folder == stem_of(name):
            raise Unfit(f"There is a runbook {name!r} already. See it with `runbook show {name}`.")
        if logical_id_of(folder.replace("_", "-")) == logical_id_of(name):
            raise Unfit(f"{name!r} and {folder.replace('_', '-')!r} would have the same logical ids in template.yaml.")


def _filled(template: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], template)


def _make_folders(root: Path, folder: Path) -> list[Path]:
    made = [path for path in reversed((folder, *folder.parents)) if not (root / path).exists()]
    (root / folder).mkdir(parents=True, exist_ok=True)
    return made


def _compiled(root: Path, name: str) -> list[Path]:
    """Compiles the runbook in a process of its own, which sees that root's declarations and no others."""
    compile_one = (
        "import sys; from pathlib import Path; from runbooks import catalogue; from workbench import catalogue_page;"
        "from workbench.asl import compiler; root, name = Path(sys.argv[1]), sys.argv[2];"
        "text = compiler.render(catalogue.load(name)); catalogue_page.write(root);"
        "compiler.file_of(root / 'statemachines', name).write_text(text, encoding='utf-8')"
    )
    done = subprocess.run(
        [sys.executable, "-c", compile_one, str(root.resolve()), name],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(root.resolve() / part) for part in ("src", "."))},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise Unfit(f"The new runbook could not be compiled, so nothing was written: {last[0]}.")
    return compiled_to(name)


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))
