"""A copy of the archive is checked like an export: a run or a day that is missing from it is named."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from runbooks.evidence import archive
from workbench.evidence.export import NotCanonical
from workbench.evidence.folder import read_folder
from workbench.evidence.keys import Trusted
from workbench.evidence.verify import verify

from .sealed import NOON, manifests, new_key, trail

KEY = new_key()
TRUSTED = Trusted({KEY.signer.key: KEY.public})
RUNS = {f"run-{number}": trail(f"run-{number}", [{"n": number}, "end"], KEY, NOON) for number in range(3)}
DAYS = manifests(RUNS, "2026-11-20", "2026-11-22", KEY)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for entries in (RUNS | DAYS).values():
        path = tmp_path / archive.key_of(entries)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.content(entries))
    return tmp_path


def faults(folder: Path, days: tuple[str | None, str | None] = ("2026-11-20", "2026-11-22")) -> list[str]:
    return [str(fault) for fault in verify(read_folder(folder), TRUSTED, days=days).faults]


def test_a_whole_copy_is_verified(copy: Path) -> None:
    verdict = verify(read_folder(copy), TRUSTED)
    assert verdict.verified
    assert (len(verdict.runs), len(verdict.days)) == (3, 3)


def test_a_copy_carries_the_keys_in_its_seals_so_that_a_pinned_fingerprint_is_enough(copy: Path) -> None:
    assert verify(read_folder(copy), Trusted(fingerprints=frozenset([KEY.signer.key]))).verified
    other = new_key(2)
    (fault, *_) = verify(read_folder(copy), Trusted({other.signer.key: other.public})).faults
    assert "which is not a trusted one" in str(fault)


def test_a_run_that_was_deleted_is_named(copy: Path) -> None:
    (copy / "trails/day=2026-11-21/run-1.jsonl.gz").unlink()
    assert faults(copy) == ["run-1: this run is missing: the manifest of 2026-11-21 lists it"]


@pytest.mark.parametrize("day", ["2026-11-20", "2026-11-21", "2026-11-22"])
def test_a_day_that_was_deleted_with_all_its_runs_is_named(copy: Path, day: str) -> None:
    for path in copy.rglob("*.jsonl.gz"):
        if f"day={day}" in str(path):
            path.unlink()
    assert faults(copy) == [f"manifest-{day}: the manifest of {day} is missing"]


def test_a_first_day_that_was_deleted_is_named_though_nobody_asks_for_it(copy: Path) -> None:
    assert faults(copy, (None, None)) == []
    for path in copy.rglob("*.jsonl.gz"):
        if "day=2026-11-20" in str(path):
            path.unlink()
    (found,) = faults(copy, (None, None))
    assert found.startswith("manifest-2026-11-21: the manifest of 2026-11-21 follows another one, and what was before")
    assert faults(copy, ("2026-11-21", None)) == []


def test_runs_of_a_day_that_is_not_over_are_no_fault_if_it_is_not_asked_for(copy: Path) -> None:
    (copy / "manifests/day=2026-11-22/manifest-2026-11-22.jsonl.gz").unlink()
    late = trail("run-7", [1, 2], KEY, NOON.replace(day=22))
    path = copy / archive.key_of(late)
    path.parent.mkdir(parents=True)
    path.write_bytes(archive.content(late))
    assert faults(copy, ("2026-11-20", "2026-11-21")) == []
    assert faults(copy, ("2026-11-20", None)) == [
        "manifest-2026-11-22: the manifest of 2026-11-22, for run-7, is missing"
    ]


def test_a_run_under_another_name_is_no_other_run(copy: Path) -> None:
    path = copy / "trails/day=2026-11-21/run-1.jsonl.gz"
    path.rename(path.with_name("run-9.jsonl.gz"))
    found = faults(copy)
    assert "run-9: it was renamed: all of its entries belong to run-1" in found
    assert "run-1: this run is missing: the manifest of 2026-11-21 lists it" in found


def test_an_edited_line_is_named(copy: Path) -> None:
    path = copy / "trails/day=2026-11-21/run-1.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'\\"n\\":1', b'\\"n\\":7')))
    assert faults(copy) == ["run-1: entry 1 (run.started) was changed after it was written"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not compressed",
        gzip.compress(b"[]\n", mtime=0),
        gzip.compress(b'{"a":1}\n', mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(b'{"detail":7}\n', mtime=0),
        gzip.compress(b'{"detail":"' + b"[" * 100_000 + b'"}\n', mtime=0),
    ],
    ids=["nothing", "no gzip", "a list", "no entry", "nested", "detail is no text", "detail is nested"],
)
def test_what_the_archiver_did_not_write_is_refused(copy: Path, content: bytes) -> None:
    (copy / "trails/day=2026-11-21/run-1.jsonl.gz").write_bytes(content)
    with pytest.raises(NotCanonical, match=r"run-1\.jsonl\.gz is not as the archiver writes it"):
        faults(copy)


def _lines(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: gzip.compress(change(gzip.decompress(data)), mtime=0)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (_lines(lambda lines: lines.replace(b',"at":', b', "at":', 1)), "canonical"),
        (_lines(lambda lines: lines.replace(b'{"actor":', b'{"actor":"bob","actor":', 1)), "canonical"),
        (_lines(lambda lines: lines.replace(b'"alice"', b'"\\u0061lice"', 1)), "canonical"),
        (_lines(lambda lines: lines.replace(b"\n", b"\r\n")), "canonical"),
        (_lines(lambda lines: lines.removesuffix(b"\n")), "canonical"),
        (_lines(lambda lines: lines + b"\n"), "not as the archiver writes it"),
        (lambda data: data + gzip.compress(b"", mtime=0), "something follows"),
        (lambda data: data + b"\0" * 8, "something follows"),
        (lambda data: data[:-4], "its end is missing"),
    ],
    ids=["space", "key twice", "escape", "CRLF", "no last line end", "empty line", "second member", "zeros", "cut"],
)
def test_other_bytes_that_say_the_same_are_refused(copy: Path, how: Callable[[bytes], bytes], why: str) -> None:
    path = copy / "trails/day=2026-11-21/run-1.jsonl.gz"
    changed = how(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    with pytest.raises(NotCanonical, match=why):
        faults(copy)


def test_a_trail_in_the_folder_of_another_day_or_kind_is_named(copy: Path) -> None:
    there = copy / "trails/day=2026-11-21/run-1.jsonl.gz"
    for folder in ("trails/day=2026-11-20", "manifests/day=2026-11-21", "trails"):
        (copy / folder).mkdir(exist_ok=True)
        moved = there.rename(copy / folder / there.name)
        assert faults(copy) == ["run-1: it was moved: the archiver has put it into trails/day=2026-11-21"]
        moved.rename(there)
    assert faults(copy) == []


def test_a_run_that_is_there_twice_is_refused(copy: Path) -> None:
    again = copy / "trails/day=2026-11-22/run-1.jsonl.gz"
    again.parent.mkdir(parents=True)
    again.write_bytes(archive.content(RUNS["run-1"]))
    with pytest.raises(NotCanonical, match="run-1 is there twice"):
        faults(copy)
