"""One embedded AWS for all tests of a process, and forgotten between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench.embedded import EmbeddedAws

LONGEST = ("test_privilege.py", "test_races.py", "test_new.py", "test_commands.py")
"""Modules with tests of a minute; they start first, so that no worker is left alone with one in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedAws]:
    """The embedded AWS with the real template deployed; booted when a test first asks for it."""
    with EmbeddedAws() as embedded:
        yield embedded


@pytest.fixture
def aws(embedded: EmbeddedAws) -> EmbeddedAws:
    """The embedded AWS as it was after its deployment."""
    embedded.reset()
    return embedded
