"""Where messages are and what became of them: `GET /admin/messages`, `.../ID`, `.../ID/trace`."""

from __future__ import annotations

import asyncio
import base64
import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import again, configuration, inquiry
from engine.journal.audit import Act, record
from engine.journal.inquiry import Entry, Expectation, Made, Sent
from engine.message import Delivery
from engine.running import Running
from engine.runtime import clock
from store.database import Down, Uncertain
from store.identity import fhir_id
from store.reason import Reason
from store.resource import instant
from web.admin import change, expectations, filters
from web.admin.filters import Asked
from web.fhir.resource import missing
from web.outcome import outcome


async def listing(running: Running, request: Request) -> Response:
    """A page of messages, newest first. A page may be short or empty and still have a `next`."""
    asked = filters.read(running, request.query_params, clock.now())
    if isinstance(asked, Reason):
        return outcome(400, asked.code, asked.text, place=asked.place)
    if asked.text:
        return await _containing(running, request, asked)
    page = inquiry.messages(running.reader, asked.filter, asked.cursor, asked.limit)
    return _json({"messages": [_entry(entry) for entry in page.entries], "next": page.next})


async def _containing(running: Running, request: Request, asked: Asked) -> Response:
    """Whoever looks for a text reads bytes: which he found is on record, not what he looked for."""
    page = await running.look(
        lambda connection: inquiry.containing(connection, asked.filter, asked.text, asked.cursor, asked.limit)
    )
    if page.entries and not await _recorded(
        running, request, "messages.search", [e.id for e in page.entries]
    ):
        return outcome(503, "transient", "the reading could not be recorded; try again")
    return _json({"messages": [_entry(entry) for entry in page.entries], "next": page.next})


async def show(running: Running, request: Request) -> Response:
    """One message with its bytes and deliveries. Who reads the bytes is recorded before they are given."""
    if (entry := inquiry.message(running.reader, request.path_params["id"])) is None:
        return missing()
    body, path = inquiry.body(running.reader, entry.id), _path(running, entry.id)
    if body is None and path:
        body = await asyncio.to_thread(_head, running, path)
    if body is not None and not await _recorded(running, request, "messages.read", [entry.id]):
        return outcome(503, "transient", "the reading could not be recorded; try again")
    shown = {
        "body": _body(running, entry, body) if body is not None else None,
        "spooled": str(path) if path else None,
    }
    return _json({**_about(running, entry), **shown})


async def _recorded(running: Running, request: Request, what: str, messages: list[int]) -> bool:
    act, now = Act(change.who(request), what, {"messages": messages}), clock.now()
    try:
        await running.committer.submit(lambda connection: record(connection, act, now), first=True)
    except (Down, Uncertain):
        return False
    return True


async def trace(running: Running, request: Request) -> Response:
    """Its whole story: received, ended, what it made of the chart, what it sent to whom."""
    if (entry := inquiry.message(running.reader, request.path_params["id"])) is None:
        return missing()
    made = [_made(each) for each in inquiry.made(running.reader, entry.id)]
    return _json({**_about(running, entry), "resources": made})


HEAD = 64 * 1024
"""Bytes shown of a spooled body."""


def _path(running: Running, id: int) -> Path | None:
    """Where its bytes are, if they are in the spool."""
    name = inquiry.spooled(running.reader, id)
    return running.spool.path(name) if name and running.spool else None


def _head(running: Running, path: Path) -> bytes | None:
    """How the file begins; None if it is not there."""
    try:
        assert running.spool is not None
        with running.spool.open(path) as file:
            return file.read(HEAD)
    except OSError:
        return None


def _json(content: Mapping[str, Any]) -> Response:
    return JSONResponse(content, headers={"cache-control": "no-store"})


def _time(micros: int | None) -> str | None:
    return instant(micros) if micros else None


def _entry(entry: Entry) -> dict[str, Any]:
    return {**entry._asdict(), "received": instant(entry.received), "settled": _time(entry.settled)}


def _about(running: Running, entry: Entry) -> dict[str, Any]:
    """With its parts, or whose part it is, and its deliveries."""
    where = inquiry.place(running.reader, entry.id)
    parts = {
        "parts": where.parts,
        "troubled": [piece._asdict() for piece in where.troubled],
        "parent": where.parent,
        "position": where.position,
        "configuration": configuration.of(running.reader, entry.id),
    }
    edited = {
        "edits": again.edited(running.reader, entry.id),
        "edited_by": again.edits(running.reader, entry.id),
    }
    return {**_entry(entry), **parts, **edited, "deliveries": _deliveries(running, entry.id)}


def _deliveries(running: Running, message: int) -> list[dict[str, Any]]:
    origin, expected = running.identity.origin, inquiry.expected(running.reader, message, clock.now())
    sent = inquiry.deliveries(running.reader, message)
    return [_delivery(each, origin, expected.get(each.id)) for each in sent]


def _delivery(sent: Sent, origin: str, expected: Expectation | None) -> dict[str, Any]:
    """`lane` is text because JSON readers round numbers as large. `expects`: the answer that must follow."""
    return {
        "id": sent.id,
        "control": Delivery(sent.id, 0, sent.destination, sent.lane, b"", origin=origin).control,
        "route": sent.route,
        "destination": sent.destination,
        "lane": str(sent.lane),
        "state": sent.state,
        "attempts": sent.attempts,
        "created": instant(sent.created),
        "due": _time(sent.due) if sent.state == "QUEUED" else None,
        "settled": _time(sent.settled),
        "code": sent.code,
        "reason": sent.reason,
        "expects": expectations.shown(expected) if expected else None,
    }


def _made(made: Made) -> dict[str, Any]:
    url = f"/fhir/{made.type}/{fhir_id(made.key)}"
    versions = [{"number": n, "gone": gone, "url": f"{url}/_history/{n}"} for n, gone in made.versions]
    return {"type": made.type, "id": fhir_id(made.key), "url": url, "versions": versions}


def _body(running: Running, entry: Entry, body: bytes) -> dict[str, str]:
    """As text in the message's own character set, or in base64 where that cannot be. A head may end in mid letter."""
    charset = _charset(running, entry.channel, body)
    try:
        decoder = codecs.getincrementaldecoder(charset)()
        return {"charset": charset, "text": decoder.decode(body, final=len(body) == entry.size)}
    except (LookupError, ValueError):
        return {"base64": base64.b64encode(body).decode()}


def _charset(running: Running, channel: str, body: bytes) -> str:
    found = next((c for c in running.configuration.channels if c.name == channel), None)
    parsed = found.parse(body) if found else None
    return str(getattr(parsed, "charset", "utf-8"))
