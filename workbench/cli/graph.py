"""A compiled state machine as a graph that reads as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_RULES = ("StringEquals", "BooleanEquals", "NumericEquals")


@dataclass(frozen=True)
class Edge:
    """A way from one state to another. `when` is empty for the ordinary way on."""

    source: str
    target: str
    when: str = ""


def edges(definition: dict[str, Any]) -> list[Edge]:
    """All ways through a machine, in the order of its states."""
    found = []
    for name, state in definition["States"].items():
        found += [Edge(name, choice["Next"], _condition(choice)) for choice in state.get("Choices", ())]
        if "Default" in state:
            found.append(Edge(name, state["Default"], "otherwise"))
        if "Next" in state:
            found.append(Edge(name, state["Next"]))
        for catch in state.get("Catch", ()):
            errors = ", ".join(catch["ErrorEquals"])
            found.append(Edge(name, catch["Next"], "on any error" if errors == "States.ALL" else f"on {errors}"))
    return found


def as_text(definition: dict[str, Any]) -> str:
    """The graph, one state a line, its conditional ways indented below it."""
    ways = edges(definition)
    width = max(len(name) for name in definition["States"]) + 2
    lines = []
    for name, state in definition["States"].items():
        own = [edge for edge in ways if edge.source == name]
        onward = next((edge.target for edge in own if not edge.when), None)
        tail = f"-> {onward}" if onward else "ends" if state.get("End") or state["Type"] in {"Fail", "Succeed"} else ""
        lines.append(f"{name:<{width}}{tail}".rstrip())
        lines += [f"    {edge.when:<{width - 4}}-> {edge.target}" for edge in own if edge.when]
    return "\n".join(lines)


def as_document(definition: dict[str, Any]) -> dict[str, Any]:
    """The graph as `--json` prints it."""
    return {
        "start": definition["StartAt"],
        "edges": [
            {"from": edge["source"], "to": edge["target"], "when": edge["when"] or None}
            for edge in map(asdict, edges(definition))
        ],
    }


def _condition(choice: dict[str, Any]) -> str:
    subject = choice.get("Variable", "").removeprefix("$.").replace("_", " ")
    for rule in _RULES:
        if rule in choice:
            value = choice[rule]
            return f"{subject} is {str(value).lower() if isinstance(value, bool) else value}".replace("_", " ")
    return f"if {subject}"
