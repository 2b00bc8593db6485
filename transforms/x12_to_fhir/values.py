"""Simple values: money to the digit, dates, codes, names; None where there is no value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from engine.plugin import Feed
from formats import x12
from store.reason import Reason
from transforms.x12_to_fhir.loops import Loop, first, value

Json = dict[str, Any]

NPI = "http://hl7.org/fhir/sid/us-npi"
EIN = "urn:oid:2.16.840.1.113883.4.4"
CURRENCY = "USD"

_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_CODE = re.compile(r"[A-Z]\d[0-9A-Z]{1,5}", re.ASCII)
_GENDERS = {"F": "female", "M": "male", "U": "unknown"}


class Wrong(Exception):
    """A value that cannot be read: the message is quarantined with this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason


def number(segment: x12.Segment, element: int) -> Decimal:
    """A number of type R, every digit kept: 100.00 stays 100.00. 0 where there is none."""
    text = segment.get(element).strip()
    if not text:
        return Decimal(0)
    if not _NUMBER.fullmatch(text):
        raise Wrong(Reason("bad-number", "the value is not a decimal number", segment.place(element)))
    return Decimal(text)


def money(amount: Decimal, currency: str = CURRENCY) -> Json:
    return {"value": amount, "currency": currency}


def date(text: str, place: str) -> str | None:
    """CCYYMMDD as a FHIR date."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d").strftime("%Y-%m-%d") if len(text) == 8 else _no_date(place)
    except ValueError:
        return _no_date(place)


def _no_date(place: str) -> str:
    raise Wrong(Reason("bad-time", "the value is not a date", place))


def period(segment: x12.Segment | None) -> Json | str | None:
    """DTP: a date (D8), or a period (RD8)."""
    if segment is None:
        return None
    text, place = segment.get(3).strip(), segment.place(3)
    if segment.get(2) != "RD8":
        return date(text, place)
    start, _, end = text.partition("-")
    return {"start": date(start, place), "end": date(end, place)}


def coded(system: str, code: str, **more: str) -> Json:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code, **more}]}


def diagnosis_code(code: str) -> str:
    """ICD-10-CM as FHIR has it, with the point that X12 leaves out: J0300 is J03.00."""
    bare = code.replace(".", "").upper()
    if not _CODE.fullmatch(bare):
        return code
    return f"{bare[:3]}.{bare[3:]}" if len(bare) > 3 else bare


def identifier(system: str | None, value: str, **more: Any) -> Json:
    return {"system": system, "value": value, **more} if system else {"value": value, **more}


def assigned_by(feed: Feed, names: Iterable[str]) -> str | None:
    """The system of identifiers that somebody of these names assigns: the declared one, else one of our own."""
    known = [name for name in names if name]
    if found := feed.identity.authority(known):
        return found.namespace
    return f"urn:chartwire:authority:{quote(known[0], safe='')}" if known else None


def person(nm1: x12.Segment) -> Json:
    """The name of a person: NM103 family, NM104 and NM105 given, NM106 prefix, NM107 suffix."""
    given = [part for part in (nm1.get(4).strip(), nm1.get(5).strip()) if part]
    found = {
        "family": nm1.get(3).strip(),
        "given": given,
        "prefix": [p for p in [nm1.get(6).strip()] if p],
        "suffix": [s for s in [nm1.get(7).strip()] if s],
    }
    return {name: part for name, part in found.items() if part}


def address(loop: Loop) -> Json | None:
    """N3 and N4."""
    n3, n4 = first(loop, "N3"), first(loop, "N4")
    lines = [line for line in (n3.get(1).strip(), n3.get(2).strip()) if line] if n3 else []
    names = ("city", "state", "postalCode", "country")
    rest = {name: n4.get(n).strip() for n, name in enumerate(names, start=1)} if n4 else {}
    found: Json = {"line": lines, **rest}
    kept = {name: part for name, part in found.items() if part}
    return kept or None


def gender(loop: Loop) -> str | None:
    return _GENDERS.get(value(loop, "DMG", 3))


def filled(elements: Json) -> Json:
    """Without what has no value: absent says nothing."""
    return {name: part for name, part in elements.items() if part not in (None, "", [], {})}
