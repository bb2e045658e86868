"""The seal: a trail's last entry, signed with a key that only the sealer may use.

The signature is ECDSA on P-256 with SHA-256, as `kms:Sign` makes it, over the sealing entry without its hash and the
signature itself. That entry carries the hash of the one before it, so the signature holds for the whole trail.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbooks.model import canonical
from runbooks.store.audit import Entry, next_entry

SEALED = "run.sealed"
"""The event of a run's last entry."""
ALGORITHM = "ECDSA_SHA_256"
LARGEST = 4096
"""Bytes that `kms:Sign` takes as a message."""
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256 (FIPS 186-4, D.1.2.3)."""

Sign = Callable[[bytes], bytes]
"""Signs a message of at most `LARGEST` bytes; the signature is DER, as `kms:Sign` answers it."""


class NotASignature(ValueError):
    """The bytes are not a P-256 signature in DER."""


@dataclass(frozen=True)
class Signer:
    """What signs. `public_key` is in DER (SubjectPublicKeyInfo)."""

    public_key: bytes
    sign: Sign

    @property
    def key(self) -> str:
        """The fingerprint of the public key, by which an auditor knows it."""
        return fingerprint(self.public_key)


def fingerprint(public_key: bytes) -> str:
    """SHA-256, in hex, of a public key in DER (SubjectPublicKeyInfo), as `kms:GetPublicKey` answers it."""
    return hashlib.sha256(public_key).hexdigest()


def numbers(signature: bytes) -> tuple[int, int]:
    """The two numbers of a signature in DER. Raises NotASignature."""
    try:
        if signature[0] != 0x30 or signature[1] != len(signature) - 2:
            raise NotASignature("it is no DER sequence of two numbers")
        r_end = 4 + signature[3]
        s_end = r_end + 2 + signature[r_end + 1]
        if signature[2] != 0x02 or signature[r_end] != 0x02 or s_end != len(signature):
            raise NotASignature("it is no DER sequence of two numbers")
    except IndexError:
        raise NotASignature("it is cut off") from None
    return int.from_bytes(signature[4:r_end], "big"), int.from_bytes(signature[r_end + 2 :], "big")


def one_form(signature: bytes) -> bytes:
    """The one form of a signature that a seal may have, so that nobody can change a seal into another valid one.

    (r, s) and (r, n - s) sign the same message; the smaller s in shortest DER is that form. Raises NotASignature.
    """
    r, s = numbers(signature)
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise NotASignature("its numbers are not of the curve P-256")
    body = b"".join(_integer(number) for number in (r, min(s, ORDER - s)))
    return bytes([0x30, len(body)]) + body


def _integer(number: int) -> bytes:
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([0x02, len(octets)]) + octets


def signed_content(entry: dict[str, Any]) -> bytes:
    """The bytes that a sealing entry's signature is over. Raises KeyError if it carries no signature."""
    detail = {name: value for name, value in entry["detail"].items() if name != "signature"}
    entry["detail"]["signature"]
    return canonical({name: value for name, value in entry.items() if name != "hash"} | {"detail": detail})


def sealing_entry(
    signer: Signer, *, run_id: str, seq: int, prev: str, now: datetime, event: str, state: str, detail: dict[str, Any]
) -> Entry:
    """The last entry of a trail whose head has the hash `prev`.

    It carries the public key, so that a seal can be checked when another key has long since taken its place. Whether
    that key is to be trusted is not the seal's to say.
    """
    public_key = base64.b64encode(signer.public_key).decode()
    told = detail | {"algorithm": ALGORITHM, "key": signer.key, "public_key": public_key}
    draft = next_entry(
        run_id=run_id,
        seq=seq,
        prev=prev,
        now=now,
        event=event,
        state=state,
        actor="sealer",
        detail=told | {"signature": ""},
    )
    signature = one_form(signer.sign(signed_content(draft.model_dump(mode="json"))))
    return next_entry(
        run_id=run_id,
        seq=seq,
        prev=prev,
        now=now,
        event=event,
        state=state,
        actor="sealer",
        detail=told | {"signature": base64.b64encode(signature).decode()},
    )
