"""The page of benchmarks covers every runbook and every handler, and says so when an aim is missed."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

from runbooks import catalogue
from workbench.asl import template
from workbench.bench import bare, imports
from workbench.bench.evidence import TrailCosts
from workbench.bench.imports import Start
from workbench.bench.polling import DURATIONS, LEAST, Compared, compared, declared, waited
from workbench.bench.report import page
from workbench.bench.runs import Bare, Costs

TRAIL = TrailCosts({"`--actor`": [10, 10, 10], "`--target`": [10, 1000, 10000]}, 0.4, 17, 900, 300)
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", catalogue.names())
def test_every_runbook_has_a_row_in_each_table_of_runs(name: str) -> None:
    assert PAGE.count(f"\n| `{name}` |") == 3


def test_every_bare_script_is_compared_with_a_runbook() -> None:
    scripts = [name for _, name, _ in pkgutil.iter_modules(bare.__path__)]
    assert scripts
    for name in scripts:
        assert name.replace("_", "-") in catalogue.names()
        assert callable(import_module(f"{bare.__name__}.{name}").main)


def test_every_handler_has_a_row() -> None:
    for module in imports.handlers(template.load(ROOT / "template.yaml")):
        assert f"\n| `{module}` |" in PAGE


def test_the_page_says_whether_an_aim_is_met() -> None:
    costs = Costs("one", 0.5, 17, 9, Bare(0.1, 4), 100, 50)
    alone = Costs("two", 0.5, 17, 9, None, 100, 50)
    late = Compared(7200, 1800.0, 30.0, 600.0, 0.083, True, 241.0, 121.0, 60.0)
    told = page([costs, alone], [late], 3.0, TRAIL, 0.4, [Start("runbooks.frame.act", 0.4, 1.0)], "a machine")
    assert "| `one` | 0.50 s | 0.10 s | met | 17 |" in told
    assert "| `one` | 9 | 4 | 2.25 | **not met** (1.1 times the aim) |" in told
    assert "| `two` | 9 | none | none | none |" in told
    assert "| 2 h | 30 min | 30 | 241 | 121 | 600 s (8.3%) | 60 s | **not met** |" in told
    assert "3.00 times as long" in told
    assert "**not met** (2.0 times the aim)" in told
    assert "| `--actor` | 10 | 10 | 10 | met |" in told
    assert "| `--target` | 10 | 1000 | 10000 | **not met** |" in told
    assert "0.40 of the rate of parsing" in told


def test_a_wait_is_seen_to_end_at_the_first_look_after_it() -> None:
    every_minute = waited(150, 30, lambda elapsed, duration: 60)
    assert (every_minute.looks, every_minute.lag) == (3, 0)
    assert waited(20, 30, lambda elapsed, duration: 60).lag == 10


@pytest.mark.parametrize("duration", DURATIONS)
def test_long_waits_are_looked_at_seldom_and_seen_to_end_in_time(duration: int) -> None:
    wait = compared(duration, LEAST * duration)
    assert wait.meets_the_aims
    assert wait.lag_with_percent <= wait.lag


@pytest.mark.parametrize("duration", DURATIONS)
def test_what_promises_little_is_seen_to_end_in_time_as_well(duration: int) -> None:
    least = declared(duration)
    assert 0 < least <= 120
    assert not compared(duration, least).late
