"""What a message must be before its content may be trusted. Pure: the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.plugin import Body, Feed, Format
from store.reason import Reason

FUTURE = Reason(
    "future-time", "the source time is in the future; correct the sender's clock or the channel's timezone"
)


@dataclass(frozen=True, slots=True)
class Guard:
    """Called with the body and when it was received, in microseconds since the epoch.

    `processing` are the accepted codes of what tells production from test. A channel that `stores` also needs
    source times that are not more than `future` microseconds after the receipt, and of each patient that is
    named one whom the rules identify.
    """

    format: Format
    feed: Feed
    processing: frozenset[str]
    future: int
    stores: bool

    def __call__(self, body: Body, received: int) -> Reason | None:
        refused = self._test(body)
        if refused or not self.stores:
            return refused
        return self._untimely(body, received) or self._unidentified(body)

    def _test(self, body: Body) -> Reason | None:
        found = self.format.processing(body)
        if found is None or found[0] in self.processing:
            return None
        accepted = " or ".join(sorted(code or "none" for code in self.processing))
        return Reason("test-message", f"the channel accepts processing id {accepted} only", found[1])

    def _untimely(self, body: Body, received: int) -> Reason | None:
        times = self.format.times(body, self.feed)
        if isinstance(times, Reason):
            return times
        late = next((place for micros, place in times if micros > received + self.future), None)
        if late is None:
            return None
        return replace(FUTURE, place=late)

    def _unidentified(self, body: Body) -> Reason | None:
        found = self.format.patients(body, self.feed)
        return next((reason for reason in found if isinstance(reason, Reason)), None)
