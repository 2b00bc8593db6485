"""Dates that are stored as text are found as if they were compared as spans of time."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import dates
from store.search import instants

DAYS = st.integers(0, 800).map(lambda n: date(1999, 12, 1) + timedelta(n))
TEXTS = st.builds(lambda day, length: day.isoformat()[:length], DAYS, st.sampled_from((4, 7, 10)))


def means(prefix: str, asked: tuple[int, int], stored: tuple[int, int]) -> bool:
    """The definitions of http://hl7.org/fhir/R4/search.html#prefix, on spans of time."""
    within = asked[0] <= stored[0] and stored[1] <= asked[1]
    return {
        "eq": within,
        "ne": not within,
        "lt": stored[0] < asked[0],
        "gt": stored[1] > asked[1],
        "le": within or stored[0] < asked[0],
        "ge": within or stored[1] > asked[1],
        "sa": stored[0] > asked[1],
        "eb": stored[1] < asked[0],
    }[prefix]


@pytest.mark.parametrize("prefix", dates.PREFIXES)
@given(asked=TEXTS, stored=TEXTS)
def test_text_ranges_find_what_the_spans_of_time_say(prefix: str, asked: str, stored: str) -> None:
    read = dates.asked(prefix + asked)
    assert read is not None
    ranges = dates.texts(read)
    assert ranges is not None
    found = any(start <= stored < end for start, end in ranges)
    assert found == means(prefix, instants(asked), instants(stored)), (prefix, asked, stored)


@pytest.mark.parametrize(
    "text", ["", "ge", "2026-13", "2026-02-30", "26", "ap2026", "2026-01-01T25:00Z", "gele2026"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert dates.asked(text) is None


def test_a_plus_that_the_address_turned_into_a_space_is_read_as_one() -> None:
    assert dates.asked("2026-03-01T10:00:00 01:00") == dates.asked("2026-03-01T10:00:00+01:00")
