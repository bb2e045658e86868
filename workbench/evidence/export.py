"""The export: trails in one file of canonical JSON (RFC 8785), so that the same trails are always the same bytes.

`{"keys": {fingerprint: public key}, "schema": ..., "trails": [{"entries": [...], "run_id": ...}, ...]}`: keys are DER
in Base64, trails are in the order of their ids, entries as the Audit table has them.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from runbooks.evidence.seal import fingerprint
from runbooks.model import canonical
from runbooks.store.audit import Entry
from workbench.evidence.keys import octets

SCHEMA = "runbooks-audit-1"
_BEGINNING = b'{"keys":'
_MARKS = (SCHEMA.encode(), b'"trails"')


class NotCanonical(ValueError):
    """The bytes are not a canonical export; the message says at which of them, and in which entry."""


class NotAnExport(NotCanonical):
    """Nothing about the bytes says that they ever were an export; the message says what they are, as far as it goes."""


class Raw(NamedTuple):
    """An entry as it stands in the file: its text, and what that says. One of the two forms of the text is empty."""

    text: str
    content: Any
    hashed: str = ""
    """The text without its hash, where it is known to end as an entry does in canonical form."""


@dataclass(frozen=True)
class Trail:
    """A run, or a manifest, as it stands in a file."""

    run_id: str
    entries: Sequence[Raw]


@dataclass(frozen=True)
class Document:
    """What a file holds."""

    trails: Sequence[Trail]
    keys: Mapping[str, bytes]
    """Public keys in DER, by the fingerprint that the file gives them."""
    is_file: bool = True
    """Whether it is an export, which carries the keys that it is sealed with; a copy of the archive has none."""
    misplaced: Mapping[str, str] = field(default_factory=dict)
    """Where trails belong that lie elsewhere in a copy of the archive."""


def export(trails: Mapping[str, Sequence[Entry]]) -> bytes:
    """The file. It has the public keys that the trails are sealed with, which their seals carry."""
    keys = keys_of(trail[-1].model_dump(mode="json") for trail in trails.values() if trail)
    return canonical(
        {
            "schema": SCHEMA,
            "keys": {name: base64.b64encode(key).decode() for name, key in keys.items()},
            "trails": [
                {"run_id": run_id, "entries": [entry.model_dump(mode="json") for entry in trails[run_id]]}
                for run_id in sorted(trails)
            ],
        }
    )


def keys_of(seals: Iterable[Any]) -> dict[str, bytes]:
    """The public keys that these entries carry, by their fingerprints. What is no seal carries none."""
    found = {}
    for entry in seals:
        try:
            key = octets(entry["detail"]["public_key"])
        except (LookupError, TypeError, ValueError):
            continue
        found[fingerprint(key)] = key
    return found


def read(data: bytes) -> Document:
    """What the file holds, with the text of each entry. Raises NotCanonical, and NotAnExport for something else.

    What is around the entries is compared with its canonical form here. An entry's own text is proved canonical by its
    hash, which is over that text.
    """
    # An export that was tampered with, at one place or cut off at any, still has one of these.
    if not data.startswith(_BEGINNING) and not any(mark in data for mark in _MARKS):
        raise NotAnExport("it is empty" if not data.strip() else "it is another kind of file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise NotCanonical(f"byte {wrong.start + 1} is not UTF-8") from None
    return _at_once(text) or _Reader(text).document()


def _at_once(text: str) -> Document | None:
    """The document by parsing all of it in one go, which is fast; None if anything at all is not as it must be.

    Where an entry ends follows from what it says: its last fields, in canonical form, have its hash in them.
    """
    try:
        content = json.loads(text, parse_constant=_no_constant)
        head = canonical({"keys": content["keys"], "schema": content["schema"]}).decode()
        at = _after(text, 0, f'{head[:-1]},"trails":[')
        trails = []
        for number, trail in enumerate(content["trails"]):
            at = _after(text, at, ',{"entries":[' if number else '{"entries":[')
            entries = []
            for position, entry in enumerate(trail["entries"]):
                if position:
                    if text[at] != ",":
                        return None
                    at += 1
                rest = rest_of(entry)
                tail = f',"hash":{encode_basestring(entry["hash"])},{rest}'
                end = text.index(tail, at)
                entries.append(Raw("", entry, f"{text[at:end]},{rest}"))
                at = end + len(tail)
            at = _after(text, at, f'],"run_id":{encode_basestring(trail["run_id"])}}}')
            trails.append(Trail(trail["run_id"], entries))
        in_order = all(one.run_id < other.run_id for one, other in itertools.pairwise(trails))
        if content["schema"] != SCHEMA or not in_order or _after(text, at, "]}") != len(text):
            return None
        keys = {name: octets(key) for name, key in content["keys"].items()}
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None
    return Document(trails, keys)


def _after(text: str, at: int, literal: str) -> int:
    """Where the literal ends that stands there. Raises ValueError if it does not."""
    if not text.startswith(literal, at):
        raise ValueError(f"{literal!r} is not at {at}")
    return at + len(literal)


def rest_of(entry: Mapping[str, Any]) -> str:
    """What follows the hash in an entry's canonical form. Raises KeyError, or TypeError for a field of another type."""
    return (
        f'"prev":{encode_basestring(entry["prev"])},"run_id":{encode_basestring(entry["run_id"])},'
        f'"seq":{entry["seq"]},"state":{encode_basestring(entry["state"])}}}'
    )


