"""The offline check of exported trails: whether they are what was sealed, and if not, which entry is wrong and how.

Nothing that the export says about itself is believed but what a trusted key has signed.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, NamedTuple

from runbooks.evidence import manifest, seal
from runbooks.model import canonical
from runbooks.store.audit import GENESIS
from workbench.evidence.export import Document, Raw, Trail, rest_of
from workbench.evidence.keys import Trusted, holds

_TEXTS = ("actor", "at", "event", "hash", "prev", "run_id", "state")
_FIELDS = len(_TEXTS) + 2
_STR = {str}
_texts = itemgetter(*_TEXTS)
_SEALS = (seal.SEALED, manifest.SEALED)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `entry` is the number of the entry that is meant; None: the trail, or the whole."""

    trail: str
    entry: int | None
    kind: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.trail}: {self.sentence}" if self.trail else self.sentence


@dataclass(frozen=True)
class Verdict:
    """What the check came to. `runs` and `days` are what was checked, faults or not."""

    faults: Sequence[Fault]
    runs: Sequence[str]
    days: Sequence[str]
    entries: int
    trusted: bool
    """Whether there was a key to trust; without one nothing is verified."""
    sealed_with: Mapping[str, str]
    """By trail, the fingerprint of the key that has sealed it; of those with which nothing is wrong."""

    @property
    def verified(self) -> bool:
        """Whether all of it is exactly what a trusted key has signed."""
        return self.trusted and not self.faults


class _Entry(NamedTuple):
    """An entry that has the form of one. `whole`: its hash is that of its text, which is `hashed`."""

    content: Mapping[str, Any]
    seq: int
    event: str
    whole: bool
    canonical: bool
    hashed: str


def verify(document: Document, trusted: Trusted, *, days: tuple[str | None, str | None] = (None, None)) -> Verdict:
    """Checks every trail, and the manifests against the runs.

    `days` are the first and the last day whose manifests must be there. Without a first one nothing may be before what
    is there; without a last one nobody can tell what is after it.

    Without a trusted key everything else is still checked, but nothing can come out verified.
    """
    known = dict(document.keys) | dict(trusted.keys)
    faults = list(_of_keys(document.keys, trusted))
    trails: dict[str, list[_Entry] | None] = dict.fromkeys(trail.run_id for trail in document.trails)
    sealed_with: dict[str, str] = {}
    vouched: set[str] = set()
    # Manifests come first: a run whose seal a signed manifest lists is signed by that, and need not be checked again.
    for trail in sorted(document.trails, key=lambda each: manifest.day_of(each.run_id) is None):
        entries, wrong = _of_trail(trail, known, trusted, vouched)
        faults += wrong
        if wrong:
            continue
        trails[trail.run_id] = entries
        sealed_with[trail.run_id] = str(entries[-1].content["detail"]["key"])
        if manifest.day_of(trail.run_id) is not None:
            vouched.update(str(each.content["detail"].get("seal")) for each in entries if each.event == manifest.LISTED)
    faults += [
        Fault(name, None, "misplaced", f"it was moved: the archiver has put it into {place}")
        for name, place in document.misplaced.items()
    ]
    faults += _of_manifests(trails, days)
    if document.is_file and not faults:
        faults += _of_key_set(document)
    if not document.trails:
        faults.append(Fault("", None, "missing", "there is no trail in it"))
    return Verdict(
        faults=faults,
        runs=[name for name in trails if manifest.day_of(name) is None],
        days=sorted(day for name in trails if (day := manifest.day_of(name)) is not None),
        entries=sum(len(trail.entries) for trail in document.trails),
        trusted=not trusted.none,
        sealed_with=dict(sorted(sealed_with.items())),
    )


def _of_keys(carried: Mapping[str, bytes], trusted: Trusted) -> Iterator[Fault]:
    for name, key in carried.items():
        if seal.fingerprint(key) != name:
            yield Fault("", None, "key", f"the public key {name[:16]} in it was replaced: it has another fingerprint")
        elif not trusted.none and not trusted.knows(name):
            yield Fault("", None, "key", f"it carries the public key {name[:16]}, which is not a trusted one")


