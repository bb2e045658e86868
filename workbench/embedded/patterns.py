"""Event patterns, as EventBridge rules and event source mappings use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Pattern = Mapping[str, Any]


def matches(pattern: Pattern, event: Mapping[str, Any]) -> bool:
    """Whether the event fits. Raises NotImplementedError for an operator that is not known here."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches({**{k: v for k, v in pattern.items() if k != "$or"}, **part}, event) for part in wanted):
                return False
            continue
        if isinstance(wanted, Mapping):
            inner = event.get(name)
            if not matches(wanted, inner if isinstance(inner, Mapping) else {}):
                return False
            continue
        present = name in event
        value = event.get(name)
        values = value if isinstance(value, list) else [value]
        if not any(_one(rule, candidate, present) for rule in wanted for candidate in values or [None]):
            return False
    return True


def _one(rule: Any, value: Any, present: bool) -> bool:
    if not isinstance(rule, Mapping):
        return present and type(rule) is type(value) and bool(rule == value)
    ((operator, operand),) = rule.items()
    match operator:
        case "exists":
            return present is bool(operand)
        case "prefix" if isinstance(operand, str):
            return isinstance(value, str) and value.startswith(operand)
        case "suffix" if isinstance(operand, str):
            return isinstance(value, str) and value.endswith(operand)
        case "equals-ignore-case":
            return isinstance(value, str) and value.casefold() == operand.casefold()
        case "anything-but" if isinstance(operand, Mapping):
            return present and not _one(operand, value, present)
        case "anything-but":
            unwanted: Sequence[Any] = operand if isinstance(operand, list) else [operand]
            return present and value not in unwanted
        case _:
            raise NotImplementedError(f"the event pattern operator {rule!r}")
