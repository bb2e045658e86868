"""What each function called and what that needs of its role, as a table for people and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from workbench.iam.actions import Need
from workbench.iam.proof import Needed, needed_by
from workbench.iam.template import Function, matches

LACKING = "not allowed"
"""Stands for the resources of what the role does not allow."""


@dataclass(frozen=True)
class Row:
    """One action that an operation of a function needs, the resources that its role allows it on, and on what terms."""

    operation: str
    action: str
    resources: tuple[str, ...]
    conditions: tuple[str, ...]


def rows_of(function: Function, called: Needed) -> list[Row]:
    """The rows of a function, what Lambda itself does with the role last."""
    found = []
    needed = needed_by(function, called)
    for operation in sorted(needed, key=lambda name: (name.startswith("("), name)):
        for action in sorted({need.action for need in needed[operation]}):
            needs = [need for need in needed[operation] if need.action == action]
            resources = {resource for need in needs for resource in _allowing(function, need)}
            conditions = {f"{key} = {value}" for need in needs for key, value in need.context}
            found.append(Row(operation, action, tuple(sorted(resources)), tuple(sorted(conditions))))
    return found


def _allowing(function: Function, need: Need) -> set[str]:
    if not function.allows(need):
        return {LACKING}
    return {
        resource
        for statement in function.statements
        if statement.covers(need)
        for resource in statement.resources
        if need.resource is None or matches(resource, need.resource)
    }


def as_data(seen: Mapping[str, Needed], allowed: Mapping[str, Function]) -> dict[str, object]:
    """The table as plain values: by function its role and rows."""
    return {
        name: {"role": function.role, "rows": [asdict(row) for row in rows_of(function, seen.get(name, {}))]}
        for name, function in sorted(allowed.items())
    }


def as_text(seen: Mapping[str, Needed], allowed: Mapping[str, Function]) -> str:
    """The table as text: a block a function, a line a resource."""
    blocks = []
    for name, function in sorted(allowed.items()):
        rows = rows_of(function, seen.get(name, {}))
        widths = [max(len(row.operation) for row in rows), max(len(row.action) for row in rows)]
        lines, before = [f"{name}  ({function.role})"], ""
        for row in rows:
            terms = f"  if {' and '.join(row.conditions)}" if row.conditions else ""
            operation = row.operation if row.operation != before else ""
            action, before = row.action, row.operation
            for resource in row.resources:
                lines.append(f"  {operation:{widths[0]}}  {action:{widths[1]}}  {resource}{terms}")
                operation = action = ""
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
