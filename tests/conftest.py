"""One embedded AWS for all tests of a process, and forgotten between them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from workbench.embedded import EmbeddedAws
from workbench.evidence.left import Left
from workbench.iam.flows import Watched
from workbench.scenario import Scenario

FIRST = ("test_races.py", "test_scenarios.py", "test_new.py", "test_commands.py", "test_matrix.py")
"""Modules with long tests; they start first, so that no worker is left alone with one in the end."""
LAST = ("test_privilege.py", "test_any_run.py")
"""What looks at what other tests have seen."""
TOGETHER = ("test_new.py", "test_serve.py", "test_queries.py", "test_size.py", "test_rules.py")
"""Modules whose tests share what takes long to make: one worker has all of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        name = item.path.name
        return FIRST.index(name) - len(FIRST) if name in FIRST else int(name in LAST)

    items.sort(key=turn)
    for item in items:
        if item.path.name in LAST or item.path.name == "test_scenarios.py":
            # What deploys runs in its functions' processes, which are traced; here only the embedded AWS would be.
            item.add_marker(pytest.mark.no_cover)


class Together(LoadScopeScheduling):
    """Hands out test by test, but for the modules that one worker has all of.

    The marks of xdist's own loadgroup do not reach the ids of pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if Path(module).name in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)


class Kept:
    """What the incidents of this run of the tests have shown, whichever worker ran them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, aws: EmbeddedAws, runbook: str, incident: Scenario, watched: Watched, left: Left) -> None:
        path = self._path(runbook, incident)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(pickle.dumps((watched, left, _key_of(aws))))
        unfinished.replace(path)

    def find(self, aws: EmbeddedAws, runbook: str, incident: Scenario) -> Watched | None:
        """None for an incident that no test has run yet, or that ended otherwise than it must."""
        found = self._read(runbook, incident)
        # What was needed names the stack's key, whose id is another one where the stack was deployed in other company.
        return found[0] if found and found[2] == _key_of(aws) else None

    def left_by(self, runbook: str, incident: Scenario) -> Left | None:
        """The trail of the incident, under the same conditions."""
        found = self._read(runbook, incident)
        return found[1] if found else None

    def _read(self, runbook: str, incident: Scenario) -> tuple[Watched, Left, str] | None:
        path = self._path(runbook, incident)
        found: tuple[Watched, Left, str] | None = pickle.loads(path.read_bytes()) if path.exists() else None
        return found

    def _path(self, runbook: str, incident: Scenario) -> Path:
        return self._folder / runbook / incident.name


def _key_of(aws: EmbeddedAws) -> str:
    return str(aws.stack.resources["Key"].attributes["Arn"])


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    own = tmp_path_factory.getbasetemp()
    return Kept((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "incidents")


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
