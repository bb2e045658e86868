"""The one form of a signature: no seal can be turned into another valid one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from runbooks.evidence.seal import ORDER, NotASignature, numbers, one_form

R, S = 0x80 << 248, 5
SIGNATURE = encode_dss_signature(R, S)
R_AT, S_AT = 2, 4 + SIGNATURE[3]


def altered(at: int, to: int) -> bytes:
    return SIGNATURE[:at] + bytes([to]) + SIGNATURE[at + 1 :]


@pytest.mark.parametrize(("r", "s"), [(1, 1), (R, S), (ORDER - 1, 1), (0x7F, 0x80)])
def test_a_signature_is_read_as_any_der_and_written_in_its_shortest(r: int, s: int) -> None:
    signature = encode_dss_signature(r, s)
    assert numbers(signature) == (r, s)
    assert one_form(signature) == signature


@pytest.mark.parametrize("s", [1, 5, ORDER // 2])
def test_a_signature_and_its_twin_have_one_form(s: int) -> None:
    twins = [one_form(encode_dss_signature(R, each)) for each in (s, ORDER - s)]
    assert twins[0] == twins[1]
    assert decode_dss_signature(twins[0]) == (R, s)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (b"", "cut off"),
        (SIGNATURE[:1], "cut off"),
        (bytes([0x30, 2]) + SIGNATURE[2:4], "cut off"),
        (altered(0, 0x31), "no DER sequence"),
        (altered(1, SIGNATURE[1] + 1), "no DER sequence"),
        (altered(R_AT, 0x03), "no DER sequence"),
        (altered(S_AT, 0x03), "no DER sequence"),
        (SIGNATURE + b"\0", "no DER sequence"),
        (altered(1, SIGNATURE[1] + 1) + b"\0", "no DER sequence"),
    ],
)
def test_what_is_no_signature_is_refused(wrong: bytes, says: str) -> None:
    with pytest.raises(NotASignature, match=says):
        one_form(wrong)


@pytest.mark.parametrize(("r", "s"), [(0, S), (ORDER, S), (R, 0), (R, ORDER)])
def test_numbers_that_no_key_signs_with_are_refused(r: int, s: int) -> None:
    with pytest.raises(NotASignature, match="not of the curve"):
        one_form(encode_dss_signature(r, s))
