"""Files without a fault -> the values that the pipeline and the runtime work from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from engine.alerts.settings import AlertsFile
from engine.channel import Body, Channel, Configuration, Partner, Route, alone, nothing
from engine.condition import always
from engine.config.authorities import declared
from engine.config.chain import bound, gives_of
from engine.config.files import ChannelFile, Order, RouteEntry
from engine.config.parts import Parts
from engine.config.pick import Picked, standards
from engine.config.routes import answered, pairs
from engine.guard import Guard
from engine.message import Answered, Owed, Part, Reply, Stop
from engine.plugin import ChartReader, Feed, Format, Source
from engine.trigger import ChartSource, Trigger, Triggers
from formats import fhir, hl7v2
from store.identity import Identity

MICROS = 1_000_000


def compiled(parts: Parts, secret: bytes, warnings: tuple[str, ...]) -> Configuration:
    """Everything that runs. Channels with the same source settings share one source object."""
    _writers.cache_clear()  # a plugin may have brought a format of its own
    identity = Identity(secret, declared(parts.authorities))
    sources: list[Source] = []
    channels = []
    for part in parts.channels.values():
        file = ChannelFile(**part.values)
        channels.append(_channel(replace(file, source=_shared(file.source, sources)), identity, parts))
    triggers = _triggers(channels)
    partners, alerts = tuple(parts.partners.values()), AlertsFile(**parts.alerts.values)
    return Configuration(tuple(channels), partners, identity, warnings, triggers, alerts=alerts)


def _shared(source: Source, sources: list[Source]) -> Source:
    same = next((s for s in sources if s == source), None)
    if same is None:
        sources.append(source)
    return same or source


def _channel(file: ChannelFile, identity: Identity, parts: Parts) -> Channel:
    feed, format = _feed(file, identity), standards()[file.format.name]
    accepted = file.accepts.processing_id
    processing = frozenset([accepted] if isinstance(accepted, str) else accepted)
    future = int(file.future_limit * MICROS)
    return Channel(
        name=file.channel,
        source=file.source,
        feed=feed,
        parse=partial(file.format.thing, **file.format.values),
        mine=_readable(file.feed or always, False),
        legible=format.legible,
        guard=Guard(format, feed, processing, future, file.store is not None),
        order=_order(file.order_by),
        also=_also(format, feed, file.order_by),
        head=file.head,
        kind=_readable(format.kind, ""),
        write=written,
        patient=_patient(format, feed),
        key=_readable(format.key, None),
        relates=format.relates if _awaited(file.channel, parts) else nothing,
        owed=_owed(file.format.name, format, file.channel, parts),
        ack=file.ack,
        steps=tuple(bound(step, feed) for step in file.pipeline),
        store=bound(file.store, feed) if file.store else None,
        split=_splitter(file.split, feed) if file.split else None,
        answer=_answer(file.answer, feed) if file.answer else None,
        routes=_routes(file.channel, feed, parts),
        system=file.system,
        spool_over=file.spool_over,
        future=future,
    )


def _awaited(channel: str, parts: Parts) -> bool:
    """Are answers expected by it?"""
    return any(expect.answers == channel for entry in parts.entries if (expect := entry.get("expect")))


def _owed(name: str, format: Format, channel: str, parts: Parts) -> Callable[[Body], tuple[Owed, ...]] | None:
    """The entries of application_ack, as one question."""
    told = [
        (route, target, entry.get("combinations", {}))
        for entry in parts.acknowledged
        for route, source, target in answered(entry)
        if source == channel
    ]
    if not told:
        return None

    def owed(body: Body) -> tuple[Owed, ...]:
        asked = [(route, target, format.owed(body, otherwise)) for route, target, otherwise in told]
        return tuple(Owed(route, target, name, *found) for route, target, found in asked if found)

    return owed


def _patient(format: Format, feed: Feed) -> Callable[[Body], bytes | None] | None:
    patient = format.patient
    return _readable(lambda body: patient(body, feed), None) if patient else None


def _splitter(picked: Picked, feed: Feed) -> Callable[[Path, bool], Iterator[Part | Reply | Stop]]:
    return lambda path, seen: picked.thing(path, feed, seen, **picked.values)


def _answer(picked: Picked, feed: Feed) -> Callable[[Body, ChartReader], Answered | Stop]:
    return lambda body, chart: picked.thing(body, chart, feed, **picked.values)


def _triggers(channels: Sequence[Channel]) -> Triggers:
    found: dict[str, tuple[Trigger, ...]] = {}
    for channel in channels:
        if isinstance(source := channel.source, ChartSource):
            trigger = Trigger(channel.name, source.when, source.state)
            found[source.type] = (*found.get(source.type, ()), trigger)
    return found


def _feed(file: ChannelFile, identity: Identity) -> Feed:
    authority = identity.named(file.authority) if file.authority else None
    feed = Feed(file.channel, file.timezone, identity, authority, file.rank)
    clock = tuple(str(path if path.component else replace(path, component=1)) for path in file.clock)
    return replace(feed, clock=clock) if clock else feed


def _readable(read: Callable[[Body], Any], otherwise: Any) -> Callable[[Body], Any]:
    """These are asked before it is known whether the message is legible at all."""

    def ask(body: Body) -> Any:
        try:
            return read(body)
        except ValueError:  # undecodable, in whatever format
            return otherwise

    return ask


def _order(order_by: Order | None) -> Callable[[Body, bytes | None], str]:
    """The order key; without one, and for a message that has none, the channel is one lane."""
    if order_by is None:
        return lambda body, patient: ""
    if isinstance(order_by, hl7v2.Path):
        read = _readable(lambda body: body.get(order_by) or "", "")
        return lambda body, patient: str(read(body))
    return lambda body, patient: patient.hex() if patient else ""


def _also(format: Format, feed: Feed, order_by: Order | None) -> Callable[[Body], tuple[str, ...]]:
    if order_by is None:
        return alone
    path = str(order_by)

    def also(body: Body) -> tuple[str, ...]:
        return tuple(dict.fromkeys(format.also(body, feed, path)))

    return _readable(also, ())


def _routes(channel: str, feed: Feed, parts: Parts) -> tuple[Route, ...]:
    return tuple(
        _route(name, RouteEntry(**entry), feed, parts.partners[target])
        for entry in parts.entries
        for name, source, target in pairs(entry)
        if source == channel
    )


def _route(name: str, entry: RouteEntry, feed: Feed, to: Partner) -> Route:
    steps = tuple(bound(step, feed) for step in entry.transform)
    alone = to.gather is not None or to.sequence
    return Route(name, entry.when, steps, to.name, entry.send, to.system, entry.expect, alone)


def written(body: Body) -> bytes:
    """The bytes of whatever a transform chain ends with: bytes, a message of any format, a FHIR resource."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, Mapping):
        return fhir.encode(body)
    return _writers()[type(body)](body)


@cache
def _writers() -> Mapping[type, Callable[[Body], bytes]]:
    return {gives_of(format.parse): format.write for format in standards().values()}