def _of_key_set(document: Document) -> Iterator[Fault]:
    """An export carries the keys that its seals name, and no others: so nobody can take one out or put one in."""
    named = {str(trail.entries[-1].content["detail"]["key"]) for trail in document.trails}
    for name in sorted(named - set(document.keys)):
        yield Fault("", None, "key", f"the public key {name[:16]}, which it is sealed with, was taken out of it")
    for name in sorted(set(document.keys) - named):
        yield Fault("", None, "key", f"it carries the public key {name[:16]}, and nothing in it is sealed with that")


# -- one trail ---------------------------------------------------------------------------------------------------------


def _of_trail(
    trail: Trail, keys: Mapping[str, bytes], trusted: Trusted, vouched: Container[str]
) -> tuple[list[_Entry], list[Fault]]:
    run = trail.run_id
    if not trail.entries:
        return [], [Fault(run, None, "truncated", "it has no entries")]
    straight = _straight(run, trail.entries)
    if straight is not None:
        return straight, list(_of_seal(run, straight, keys, trusted, vouched))
    entries: list[_Entry] = []
    faults: list[Fault] = []
    for position, raw in enumerate(trail.entries, 1):
        entry = _entry(raw)
        if entry is None:
            faults.append(Fault(run, position, "changed", f"entry {position} does not have the form of an entry"))
        else:
            entries.append(entry)
    faults += _of_names(run, entries)
    faults += _of_content(run, entries)
    faults += _of_order(run, entries)
    if entries:
        faults += _of_seal(run, entries, keys, trusted, vouched)
    return entries, faults


def _straight(run: str, raws: Sequence[Raw]) -> list[_Entry] | None:
    """The entries of a trail with whose chain nothing at all is wrong; None: somebody must ask what is.

    Of a run only the form of the last is looked at: the rest is as it was when the last was signed, by whomever.
    """
    prev, entries = GENESIS, []
    for number, (_, content, hashed) in enumerate(raws, 1):
        if not hashed or content["seq"] != number or content["prev"] != prev or content["run_id"] != run:
            return None
        prev = content["hash"]
        if sha256(hashed.encode()).hexdigest() != prev:
            return None
        entries.append(_Entry(content, number, str(content.get("event")), True, True, hashed))
    read = raws[-1:] if manifest.day_of(run) is None else raws
    return entries if all(_has_the_form(raw.content) for raw in read) else None


def _entry(raw: Raw) -> _Entry | None:
    content = raw.content
    if not _has_the_form(content):
        return None
    seq, event = content["seq"], content["event"]
    hashed = raw.hashed or _hashed(raw.text, content)
    if hashed and sha256(hashed.encode()).hexdigest() == content["hash"]:
        return _Entry(content, seq, event, True, True, hashed)
    return _Entry(content, seq, event, False, _is_canonical(raw), "")


def _has_the_form(content: Any) -> bool:
    try:
        return (
            len(content) == _FIELDS
            and type(content["seq"]) is int
            and type(content["detail"]) is dict
            and set(map(type, _texts(content))) == _STR
        )
    except (KeyError, TypeError):
        return False


def _hashed(text: str, content: Mapping[str, Any]) -> str:
    """The text without the hash, which is what is hashed; empty if the text does not end as the canonical form does."""
    rest = rest_of(content)
    tail = f',"hash":{encode_basestring(content["hash"])},{rest}'
    return f"{text[: -len(tail)]},{rest}" if text.endswith(tail) else ""


def _is_canonical(raw: Raw) -> bool:
    try:
        if raw.hashed:
            rest = {name: value for name, value in raw.content.items() if name != "hash"}
            return canonical(rest) == raw.hashed.encode()
        return canonical(raw.content) == raw.text.encode()
    except ValueError:
        return False


