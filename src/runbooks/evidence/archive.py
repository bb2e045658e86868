"""The archive's form: a sealed trail as compressed JSON lines, the same bytes whoever writes it, and how often.

Each line is an entry as the Audit table keeps it: canonical JSON, with `detail` as canonical JSON in a text, so that a
query engine needs no schema for it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from runbooks.evidence import manifest
from runbooks.model import canonical
from runbooks.store.audit import GENESIS, Entry, as_item

TRAILS, MANIFESTS = "trails", "manifests"
SUFFIX = ".jsonl.gz"
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
"""RFC 1952: deflate, no name, no time, best compression, unknown system."""


class TrailBroken(Exception):
    """What the table holds of a trail is not what was sealed; the message says where. It is not archived."""


def content(entries: Sequence[Entry]) -> bytes:
    """The object for a sealed trail. Raises TrailBroken for one that is not whole."""
    check(entries)
    lines = b"".join(canonical(as_item(entry)) + b"\n" for entry in entries)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(lines) + deflate.flush()
    return _HEADER + body + struct.pack("<II", zlib.crc32(lines), len(lines) & 0xFFFFFFFF)


def check(entries: Sequence[Entry]) -> None:
    """Whether a trail is unbroken and ends with its seal. Raises TrailBroken."""
    prev = GENESIS
    for number, entry in enumerate(entries, 1):
        if entry.seq != number or entry.prev != prev or entry.computed_hash() != entry.hash:
            raise TrailBroken(f"entry {number} of {entry.run_id} is missing, or is not the one that was written")
        prev = entry.hash
    if not entries or not entries[-1].event.endswith(".sealed"):
        raise TrailBroken(f"{entries[-1].run_id if entries else 'the trail'} does not end with a seal")


def key_of(entries: Sequence[Entry]) -> str:
    """Where the object lies: by the day of the seal, or of the manifest."""
    trail, sealed_at = entries[-1].run_id, entries[-1].at
    day = manifest.day_of(trail)
    return f"{prefix(TRAILS if day is None else MANIFESTS, day or sealed_at[:10])}{trail}{SUFFIX}"


def prefix(kind: str, day: str) -> str:
    """What the keys of a day's trails or manifests begin with."""
    return f"{kind}/day={day}/"


def text(data: bytes) -> bytes:
    """The lines of an object. Raises ValueError for what is not exactly one gzip member."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        lines = inflate.decompress(data)
    except zlib.error as wrong:
        raise ValueError(f"it is not compressed as the archive is: {wrong}") from None
    if not inflate.eof:
        raise ValueError("it is not compressed as the archive is: its end is missing")
    if inflate.unused_data:
        raise ValueError("something follows its compressed lines")
    return lines


def lines(data: bytes) -> list[dict[str, Any]]:
    """The items of an object. Raises ValueError for one whose lines are not byte for byte as the archiver writes them.

    Only then does what the lines say prove what the file holds: JSON has many texts for the same.
    """
    written = text(data)
    try:
        items = [json.loads(line) for line in written.splitlines()]
    except RecursionError:
        raise ValueError("a line is nested too deeply") from None
    if b"".join(canonical(item) + b"\n" for item in items) != written:
        raise ValueError("its lines are not in canonical form")
    return items
