"""What `template.yaml` says about the machines: which files they have, and how long their functions may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse


@dataclass(frozen=True)
class Machine:
    """A machine of the template."""

    logical_id: str
    definition: Path
    """The file, relative to the template."""
    function_timeouts: dict[str, int]
    """Seconds that each function may take, by the name that the definition has for it."""


def load(path: Path) -> dict[str, Any]:
    """The template, with intrinsic functions in their long form."""
    template: dict[str, Any] = yaml_parse(path.read_text(encoding="utf-8"))
    return template


def machines(template: dict[str, Any]) -> list[Machine]:
    """The machines that the template deploys.

    Raises:
        KeyError: a machine substitutes something that is no function of the template.
    """
    resources = template["Resources"]
    default = template["Globals"]["Function"]["Timeout"]
    found = []
    for logical_id, resource in resources.items():
        if resource["Type"] != "AWS::Serverless::StateMachine":
            continue
        properties = resource["Properties"]
        timeouts = {}
        for name, value in properties["DefinitionSubstitutions"].items():
            function, _ = value["Fn::GetAtt"]
            timeouts[name] = resources[function]["Properties"].get("Timeout", default)
        found.append(Machine(logical_id, Path(properties["DefinitionUri"]), timeouts))
    return found