def _of_names(run: str, entries: Sequence[_Entry]) -> Iterator[Fault]:
    names = Counter(str(entry.content["run_id"]) for entry in entries)
    if len(names) == 1 and run not in names:
        yield Fault(run, None, "renamed", f"it was renamed: all of its entries belong to {next(iter(names))}")
        return
    for entry in entries:
        if entry.whole and entry.content["run_id"] != run:
            yield Fault(
                run, entry.seq, "spliced", f"entry {entry.seq} ({entry.event}) belongs to {entry.content['run_id']}"
            )


def _of_content(run: str, entries: Sequence[_Entry]) -> Iterator[Fault]:
    for entry in entries:
        if not entry.canonical:
            yield Fault(run, entry.seq, "not-canonical", f"entry {entry.seq} is not canonical JSON")
        elif not entry.whole:
            yield Fault(
                run, entry.seq, "changed", f"entry {entry.seq} ({entry.event}) was changed after it was written"
            )


def _of_order(run: str, entries: Sequence[_Entry]) -> Iterator[Fault]:
    numbers = [entry.seq for entry in entries]
    for number, times in Counter(numbers).items():
        if times > 1:
            yield Fault(run, number, "inserted", f"entry {number} stands there {times} times")
    for before, after in itertools.pairwise(numbers):
        if after < before:
            yield Fault(run, after, "reordered", f"entry {after} stands after entry {before}")
    yield from _of_gaps(run, numbers)
    by_number = {entry.seq: entry for entry in entries}
    for number, entry in by_number.items():
        before_it = by_number.get(number - 1)
        expected = GENESIS if number == 1 else before_it.content["hash"] if before_it and before_it.whole else None
        if expected is not None and entry.content["prev"] != expected and entry.whole:
            follows = f"does not follow entry {number - 1}" if number > 1 else "is not the first of a trail"
            yield Fault(run, number, "replaced", f"entry {number} {follows}: one of the two was replaced or inserted")


def _of_gaps(run: str, numbers: Sequence[int]) -> Iterator[Fault]:
    there, last = set(numbers), 0
    for number in sorted(there):
        if number > last + 1:
            gap = f"entry {last + 1} is" if number == last + 2 else f"entries {last + 1} to {number - 1} are"
            kind, how = ("truncated", ": the head was cut off") if last == 0 else ("dropped", "")
            yield Fault(run, last + 1, kind, f"{gap} missing{how}")
        last = max(last, number)


def _of_seal(
    run: str, entries: Sequence[_Entry], keys: Mapping[str, bytes], trusted: Trusted, vouched: Container[str]
) -> Iterator[Fault]:
    last = entries[-1]
    for entry in entries[:-1]:
        if entry.event in _SEALS:
            yield Fault(run, last.seq, "inserted", f"entry {last.seq} ({last.event}) stands after the seal")
            break
    if last.event not in _SEALS:
        yield Fault(
            run,
            last.seq + 1,
            "truncated",
            f"it ends with entry {last.seq} ({last.event}) and has no seal: its tail was cut off, or it was exported"
            " before it was sealed",
        )
        return
    if not last.whole:
        return  # it has been said that the seal was changed
    detail = last.content["detail"]
    key, signature = detail.get("key"), detail.get("signature")
    if not trusted.none and not trusted.knows(str(key)):
        yield Fault(
            run, last.seq, "key", f"entry {last.seq} is sealed with {str(key)[:16]}, which is not a trusted key"
        )
    elif str(key) not in keys:
        yield Fault(run, last.seq, "key", f"the public key {str(key)[:16]}, which it is sealed with, is not at hand")
    elif last.content["hash"] in vouched:
        return
    elif not isinstance(signature, str) or not holds(keys[str(key)], signature, _signed(last)):
        yield Fault(
            run,
            last.seq,
            "forged",
            f"the signature in entry {last.seq} does not hold: it was forged, or the trail was written anew",
        )


