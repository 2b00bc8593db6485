"""A message or batch under a control id of ours: MSH-10; BHS-11 and FHS-11 (HL7 v2.5.1: 2.15.9.10, 2.15.2, 2.15.6)."""

from __future__ import annotations

from formats import hl7v2
from formats.hl7v2 import msh
from store.reason import Reason

CONTROL = 11
ENVELOPE = (b"FHS", b"BHS")


def stamped(body: bytes, control: str, sequence: int | None = None) -> bytes | Reason:
    """The same bytes but for the control id, and for MSH-13 where the link counts."""
    if body[:3] in ENVELOPE:
        return _envelope(body, control.encode())
    return _in_place(body, control.encode(), sequence) or _rebuilt(body, control, sequence)


def link_start(body: bytes, control: str) -> bytes:
    """What asks the receiver of that message which number is next: no content, the sequence number 0 (2.10.1)."""
    header = msh.read(body) or msh.UNREADABLE
    fields = [b"MSH", *header.fields[2:8], b"", b"", control.encode(), *header.fields[11:13], b"0"]
    return header.fields[1].join(fields) + b"\r"


def _in_place(body: bytes, control: bytes, sequence: int | None) -> bytes | None:
    """MSH-10 and MSH-13 exchanged in place, for the ordinary message; None where MSH needs a closer look."""
    header = msh.read(body)
    end = body.find(b"\r")
    if header is None or end < 0 or body.find(b"MSH", 3) >= 0 or b"\n" in body[:end]:
        return None
    fields = body[:end].split(header.fields[1], 10 if sequence is None else 13)
    if len(fields) < 11 or fields[0] != b"MSH":
        return None
    fields[9] = control  # MSH-1 is the separator itself, so MSH-10 is the tenth part
    if sequence is not None:
        fields += [b""] * (13 - len(fields))
        fields[12] = b"%d" % sequence
    return header.fields[1].join(fields) + body[end:]


def _rebuilt(body: bytes, control: str, sequence: int | None) -> bytes | Reason:
    message = hl7v2.parse(body, charset="ISO-8859-1")  # only ASCII is written
    if isinstance(message, Reason):
        return message
    named = message.set("MSH-10", control)
    return named.raw if sequence is None else named.set("MSH-13", str(sequence)).raw


def _envelope(body: bytes, control: bytes) -> bytes:
    """The first segment of it, and the BHS that follows an FHS."""
    head, end, rest = body.partition(b"\r")
    separator = head[3:4]
    fields = head.split(separator)
    fields += [b""] * (CONTROL - len(fields))
    fields[CONTROL - 1] = control
    if head[:3] == b"FHS" and rest[:3] == b"BHS":
        rest = _envelope(rest, control)
    return separator.join(fields) + end + rest
