"""What is counted. Names of channels and destinations are labels; nothing of a message ever is."""

from __future__ import annotations

from collections import Counter as PyCounter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from engine.message import Duplicate, Receipt, Refused, State
from engine.runtime import clock
from engine.runtime.latency import Latency


class Metrics:
    """Counters of this process; queue depths and ages are read from the database when they are asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[object, ...], Counter] = {}
        self._received = self._counter("received", "Messages that arrived", "channel")
        self._refused = self._counter("refused", "Messages whose sender was told no", "channel")
        self._duplicate = self._counter("duplicate", "Resends of accepted messages", "channel")
        self._unavailable = self._counter("unavailable", "Messages not stored through our fault", "channel")
        self._ended = self._counter("ended", "Messages by the state that they ended in", "channel", "state")
        self._attempts = self._counter("delivery_attempts", "Attempts by outcome", "destination", "outcome")

        self.latency = Latency()
        self.heard: dict[str, int] = {}  # when each channel last received something
        self.counted: PyCounter[str] = PyCounter()  # and how much since the watch looked
        text = "Alerts whose condition holds"
        self._alerts = Gauge("chartwire_alerts_open", text, registry=self.registry)
        text = "1 while a destination is left in peace after too many failures in a row"
        self._open = Gauge("chartwire_breaker_open", text, ["destination"], registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"chartwire_{name}", text, labels, registry=self.registry)

    def begin(self, channels: Iterable[str]) -> None:
        """A channel that has had no trouble says 0."""
        for channel in channels:
            for counter in (self._received, self._refused, self._duplicate, self._unavailable):
                counter.labels(channel)
            for state in (State.STORED, State.QUARANTINED, State.FAILED):
                self._ended.labels(channel, state)

    def _child(self, counter: Counter, *labels: str) -> Counter:
        """Finding a child by its labels takes longer than counting."""
        key = (counter, *labels)
        if (child := self._children.get(key)) is None:
            child = self._children[key] = counter.labels(*labels)
        return child

    def alerts(self, open: int) -> None:
        self._alerts.set(open)

    def received(self, channel: str) -> None:
        self.heard[channel] = clock.now()
        self.counted[channel] += 1
        self._child(self._received, channel).inc()

    def receipt(self, channel: str, receipt: Receipt) -> None:
        if isinstance(receipt, Duplicate):
            self._duplicate.labels(channel).inc()
        elif isinstance(receipt, Refused):
            self._refused.labels(channel).inc()
        elif not hasattr(receipt, "message"):
            self._unavailable.labels(channel).inc()

    def ended(self, channel: str, state: State) -> None:
        self._child(self._ended, channel, state).inc()

    def breaker(self, destination: str, *, open: bool) -> None:
        self._open.labels(destination).set(open)

    def attempt(self, destination: str, outcome: str) -> None:
        self._child(self._attempts, destination, outcome).inc()
