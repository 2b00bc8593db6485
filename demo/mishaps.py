"""What goes wrong in real life, on purpose: each with the answer and the end state that it must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from demo.cast import PATIENTS, UNLISTED
from demo.sent import Feed, Sent, oru
from demo.wording import Order, Result, message, msh, pid, pv1, segment, stamp


def mishaps(start: datetime) -> Iterator[Sent]:
    yield from _admissions(start + timedelta(hours=5))
    yield from _results(start + timedelta(hours=6))


def _admissions(at: datetime) -> Iterator[Sent]:
    p = PATIENTS[2]
    who, visit, event = pid(p), pv1(p, p.visit, "ICU^03^1", "I", at), segment("EVN", "A08", stamp(at))
    stranger = who.replace("^^^RIVERSIDE^MR", "^^^ELSEWHERE^MR")
    yield _refused("adt", at, b"<?xml version='1.0'?><order/>", "not HL7 at all")
    yield _wrong("NO-PID", "no PID segment", at, event, visit)
    yield _wrong("AUTHORITY", "an identifier of an unknown authority", at, event, stranger, visit)
    yield _wrong("BLANK-ID", "a blank patient identifier", at, event, pid(p, mrn=" "), visit)
    yield _wrong("DATE", "a birth date that does not exist", at, event, pid(p, birth="19830230"), visit)
    yield _wrong("TEST", "a test message (MSH-11 T)", at, event, who, visit, processing="T")
    yield _wrong("FUTURE", "sent in the year 2999", datetime(2999, 1, 1), event, who, visit)
    broken = _wrong("BYTES", "a byte that is not UTF-8", at, event, pid(p, family="Br\x7fcke"), visit)
    yield replace(broken, body=broken.body.replace(b"\x7f", b"\xfc"))
    training = _wrong("TRAINING", "a training patient (ZZTEST)", at, event, pid(p, family="ZZTEST"), visit)
    yield replace(training, state="FILTERED")
    unmapped = _wrong(
        "KIND", "a kind that no map knows (SIU)", at, segment("SCH", "1"), who, type="SIU^S12^SIU_S12"
    )
    yield replace(unmapped, state="STORED_RAW", to=("archive",))


def _results(at: datetime) -> Iterator[Sent]:
    p = PATIENTS[3]
    body = message(
        msh("LIS", "ORU^R01^ORU_R01", "ODD-NO-OBR", at, commit="AL"),
        pid(p),
        segment("OBX", "1", "NM", "K^Potassium^L", "", "4.2", "mmol/L"),
    )
    yield Sent("lab_results", at, body, "ODD-NO-OBR", "a result without OBR", 0, "CA", "QUARANTINED", ())
    order = Order("0049", "X1^Unlisted^L", at, p.attending)
    unlisted = oru(p, order, [Result(UNLISTED, Decimal(5))], "F", at)
    yield replace(unlisted, about="a code that the table does not have")
    yield _refused("lab_results", at, b"\x00\x01 line noise", "line noise")


def _refused(feed: Feed, at: datetime, body: bytes, about: str) -> Sent:
    return Sent(feed, at, body, "", about, ack="AR", state="REFUSED", to=())


def _wrong(
    name: str, about: str, at: datetime, *segments: str, type: str = "ADT^A08^ADT_A01", processing: str = "P"
) -> Sent:
    head = msh("HIS", type, f"ODD-{name}", at, processing=processing)
    body, line = message(head, *segments), PATIENTS[2].number % 2
    return Sent("adt", at, body, f"ODD-{name}", about, line, state="QUARANTINED", to=())
