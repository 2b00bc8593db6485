"""How a data set is written: the transfer syntaxes (PS3.5 annex A), and the head of one data element (PS3.5 7.1)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
_INFLATED = (DEFLATED, "1.2.840.10008.1.2.8.1")

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # the others have a length of 32 bits, those that are yet to come too (PS3.5 6.2)


class Broken(Exception):
    """The bytes are no data set."""


class Encoding(NamedTuple):
    implicit: bool
    order: str  # "<" little endian, ">" big endian
    deflated: bool = False


class Head(NamedTuple):
    """`tag` as one number, (0010,0020) is 0x00100020; `vr` "" where the encoding does not say it; `data` its bytes."""

    tag: int
    vr: str
    length: int
    data: bytes


LITTLE_IMPLICIT = Encoding(True, "<")
META = Encoding(False, "<")


@lru_cache(maxsize=128)
def encoding(transfer_syntax: str) -> Encoding:
    """What is compressed is explicit little endian around its pixels (PS3.5 A.4)."""
    if transfer_syntax == IMPLICIT:
        return LITTLE_IMPLICIT
    return Encoding(False, ">" if transfer_syntax == BIG_ENDIAN else "<", transfer_syntax in _INFLATED)


def head(take: Callable[[int], bytes], how: Encoding) -> Head:
    """The head of the next element. `take` gives so many bytes, or raises Broken."""
    data = take(8)
    group, element = struct.unpack_from(f"{how.order}HH", data)
    tag = group << 16 | element
    if how.implicit or group == 0xFFFE:
        return Head(tag, "", struct.unpack_from(f"{how.order}L", data, 4)[0], data)
    vr = data[4:6]
    if vr in _SHORT:
        return Head(tag, vr.decode(), struct.unpack_from(f"{how.order}H", data, 6)[0], data)
    if not (vr.isalpha() and vr.isupper()):
        raise Broken
    data += take(4)
    return Head(tag, vr.decode(), struct.unpack_from(f"{how.order}L", data, 8)[0], data)
