"""An export verifies if it is exactly what was sealed. However it was tampered with, the check says no, and where."""

from __future__ import annotations

import json
import random
import string
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks.evidence import manifest
from runbooks.model import canonical, digest
from workbench.evidence.export import NotCanonical, export, read
from workbench.evidence.keys import Trusted
from workbench.evidence.verify import Verdict, verify

from .sealed import NOON, Key, Tampered, manifests, new_key, trail, ways

KEY = new_key()
TRUSTED = Trusted({KEY.signer.key: KEY.public})


def checked(data: bytes, trusted: Trusted = TRUSTED, days: tuple[str | None, str | None] = (None, None)) -> Verdict:
    return verify(read(data), trusted, days=days)


def faults_of(data: bytes, trusted: Trusted = TRUSTED, days: tuple[str | None, str | None] = (None, None)) -> str:
    return "\n".join(str(fault) for fault in checked(data, trusted, days).faults)


TWO = {"run-a": trail("run-a", [1, 2, 3, 4], KEY), "run-b": trail("run-b", ["x", "y"], KEY)}
WHOLE = export(TWO)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.text(string.ascii_lowercase + "-", min_size=1, max_size=12)
runs = st.dictionaries(names.map("run-{}".format), st.lists(plain, min_size=2, max_size=6), min_size=1, max_size=3)


def test_what_was_sealed_verifies() -> None:
    verdict = checked(WHOLE)
    assert verdict.verified
    assert (verdict.runs, verdict.entries) == (["run-a", "run-b"], 8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs, st.integers(0, 2**32))
def test_any_trails_verify_as_they_were_sealed_and_in_no_other_way(details: dict[str, list[object]], seed: int) -> None:
    data = export({name: trail(name, each, KEY) for name, each in details.items()})
    assert checked(data).verified
    for tampered in ways(data, random.Random(seed)):
        refused_where(tampered)


def refused_where(tampered: Tampered, trusted: Trusted = TRUSTED) -> None:
    try:
        verdict = checked(tampered.data, trusted)
    except NotCanonical:
        return
    assert not verdict.verified, tampered.how
    if tampered.trail:
        said = [fault for fault in verdict.faults if fault.trail == tampered.trail]
        assert said, f"{tampered.how}: {[str(fault) for fault in verdict.faults]}"
        if tampered.entry is not None:
            assert tampered.entry in {fault.entry for fault in said}, f"{tampered.how}: {[str(each) for each in said]}"


def tampered(how: str, seed: int = 1) -> Tampered:
    return next(each for each in ways(WHOLE, random.Random(seed)) if each.how == how)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("a detail was edited", "was changed after it was written"),
        ("a detail was edited, and its hash", "one of the two was replaced or inserted"),
        ("a detail was edited, and every hash after it", "it was forged, or the trail was written anew"),
        ("an entry was dropped", "missing"),
        ("an entry was duplicated", "stands there 2 times"),
        ("two entries were swapped", "stands after entry"),
        ("the head was cut off", "the head was cut off"),
        ("the tail was cut off", "has no seal: its tail was cut off"),
        ("an entry was inserted", "stands there 2 times"),
        ("two runs were spliced", "belongs to run-"),
        ("a run was renamed", "it was renamed: all of its entries belong to"),
        ("a run was renamed in every entry", "the signature in entry"),
        ("the signature was forged", "the signature in entry"),
        ("the signature was replaced by its twin", "the signature in entry"),
        ("the public key was replaced", "was replaced: it has another fingerprint"),
        ("it was written anew and signed with another key", "which is not a trusted key"),
        ("a field was added", "does not have the form of an entry"),
    ],
)
def test_the_check_says_what_was_done(how: str, says: str) -> None:
    assert says in faults_of(tampered(how).data)


def test_nothing_is_verified_without_a_key_from_outside() -> None:
    verdict = checked(WHOLE, Trusted())
    assert (verdict.verified, verdict.trusted, verdict.faults) == (False, False, [])


def test_another_key_is_not_trusted_because_the_export_carries_it() -> None:
    forger = new_key(2)
    forged = export({"run-a": trail("run-a", [1, 2], forger)})
    assert "not a trusted one" in faults_of(forged)
    assert checked(forged, Trusted({forger.signer.key: forger.public})).verified


def test_a_pinned_fingerprint_trusts_the_key_that_the_export_carries() -> None:
    pinned = Trusted(fingerprints=frozenset([KEY.signer.key]))
    assert checked(WHOLE, pinned).verified
    without_it = canonical(json.loads(WHOLE) | {"keys": {}})
    assert "is not at hand" in faults_of(without_it, pinned)


NEXT = new_key(3)
BOTH = {KEY.signer.key: KEY.public, NEXT.signer.key: NEXT.public}
ROTATED = export({"run-a": TWO["run-a"], "run-c": trail("run-c", [1, 2], NEXT)})
"""What an auditor gets after the signing key was replaced."""


def test_seals_of_an_old_and_a_new_key_verify_with_both_and_it_is_said_which_is_whose() -> None:
    verdict = checked(ROTATED, Trusted(BOTH))
    assert verdict.verified
    assert verdict.sealed_with == {"run-a": KEY.signer.key, "run-c": NEXT.signer.key}
    assert checked(ROTATED, Trusted(fingerprints=frozenset(BOTH))).verified
    assert checked(ROTATED, Trusted({KEY.signer.key: KEY.public}, frozenset([NEXT.signer.key]))).verified


