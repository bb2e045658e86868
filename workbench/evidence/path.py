"""The way that a run has taken through its state machine, from its audit entries alone, and its graph as Mermaid."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.store.audit import Entry
from workbench.cli.graph import Edge, edges

_AGAIN = frozenset({"phase.looked", "undo.waits"})
"""Events of a state that is entered anew for each of them."""
_READ_NEXT = {"approval.decided": "Read the decision"}
"""Events whose entry stands in one state and lets the run go on to another, which records nothing if it goes on."""
_DETOUR = 1000
"""What a way that is only taken on an error counts, beside an ordinary one."""


def taken(entries: Sequence[Entry], definition: Mapping[str, Any]) -> list[Edge]:
    """The edges that were passed, in order. States that record nothing lie on the shortest way between two that do."""
    ways = edges(dict(definition))
    stops: list[str] = []
    for entry in entries:
        if entry.state in definition["States"] and (
            not stops or stops[-1] != entry.state or (entry.event in _AGAIN and len(stops) > 1)
        ):
            stops.append(entry.state)
        if _READ_NEXT.get(entry.event) in definition["States"]:
            stops.append(_READ_NEXT[entry.event])
    passed = [edge for before, after in itertools.pairwise(stops) for edge in _way(ways, before, after)]
    while last := _only_way_on(ways, passed[-1].target if passed else ""):
        passed.append(last)
    return passed


def _only_way_on(ways: Sequence[Edge], state: str) -> Edge | None:
    """After the last entry the run only goes where nothing but an error could take it elsewhere."""
    onward = [edge for edge in ways if edge.source == state and not edge.when]
    return onward[0] if len(onward) == 1 else None


def _way(ways: Sequence[Edge], source: str, target: str) -> list[Edge]:
    reached: set[str] = set()
    queue: list[tuple[int, int, list[Edge]]] = [(0, 0, [])]
    counter = itertools.count(1)
    while queue:
        cost, _, way = heapq.heappop(queue)
        state = way[-1].target if way else source
        if way and state == target:
            return way
        if state in reached:
            continue
        if way:
            reached.add(state)
        for edge in ways:
            if edge.source == state:
                more = _DETOUR if edge.when.startswith("on ") else 1
                heapq.heappush(queue, (cost + more, next(counter), [*way, edge]))
    return []


def mermaid(definition: Mapping[str, Any], passed: Sequence[Edge]) -> str:
    """The machine as a Mermaid flowchart in which the way that was taken stands out. Ways on errors are dotted."""
    states: Mapping[str, Any] = definition["States"]
    names = {state: f"s{number}" for number, state in enumerate(states)}
    walked = {(edge.source, edge.target, edge.when) for edge in passed}
    visited = {definition["StartAt"], *(edge.target for edge in passed)}
    lines = ["flowchart TD"]
    for state, name in names.items():
        left, right = ("{", "}") if states[state]["Type"] == "Choice" else ("[", "]")
        lines.append(f'    {name}{left}"{_quoted(state)}"{right}')
    bold = []
    drawn = dict.fromkeys((edge.source, edge.target, edge.when) for edge in edges(dict(definition)))
    for number, way in enumerate(drawn):
        source, target, when = way
        arrow = "-.->" if when.startswith("on ") else "-->"
        label = f'|"{_quoted(when)}"|' if when and not when.startswith("on ") else ""
        lines.append(f"    {names[source]} {arrow}{label} {names[target]}")
        if way in walked:
            bold.append(str(number))
    lines.append("    classDef taken fill:#dff0d8,stroke:#2e7d32,stroke-width:3px,color:#000")
    lines.append(f"    class {','.join(names[state] for state in states if state in visited)} taken")
    if bold:
        lines.append(f"    linkStyle {','.join(bold)} stroke:#2e7d32,stroke-width:3px")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;")
