"""Timestamps of HL7 v2 (DT, TS and DTM: YYYY[MM[DD[HH[MM[SS[.S+]]]]]][+/-ZZZZ]) as instants and as FHIR."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Precision = Literal["year", "month", "day", "minute", "second", "fraction"]


class Timestamp(NamedTuple):
    """`micros`: where it begins, in microseconds since the epoch, UTC. `text`: a FHIR date or dateTime with
    the source's precision and offset; a date is never shifted into another zone."""

    micros: int
    text: str
    precision: Precision


_DTM = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_PRECISION: tuple[Precision, ...] = ("year", "month", "day", "minute", "minute", "second", "fraction")
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def timestamp(text: str, zone: ZoneInfo) -> Timestamp | None:
    """Read a timestamp; None if it is none (20260230, 1961BAD, second 60, hour 24).

    Without an offset it is local time in `zone`; a local time that comes twice means the first, one that
    the clock skipped counts on from before. FHIR has no time without minutes and seconds: `2026112210` is
    written, and counted, as 10:00:00. Digits of a second beyond the sixth are kept in `text` only.
    """
    found = _DTM.fullmatch(text)
    if not found:
        return None
    *parts, fraction, offset = found.groups()
    year, month, day, hour, minute, second = (int(part) if part else None for part in parts)
    try:
        local = datetime(year or 0, _or(month, 1), _or(day, 1), hour or 0, minute or 0, second or 0)
    except ValueError:
        return None
    minutes = _minutes(offset) if offset else _zone_minutes(local, zone)
    if minutes is None:
        return None
    micros = (local - _EPOCH) // _MICROSECOND - minutes * 60_000_000
    if fraction:
        micros += int(fraction[1:7].ljust(6, "0"))
    given = 7 - (*parts, fraction).count(None)
    return Timestamp(micros, _fhir(local, given, fraction or "", minutes), _PRECISION[given - 1])


def _or(value: int | None, missing: int) -> int:
    return missing if value is None else value


def _minutes(offset: str) -> int | None:
    """The offset from UTC; FHIR allows none beyond 14 hours."""
    hours, minutes = int(offset[1:3]), int(offset[3:])
    total = hours * 60 + minutes
    if minutes > 59 or total > 14 * 60:
        return None
    return -total if offset[0] == "-" else total


def written(micros: int) -> bytes:
    """A moment (microseconds since the epoch) as TS writes it, to the second, in UTC (2.A.77)."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y%m%d%H%M%S+0000").encode()


def _zone_minutes(local: datetime, zone: ZoneInfo) -> int:
    """To the minute: before standard time, zones had seconds, which neither HL7 nor FHIR can write."""
    offset = local.replace(tzinfo=zone).utcoffset() or timedelta()
    return round(offset / timedelta(minutes=1))


def _fhir(local: datetime, given: int, fraction: str, minutes: int) -> str:
    text = local.isoformat()
    if given <= 3:
        return text[: (4, 7, 10)[given - 1]]
    sign, distance = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{text}{fraction}{sign}{distance // 60:02d}:{distance % 60:02d}"
