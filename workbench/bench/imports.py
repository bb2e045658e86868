"""What a function costs to start: its handler's imports, beside those and the making of one bare boto3 client.

Measured as processor time in fresh interpreters that see what deploys and nothing else, in turns.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

TIMES = 7
BARE = "import boto3; boto3.client('dynamodb', region_name='eu-central-1')"
REPOSITORY = Path(__file__).parents[2]

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


@dataclass(frozen=True)
class Start:
    """Seconds of processor time that a handler's module takes to import, and what that is of a bare client's."""

    module: str
    seconds: float
    ratio: float


def handlers(template: dict[str, Any]) -> list[str]:
    """The modules that the template's functions start with, each once."""
    functions = (each["Properties"] for each in template["Resources"].values() if each["Type"].endswith("::Function"))
    return list(dict.fromkeys(function["Handler"].rpartition(".")[0] for function in functions))


def measured(modules: Iterable[str]) -> tuple[float, list[Start]]:
    """Seconds for a bare client, and what each module takes."""
    modules = list(modules)
    with tempfile.TemporaryDirectory() as folder:
        deployed = Path(folder)
        _link_what_deploys(deployed)
        bare: list[float] = []
        each: dict[str, list[float]] = {module: [] for module in modules}
        for turn in range(TIMES + 1):
            took = {code: _processor_time(code, deployed) for code in (BARE, *(f"import {name}" for name in modules))}
            if turn:  # the first turn compiles
                bare.append(took[BARE])
                for module in modules:
                    each[module].append(took[f"import {module}"])
    floor = statistics.median(bare)
    medians = {module: statistics.median(times) for module, times in each.items()}
    return floor, [Start(module, seconds, seconds / floor) for module, seconds in medians.items()]


def _link_what_deploys(folder: Path) -> None:
    """Makes a folder of the packages that are pinned for the functions; the workbench has more installed."""
    for name in _PINNED.findall((REPOSITORY / "src/requirements.txt").read_text(encoding="utf-8")):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # it is pinned for another platform
        for top in {PurePath(str(file)).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())


def _processor_time(code: str, deployed: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-S", "-c", code],  # -S: no site-packages
        env={
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(deployed)]),
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
        },
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
