"""DICOM files (PS3.10 7.1): preamble, file meta information, data set; and the header of one, which is a file too.

A header has the file's meta information and the elements of its data set that are not big: no pixels, no
documents, no waveforms. It is in the transfer syntax of the file, byte for byte what stands there.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import IO, NamedTuple

from formats.dicom.encoding import META, PIXELS, Broken, Encoding, encoding
from formats.dicom.stream import Elements, Inflated, Plain
from formats.reason import Reason

PREAMBLE = bytes(128) + b"DICM"
BIG = 16 << 10
"""Bytes of one value that a header still has."""
MOST = 1 << 20
"""Bytes of all of them together."""

IMPLEMENTATION = "2.25.315612748926370926839746130271640142921"
_META_MOST = 64 << 10

NOT_DICOM = Reason("not-dicom", "the bytes are not a DICOM file: preamble and meta information are missing")
BROKEN = Reason(
    "broken-data-set", "the data set breaks off, or is not in the transfer syntax that was agreed"
)


class Meta(NamedTuple):
    """File meta information (PS3.10 table 7.1-1). `data`: its own bytes."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    data: bytes


def header(file: IO[bytes]) -> bytes | Reason:
    """The header of a file of any size. The file is walked to its end: what is cut off is a Reason."""
    try:
        meta = read_meta(file)
    except Broken:
        return NOT_DICOM
    try:
        return PREAMBLE + meta.data + _small(file, encoding(meta.transfer_syntax))
    except Broken:
        return BROKEN


def read_meta(file: IO[bytes]) -> Meta:
    """Leaves the file at the start of the data set. Raises Broken."""
    if file.read(len(PREAMBLE))[128:] != b"DICM":
        raise Broken
    elements = Elements(Plain(file), META)
    length = elements.next()
    if length.tag != 0x00020000 or length.length != 4:
        raise Broken
    value = elements.take(4)
    (size,) = struct.unpack("<L", value)
    if size > _META_MOST:
        raise Broken
    rest = elements.take(size)
    inner = Elements(Plain(BytesIO(rest)), META)
    found: dict[int, bytes] = {}
    while inner.more():
        each = inner.next()
        found[each.tag] = inner.value(each, _META_MOST) or b""

    def uid(tag: int) -> str:
        return found.get(tag, b"").rstrip(b"\0 ").decode("latin-1")

    return Meta(uid(0x00020002), uid(0x00020003), uid(0x00020010), length.data + value + rest)


def _small(file: IO[bytes], how: Encoding) -> bytes:
    """What a header has of the data set from where the file stands on."""
    elements = Elements(Inflated(file) if how.deflated else Plain(file), how)
    kept = bytearray()
    while elements.more():
        found = elements.next()
        room = 0 if found.tag in PIXELS else min(BIG, MOST - len(kept))
        value = elements.value(found, room)
        if value is not None and found.tag not in PIXELS:
            kept += found.data + value
    return deflated(bytes(kept)) if how.deflated else bytes(kept)


def deflated(data: bytes) -> bytes:
    """As PS3.5 A.5 has it: padded to an even length."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    found = squeeze.compress(data) + squeeze.flush()
    return found + bytes(len(found) % 2)


def wrapped(sop_class: str, sop_instance: str, transfer_syntax: str, data: bytes) -> bytes:
    """A data set that came without a file (PS3.7: a C-FIND identifier) as one."""
    uids = ((0x02, sop_class), (0x03, sop_instance), (0x10, transfer_syntax), (0x12, IMPLEMENTATION))
    rest = b"\x02\x00\x01\x00OB\0\0\x02\0\0\0\0\x01" + b"".join(_uid(n, uid) for n, uid in uids if uid)
    return PREAMBLE + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<L", len(rest)) + rest + data


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    value += bytes(len(value) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value
