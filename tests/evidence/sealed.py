"""Sealed trails made in memory, with keys of their own, and every way to tamper with an export of them."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from runbooks.evidence import manifest
from runbooks.evidence.manifest import Page
from runbooks.evidence.seal import ORDER, SEALED, Signer, one_form, sealing_entry, signed_content
from runbooks.model import canonical, digest
from runbooks.store.audit import GENESIS, Entry, next_entry

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
"""The letters of Base64, in their order."""
Json = Any
_OF_THE_KEY = {"algorithm", "key", "public_key", "signature"}
"""What the sealer adds to what a seal tells."""


@dataclass(frozen=True)
class Key:
    """A key pair; `public` is in DER."""

    signer: Signer
    public: bytes


def new_key(number: int = 1) -> Key:
    """The same pair for the same number."""
    private = ec.derive_private_key(0xA0D17 + number, ec.SECP256R1())
    once = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = private.public_key().public_bytes(serialization.Encoding.DER, form)
    return Key(Signer(public, lambda message: private.sign(message, once)), public)


def trail(run_id: str, details: Sequence[Json], key: Key, now: datetime = NOON) -> list[Entry]:
    """A sealed trail with one entry for each detail, and the seal."""
    entries: list[Entry] = []
    for seq, detail in enumerate(details, 1):
        event = "run.started" if seq == 1 else "run.closed" if seq == len(details) else "thing.happened"
        entries.append(
            next_entry(
                run_id=run_id,
                seq=seq,
                prev=entries[-1].hash if entries else GENESIS,
                now=now + timedelta(seconds=seq),
                event=event,
                state="Some state",
                actor="alice",
                detail={"of": detail},
            )
        )
    seal = sealing_entry(
        key.signer,
        run_id=run_id,
        seq=len(entries) + 1,
        prev=entries[-1].hash if entries else GENESIS,
        now=now + timedelta(minutes=5),
        event=SEALED,
        state="Seal",
        detail={"attributed_to": None},
    )
    return [*entries, seal]


def manifests(sealed: dict[str, list[Entry]], first: str, last: str, key: Key) -> dict[str, list[Entry]]:
    """The manifest of each day from first to last, listing the runs that were sealed on it."""
    made: dict[str, list[Entry]] = {}
    previous = GENESIS
    for day in manifest.days(first, last):
        entries = [manifest.opening(day, previous, NOON)]
        page: Page = manifest.opened(entries[0], day)
        for run in sealed.values():
            if run[-1].at[:10] == day:
                entries.append(manifest.listing(page, run[-1], NOON))
                page = manifest.after(page, entries[-1])
        entries.append(manifest.closing(page, key.signer, NOON))
        previous = entries[-1].hash
        made[manifest.trail_of(day)] = entries
    return made


# -- tampering ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tampered:
    """An export after somebody was at it: what they did, and the trail and entry that the check must name.

    `entry` is None where no single one is to be named; `trail` is empty where the file itself is refused.
    """

    how: str
    data: bytes
    trail: str
    entry: int | None


Way = Callable[[Json, bytes, random.Random], Tampered | None]
"""What it does to an export, of which it gets its content (to be changed) and its bytes; None: it cannot be done."""


def ways(data: bytes, rng: random.Random) -> Iterator[Tampered]:
    """Each way to tamper with an export, once, at a place that `rng` chooses."""
    for way in WAYS:
        tampered = tamper(data, way, rng)
        if tampered is not None:
            yield tampered


def tamper(data: bytes, way: Way, rng: random.Random) -> Tampered | None:
    """The export after somebody was at it in that way; None if that leaves this one as it was."""
    tampered = way(json.loads(data), data, rng)
    return None if tampered is None or tampered.data == data else tampered


def _bytes(document: Json) -> bytes:
    return canonical(document)


def _pick(document: Json, rng: random.Random) -> tuple[str, list[Json]]:
    chosen = rng.choice(document["trails"])
    return chosen["run_id"], chosen["entries"]


def _hashed(entry: Json) -> Json:
    entry["hash"] = digest({name: value for name, value in entry.items() if name != "hash"})
    return entry


def _chained(entries: list[Json]) -> None:
    prev = GENESIS
    for number, entry in enumerate(entries, 1):
        entry["seq"], entry["prev"] = number, prev
        prev = _hashed(entry)["hash"]


def _a_byte(document: Json, data: bytes, rng: random.Random) -> Tampered:
    place = rng.randrange(len(data))
    other = rng.choice([byte for byte in range(256) if byte != data[place]])
    return Tampered("a byte was edited", data[:place] + bytes([other]) + data[place + 1 :], "", None)


def _a_detail(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    entry = rng.choice(entries)
    entry["detail"]["of"] = "something else"
    return Tampered("a detail was edited", _bytes(document), run, entry["seq"])


def _a_detail_hashed_again(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    entry = rng.choice(entries[:-1])
    entry["detail"]["of"] = "something else"
    _hashed(entry)
    return Tampered("a detail was edited, and its hash", _bytes(document), run, entry["seq"] + 1)


def _all_written_anew(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    rng.choice(entries[:-1])["detail"]["of"] = "something else"
    _chained(entries)
    return Tampered("a detail was edited, and every hash after it", _bytes(document), run, len(entries))


def _dropped(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    place = rng.randrange(len(entries) - 1)
    gone = entries.pop(place)
    return Tampered("an entry was dropped", _bytes(document), run, gone["seq"])


def _duplicated(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    place = rng.randrange(len(entries))
    entries.insert(place, json.loads(json.dumps(entries[place])))
    return Tampered("an entry was duplicated", _bytes(document), run, entries[place]["seq"])


def _swapped(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    one = rng.randrange(len(entries) - 1)
    entries[one], entries[one + 1] = entries[one + 1], entries[one]
    return Tampered("two entries were swapped", _bytes(document), run, entries[one + 1]["seq"])


def _head_cut(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    del entries[: rng.randrange(1, len(entries))]
    return Tampered("the head was cut off", _bytes(document), run, 1)


def _tail_cut(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    del entries[rng.randrange(1, len(entries)) :]
    return Tampered("the tail was cut off", _bytes(document), run, len(entries) + 1)


def _inserted(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    place = rng.randrange(1, len(entries))
    strange = json.loads(json.dumps(entries[place - 1])) | {"seq": place + 1, "prev": entries[place - 1]["hash"]}
    entries.insert(place, _hashed(strange))
    return Tampered("an entry was inserted", _bytes(document), run, place + 1)


def _spliced(document: Json, data: bytes, rng: random.Random) -> Tampered | None:
    if len(document["trails"]) < 2:
        return None
    one, other = rng.sample(document["trails"], 2)
    place = rng.randrange(1, min(len(one["entries"]), len(other["entries"])))
    one["entries"][place:] = other["entries"][place:]
    return Tampered("two runs were spliced", _bytes(document), one["run_id"], place + 1)


def _renamed(document: Json, data: bytes, rng: random.Random) -> Tampered:
    chosen = rng.choice(document["trails"])
    chosen["run_id"] += "-other"
    document["trails"].sort(key=lambda each: each["run_id"])
    return Tampered("a run was renamed", _bytes(document), chosen["run_id"], None)


def _renamed_throughout(document: Json, data: bytes, rng: random.Random) -> Tampered:
    chosen = rng.choice(document["trails"])
    chosen["run_id"] += "-other"
    for entry in chosen["entries"]:
        entry["run_id"] = chosen["run_id"]
    _chained(chosen["entries"])
    document["trails"].sort(key=lambda each: each["run_id"])
    return Tampered("a run was renamed in every entry", _bytes(document), chosen["run_id"], len(chosen["entries"]))


def _signature_forged(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    raw = bytearray(base64.b64decode(entries[-1]["detail"]["signature"]))
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    entries[-1]["detail"]["signature"] = base64.b64encode(bytes(raw)).decode()
    _hashed(entries[-1])
    return Tampered("the signature was forged", _bytes(document), run, len(entries))


def _signature_mirrored(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    r, s = utils.decode_dss_signature(base64.b64decode(entries[-1]["detail"]["signature"]))
    mirrored = utils.encode_dss_signature(r, ORDER - s)
    entries[-1]["detail"]["signature"] = base64.b64encode(mirrored).decode()
    _hashed(entries[-1])
    return Tampered("the signature was replaced by its twin", _bytes(document), run, len(entries))


def _key_replaced(document: Json, data: bytes, rng: random.Random) -> Tampered:
    document["keys"][rng.choice(sorted(document["keys"]))] = base64.b64encode(new_key(2).public).decode()
    return Tampered("the public key was replaced", _bytes(document), "", None)


def _key_in_other_letters(document: Json, data: bytes, rng: random.Random) -> Tampered:
    """The last letter before the padding has bits that say nothing."""
    name = rng.choice(sorted(document["keys"]))
    text = document["keys"][name]
    kept = text.rstrip("=")
    free = {1: 4, 2: 16}[len(text) - len(kept)]
    place = ALPHABET.index(kept[-1])
    others = [place - place % free + more for more in range(free) if more != place % free]
    document["keys"][name] = kept[:-1] + ALPHABET[rng.choice(others)] + text[len(kept) :]
    return Tampered("the public key was written in other letters", _bytes(document), "", None)


def _key_taken_out(document: Json, data: bytes, rng: random.Random) -> Tampered:
    del document["keys"][rng.choice(sorted(document["keys"]))]
    return Tampered("the public key was taken out", _bytes(document), "", None)


def _key_put_in(document: Json, data: bytes, rng: random.Random) -> Tampered:
    other = new_key(2)
    document["keys"][other.signer.key] = base64.b64encode(other.public).decode()
    return Tampered("another public key was put in", _bytes(document), "", None)


def _signed_by_another(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    forger = new_key(2)
    entries[0]["detail"]["of"] = "something else"
    _chained(entries)
    last = entries[-1]
    detail = {name: value for name, value in last["detail"].items() if name not in _OF_THE_KEY}
    forged = sealing_entry(
        forger.signer,
        run_id=run,
        seq=last["seq"],
        prev=last["prev"],
        now=NOON,
        event=last["event"],
        state=last["state"],
        detail=detail,
    )
    entries[-1] = forged.model_dump(mode="json")
    document["keys"][forger.signer.key] = base64.b64encode(forger.public).decode()
    return Tampered("it was written anew and signed with another key", _bytes(document), run, len(entries))


def _written_by_a_stranger(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    stranger, last = new_key(2), entries[-1]
    del rng.choice(entries[:-1])[rng.choice(["actor", "at", "detail", "event", "state"])]
    _chained(entries)
    public_key = base64.b64encode(stranger.public).decode()
    last["detail"] |= {"key": stranger.signer.key, "public_key": public_key, "signature": ""}
    signature = one_form(stranger.signer.sign(signed_content(last)))
    last["detail"]["signature"] = base64.b64encode(signature).decode()
    _hashed(last)
    document["keys"][stranger.signer.key] = public_key
    return Tampered("it was written anew without a field and signed by a stranger", _bytes(document), run, len(entries))


def _field_removed(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    place = rng.randrange(len(entries))
    del entries[place][rng.choice(sorted(entries[place]))]
    return Tampered("a field was removed", _bytes(document), run, place + 1)


def _seal_edited(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    field = rng.choice(["at", "actor", "state", "event"])
    entries[-1][field] = "2026-11-22T00:00:00.000Z" if field == "at" else "something.else"
    _hashed(entries[-1])
    return Tampered(f"the seal's {field} was edited, and its hash", _bytes(document), run, None)


def _white_space(document: Json, data: bytes, rng: random.Random) -> Tampered:
    places = [number for number, byte in enumerate(data) if byte == ord(",")]
    place = rng.choice(places)
    return Tampered("white space was added", data[: place + 1] + b" " + data[place + 1 :], "", None)


def _field_added(document: Json, data: bytes, rng: random.Random) -> Tampered:
    run, entries = _pick(document, rng)
    place = rng.randrange(len(entries))
    entries[place]["remark"] = "seen"
    return Tampered("a field was added", _bytes(document), run, place + 1)


WAYS: Sequence[Way] = (
    _a_byte,
    _a_detail,
    _a_detail_hashed_again,
    _all_written_anew,
    _dropped,
    _duplicated,
    _swapped,
    _head_cut,
    _tail_cut,
    _inserted,
    _spliced,
    _renamed,
    _renamed_throughout,
    _signature_forged,
    _signature_mirrored,
    _key_replaced,
    _key_in_other_letters,
    _key_taken_out,
    _key_put_in,
    _signed_by_another,
    _written_by_a_stranger,
    _field_removed,
    _seal_edited,
    _white_space,
    _field_added,
)
