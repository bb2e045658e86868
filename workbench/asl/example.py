"""An input to paste, made from a runbook's input model."""

from __future__ import annotations

import json
import re
from typing import Any

from runbooks.model import Mode, Runbook, RunInput

_EXAMPLE = re.compile(r"\be\.g\. (\{.*\}|\S+)$")


def example_input(runbook: Runbook) -> dict[str, Any]:
    """The fields that a start needs, in mode plan.

    A field of the runbook's own shows what its description ends with after "e.g.": a word, or an object in JSON. One
    that has no example shows its name in angle brackets.
    """
    own = {
        name: _example(name, field.description or "")
        for name, field in runbook.input.model_fields.items()
        if name not in RunInput.model_fields and field.is_required()
    }
    return own | {"mode": Mode.PLAN.value, "reason": "what made you look here", "requested_by": "your name"}


def _example(name: str, description: str) -> Any:
    match = _EXAMPLE.search(description)
    if match is None:
        return f"<{name}>"
    return json.loads(match[1]) if match[1].startswith("{") else match[1]
