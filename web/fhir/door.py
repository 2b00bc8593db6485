"""The way in for writes: the channel whose source is the API, and bodies within its bounds."""

from __future__ import annotations

import asyncio
import re
from typing import Any, NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.api import FhirSource
from engine.channel import Channel
from engine.message import Received
from engine.plugin import Intake
from engine.running import Running
from formats import fhir
from store.reason import Reason
from web.fhir.verdict import refused
from web.outcome import outcome

HEAD = 64 * 1024
"""Bytes kept of a body that is too long."""
TYPES = ("application/fhir+json", "application/json", "text/json", "")
RETRY_AFTER = "60"
"""Seconds."""
BRIEF = 64 * 1024
"""Bytes that are parsed while the event loop waits."""
Json = dict[str, Any]
_TRANSACTION = re.compile(rb'"type"\s*:\s*"transaction"')


class Door(NamedTuple):
    """The channel whose source is the API, its intake, and the longest transaction and batch that it takes."""

    channel: Channel
    intake: Intake
    max_transaction: int
    max_batch: int


def writes(running: Running) -> Channel | None:
    """The channel that takes what clients write, if there is one."""
    channels = running.configuration.channels
    return next((channel for channel in channels if isinstance(channel.source, FhirSource)), None)


def door(running: Running) -> Door | Response:
    """Where writes go; or the refusal of an API that only reads, or reads for now."""
    channel = writes(running)
    if channel is None:
        text = "this server only reads: no channel has the source `fhir`"
        return outcome(405, "not-supported", text, headers={"allow": "GET"})
    if (intake := running.intakes.get(channel.name)) is None:
        text = f"channel {channel.name} takes nothing for now; try again later"
        return outcome(503, "transient", text, headers={"retry-after": RETRY_AFTER})
    source = channel.source
    assert isinstance(source, FhirSource)
    return Door(channel, intake, source.max_transaction, source.max_batch)


async def sent(
    running: Running, way: Door, request: Request, limit: int, types: tuple[str, ...] = TYPES
) -> bytes | Response:
    """The body of a write, whole; or the refusal of one that is too long, broken off or of another format."""
    received = bytearray()
    reason = _foreign(request, types) or _declared(request, limit)
    most = HEAD if reason else limit
    try:
        async for chunk in request.stream():
            received += chunk
            if reason is None and len(received) > way.max_transaction >= len(received) - len(chunk):
                most = _most(way, received, limit)
            if len(received) > most:
                break
    except ClientDisconnect:
        reason = Reason("truncated", "the connection was lost before the body was whole")
    if len(received) > most:
        reason = reason or too_long(most)
    return await keep(running, way, request, received, reason) if reason else bytes(received)


def too_long(limit: int) -> Reason:
    return Reason("too-long", f"it is longer than {limit} bytes; send less at a time, or a batch")


def _foreign(request: Request, types: tuple[str, ...]) -> Reason | None:
    type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return None if type in types else Reason("media-type", f"the body must be {types[0]}")


def _declared(request: Request, limit: int) -> Reason | None:
    length = request.headers.get("content-length", "")
    return too_long(limit) if length.isdecimal() and int(length) > limit else None


def _most(way: Door, received: bytearray, limit: int) -> int:
    """A bundle that says at its beginning that it is a transaction is read no further than one may be. Before its
    entries no other element of a Bundle can say so."""
    beginning = received[:HEAD].partition(b'"entry"')[0]
    return way.max_transaction if _TRANSACTION.search(beginning) else limit


async def parsed(running: Running, way: Door, request: Request, raw: bytes) -> Json | Response:
    """A resource as the client sent it, decimals and all. A long one is read beside the event loop."""
    try:
        found = fhir.decode(raw) if len(raw) <= BRIEF else await asyncio.to_thread(fhir.decode, raw)
    except ValueError:
        return await keep(running, way, request, raw, Reason("not-json", "the body is not JSON in UTF-8"))
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        reason = Reason("not-fhir", "the body is not a FHIR resource", "resourceType")
        return await keep(running, way, request, raw, reason)
    return found


async def resource_of(running: Running, request: Request) -> Json | Response:
    """The resource that a create or an update brings, or the refusal."""
    way = door(running)
    if isinstance(way, Response):
        return way
    raw = await sent(running, way, request, way.max_transaction)
    return raw if isinstance(raw, Response) else await parsed(running, way, request, raw)


async def keep(
    running: Running, way: Door, request: Request, raw: bytes | bytearray, reason: Reason
) -> Response:
    """What is no message at all is kept with its reason, within the cap of its peer, and told to the client."""
    received = Received(bytes(raw[:HEAD]) if reason.code == "too-long" else bytes(raw), None, peer(request))
    receipt = way.intake.refuse(received, reason)
    await asyncio.wait([receipt])
    return refused(receipt.result())


def peer(request: Request) -> str:
    return request.client.host if request.client else "local"
