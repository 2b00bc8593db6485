"""What an acknowledgement needs of a message, read without reading the rest of it: its MSH, and MSA-1 of an answer."""

from __future__ import annotations

import re
from typing import NamedTuple

from formats.hl7v2.separators import STANDARD, Separators, separators
from formats.hl7v2.view import parse
from formats.reason import Reason

_FIELDS = 19
_BLANK = b"\xef\xbb\xbf \t\r\n"
_MESSAGE = re.compile(rb"[\r\n]MSH")
_ANSWER = re.compile(rb"[\r\n]MSA(.)([ACRE]{2})")


class Header(NamedTuple):
    """`fields[n]` is MSH-n as bytes, `b""` where the message has none; at least 18 of them. `says` is MSA-1 of a
    general acknowledgement (ACK, MCF)."""

    fields: list[bytes]
    separators: Separators
    says: bytes = b""

    @property
    def key(self) -> str | None:
        """MSH-10, the sender's own name for the message; every byte one character."""
        return self.fields[10].decode("latin-1") or None

    @property
    def unanswered(self) -> bool:
        """An accept acknowledgement is never acknowledged, an application acknowledgement only where its MSH-15 asks
        for it (2.9.3)."""
        return _acknowledges(self.fields[9], self.separators) and not (
            self.fields[15] and self.says[:1] == b"A"
        )


UNREADABLE = Header([b"MSH", b"|", b"^~\\&", *[b""] * 8, b"P", b"2.5.1", *[b""] * 6], STANDARD)
"""Stands in for the MSH of what has none."""


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
    if declared is None:
        return None
    said = _ANSWER.search(body) if _acknowledges(fields[9], declared) else None
    return Header(fields, declared, said[2] if said else b"")


def envelope(body: bytes) -> Header | None:
    """The header of a batch or file of messages, as if it were an MSH: BHS-3 to 7 are MSH-3 to 7, BHS-11 is MSH-10
    (2.15.2, 2.15.6); the version is that of the first message in it."""
    body = body.lstrip(_BLANK)
    fields = re.split(rb"[\r\n]", body, maxsplit=1)[0].split(body[3:4])
    if body[:3] not in (b"FHS", b"BHS") or len(fields) < 2:
        return None
    fields = [fields[0], body[3:4], *fields[1:], *[b""] * _FIELDS][:_FIELDS]
    found = _MESSAGE.search(body)
    first = read(body[found.end() - 3 :]) if found else None
    declared = separators(fields[1], fields[2])
    if declared is None:
        return None
    version = first.fields[12] if first else b""
    made = [b"MSH", *fields[1:8], b"", b"", fields[11], b"P", version or b"2.5.1", *[b""] * 6]
    return Header(made, declared)


def refusal(body: bytes, header: Header | None) -> Reason | None:
    """Why the body is no message at all (no MSH, a batch, several messages), if so."""
    if header and b"\rMSH" not in body and b"\nMSH" not in body:
        return None
    found = parse(body, charset="ISO-8859-1")
    return found if isinstance(found, Reason) else None


def _acknowledges(kind: bytes, declared: Separators) -> bool:
    return kind[:3] in (b"ACK", b"MCF") and (len(kind) == 3 or kind[3:4] == declared.component)
