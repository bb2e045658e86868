"""One folder per runbook. The folder's name is the runbook's, with underscores."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from runbooks.model import Runbook

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all runbooks, sorted."""
    return sorted(path.parent.name.replace("_", "-") for path in FOLDER.glob("*/__init__.py"))


@cache
def load(name: str) -> Runbook:
    """The declaration of one runbook.

    Raises:
        KeyError: there is no such runbook; the message lists those that exist.
        ValueError: the folder declares a runbook of another name.
    """
    if name not in names():
        raise KeyError(f"there is no runbook {name!r}; there are: {', '.join(names())}")
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    runbook: Runbook = module.RUNBOOK
    if runbook.name != name:
        raise ValueError(f"the folder {module.__name__} declares a runbook named {runbook.name!r}")
    return runbook
