"""What every write has in common: a Bundle of requests goes through the intake, and its verdict becomes an answer.

One write path: what the API writes is a message of the channel whose source is `fhir`, with `ack: processed`. A
single interaction is a Bundle of one entry (http://hl7.org/fhir/R4/http.html#transaction).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.channel import Channel
from engine.journal import inquiry
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable
from engine.running import Running
from formats import fhir
from store.chart import SQL
from store.database import one
from store.identity import key_of
from store.reason import Reason
from web.fhir.answer import answer
from web.fhir.resource import Version, resource
from web.outcome import outcome

# The reason of a refusal -> status and issue type (http://hl7.org/fhir/issue-type).
STATUS: Mapping[str, tuple[int, str]] = {
    "invalid": (422, "invalid"),
    "not-supported": (422, "not-supported"),
    "not-found": (404, "not-found"),
    "not-allowed": (405, "not-supported"),
    "gone": (410, "deleted"),
    "conflict": (409, "conflict"),
    "contested-identifier": (409, "conflict"),
    "other-patient": (409, "conflict"),
    "precondition": (412, "conflict"),
    "not-json": (400, "structure"),
    "not-fhir": (400, "structure"),
    "future-time": (422, "invalid"),
    "media-type": (415, "not-supported"),
    "too-long": (413, "too-long"),
    "truncated": (400, "structure"),
}
HEAD = 64 * 1024
"""Bytes kept of a body that is too long."""
TYPES = frozenset({"application/json", "application/fhir+json", "text/json", ""})
Json = dict[str, Any]


class Door(NamedTuple):
    """The way in: the channel whose source is the API, and the longest transaction and batch that it takes."""

    channel: Channel
    max_transaction: int
    max_batch: int


def door(running: Running) -> Door | Response:
    """Where writes go; or the refusal of an API that only reads."""
    for channel in running.configuration.channels:
        limits = getattr(channel.source, "max_transaction", None), getattr(channel.source, "max_batch", None)
        if limits[0] is not None and limits[1] is not None:
            return Door(channel, limits[0], limits[1])
    text = "this server only reads: no channel has the source `fhir`"
    return outcome(405, "not-supported", text, headers={"allow": "GET"})


async def body(running: Running, way: Door, request: Request, limit: int, *media: str) -> bytes | Response:
    """The body of a write, whole; or the refusal of one that is too long, broken off or of another format."""
    received = bytearray()
    try:
        async for chunk in request.stream():
            received += chunk
            if len(received) > limit:
                reason = Reason("too-long", f"the body is longer than {limit} bytes")
                return await keep(running, way, request, received[:HEAD], reason)
    except ClientDisconnect:
        reason = Reason("truncated", "the connection was lost before the body was whole")
        return await keep(running, way, request, received, reason)
    type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if type not in (media or TYPES):
        reason = Reason("media-type", f"the body must be {' or '.join(media) or 'application/fhir+json'}")
        return await keep(running, way, request, received, reason)
    return bytes(received)


async def parsed(running: Running, way: Door, request: Request, raw: bytes) -> Json | Response:
    """A resource as the client sent it, decimals and all. A long one is read beside the event loop."""
    try:
        found = fhir.decode(raw) if len(raw) < 65536 else await asyncio.to_thread(fhir.decode, raw)
    except (ValueError, RecursionError):
        return await keep(running, way, request, raw, Reason("not-json", "the body is not JSON in UTF-8"))
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        reason = Reason("not-fhir", "the body is not a FHIR resource", "resourceType")
        return await keep(running, way, request, raw, reason)
    return found


async def keep(
    running: Running, way: Door, request: Request, raw: bytes | bytearray, reason: Reason
) -> Response:
    """What is no message at all is kept with its reason, within the cap of its peer, and told to the client."""
    receipt = running.intakes[way.channel.name].refuse(Received(bytes(raw), None, peer(request)), reason)
    await asyncio.wait([receipt])
    return refused(receipt.result())


def peer(request: Request) -> str:
    return request.client.host if request.client else "local"


async def submit(
    running: Running, way: Door, request: Request, entries: Sequence[Json], part: str = ""
) -> Receipt:
    """One transaction through the intake. `part` tells the entries of a batch apart under one Idempotency-Key."""
    once = request.headers.get("idempotency-key", "")
    key = f"{holder(request)}:{once}{part}" if once else None
    bundle = {"resourceType": "Bundle", "id": _named(way, key), "type": "transaction", "entry": list(entries)}
    raw = fhir.encode(bundle) if len(entries) < 20 else await asyncio.to_thread(fhir.encode, bundle)
    if key is not None and _reused(running, way, key, raw):
        return Refused(Reason("conflict", "the Idempotency-Key was used for another request"))
    receipt = running.intakes[way.channel.name](Received(raw, key, peer(request)))
    await asyncio.wait([receipt])  # a client that leaves does not cancel the commit
    return receipt.result()


def holder(request: Request) -> str:
    """Who writes: the name of the token."""
    return str(request.scope.get("holder", "local"))


def _named(way: Door, key: str | None) -> str:
    """Ids of what is created follow from it: the same under the same key, else never again."""
    return str(uuid4()) if key is None else way.channel.feed.identity.key("Bundle", key).hex()


def _reused(running: Running, way: Door, key: str, raw: bytes) -> bool:
    wanted = inquiry.Filter(channel=way.channel.name, key=key)
    known = (
        inquiry.body(running.reader, m.id) for m in inquiry.messages(running.reader, wanted, None, 5).entries
    )
    return any(each is not None and each != raw for each in known)


def refused(receipt: Receipt) -> Response:
    """The answer to what was not done."""
    match receipt:
        case Refused(reason):
            return said(reason)
        case Unavailable(reason):
            return outcome(503, "transient", reason.text, headers={"retry-after": "5"})
    return outcome(500, "exception", "whether it was stored is not known; read before you try again")


def said(reason: Reason) -> Response:
    """A refusal of the content as the client must hear it."""
    status, code = STATUS.get(reason.code, (422, "processing"))
    return outcome(status, code, reason.text, place=reason.place)


def responses(receipt: Accepted | Duplicate) -> list[Json]:
    """What became of each entry, from the reply that was committed with it."""
    found: list[Json] = fhir.decode(receipt.reply or b'{"entry":[]}').get("entry", [])
    return [entry["response"] for entry in found]


async def single(running: Running, request: Request, entry: Json) -> Response:
    """A create, update, patch or delete: a transaction of one entry."""
    way = door(running)
    if isinstance(way, Response):
        return way
    receipt = await submit(running, way, request, [entry])
    if not isinstance(receipt, Accepted | Duplicate):
        return refused(receipt)
    (response,) = responses(receipt) or ({"status": "200 OK"},)
    return told(running, request, response)


def told(running: Running, request: Request, response: Json) -> Response:
    """The answer to one write, with the resource or without, as the client prefers (R4, clause 3.1.0.1.12)."""
    status = int(str(response["status"])[:3])
    location = str(response.get("location", ""))
    headers = {"etag": str(response["etag"]), "location": f"/fhir/{location}"} if location else {}
    prefer = request.headers.get("prefer", "")
    if not location or "return=minimal" in prefer:
        return Response(status_code=status, headers={"cache-control": "no-store", **headers})
    if "return=OperationOutcome" in prefer:
        return outcome(status, "informational", "done", severity="information", headers=headers)
    found = stored(running, location)
    if found is None:
        return Response(status_code=status, headers={"cache-control": "no-store", **headers})
    made = answer(request, found, headers)
    made.status_code = status
    return made


def stored(running: Running, location: str) -> bytes | None:
    """The version that a write made."""
    type, id, _, number = location.split("/")
    key = key_of(id)
    row = one(running.reader, SQL.vread, (key, type, int(number))) if key else None
    return resource(type, key, Version(*row)) if key and row and row[3] is not None else None
