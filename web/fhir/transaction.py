"""transaction and batch (http://hl7.org/fhir/R4/http.html#transaction).

A transaction is one message: all of it is done, or nothing. Each entry of a batch is a message of its own, so that a
long batch is committed a few entries at a time and other senders are answered in between. Reads are answered last,
from the chart as it then is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from engine.message import Accepted, Duplicate
from engine.running import Running
from formats import fhir
from web.fhir import read, search
from web.fhir.answer import answer
from web.fhir.bundle import raw as unread
from web.fhir.door import Door, Json, door, keep, parsed, sent, too_long
from web.fhir.verdict import among, refused
from web.fhir.writing import responses, stored, submit
from web.outcome import outcome

ABREAST = 16
"""Entries of one batch that are in hand at a time."""
PAUSE = 100
"""Entries of an answer that are put together before others get their turn."""
CONDITIONS = frozenset({"if-match", "if-none-match", "if-none-exist", "if-modified-since"})


async def transaction(running: Running, request: Request) -> Response:
    way = door(running)
    if isinstance(way, Response):
        return way
    raw = await sent(running, way, request, way.max_batch)
    if isinstance(raw, Response):
        return raw
    bundle = await parsed(running, way, request, raw)
    if isinstance(bundle, Response):
        return bundle
    kind, entries = bundle.get("type"), bundle.get("entry", [])
    if bundle["resourceType"] != "Bundle" or kind not in ("transaction", "batch"):
        return outcome(400, "invalid", "a Bundle of type transaction or batch is taken here", place="type")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        return outcome(400, "structure", "the entries are no list of objects", place="Bundle.entry")
    if kind == "transaction" and len(raw) > way.max_transaction:
        return await keep(running, way, request, raw, too_long(way.max_transaction))
    done = await (_together if kind == "transaction" else _one_by_one)(running, way, request, entries)
    if isinstance(done, Response):
        return done
    told = [each async for each in _told(running, request, entries, done)]
    made = {"resourceType": "Bundle", "type": f"{kind}-response", **({"entry": told} if told else {})}
    return answer(request, fhir.encode(made))


Done = Sequence[Json | Response]
"""What became of each entry that writes, in their order: its `response`, or its refusal."""


async def _together(
    running: Running, way: Door, request: Request, entries: Sequence[Json]
) -> Done | Response:
    writes = [(n, entry) for n, entry in enumerate(entries) if not _reads(entry)]
    if not writes:
        return []
    receipt = await submit(running, way, request, [entry for _, entry in writes])
    if isinstance(receipt, Accepted | Duplicate):
        return responses(receipt)
    return refused(receipt, among([n for n, _ in writes]))


async def _one_by_one(running: Running, way: Door, request: Request, entries: Sequence[Json]) -> Done:
    writes = [(n, entry) for n, entry in enumerate(entries) if not _reads(entry)]
    done: dict[int, Json | Response] = {}
    waiting = iter(writes)

    async def hand() -> None:
        for n, entry in waiting:
            receipt = await submit(running, way, request, [entry], f"#{n}")
            if isinstance(receipt, Accepted | Duplicate):
                (done[n],) = responses(receipt)
            else:
                done[n] = refused(receipt, among([n]))

    await asyncio.gather(*(hand() for _ in range(ABREAST)))
    return [done[n] for n, _ in writes]


def _reads(entry: Json) -> bool:
    asked = entry.get("request")
    return isinstance(asked, dict) and asked.get("method") in ("GET", "HEAD")


async def _told(running: Running, request: Request, entries: Sequence[Json], done: Done) -> Any:
    """The entries of the answer, one after the other."""
    rest = iter(done)
    for n, entry in enumerate(entries):
        if n % PAUSE == PAUSE - 1:
            await asyncio.sleep(0)
        yield (
            await _read(running, request, entry) if _reads(entry) else _written(running, request, next(rest))
        )


def _written(running: Running, request: Request, done: Json | Response) -> Json:
    """With the resource, if the client asks for it: a bundle is long enough without."""
    if isinstance(done, Response):
        return _failed(done)
    location = str(done.get("location", ""))
    wanted = "return=representation" in request.headers.get("prefer", "")
    found = stored(running, location) if location and wanted else None
    return {"response": done, **({"resource": unread(found)} if found else {})}


def _failed(response: Response) -> Json:
    told = {"outcome": unread(bytes(response.body))} if response.body else {}
    return {"response": {"status": str(response.status_code), **told}}


async def _read(running: Running, request: Request, entry: Json) -> Json:
    """A read or search inside of a Bundle, by the interaction itself."""
    path, _, query = str(entry["request"].get("url", "")).lstrip("/").partition("?")
    steps = path.split("/")
    if len(steps) > 2 or not steps[0]:
        return _failed(outcome(400, "not-supported", "only Type/id and Type?parameters can be read here"))
    interaction = read.read if len(steps) == 2 else search.search
    response = await interaction(running, _asking(request, entry, path, steps, query))
    if response.status_code != 200:
        return _failed(response)
    etag = {"etag": response.headers["etag"]} if "etag" in response.headers else {}
    return {"response": {"status": "200 OK", **etag}, "resource": unread(bytes(response.body))}


def _asking(request: Request, entry: Json, path: str, steps: Sequence[str], query: str) -> Request:
    """The request that the entry stands for; conditions are those of the entry, not of the whole."""
    headers = {k: v for k, v in request.headers.items() if k not in CONDITIONS}
    if (match := entry["request"].get("ifNoneMatch")) is not None:
        headers["if-none-match"] = str(match)
    scope = {
        **request.scope, "method": "GET", "path": f"/fhir/{path}", "query_string": query.encode(),
        "headers": Headers(headers).raw, "path_params": dict(zip(("type", "id"), steps, strict=False)),
    }  # fmt: skip
    return Request(scope, request.receive)
