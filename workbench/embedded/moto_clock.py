"""moto's own timestamps on the virtual clock."""

from __future__ import annotations

import datetime
import types
from typing import Any

from moto.core import utils

from workbench.embedded.clock import VirtualClock
from workbench.embedded.patches import Patches


def put_on_clock(patches: Patches, clock: VirtualClock) -> None:
    """Makes `moto.core.utils.utcnow`, which all services ask, tell the virtual time."""

    class _Kind(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, datetime.datetime)

    class Datetime(datetime.datetime, metaclass=_Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return clock.now().astimezone(tz)

    module = types.ModuleType("datetime")
    module.__dict__.update({**vars(datetime), "datetime": Datetime})
    patches.replace(utils, "datetime", module)
