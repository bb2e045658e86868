"""One embedded AWS for all tests of a process, and forgotten between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench.embedded import EmbeddedAws


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
