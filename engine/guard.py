"""What an HL7 v2 message must be before its content may be trusted. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.plugin import Feed
from engine.subject import patient_of, time_of
from formats import hl7v2
from store.reason import Reason


def legible(message: hl7v2.Message) -> Reason | None:
    """Every byte must mean a character: one that does not is never replaced by another."""
    if place := message.undecodable():
        hint = "declare it in MSH-18, or as charset: below format: in the channel"
        return Reason("undecodable", f"a byte that the message's character set does not have; {hint}", place)
    return None


@dataclass(frozen=True, slots=True)
class Guard:
    """Called with the message and when it was received, in microseconds since the epoch.

    `processing` are the accepted values of MSH-11.1. A channel that `stores` also needs a source time that is
    not more than `future` microseconds after the receipt, and of each PID a patient whom the rules identify.
    """

    feed: Feed
    processing: frozenset[str]
    future: int
    stores: bool

    def __call__(self, message: hl7v2.Message, received: int) -> Reason | None:
        refused = self._test(message)
        if refused or not self.stores:
            return refused
        return self._untimely(message, received) or self._unidentified(message)

    def _test(self, message: hl7v2.Message) -> Reason | None:
        """MSH-11 (HL7 v2 2.14.9.11): P production, T training, D debugging."""
        if (message.get("MSH-11.1") or "") in self.processing:
            return None
        accepted = " or ".join(sorted(code or "none" for code in self.processing))
        return Reason("test-message", f"the channel accepts processing id {accepted} only", "MSH-11.1")

    def _untimely(self, message: hl7v2.Message, received: int) -> Reason | None:
        time = time_of(message, self.feed)
        if isinstance(time, Reason):
            return time
        times = [(time.micros, self.feed.clock[0]), *_reported(message, self.feed)]
        late = next((place for micros, place in times if micros > received + self.future), None)
        if late is None:
            return None
        text = "the source time is in the future; correct the sender's clock or the channel's timezone"
        return Reason("future-time", text, late)

    def _unidentified(self, message: hl7v2.Message) -> Reason | None:
        found = (patient_of(message, self.feed, pid) for pid in message.all("PID"))
        return next((reason for reason in found if isinstance(reason, Reason)), None)


def _reported(message: hl7v2.Message, feed: Feed) -> Iterator[tuple[int, str]]:
    """OBR-22 of each report, which is the source time of its results; what is no time is the map's to say."""
    for obr in message.all("OBR"):
        if raw := obr.field(22):
            text = message.text(message.components(raw)[0])
            if time := hl7v2.timestamp(text, feed.timezone):
                yield time.micros, f"{obr.place}-22"
