"""An input to paste, made from a runbook's input model."""

from __future__ import annotations

from typing import Any

from runbooks.model import Mode, Runbook, RunInput

_COMMON = {
    "mode": Mode.PLAN.value,
    "reason": "what made you look here",
    "requested_by": "your name",
}


def example_input(runbook: Runbook) -> dict[str, Any]:
    """The fields that a start needs, in mode plan: a field's own first example, or else its name in angle brackets.

    A field declares one with `Field(examples=["report-service"])`.
    """
    schema = runbook.input.model_json_schema()
    required = set(schema.get("required", ()))
    own = {
        name: field["examples"][0] if field.get("examples") else f"<{name}>"
        for name, field in schema["properties"].items()
        if name not in RunInput.model_fields and name in required
    }
    return own | _COMMON
