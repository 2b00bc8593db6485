"""Timestamps: the instant, the FHIR text, the precision of the source; real calendar only."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from formats.hl7v2 import timestamp

NEW_YORK = ZoneInfo("America/New_York")


def micros(text: str) -> int:
    instant = datetime.fromisoformat(text)
    return round(instant.timestamp()) * 1_000_000 + instant.microsecond


@pytest.mark.parametrize(
    ("text", "fhir", "precision", "instant"),
    [
        ("2026", "2026", "year", "2026-01-01T00:00-05:00"),
        ("202607", "2026-07", "month", "2026-07-01T00:00-04:00"),
        ("20261122", "2026-11-22", "day", "2026-11-22T00:00-05:00"),
        ("20261122+0900", "2026-11-22", "day", "2026-11-22T00:00+09:00"),
        ("2026112209", "2026-11-22T09:00:00-05:00", "minute", "2026-11-22T09:00-05:00"),
        ("202611220915", "2026-11-22T09:15:00-05:00", "minute", "2026-11-22T09:15-05:00"),
        ("20261122091500", "2026-11-22T09:15:00-05:00", "second", "2026-11-22T09:15-05:00"),
        ("20260722091500", "2026-07-22T09:15:00-04:00", "second", "2026-07-22T09:15-04:00"),
        ("20260722091500+0530", "2026-07-22T09:15:00+05:30", "second", "2026-07-22T09:15+05:30"),
        ("20260722091500-0330", "2026-07-22T09:15:00-03:30", "second", "2026-07-22T09:15-03:30"),
        ("20260722091500+0000", "2026-07-22T09:15:00+00:00", "second", "2026-07-22T09:15+00:00"),
        ("20260722091500.5", "2026-07-22T09:15:00.5-04:00", "fraction", "2026-07-22T09:15:00.500000-04:00"),
        (
            "20260722091500.1230Z"[:-1],
            "2026-07-22T09:15:00.1230-04:00",
            "fraction",
            "2026-07-22T09:15:00.123-04:00",
        ),
        ("202607220915-0400", "2026-07-22T09:15:00-04:00", "minute", "2026-07-22T09:15-04:00"),
        ("20240229", "2024-02-29", "day", "2024-02-29T00:00-05:00"),
        ("19610203", "1961-02-03", "day", "1961-02-03T00:00-05:00"),
    ],
)
def test_read(text: str, fhir: str, precision: str, instant: str) -> None:
    found = timestamp(text, NEW_YORK)
    assert found == (micros(instant), fhir, precision)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1961BAD",
            "20260230",
            "20250229",
            "20261301",
            "20260100",
            "20260001",
            "00000000",
            "0000",
            "19",
            "202",
        ),
        *("2026112224", "202611222400", "20261122240000", "202611221060", "20261122101560", "20261122101561"),
        *("2026-11-22", " 20261122", "20261122 ", "20261122T10", "20261122101500Z", "2026112210150", "٢٠٢٦"),
        *(
            "20261122101500.",
            "202611221015.5",
            "20261122101500+05",
            "20261122101500+0560",
            "20261122101500+1401",
        ),
        *("20261122101500+1500", '""', "20261122\n"),
    ],
)
def test_what_is_no_timestamp_is_none(text: str) -> None:
    assert timestamp(text, NEW_YORK) is None


def test_a_date_is_never_shifted() -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"):
        found = timestamp("19800203", ZoneInfo(zone))
        assert found is not None
        assert found.text == "1980-02-03"


def test_an_hour_that_comes_twice_is_the_first_and_a_skipped_one_counts_on() -> None:
    twice, skipped = timestamp("20261101013000", NEW_YORK), timestamp("20260308023000", NEW_YORK)
    assert twice is not None
    assert skipped is not None
    assert twice.text == "2026-11-01T01:30:00-04:00"
    assert skipped.text == "2026-03-08T02:30:00-05:00"


def test_text_and_instant_agree_before_standard_time() -> None:
    found = timestamp("18800101120000", ZoneInfo("Europe/Amsterdam"))
    assert found is not None
    assert micros(found.text) == found.micros


@pytest.mark.parametrize("text", ["00010101", "00010101000000+1400", "99991231235959", "99991231235959-1400"])
def test_the_ends_of_the_calendar(text: str) -> None:
    assert timestamp(text, NEW_YORK) is not None
    assert timestamp(text, ZoneInfo("Pacific/Kiritimati")) is not None