def _signed(entry: _Entry) -> bytes:
    """What the signature is over: the hashed text without the signature, which stands last in the detail."""
    signature = f',"signature":{encode_basestring(entry.content["detail"]["signature"])}}},"event":'
    if entry.hashed.count(signature) == 1:
        return entry.hashed.replace(signature, '},"event":').encode()
    return seal.signed_content(dict(entry.content))


# -- manifests ---------------------------------------------------------------------------------------------------------


def _of_manifests(trails: Mapping[str, list[_Entry] | None], wanted: tuple[str | None, str | None]) -> Iterator[Fault]:
    there = sorted(day for name in trails if (day := manifest.day_of(name)) is not None)
    asked = sorted([*there, *filter(None, wanted)])
    for day in manifest.days(asked[0], asked[-1]) if asked else ():
        if day not in there:
            yield Fault(manifest.trail_of(day), None, "missing-day", f"the manifest of {day} is missing")
    if there and wanted[0] is None:
        yield from _of_beginning(there[0], trails[manifest.trail_of(there[0])])
    listed: set[str] = set()
    for before, day in zip([None, *there], there, strict=False):
        entries = trails[manifest.trail_of(day)]
        if entries is None:
            continue  # it has been said what is wrong with it
        yield from _of_link(day, entries, trails, before)
        for entry in entries:
            if entry.event == manifest.LISTED:
                listed.add(str(entry.content["detail"].get("run_id")))
                yield from _of_listed(day, entry, trails)
    if there:
        yield from _of_unlisted(trails, there, listed, until=asked[-1] if wanted[1] else None)


def _of_beginning(day: str, entries: Sequence[_Entry] | None) -> Iterator[Fault]:
    """The first manifest of all follows none; any other one says that there was a day before it."""
    if entries and entries[0].content["detail"].get("previous") != GENESIS:
        yield Fault(
            manifest.trail_of(day),
            1,
            "missing-day",
            f"the manifest of {day} follows another one, and what was before it is missing;"
            " say from which day on it is to be complete (--from) if that was left out on purpose",
        )


def _of_link(
    day: str, entries: Sequence[_Entry], trails: Mapping[str, list[_Entry] | None], before: str | None
) -> Iterator[Fault]:
    name = manifest.trail_of(day)
    first = entries[0].content["detail"]
    if entries[0].event != manifest.OPENED or first.get("day") != day:
        yield Fault(name, 1, "renamed", f"entry 1 does not open the manifest of {day}")
    earlier = trails.get(manifest.trail_of(before)) if before else None
    is_next = list(manifest.days(before or day, day)) == [before, day]
    if earlier and is_next and first.get("previous") != earlier[-1].content["hash"]:
        yield Fault(name, 1, "replaced", f"the manifest of {day} does not follow that of {before}")


def _of_listed(day: str, entry: _Entry, trails: Mapping[str, list[_Entry] | None]) -> Iterator[Fault]:
    detail = entry.content["detail"]
    run = str(detail.get("run_id"))
    if run not in trails:
        yield Fault(run, None, "missing-run", f"this run is missing: the manifest of {day} lists it")
        return
    entries = trails[run]
    if entries is not None and entries[-1].content["hash"] != detail.get("seal"):
        yield Fault(run, entries[-1].seq, "replaced", f"its seal is not the one that the manifest of {day} lists")


def _of_unlisted(
    trails: Mapping[str, list[_Entry] | None], there: Iterable[str], listed: set[str], until: str | None
) -> Iterator[Fault]:
    """Runs that no manifest lists. Those sealed after `until` are beyond what is asked for, and have none yet."""
    for name, entries in trails.items():
        if manifest.day_of(name) is not None or entries is None or name in listed:
            continue
        day = str(entries[-1].content["at"])[:10]
        if day in there:
            yield Fault(name, None, "unlisted", f"the manifest of {day} does not list this run")
        elif until is None or day <= until:
            yield Fault(manifest.trail_of(day), None, "missing-day", f"the manifest of {day}, for {name}, is missing")
