"""What data cannot say: the simple types, read from one leaf; each answers a FHIR value, or None."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from transforms.hl7v2_to_fhir.maps import table
from transforms.hl7v2_to_fhir.reader import NULL, Reader, printable


def text(leaf: bytes, reader: Reader) -> str | None:
    return reader.text(leaf) or None


def lines(raw: bytes, reader: Reader) -> str | None:
    """TX, FT and ST: as written, every repetition a line of its own; blanks in front belong to the layout."""
    parts = [reader.message.text(r) for r in raw.split(reader.repetition) if r != NULL]
    return printable("\n".join(parts)).rstrip() or None


def code(leaf: bytes, reader: Reader) -> str | None:
    return tidy(reader.text(reader.first(leaf))) or None


def tidy(text: str) -> str:
    """A FHIR code has no blanks around it and no two in a row (R4 2.24.0.1)."""
    return text if text.isalnum() else " ".join(text.split())


def date(leaf: bytes, reader: Reader) -> str | None:
    """The day as the source wrote it: a date is never shifted into another zone."""
    time = reader.time(leaf)
    return time.text[:10] if time else None


def date_time(leaf: bytes, reader: Reader) -> str | None:
    time = reader.time(leaf)
    return time.text if time else None


def instant(leaf: bytes, reader: Reader) -> str | None:
    """An instant is exact to the second (R4 2.24.0.1); from less no instant is made up."""
    time = reader.time(leaf)
    return time.text if time and time.precision in ("second", "fraction") else None


def birth_time(leaf: bytes, reader: Reader) -> str | None:
    """The time of a birth, if PID-7 says more than the day."""
    time = reader.time(leaf)
    return time.text if time and len(time.text) > 10 else None


_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)(?:([0-5]\d)(\.\d{1,9})?)?", re.ASCII)


def time_of_day(leaf: bytes, reader: Reader) -> str | None:
    """TM (HL7 v2 2.A.75) as a FHIR time; one with an offset or without minutes is none."""
    found = _TIME.fullmatch(reader.text(reader.first(leaf)))
    if not found:
        return None
    hour, minute, second, fraction = found.groups()
    return f"{hour}:{minute}:{second or '00'}{fraction or ''}"


def boolean(leaf: bytes, reader: Reader) -> bool | None:
    found = table("YesNo").lookup(reader.text(reader.first(leaf)))
    return None if found is None else found.code == "true"


def integer(leaf: bytes, reader: Reader) -> int | None:
    text = reader.text(reader.first(leaf))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def number(text: str) -> Decimal | None:
    """NM (HL7 v2 2.A.45): a sign, digits, a point. Every digit is kept: 6.30 stays 6.30."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.replace(".", "", 1).isdigit()):
        return None
    return Decimal(text)


LEAVES: dict[str, Any] = {
    "text": text,
    "lines": lines,
    "code": code,
    "date": date,
    "dateTime": date_time,
    "instant": instant,
    "birth_time": birth_time,
    "boolean": boolean,
    "integer": integer,
}
"""The simple types by the name that a row's `as:` uses."""
