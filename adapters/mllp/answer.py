"""What a receiver said: MSA and ERR of its answer, whatever type that is (ACK, ORR, RSP; HL7 v2 2.9)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from adapters.mllp.stamp import ENVELOPE
from formats.hl7v2 import msh
from formats.hl7v2.msh import Header

Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]
"""MSA-1, table 0008."""

_CODES: dict[bytes, Code] = {code.encode(): code for code in get_args(Code)}
REFERENCE = 12
_SEQUENCE = re.compile(rb"-1|\d{1,15}")
_SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}")
_NUMBER = re.compile(rb"[1-9]\d{0,3}")
_ERROR = re.compile(rb"\d{3}")


class Answer(NamedTuple):
    """`code` is MSA-1, `control` MSA-2 as it stands. Of the error only what cannot be content is read: its
    number (table 0357) and its place as a path, each `""` if there is none. `parts` are those of a batch of answers:
    such a batch takes the whole, but for those of which it says otherwise (2.10.3.3)."""

    code: Code
    control: bytes
    error: str
    place: str
    body: bytes
    parts: tuple[Answer, ...] = ()
    expected: int | None = None  # MSA-4, the sequence number that is next; -1: whatever comes


def read(body: bytes) -> Answer | None:
    """The answer, or None if this is not one."""
    if body[:3] in ENVELOPE:
        return _batch(body)
    header = msh.read(body)
    if header is None:
        return None
    lines = [line.split(header.fields[1]) for line in re.split(rb"[\r\n]+", body)]
    said = next((line for line in lines if line[0] == b"MSA"), [])
    code = _CODES.get(said[1]) if len(said) > 2 else None
    if code is None:
        return None
    errors = [line for line in lines if line[0] == b"ERR"]
    error, place = _error(errors[0], header) if errors else ("", "")
    number = [*said, b"", b""][4]
    expected = int(number) if _SEQUENCE.fullmatch(number) else None
    return Answer(code, said[2], error, place, body, expected=expected)


def _batch(body: bytes) -> Answer | None:
    """FHS-12 or BHS-12 names what is answered."""
    lines = re.split(rb"[\r\n]+", body)
    of = [*lines[0].split(lines[0][3:4]), *[b""] * REFERENCE][REFERENCE - 1]
    starts = [n for n, line in enumerate(lines) if line[:3] == b"MSH"]
    parts = [read(b"\r".join(lines[a:b])) for a, b in pairwise([*starts, len(lines)])]
    known = tuple(part for part in parts if part is not None)
    return Answer("AA", of, "", "", body, known) if of and len(known) == len(parts) else None


def _error(line: list[bytes], header: Header) -> tuple[str, str]:
    """ERR-2 and ERR-3, or before version 2.5 both in ERR-1."""
    component = header.separators.component
    parts = [field.split(component) for field in [*line, b"", b"", b""][1:4]]
    located, coded = parts[1], parts[2][0]
    if not any(located) and not coded:
        located = parts[0][:3]
        coded = [*parts[0], b"", b"", b"", b""][3].split(header.separators.subcomponent or b"&")[0]
    return coded.decode() if _ERROR.fullmatch(coded) else "", _path(located)


def _path(location: list[bytes]) -> str:
    """An ERL (segment, sequence, field, repetition, component, subcomponent) as a path."""
    segment, *numbers = location
    if not _SEGMENT.fullmatch(segment) or not all(not n or _NUMBER.fullmatch(n) for n in numbers):
        return ""
    sequence, field, repetition, component, subcomponent = [*(n.decode() for n in numbers), *[""] * 5][:5]
    path = segment.decode() + (f"[{sequence}]" if sequence not in ("", "1") else "")
    if field:
        path += f"-{field}" + (f"[{repetition}]" if repetition not in ("", "1") else "")
        path += "".join(f".{n}" for n in (component, subcomponent) if n)
    return path