class _Reader:
    """Reads one thing after the other, and so can say where something is wrong."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._where = "before the first trail"
        self._decoder = json.JSONDecoder(parse_constant=_no_constant)

    def document(self) -> Document:
        self._expect('{"keys":')
        keys = self._small(dict)
        self._expect(',"schema":')
        schema = self._small(str)
        if schema != SCHEMA:
            raise NotCanonical(f"its schema is {schema!r}, and this program reads {SCHEMA}")
        self._expect(',"trails":[')
        trails: list[Trail] = []
        while not self._skip("]"):
            if trails:
                self._expect(",")
            trails.append(self._trail(len(trails) + 1))
            if len(trails) > 1 and trails[-2].run_id >= trails[-1].run_id:
                raise NotCanonical(f"the trail {trails[-1].run_id} stands after {trails[-2].run_id}")
        self._where = "after the last trail"
        self._expect("}")
        if self._at != len(self._text):
            raise self._wrong("nothing may follow the end")
        return Document(trails, {name: self._key(value) for name, value in keys.items()})

    def _trail(self, number: int) -> Trail:
        self._where = f"trail {number}"
        self._expect('{"entries":[')
        entries: list[Raw] = []
        while not self._skip("]"):
            if entries:
                self._expect(",")
            self._where = f"trail {number}, entry {len(entries) + 1}"
            start = self._at
            content = self._value()
            entries.append(Raw(self._text[start : self._at], content))
        self._where = f"trail {number}, after its entries"
        self._expect(',"run_id":')
        run_id = self._small(str)
        self._expect("}")
        return Trail(str(run_id), entries)

    def _value(self) -> Any:
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except RecursionError:
            raise self._wrong("it is nested too deeply") from None
        except json.JSONDecodeError as wrong:
            self._at = wrong.pos
            raise self._wrong(f"it is not JSON ({wrong.msg})") from None
        except ValueError as wrong:
            raise self._wrong(f"it is not JSON ({wrong})") from None
        return value

    def _small(self, kind: type) -> Any:
        """A value that is compared with its canonical form here and now."""
        start = self._at
        value = self._value()
        try:
            fits = isinstance(value, kind) and canonical(value).decode() == self._text[start : self._at]
        except ValueError:
            fits = False
        if not fits:
            self._at = start
            raise self._wrong("it is not in canonical form")
        return value

    def _key(self, value: Any) -> bytes:
        try:
            return octets(value)
        except (TypeError, ValueError):
            raise NotCanonical("a public key in it is not Base64 in its one form") from None

    def _expect(self, literal: str) -> None:
        if not self._skip(literal):
            common = 0
            while self._text[self._at + common : self._at + common + 1] == literal[common]:
                common += 1
            self._at += common
            raise self._wrong(f"{literal!r} was expected")

    def _skip(self, literal: str) -> bool:
        if self._text.startswith(literal, self._at):
            self._at += len(literal)
            return True
        return False

    def _wrong(self, what: str) -> NotCanonical:
        offset = len(self._text[: self._at].encode()) + 1
        return NotCanonical(f"byte {offset} ({self._where}): {what}")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
