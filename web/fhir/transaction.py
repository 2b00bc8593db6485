"""transaction and batch (http://hl7.org/fhir/R4/http.html#transaction).

A transaction is one message: all of it is done, or nothing. Each entry of a batch is a message of its own, so that a
long batch is committed a few entries at a time and other senders are answered in between. Reads are answered last,
from the chart as it then is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engine.message import Accepted, Duplicate
from engine.running import Running
from formats import fhir
from store.reason import Reason
from web.fhir.answer import answer
from web.fhir.bundle import raw as unread
from web.fhir.writing import (
    HEAD,
    Door,
    Json,
    body,
    door,
    keep,
    parsed,
    refused,
    responses,
    stored,
    submit,
)  # fmt: skip
from web.outcome import outcome

ABREAST = 16
"""Entries of one batch that are in hand at a time."""


async def transaction(running: Running, request: Request) -> Response:
    way = door(running)
    if isinstance(way, Response):
        return way
    raw = await body(running, way, request, way.max_batch)
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
        text = f"a transaction is at most {way.max_transaction} bytes; send a batch, or several"
        return await keep(running, way, request, raw[:HEAD], Reason("too-long", text))
    do = _together if kind == "transaction" else _one_by_one
    found = await do(running, way, request, entries)
    if isinstance(found, Response):
        return found
    made = {"resourceType": "Bundle", "type": f"{kind}-response", "entry": found}
    return answer(request, fhir.encode(made))


async def _together(
    running: Running, way: Door, request: Request, entries: Sequence[Json]
) -> list[Json] | Response:
    writes = [entry for entry in entries if not _reads(entry)]
    told: list[Json] = []
    if writes:
        receipt = await submit(running, way, request, writes)
        if not isinstance(receipt, Accepted | Duplicate):
            return refused(receipt)
        told = responses(receipt)
    rest = iter(told)
    return [
        await _read(running, request, e) if _reads(e) else _shown(running, request, next(rest))
        for e in entries
    ]


async def _one_by_one(
    running: Running, way: Door, request: Request, entries: Sequence[Json]
) -> list[Json] | Response:
    gate = asyncio.Semaphore(ABREAST)

    async def one(n: int, entry: Json) -> Json:
        if _reads(entry):
            return {}
        async with gate:
            receipt = await submit(running, way, request, [entry], f"#{n}")
        if isinstance(receipt, Accepted | Duplicate):
            return _shown(running, request, (responses(receipt) or [{"status": "200 OK"}])[0])
        return _failed(refused(receipt))

    done = await asyncio.gather(*(one(n, entry) for n, entry in enumerate(entries)))
    return [
        await _read(running, request, entry) if _reads(entry) else told
        for entry, told in zip(entries, done, strict=True)
    ]


def _reads(entry: Json) -> bool:
    asked = entry.get("request")
    return isinstance(asked, dict) and asked.get("method") in ("GET", "HEAD")


def _shown(running: Running, request: Request, response: Json) -> Json:
    """With the resource, if the client asks for it: a bundle is long enough without."""
    location = str(response.get("location", ""))
    wanted = "return=representation" in request.headers.get("prefer", "")
    found = stored(running, location) if location and wanted else None
    return {"response": response, **({"resource": unread(found)} if found else {})}


def _failed(response: Response) -> Json:
    return {"response": {"status": str(response.status_code), "outcome": unread(bytes(response.body))}}


async def _read(running: Running, request: Request, entry: Json) -> Json:
    """A read or search inside of a Bundle, by the interaction itself."""
    from web.fhir import read, search

    url = str(entry["request"].get("url", ""))
    path, _, query = url.lstrip("/").partition("?")
    steps = path.split("/")
    scope = {**request.scope, "method": "GET", "query_string": query.encode(), "path": f"/fhir/{path}"}
    scope["path_params"] = dict(zip(("type", "id"), steps, strict=False))
    if len(steps) > 2 or not steps[0]:
        return _failed(outcome(400, "not-supported", "only Type/id and Type?parameters can be read here"))
    interaction: Any = read.read if len(steps) == 2 else search.search
    response: Response = await interaction(running, Request(scope, request.receive))
    if response.status_code != 200:
        return _failed(response)
    return {"response": {"status": "200 OK"}, "resource": unread(bytes(response.body))}
