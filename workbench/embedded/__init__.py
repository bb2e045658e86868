"""An AWS account in this process, with the real template deployed: for the demo, the tests and the scenarios.

`EmbeddedAws` is loaded on first use, since moto takes seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.embedded.aws import EmbeddedAws
    from workbench.embedded.functions import EmbeddedFunctionError

__all__ = ["EmbeddedAws", "EmbeddedFunctionError"]


def __getattr__(name: str) -> Any:
    if name == "EmbeddedAws":
        from workbench.embedded.surroundings import left_alone

        with left_alone():  # moto opens a session as it is imported
            from workbench.embedded.aws import EmbeddedAws

        return EmbeddedAws
    if name == "EmbeddedFunctionError":
        from workbench.embedded.functions import EmbeddedFunctionError

        return EmbeddedFunctionError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
