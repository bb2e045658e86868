"""An incident scenario: how the embedded AWS is broken, and what a run must end in. Demo and tests share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workbench.embedded import EmbeddedAws

FOLDER = Path(__file__).parent / "scenarios"


@dataclass(frozen=True)
class Scenario:
    """One incident. `world` reads what matters of the target; after the run it must equal `world_after`.

    `on_state` maps a state's name to what happens, once, when the execution first enters it.
    """

    name: str
    title: str
    event: str
    """The start input: `events/<runbook>/<event>.json`."""
    arrange: Callable[[EmbeddedAws], None]
    world: Callable[[EmbeddedAws], Any]
    ends: Literal["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"] = "SUCCEEDED"
    error: str | None = None
    """The error that the run is closed with."""
    world_after: Any = None
    """None: the world must be exactly as it was before the run."""
    decision: Literal["approve", "deny", "ignore"] = "approve"
    on_state: Mapping[str, Callable[[EmbeddedAws, str], None]] = field(default_factory=dict)
    """The callback gets the embedded AWS and the execution's ARN."""
    changes: int | None = None
    """How many changes the run must have applied, undone ones included; None: not said."""
    moves: Callable[[EmbeddedAws], None] | None = None
    """Somebody else changes the target, so that a plan made before is stale; None: not known how."""
    passes: tuple[str, ...] = ()
    """Phases that plans may do without and this one needs: the failure matrix tries them on this incident, which must
    end well. The others are tried on the standard incident."""


@cache
def of(runbook: str) -> dict[str, Scenario]:
    """The scenarios of a runbook by name, the standard incident first; none if it has no module of scenarios."""
    stem = runbook.replace("-", "_")
    if not (FOLDER / f"{stem}.py").exists():
        return {}
    scenarios: tuple[Scenario, ...] = import_module(f"workbench.scenarios.{stem}").SCENARIOS
    return {scenario.name: scenario for scenario in scenarios}
