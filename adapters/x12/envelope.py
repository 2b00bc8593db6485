"""What is wrong with an envelope: the interchange's note (TA105) and the group's codes (AK905)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.x12.guide import VERSION
from formats import x12

NOTES = {
    "001": "the control numbers of ISA and IEA differ",
    "005": "ISA05 is no sender qualifier",
    "006": "the channel takes nothing from this sender",
    "007": "ISA07 is no receiver qualifier",
    "008": "the channel takes nothing for this receiver",
    "014": "ISA09 is no date",
    "015": "ISA10 is no time",
    "017": f"the interchange version is not {VERSION}",
    "018": "ISA13 is no control number",
    "019": "ISA14 is neither 0 nor 1",
    "020": "ISA15 is none of P, T, I",
    "021": "IEA01 does not give the number of groups",
    "022": "segments stand outside of groups and transaction sets",
    "023": "it ends without IEA",
    "025": "an accepted interchange of this sender had the same control number",
}
"""Notes of a TA1 (I18) that are given here, in words. 000: no error."""

QUALIFIERS = frozenset(f"{n:02d}" for n in (*range(1, 5), *range(7, 39))) | {"AM", "NR", "SA", "SN", "ZZ"}
"""I05: what kind of id ISA06 and ISA08 are."""


@dataclass(frozen=True, slots=True)
class Partner:
    """From and for whom a channel takes interchanges: ids with or without qualifier (`ZZ:LAKESIDE`). Empty: all."""

    senders: Sequence[str] = ()
    receivers: Sequence[str] = ()


def header_note(isa: x12.Segment, partner: Partner) -> str:
    """The first note that ISA deserves, `000` for none."""
    checks = (
        ("017", isa.get(12) == VERSION),
        ("005", isa.get(5) in QUALIFIERS),
        ("007", isa.get(7) in QUALIFIERS),
        ("006", _among(isa, 5, partner.senders)),
        ("008", _among(isa, 7, partner.receivers)),
        ("014", is_date(isa.get(9))),
        ("015", is_time(isa.get(10))),
        ("018", bool(re.fullmatch(r"\d{9}", isa.get(13), re.ASCII)) and isa.get(13) != "000000000"),
        ("019", isa.get(14) in ("0", "1")),
        ("020", isa.get(15) in ("P", "T", "I")),
    )
    return next((note for note, right in checks if not right), "000")


def _among(isa: x12.Segment, qualifier: int, taken: Sequence[str]) -> bool:
    name = isa.get(qualifier + 1).strip()
    return not taken or name in taken or f"{isa.get(qualifier)}:{name}" in taken


def is_date(text: str) -> bool:
    """YYMMDD or CCYYMMDD."""
    form = {6: "%y%m%d", 8: "%Y%m%d"}.get(len(text))
    return form is not None and _reads(text, form)


def is_time(text: str) -> bool:
    """HHMM, and seconds and hundredths where there are some."""
    return len(text) in (4, 6, 7, 8) and _reads(text[:4], "%H%M") and text[4:6] < "60" and text.isdigit()


def _reads(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return text.isascii() and text.isdigit()


class Unique:
    """Has a control number been there before? Numbers that count up cost no memory."""

    def __init__(self) -> None:
        self._first = self._last = -1
        self._others: set[str] = set()

    def again(self, number: str) -> bool:
        value = int(number) if number.isascii() and number.isdigit() else -2
        if self._first < 0 <= value or value == self._last + 1:
            self._first, self._last = (value if self._first < 0 else self._first), value
            return number in self._others
        found = self._first <= value <= self._last or number in self._others
        self._others.add(number)
        return found
