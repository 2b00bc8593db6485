"""What every write has in common: a Bundle of requests goes through the intake, and its verdict becomes an answer.

One write path: what the API writes is a message of the channel whose source is `fhir`, with `ack: processed`. A
single interaction is a Bundle of one entry (http://hl7.org/fhir/R4/http.html#transaction).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from engine.journal import inquiry
from engine.message import Accepted, Duplicate, Receipt, Received, Refused
from engine.running import Running
from formats import fhir
from store.chart import SQL
from store.database import one
from store.identity import key_of
from store.reason import Reason
from web.fhir.answer import answer, base
from web.fhir.door import Door, Json, door, peer
from web.fhir.resource import Version, resource
from web.fhir.verdict import alone, refused
from web.outcome import outcome

FEW = 20
"""Entries that are put into JSON while the event loop waits."""


async def submit(
    running: Running, way: Door, request: Request, entries: Sequence[Json], part: str = ""
) -> Receipt:
    """One transaction through the intake. `part` tells the entries of a batch apart under one Idempotency-Key."""
    once = request.headers.get("idempotency-key", "")
    key = f"{holder(request)}:{once}{part}" if once else None
    bundle = {"resourceType": "Bundle", "id": _named(way, key), "type": "transaction", "entry": list(entries)}
    raw = fhir.encode(bundle) if len(entries) <= FEW else await asyncio.to_thread(fhir.encode, bundle)
    if key is not None and _reused(running, way, key, raw):
        return Refused(Reason("conflict", "the Idempotency-Key was used for another request"))
    receipt = way.intake(Received(raw, key, peer(request)))
    await asyncio.wait([receipt])  # a client that leaves does not cancel the commit
    return receipt.result()


def holder(request: Request) -> str:
    """Who writes: the name of the token."""
    return str(request.scope.get("holder", "local"))


def _named(way: Door, key: str | None) -> str:
    """Ids of what is created follow from it: the same under the same key, else never again."""
    return str(uuid4()) if key is None else way.channel.feed.identity.key("Bundle", key).hex()


def _reused(running: Running, way: Door, key: str, raw: bytes) -> bool:
    """Two at once under one key come to the same ids, so that the second of them is refused by the chart."""
    wanted = inquiry.Filter(channel=way.channel.name, key=key)
    known = (
        inquiry.body(running.reader, m.id) for m in inquiry.messages(running.reader, wanted, None, 5).entries
    )
    return any(each is not None and each != raw for each in known)


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
        return refused(receipt, alone(request.path_params["type"]))
    (response,) = responses(receipt)
    return told(running, request, response)


def told(running: Running, request: Request, response: Json) -> Response:
    """The answer to one write, with the resource or without, as the client prefers (R4, clause 3.1.0.1.12)."""
    status = int(str(response["status"])[:3])
    location = str(response.get("location", ""))
    headers = _headers(request, response) if location else {}
    prefer = request.headers.get("prefer", "")
    if location and "return=OperationOutcome" in prefer:
        return outcome(status, "informational", "done", severity="information", headers=headers)
    found = stored(running, location) if location and "return=minimal" not in prefer else None
    if found is None:
        return Response(status_code=status, headers={"cache-control": "no-store", **headers})
    made = answer(request, found, headers)
    made.status_code = status
    return made


def _headers(request: Request, response: Json) -> dict[str, str]:
    """Where the version that it made is, and which and of when that is (R4, clause 3.1.0.8)."""
    when = datetime.fromisoformat(response["lastModified"])
    return {
        "location": f"{base(request)}/{response['location']}",
        "etag": response["etag"],
        "last-modified": format_datetime(when, usegmt=True),
    }


def stored(running: Running, location: str) -> bytes | None:
    """The version that a write made."""
    type, id, _, number = location.split("/")
    key: Any = key_of(id)
    row = one(running.reader, SQL.vread, (key, type, int(number)))
    return resource(type, key, Version(*row)) if row and row[3] is not None else None
