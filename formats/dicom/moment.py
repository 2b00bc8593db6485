"""Dates and times (PS3.5 6.2: DA, TM, DT) as instants and as FHIR."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from formats.hl7v2 import Timestamp, timestamp

_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)", re.ASCII)  # with points: ACR-NEMA, still met
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,6})?)?)?", re.ASCII)
_OFFSET = re.compile(r"[+-]\d{4}", re.ASCII)


def moment(date: str, time: str, zone: ZoneInfo, offset: str = "") -> Timestamp | None:
    """A DA and a TM; without a time, or with one that is none, the day. `offset` is Timezone Offset From UTC.

    None: the date is none.
    """
    day = _DATE.fullmatch(date)
    if not day:
        return None
    text = "".join(day.groups())
    clock = _TIME.fullmatch(time)
    if not clock:
        return timestamp(text, zone)
    hour, minute, second, fraction = clock.groups()
    precise = f"{text}{hour}{minute or '00'}{second or '00'}{fraction or ''}"
    precise += offset if _OFFSET.fullmatch(offset) else ""
    return timestamp(precise, zone) or timestamp(text, zone)


def date(text: str) -> str | None:
    """A DA as a FHIR date. None: it is none."""
    found = _DATE.fullmatch(text)
    stamp = timestamp("".join(found.groups()), ZoneInfo("UTC")) if found else None
    return stamp.text if stamp else None
