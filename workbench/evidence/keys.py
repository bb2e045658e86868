"""The public keys that an auditor trusts: given from outside of what is checked, as a file or as a fingerprint."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runbooks.evidence.seal import NotASignature, fingerprint, one_form

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_FINGERPRINT = re.compile(r"sha256:([0-9a-f]{64})")


class NotAKey(ValueError):
    """What was given is no P-256 public key and no fingerprint of one; the message says what it is."""


@dataclass(frozen=True)
class Trusted:
    """Keys by fingerprint, in DER, and fingerprints whose key the export itself must carry."""

    keys: Mapping[str, bytes] = field(default_factory=dict)
    fingerprints: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    """What whoever gave a key calls it, by its fingerprint: the name of its file."""

    @property
    def none(self) -> bool:
        """Whether nothing is trusted, so that nothing can be verified."""
        return not self.keys and not self.fingerprints

    def knows(self, key: str) -> bool:
        """Whether the key of that fingerprint is trusted."""
        return key in self.keys or key in self.fingerprints


def trusted(given: Iterable[str]) -> Trusted:
    """From names of files (PEM or DER) and fingerprints (`sha256:` and 64 hex digits).

    Raises NotAKey, and OSError for a file that cannot be read.
    """
    keys, fingerprints, names = {}, set(), {}
    for each in given:
        if pinned := _FINGERPRINT.fullmatch(each):
            fingerprints.add(pinned[1])
        elif each.startswith("sha256:"):
            raise NotAKey(
                f"{each} is no fingerprint: that is sha256: and 64 hex digits (0-9, a-f), as `runbook audit key` has it"
            )
        else:
            key = der_of(Path(each).read_bytes(), each)
            keys[fingerprint(key)] = key
            names[fingerprint(key)] = each
    return Trusted(keys, frozenset(fingerprints), names)


def der_of(content: bytes, where: str) -> bytes:
    """The key in DER, from a file's content in PEM or DER. Raises NotAKey."""
    try:
        load = serialization.load_pem_public_key if b"-----BEGIN" in content else serialization.load_der_public_key
        return _der(load(content))
    except (ValueError, TypeError) as wrong:
        raise NotAKey(f"{where} holds no P-256 public key in PEM or DER: {wrong}") from None


def pem_of(key: bytes) -> bytes:
    """A key in DER as PEM, as `openssl` and other tools read it. Raises NotAKey."""
    try:
        loaded = serialization.load_der_public_key(key)
    except (ValueError, TypeError) as wrong:
        raise NotAKey(f"it is no public key: {wrong}") from None
    return loaded.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _der(key: object) -> bytes:
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise NotAKey("it is a key of another kind")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@cache
def _loaded(key: bytes) -> object:
    return serialization.load_der_public_key(key)


def octets(text: str) -> bytes:
    """What a text in Base64 stands for. Raises ValueError for any but its one form: `QR==` says the same as `QQ==`."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("it is Base64 in another form than the usual one")
    return raw


def holds(key: bytes, signature: str, content: bytes) -> bool:
    """Whether a signature (DER in Base64, in its one form) is that key's over the content."""
    try:
        raw = octets(signature)
        if one_form(raw) != raw:
            return False
        loaded = _loaded(key)
        if not isinstance(loaded, ec.EllipticCurvePublicKey):
            return False
        loaded.verify(raw, content, _ALGORITHM)
    except (InvalidSignature, NotASignature, ValueError, TypeError):
        return False
    return True
