"""What the embedded AWS does not want of its surroundings: whoever starts it may have profiles and a proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
_OURS: dict[str, str | None] = {
    **NO_FILES,
    "AWS_PROFILE": None,
    "AWS_DEFAULT_PROFILE": None,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@contextmanager
def left_alone(**more: str) -> Iterator[None]:
    """The process's environment without them, and with `more`; it is as it was afterwards."""
    ours = _OURS | more
    before = {name: os.environ.get(name) for name in ours}
    _set(ours)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
