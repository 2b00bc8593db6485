"""Prometheus metrics: the counters of this process, and what waits, read from the database when asked for.

Labels are names of channels and destinations, never anything of a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from engine.journal import inquiry, queues
from engine.journal.queues import Queue
from engine.running import Running
from engine.runtime import clock
from store.database import Connection

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(running: Running, request: Request) -> Response:
    waiting = await running.look(_waiting)
    return Response(generate_latest(_Everything(running, waiting)), media_type=MEDIA_TYPE)


class Waiting(NamedTuple):
    inbox: dict[str, Queue]
    held: dict[str, Queue]
    outbox: dict[str, dict[str, Queue]]


def _waiting(connection: Connection) -> Waiting:
    return Waiting(queues.inbox(connection), queues.held(connection), queues.outbox(connection))


class _Everything(Collector):
    def __init__(self, running: Running, waiting: Waiting) -> None:
        self._running = running
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        yield from self._running.metrics.registry.collect()
        yield CounterMetricFamily(
            "chartwire_commits", "Transactions committed and fsynced", value=self._running.committer.commits
        )
        yield from self._queues()
        yield self._expectations()
        yield self._latency()

    def _latency(self) -> Metric:
        text = "Seconds within which 95 of 100 answers came in the last five minutes: ours, and those of partners"
        family = GaugeMetricFamily("chartwire_answer_seconds", text, labels=["kind", "name"])
        for subject, slow in self._running.metrics.latency.lately().items():
            kind, _, name = subject.partition(" ")
            family.add_metric([kind, name], slow.seconds)
        return family

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
        none = {c.name: queues.EMPTY for c in configuration.channels}
        for name, text, found in (
            ("queue", "Messages not processed yet", self._waiting.inbox),
            ("held", "Messages held behind one in trouble", self._waiting.held),
        ):
            yield _gauge(f"{name}_depth", text, "channel", _depths(none | found))
            yield _gauge(
                f"{name}_oldest_seconds", "Age of the oldest of them", "channel", _ages(none | found, now)
            )
        for state, waiting in self._waiting.outbox.items():
            found = {p.name: queues.EMPTY for p in configuration.partners} | waiting
            name = "delivery_queue" if state == "QUEUED" else f"delivery_{state.lower()}"
            yield _gauge(f"{name}_depth", f"Deliveries that are {state}", "destination", _depths(found))
            yield _gauge(
                f"{name}_oldest_seconds", "Age of the oldest of them", "destination", _ages(found, now)
            )


Sample = tuple[str, float]


def _depths(found: dict[str, Queue]) -> Iterator[Sample]:
    return ((name, float(queue.depth)) for name, queue in found.items())


def _ages(found: dict[str, Queue], now: int) -> Iterator[Sample]:
    """Seconds; 0 where nothing waits."""
    return ((name, max(0, now - queue.oldest) / 1e6 if queue.depth else 0.0) for name, queue in found.items())


def _gauge(name: str, text: str, label: str, samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(f"chartwire_{name}", text, labels=[label])
    for value, number in samples:
        family.add_metric([value], number)
    return family
