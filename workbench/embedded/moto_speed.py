"""Two things that moto works out anew for every request, and need not."""

from __future__ import annotations

import functools

from moto import backends
from moto.core import responses
from moto.core.utils import method_names_from_class

from workbench.embedded.patches import Patches


def remember(patches: Patches) -> None:
    """Keeps the list of moto's modules (a walk through its folder) and of each service's methods."""
    modules = tuple(backends.list_of_moto_modules())
    patches.replace(backends, "list_of_moto_modules", lambda: modules)
    patches.replace(responses, "method_names_from_class", functools.cache(method_names_from_class))
