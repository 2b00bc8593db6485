"""Dates in a search: prefixes and ranges (http://hl7.org/fhir/R4/search.html#date).

A date stands for every instant that its precision leaves open. `eq` wants what lies within this range,
`lt` and `gt` what reaches below or above it, `eb` and `sa` what lies wholly below or above.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from store.search import instants

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
MEANS = (
    f"must be a date or dateTime such as 2026-03-01, with none or one of the prefixes {' '.join(PREFIXES)}"
)
HIGHEST = "\U0010ffff"
_DAY = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


class Asked(NamedTuple):
    """`first` and `last` in microseconds since the epoch, both within the range."""

    prefix: str
    text: str
    first: int
    last: int


def asked(value: str) -> Asked | None:
    """A date with its prefix; None if it is none. A space was a `+` before the address was decoded."""
    prefix, text = (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)
    text = text.replace(" ", "+")
    try:
        return Asked(prefix, text, *instants(text))
    except (ValueError, OverflowError):
        return None


Range = tuple[str, str]  # of texts, from the first on and up to before the second


def texts(date: Asked) -> list[Range] | None:
    """The same for what is stored as text (birthdate: a year, a month or a day); None if a time is asked for.

    `2026-03` comes before `2026-03-01` and all its other days, and they before `2026-03.`; only the year in
    which a month lies, and the month of a day, are on neither side.
    """
    if not _DAY.fullmatch(date.text):
        return None
    end = date.text + "."
    wider = {text: instants(text) for text in (date.text[:4], date.text[:7]) if len(text) < len(date.text)}
    within, above = [(date.text, end)], [(end, HIGHEST)]
    reaching_up = [_only(text) for text, (_, last) in wider.items() if last > date.last]
    below = _without(date.text, [text for text, (first, _) in wider.items() if first >= date.first])
    return {
        "eq": within,
        "ne": [("", date.text), *above],
        "lt": below,
        "le": below + within,
        "gt": above + reaching_up,
        "ge": within + above + reaching_up,
        "sa": above,
        "eb": _without(date.text, list(wider)),
    }[date.prefix]


def _only(text: str) -> Range:
    return text, text + "\x01"


def _without(end: str, holes: list[str]) -> list[Range]:
    """Everything before `end` but the holes, which are in order."""
    starts = ["", *(hole + "\x01" for hole in holes)]
    return list(zip(starts, [*holes, end], strict=True))
