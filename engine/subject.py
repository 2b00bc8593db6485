"""Who an HL7 v2 message is about and when its source said it: one answer for guard, lane and maps."""

from __future__ import annotations

from functools import lru_cache

from engine.plugin import Feed
from formats import hl7v2
from store.identity import Identifier, Patient
from store.reason import Reason


def patient_of(message: hl7v2.Message, feed: Feed, pid: hl7v2.Segment | None = None) -> Patient | Reason:
    """The patient of `pid` (else of the first PID) by the installation's identity rules (PID-3, 3.4.2.3)."""
    return _first(message, feed) if pid is None or pid.number == 1 else _named(message, feed, pid)


@lru_cache(maxsize=64)  # guard, lane, row and map of one message ask the same
def _first(message: hl7v2.Message, feed: Feed) -> Patient | Reason:
    segment = message.first("PID")
    if segment is None:
        return Reason("no-patient", "the message has no PID segment", "PID")
    return _named(message, feed, segment)


def _named(message: hl7v2.Message, feed: Feed, segment: hl7v2.Segment) -> Patient | Reason:
    named = identifiers(message, segment, 3)
    return named if isinstance(named, Reason) else feed.identity.patient(named, feed.authority)


def identifiers(message: hl7v2.Message, segment: hl7v2.Segment, field: int) -> list[Identifier] | Reason:
    """Every repetition of a CX field (PID-3, MRG-1) as the feed gave it, blank ones too."""
    found = []
    for n, repetition in enumerate(message.repetitions(segment.field(field)), start=1):
        place = f"{segment.place}-{field}[{n}]"
        try:
            found.append(_identifier(message, repetition, f"{place}.1"))
        except hl7v2.Undecodable:
            return Reason("undecodable", "the character set cannot decode an identifier", place)
    return found


def _identifier(message: hl7v2.Message, repetition: bytes, place: str) -> Identifier:
    """CX (HL7 v2 2.A.14): CX.1 the identifier, CX.4.1 and CX.4.2 who assigned it, CX.5 what kind it is."""
    parts = message.components(repetition)
    assigner = message.subcomponents(parts[3]) if len(parts) > 3 else []
    return Identifier(
        value=_text(message, parts[0]) if parts else "",
        assigners=tuple(_text(message, name) for name in assigner[:2]),
        type=_text(message, parts[4]) if len(parts) > 4 else "",
        place=place,
    )


def _text(message: hl7v2.Message, leaf: bytes) -> str:
    return "" if leaf == b'""' else message.text(leaf)


def time_of(message: hl7v2.Message, feed: Feed) -> hl7v2.Timestamp | Reason:
    """When the source said it: the first of the feed's `clock` paths that has a value, never a guess."""
    for path in feed.clock:
        text = message.get(path)
        if text:
            time = hl7v2.timestamp(text, feed.timezone)
            return time or Reason("bad-time", "the source time is not a date or time", path)
    return Reason("no-time", "the message does not say when it was sent", feed.clock[0])