@pytest.mark.parametrize(("left_out", "run"), [(KEY, "run-a"), (NEXT, "run-c")])
def test_of_two_keys_the_one_that_is_not_trusted_is_refused_with_what_it_has_sealed(left_out: Key, run: str) -> None:
    one = {name: key for name, key in BOTH.items() if name != left_out.signer.key}
    verdict = checked(ROTATED, Trusted(one))
    assert not verdict.verified
    assert [fault.trail for fault in verdict.faults if fault.trail] == [run]
    assert f"is sealed with {left_out.signer.key[:16]}, which is not a trusted key" in str(verdict.faults[-1])
    assert run not in verdict.sealed_with


def test_what_one_trusted_key_has_sealed_is_not_taken_for_the_seal_of_another() -> None:
    document = json.loads(ROTATED)
    seal = document["trails"][0]["entries"][-1]
    seal["detail"]["key"] = NEXT.signer.key
    del seal["hash"]
    seal["hash"] = digest(seal)
    assert "the signature in entry 5 does not hold" in faults_of(canonical(document), Trusted(BOTH))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_an_export_with_two_keys_verifies_in_no_other_form(seed: int) -> None:
    for each in ways(ROTATED, random.Random(seed)):
        refused_where(each, Trusted(BOTH))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        WHOLE[:-1],
        WHOLE + b"\n",
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.replace(b'"schema":"runbooks-audit-1"', b'"schema":"runbooks-audit-2"'),
        WHOLE.replace(b'{"keys":', b'{"keys": ', 1),
        WHOLE.replace(b'"of":2', b'"of":NaN', 1),
        canonical({"keys": {}, "schema": "runbooks-audit-1", "trails": [{"run_id": "b", "entries": []}] * 2}),
        b'{"keys":{},"schema":"runbooks-audit-1","trails":[{"entries":[' + b"[" * 100_000,
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        read(data)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"of":2', b'"of":2.0'),
        (b'"of":2', b'"of": 2'),
        (b'"of":2', b'"of":1,"of":2'),
        (b'"actor":"alice"', b'"actor":"\\u0061lice"'),
    ],
)
def test_an_entry_that_says_the_same_in_another_form_is_named(before: bytes, after: bytes) -> None:
    assert "is not canonical JSON" in faults_of(WHOLE.replace(before, after, 1))


# -- manifests ---------------------------------------------------------------------------------------------------------

WEEK = {
    f"run-{number}": trail(f"run-{number}", [number, "end"], KEY, NOON + timedelta(days=number)) for number in range(4)
}
PAGES = manifests(WEEK, "2026-11-21", "2026-11-25", KEY)


def without(*names: str) -> bytes:
    return export({name: each for name, each in (WEEK | PAGES).items() if name not in names})


def test_all_runs_of_all_days_verify() -> None:
    verdict = checked(without(), days=("2026-11-21", "2026-11-25"))
    assert verdict.verified
    assert verdict.days == ["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_days_with_their_manifests_verify_in_no_other_form(seed: int) -> None:
    for each in ways(without(), random.Random(seed)):
        refused_where(each)
        # Whoever has no key is told so, whatever a stranger has made of it.
        refused_where(replace(each, trail="", entry=None), Trusted())


@given(st.sets(st.sampled_from(sorted(WEEK | PAGES)), min_size=1))
def test_whatever_is_missing_of_some_days_is_named(gone: set[str]) -> None:
    verdict = checked(without(*gone), days=("2026-11-21", "2026-11-25"))
    assert not verdict.verified
    named = {fault.trail for fault in verdict.faults}
    assert gone & set(PAGES) <= named
    assert {run for run in gone & set(WEEK) if manifest.trail_of(WEEK[run][-1].at[:10]) not in gone} <= named


def test_a_run_that_is_missing_is_named_by_the_manifest() -> None:
    assert faults_of(without("run-2")) == "run-2: this run is missing: the manifest of 2026-11-23 lists it"


def test_a_day_that_is_missing_is_named_with_and_without_its_runs() -> None:
    assert "the manifest of 2026-11-23 is missing" in faults_of(without("manifest-2026-11-23"))
    assert faults_of(without("manifest-2026-11-23", "run-2")) == (
        "manifest-2026-11-23: the manifest of 2026-11-23 is missing"
    )


def test_a_day_without_runs_that_is_missing_is_named() -> None:
    wanted = ("2026-11-21", "2026-11-25")
    assert "the manifest of 2026-11-25 is missing" in faults_of(without("manifest-2026-11-25"), days=wanted)


def test_a_run_that_no_manifest_lists_is_named() -> None:
    late = {"run-9": trail("run-9", [1, 2], KEY, NOON)}
    data = export(WEEK | PAGES | late)
    assert faults_of(data) == "run-9: the manifest of 2026-11-21 does not list this run"


def test_a_run_that_was_sealed_again_is_not_the_one_that_was_listed() -> None:
    other: dict[str, list] = {"run-1": trail("run-1", ["else", "end"], KEY, NOON + timedelta(days=1))}
    assert "its seal is not the one that the manifest of 2026-11-22 lists" in faults_of(export(WEEK | PAGES | other))


def test_a_manifest_that_was_written_anew_does_not_follow_the_one_before() -> None:
    pages = PAGES | manifests({}, "2026-11-25", "2026-11-25", KEY)
    assert "the manifest of 2026-11-25 does not follow that of 2026-11-24" in faults_of(export(WEEK | pages))


def test_keys_are_the_same_for_the_same_number() -> None:
    again: Key = new_key()
    assert again.signer.key == KEY.signer.key
