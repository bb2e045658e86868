"""What must hold of the committed machines: no drift, no fault that statelint sees, none of our own rules broken."""

from __future__ import annotations

import json
from pathlib import Path

from statelint.config import Config
from statelint.linter import Linter

from runbooks import catalogue
from workbench.asl import compiler, rules, template


def problems(root: Path) -> list[str]:
    """What is wrong with the machines of the repository at `root`, one sentence each; empty if nothing is."""
    folder = root / "statemachines"
    found = compiler.drift(folder)
    deployed = {
        machine.definition.name: machine for machine in template.machines(template.load(root / "template.yaml"))
    }
    for path in sorted(folder.glob("*.asl.json")):
        machine = deployed.get(path.name)
        if machine is None:
            found.append(f"template.yaml deploys no machine from {path.name}.")
            continue
        definition = json.loads(path.read_text(encoding="utf-8"))
        faults = Linter.validate(definition, Config())
        faults += rules.violations(definition, machine.function_timeouts, _steps(path.name.removesuffix(".asl.json")))
        found += [f"{path.name}: {fault}" for fault in faults]
    return found


def _steps(name: str) -> list[str]:
    readme = catalogue.FOLDER / name.replace("-", "_") / "README.md"
    return rules.steps_of(readme.read_text(encoding="utf-8")) if readme.exists() else []
