"""Files without a fault -> the values that the pipeline and the runtime work from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from engine.channel import Body, Channel, Configuration, Route
from engine.condition import always
from engine.config.chain import bound
from engine.config.files import ChannelFile, Order, RouteEntry
from engine.config.parts import Part, Parts
from engine.config.routes import pairs
from engine.guard import Guard, legible
from engine.plugin import Feed, Source
from engine.subject import patient_of
from formats import fhir, hl7v2
from store.identity import Authority, Identity, Patient

MICROS = 1_000_000


def compiled(parts: Parts, secret: bytes, warnings: tuple[str, ...]) -> Configuration:
    """Everything that runs. Channels with the same source settings share one source object."""
    identity = Identity(secret, _authorities(parts.authorities))
    sources: list[Source] = []
    channels = []
    for part in parts.channels.values():
        file = ChannelFile(**part.values)
        channels.append(_channel(replace(file, source=_shared(file.source, sources)), identity, parts))
    return Configuration(tuple(channels), tuple(parts.partners.values()), identity, warnings)


def _authorities(part: Part) -> list[Authority]:
    return [
        Authority(name, s.namespace, frozenset(s.aliases), s.identifies, s.normalise, s.types)
        for name, s in part.values.get("authorities", {}).items()
    ]


def _shared(source: Source, sources: list[Source]) -> Source:
    same = next((s for s in sources if s == source), None)
    if same is None:
        sources.append(source)
    return same or source


def _channel(file: ChannelFile, identity: Identity, parts: Parts) -> Channel:
    feed = _feed(file, identity)
    accepted = file.accepts.processing_id
    processing = frozenset([accepted] if isinstance(accepted, str) else accepted)
    return Channel(
        name=file.channel,
        source=file.source,
        feed=feed,
        parse=partial(file.format.thing, **file.format.values),
        mine=_readable(file.feed or always, False),
        legible=legible,
        guard=Guard(feed, processing, int(file.future_limit * MICROS), file.store is not None),
        order=_readable(_order(file.order_by, feed), ""),
        kind=_readable(lambda body: body.kind, ""),
        write=written,
        patient=_readable(lambda body: _key(body, feed), None),
        ack=file.ack,
        steps=tuple(bound(step, feed) for step in file.pipeline),
        store=bound(file.store, feed) if file.store else None,
        routes=_routes(file.channel, feed, parts),
    )


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
        except hl7v2.Undecodable:
            return otherwise

    return ask


def _order(order_by: Order | None, feed: Feed) -> Callable[[Body], str]:
    """The order key; without one, and for a message that has none, the channel is one lane."""
    if order_by is None:
        return lambda body: ""
    if isinstance(order_by, hl7v2.Path):
        return lambda body: body.get(order_by) or ""
    return lambda body: key.hex() if (key := _key(body, feed)) else ""


def _key(body: hl7v2.Message, feed: Feed) -> bytes | None:
    found = patient_of(body, feed)
    return found.key if isinstance(found, Patient) else None


def _routes(channel: str, feed: Feed, parts: Parts) -> tuple[Route, ...]:
    return tuple(
        _route(name, RouteEntry(**entry), target, feed)
        for entry in parts.entries
        for name, source, target in pairs(entry)
        if source == channel
    )


def _route(name: str, entry: RouteEntry, target: str, feed: Feed) -> Route:
    return Route(name, entry.when, tuple(bound(step, feed) for step in entry.transform), target, entry.send)


def written(body: Body) -> bytes:
    """The bytes of whatever a transform chain ends with: bytes, a message, a FHIR resource."""
    match body:
        case bytes():
            return body
        case hl7v2.Message():
            return body.raw
        case Mapping():
            return fhir.encode(body)
    raise TypeError(f"a {type(body).__name__} cannot be sent")
