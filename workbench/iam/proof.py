"""The comparison: what each function was seen to need against what its role allows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from workbench.iam.actions import Need
from workbench.iam.template import Function, Statement, matches

Needed = Mapping[str, Set[Need]]
"""What a function needs, by the operation that it called (or by the reason, in parentheses)."""


def differences(seen: Mapping[str, Needed], allowed: Mapping[str, Function]) -> list[str]:
    """One sentence for each thing that a role lacks or has too much. Empty: every role is exactly as wide as its calls.

    `seen` has the operations of each function by its name, `allowed` every function of the stack.
    """
    found: list[str] = []
    for name, function in sorted(allowed.items()):
        needed = needed_by(function, seen.get(name, {}))
        found += _missing(function, needed)
        found += _excess(function, {need for needs in needed.values() for need in needs})
    return found


def needed_by(function: Function, called: Needed) -> dict[str, Set[Need]]:
    """What a function needs: for its calls, and for what Lambda itself does with the role."""
    return {**called, **function.runs_with}


def _missing(function: Function, needed: Needed) -> Iterator[str]:
    for operation, needs in sorted(needed.items()):
        for need in sorted(needs, key=str):
            if not function.allows(need):
                where = f" on {need.resource}" if need.resource not in (None, "*") else ""
                told = "".join(f" with {key} {value}" for key, value in sorted(need.context))
                verb = "has" if operation.startswith("(") else "called"
                yield (
                    f"{function.name} {verb} {operation.strip('()')}, which needs {need.action}{where}{told},"
                    f" and {function.role} does not allow it."
                )


def _excess(function: Function, needs: Set[Need]) -> Iterator[str]:
    for statement in function.statements:
        if not statement.allows:
            continue
        used = {need for need in needs if statement.covers(need)}
        actions = {need.action for need in used}
        for action in statement.actions:
            if action not in actions:
                service = f":{action.partition(':')[0]}:"
                own = [resource for resource in statement.resources if service in resource]
                yield (
                    f"{function.name} may {action} on {', '.join(own or statement.resources)} ({statement.sid} of"
                    f" {function.role}), and no test saw it need that."
                )
        if used:
            yield from _untouched(function, statement, used)


def _untouched(function: Function, statement: Statement, used: Set[Need]) -> Iterator[str]:
    for resource in statement.resources:
        if not any(need.resource is None or matches(resource, need.resource) for need in used):
            yield (
                f"{function.name} may act on {resource} ({statement.sid} of {function.role}), and no test saw it"
                " touch that."
            )
