"""Does an entity match a query, and what of it was asked for (PS3.4 C.2.2.2, K.2.2.1.1)?

An entity is attributes by their keywords: values as text, or the items of a sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from formats import dicom

Entity = Mapping[str, "Sequence[str] | Sequence[Entity]"]

RANGES = frozenset(("DA", "TM", "DT"))
_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_START = ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")


class BadQuery(Exception):
    """A key that cannot be matched by. `place` is its keyword."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


def matches(entity: Entity, query: dicom.Item) -> bool:
    """Every key must match. A key that the entity does not know at all is passed over (PS3.4 C.2.2.1.3)."""
    names = [name for name in query.keywords() if name in entity]
    combined = _combined(query)
    if combined and not _within_both(entity, combined):
        return False
    return all(_matched(entity[name], query, name) for name in names if not (combined and name in _START))


def _matched(values: Sequence[Any], query: dicom.Item, name: str) -> bool:
    if dicom.vr(name) == "SQ":
        wanted = query.items(name)
        return not wanted or any(matches(each, wanted[0]) for each in values)
    keys = [key for key in query.texts(name) if key]
    return not keys or any(_one(values, key, name) for key in keys)


def _one(values: Sequence[str], key: str, name: str) -> bool:
    vr = dicom.vr(name)
    if vr in RANGES:
        low, high = bounds(key, name)
        return any(low <= _padded(value, vr) <= high for value in values if value)
    if vr not in _WILD:
        return key in values
    pattern = _pattern(key, vr == "PN")
    return any(pattern.fullmatch(_plain(value, vr)) for value in values or [""])


def _plain(value: str, vr: str) -> str:
    return value.rstrip("^") if vr == "PN" else value


@lru_cache(maxsize=256)
def _pattern(key: str, name: bool) -> re.Pattern[str]:
    """`*` is any text, `?` any character (C.2.2.2.4). Names are compared without regard to case."""
    wild = {"*": ".*", "?": "."}
    text = "".join(wild.get(c) or re.escape(c) for c in _plain(key, "PN" if name else ""))
    return re.compile(text, re.IGNORECASE | re.DOTALL if name else re.DOTALL)


def bounds(key: str, name: str) -> tuple[str, str]:
    """A single value, or a range (C.2.2.2.5), as the first and last text that match. Raises BadQuery."""
    vr = dicom.vr(name)
    low, dash, high = key.partition("-")
    if not all(_FORMS[vr].fullmatch(part) for part in (low, high) if part) or key == "-":
        raise BadQuery(name)
    if not dash:
        return _padded(low, vr), _padded(low, vr, "9")
    return _padded(low, vr) if low else "", _padded(high, vr, "9") if high else "~"


_FORMS = {
    "DA": re.compile(r"\d{4}\.?\d\d\.?\d\d", re.ASCII),
    "TM": re.compile(r"\d\d(:?\d\d(:?\d\d(\.\d{1,6})?)?)?", re.ASCII),
    "DT": re.compile(r"\d{4,14}(\.\d{1,6})?", re.ASCII),
}
_LENGTHS = {"DA": 8, "TM": 12, "DT": 20}


def _padded(text: str, vr: str, by: str = "0") -> str:
    """So that texts compare as the moments do: 10 is 100000000000, or to its end 109999999999."""
    return re.sub(r"[.:]", "", text).ljust(_LENGTHS[vr], by)


def _combined(query: dicom.Item) -> tuple[str, str] | None:
    """Ranges of date and time together are one range, from date and time to date and time (PS3.4 table K.6-1)."""
    keys = tuple(query.text(name) for name in _START)
    if not all(keys) or "-" not in keys[1]:
        return None
    days, times = bounds(keys[0], _START[0]), bounds(keys[1], _START[1])
    return days[0][:8].ljust(8, "0") + times[0].ljust(12, "0"), days[1][:8].ljust(8, "~") + times[1].ljust(
        12, "~"
    )


def _within_both(entity: Entity, combined: tuple[str, str]) -> bool:
    if not all(name in entity for name in _START):
        return True
    day, time = (str(next(iter(entity[name]), "")) for name in _START)
    return bool(day) and combined[0] <= _padded(day, "DA") + _padded(time, "TM") <= combined[1]


def asked_for(entity: Entity, query: dicom.Item) -> dict[str, Any]:
    """What was asked for, as DICOM JSON (PS3.18 F.2); nothing else goes out. No value: it is there, and empty."""
    names = [name for name in query.keywords() if name in entity]
    return {f"{dicom.tag(name):08X}": _element(entity[name], query, name) for name in names}


def _element(values: Sequence[Any], query: dicom.Item, name: str) -> dict[str, Any]:
    vr = dicom.vr(name)
    if vr == "SQ":
        wanted = next(iter(query.items(name)), None)
        found = [asked_for(each, wanted) if wanted and wanted.values else whole(each) for each in values]
    else:
        found = [_value(value, vr) for value in values if value]
    return {"vr": vr, "Value": found} if found else {"vr": vr}


def whole(entity: Entity) -> dict[str, Any]:
    """All of it: an empty sequence key asks for everything in the sequence (C.2.2.2.6)."""
    found = {}
    for name, values in entity.items():
        vr = dicom.vr(name)
        each: list[Any] = [whole(v) if isinstance(v, Mapping) else _value(v, vr) for v in values if v]
        found[f"{dicom.tag(name):08X}"] = {"vr": vr, "Value": each} if each else {"vr": vr}
    return dict(sorted(found.items()))


def _value(value: str, vr: str) -> Any:
    return {"Alphabetic": value} if vr == "PN" else value
