"""What MSH says about the rest of the message: delimiters and character set."""

from __future__ import annotations

from typing import NamedTuple

from formats.hl7v2.charset import codec, hl7_codec
from formats.hl7v2.escape import Undecodable, unescape
from formats.hl7v2.leaves import leaves
from formats.hl7v2.lines import first_line, repeated
from formats.hl7v2.segment import Segment
from formats.hl7v2.separators import Separators, separators
from formats.reason import Reason

_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"M\0", b"\0M", b"\0\0")


class Header(NamedTuple):
    """The MSH segment, the delimiters it declares, the Python codec of the message."""

    segment: Segment
    separators: Separators
    charset: str


def read_header(raw: bytes, default: str) -> Header | Reason:
    """Read MSH and nothing else. LookupError if `default` is no character set."""
    start = 0 if raw[:3] == b"MSH" else _start(raw)
    if raw[start : start + 3] != b"MSH":
        return _no_header(raw[start:])
    field = raw[start + 3 : start + 4]
    line = first_line(raw, start, field)
    found = separators(field, line[4:].split(field, 1)[0]) if field else None
    if found is None:
        return Reason("bad-delimiters", "MSH-1 and MSH-2 do not declare usable delimiters", "MSH-2")
    if repeated(raw, b"MSH", field, start):
        return Reason("several-messages", "more than one MSH; send each message by itself", "MSH[2]")
    segment = Segment("MSH", 1, line, start, field)
    charset = _charset(segment, found, "UNICODE UTF-8" if raw[:3] == _BOM else default)
    if charset is None:
        return Reason("unsupported-charset", "MSH-18 names an unsupported character set", "MSH-18")
    return _undecodable(segment, found, charset) or Header(segment, found, charset)


def _start(raw: bytes) -> int:
    """Where the first character is that is neither a byte order mark nor blank."""
    start = len(_BOM) if raw.startswith(_BOM) else 0
    return len(raw) - len(raw[start:].lstrip(b" \t\r\n"))


def _no_header(raw: bytes) -> Reason:
    if raw.startswith(_WIDE):
        return Reason(
            "unsupported-charset", "this looks like UTF-16 or UTF-32, which is not supported", "MSH-18"
        )
    if raw[:3] in (b"FHS", b"BHS"):
        return Reason("batch", "a batch or file of messages; send each message by itself", raw[:3].decode())
    return Reason("no-msh", "the message does not begin with an MSH segment", "MSH")


def _charset(msh: Segment, found: Separators, default: str) -> str | None:
    """The codec of MSH-18, whose first repetition is the message's own; the default if that is empty."""
    default_codec = codec(default)
    if default_codec is None:
        raise LookupError(f"{default!r} is not a character set that a message can be read in")
    declared = msh.field(18)
    if found.repetition:
        declared = declared.split(found.repetition, 1)[0]
    if declared in (b"", b'""'):
        return default_codec
    return hl7_codec(declared.decode("ascii", "replace"))


def _undecodable(msh: Segment, found: Separators, charset: str) -> Reason | None:
    if msh.line.isascii() and b"X" not in msh.line:
        return None
    for leaf in leaves(msh, found):
        try:
            unescape(msh.line[leaf.start - msh.start : leaf.end - msh.start], found, charset)
        except Undecodable:
            return Reason("undecodable", "MSH cannot be decoded in the message's character set", leaf.path)
    return None
