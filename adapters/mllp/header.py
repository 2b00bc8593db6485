"""What an acknowledgement needs of a message, read without reading the rest of it: its MSH."""

from __future__ import annotations

from typing import NamedTuple

from formats import hl7v2
from formats.hl7v2.separators import separators
from store.reason import Reason

_FIELDS = 19
_BLANK = b"\xef\xbb\xbf \t\r\n"


class Header(NamedTuple):
    """`fields[n]` is MSH-n as bytes, `b""` where the message has none; at least 18 of them."""

    fields: list[bytes]
    separators: hl7v2.Separators

    @property
    def key(self) -> str | None:
        """MSH-10, the sender's own name for the message; every byte one character."""
        return self.fields[10].decode("latin-1") or None

    @property
    def acknowledges(self) -> bool:
        """Is the message itself an acknowledgement (ACK, MCF)? Those are never acknowledged (2.9.2)."""
        kind = self.fields[9]
        if kind[:3] not in (b"ACK", b"MCF"):
            return False
        return len(kind) == 3 or kind[3:4] == self.separators.component


def read(body: bytes) -> Header | None:
    """The header, or None if there is no MSH with usable delimiters."""
    if body[:3] != b"MSH" and (body := body.lstrip(_BLANK))[:3] != b"MSH":
        return None
    end = body.find(b"\r")
    line = body[:end] if end >= 0 else body
    if b"\n" in line:
        line = line[: line.index(b"\n")]
    fields = line.split(line[3:4]) if len(line) > 3 else []
    fields.insert(1, line[3:4])
    if len(fields) < _FIELDS:
        fields += [b""] * (_FIELDS - len(fields))
    declared = separators(fields[1], fields[2])
    return Header(fields, declared) if declared else None


def refusal(body: bytes, header: Header | None) -> Reason | None:
    """Why the body is no message at all (no MSH, a batch, several messages), if so."""
    if header and b"\rMSH" not in body and b"\nMSH" not in body:
        return None
    found = hl7v2.parse(body, charset="ISO-8859-1")
    return found if isinstance(found, Reason) else None
