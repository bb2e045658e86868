"""What moto works out anew for every request or reset, and need not."""

from __future__ import annotations

import functools

from moto import backends, settings
from moto.core import responses
from moto.core.utils import method_names_from_class

from workbench.embedded.patches import Patches


def remember(patches: Patches) -> None:
    """Keeps the list of moto's modules (a walk through its folder) and of each service's methods, and has no images
    of machines made for EC2, which no runbook starts."""
    modules = tuple(backends.list_of_moto_modules())
    patches.replace(backends, "list_of_moto_modules", lambda: modules)
    patches.replace(responses, "method_names_from_class", functools.cache(method_names_from_class))
    patches.replace(settings, "ec2_load_default_amis", lambda: False)
