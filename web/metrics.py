"""Prometheus metrics: the counters of this process, and what waits, read from the database when asked for.

Labels are names of channels and destinations, never anything of a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from engine.journal import inquiry
from engine.running import Running
from engine.runtime import clock

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(running: Running, request: Request) -> Response:
    return Response(generate_latest(_Everything(running)), media_type=MEDIA_TYPE)


class _Everything(Collector):
    def __init__(self, running: Running) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        yield from self._running.metrics.registry.collect()
        yield CounterMetricFamily(
            "chartwire_commits", "Transactions committed and fsynced", value=self._running.committer.commits
        )
        yield from self._queues()
        yield self._expectations()

    def _expectations(self) -> Metric:
        text = "Answers to deliveries that are awaited in time (open) or did not come in time (overdue)"
        family = GaugeMetricFamily("chartwire_expectations", text, labels=["destination", "state"])
        routes = (route for channel in self._running.configuration.channels for route in channel.routes)
        found = {route.to: inquiry.Awaited(0, 0) for route in routes if route.expect}
        for destination, awaited in (found | inquiry.awaited(self._running.reader, clock.now())).items():
            for state, number in awaited._asdict().items():
                family.add_metric([destination, state], number)
        return family

    def _queues(self) -> Iterator[Metric]:
        configuration, now = self._running.configuration, clock.now()
        channels = {c.name: inquiry.EMPTY for c in configuration.channels}
        channels |= inquiry.inbox(self._running.reader)
        yield _gauge("queue_depth", "Messages not processed yet", "channel", _depths(channels))
        yield _gauge("queue_oldest_seconds", "Age of the oldest of them", "channel", _ages(channels, now))
        for state, queues in inquiry.outbox(self._running.reader).items():
            found = {p.name: inquiry.EMPTY for p in configuration.partners} | queues
            name = "delivery_queue" if state == "QUEUED" else f"delivery_{state.lower()}"
            yield _gauge(f"{name}_depth", f"Deliveries that are {state}", "destination", _depths(found))
            yield _gauge(
                f"{name}_oldest_seconds", "Age of the oldest of them", "destination", _ages(found, now)
            )


Sample = tuple[str, float]


def _depths(queues: dict[str, inquiry.Queue]) -> Iterator[Sample]:
    return ((name, float(queue.depth)) for name, queue in queues.items())


def _ages(queues: dict[str, inquiry.Queue], now: int) -> Iterator[Sample]:
    """Seconds; 0 where nothing waits."""
    return (
        (name, max(0, now - queue.oldest) / 1e6 if queue.depth else 0.0) for name, queue in queues.items()
    )


def _gauge(name: str, text: str, label: str, samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(f"chartwire_{name}", text, labels=[label])
    for value, number in samples:
        family.add_metric([value], number)
    return family
