"""Messages again: `POST /admin/messages/reprocess`, replay, resend {ids, to}; `POST /admin/messages/ID/edit` {set}."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.api import FhirSource
from engine.channel import Channel
from engine.journal import again, inquiry
from engine.journal.again import Again, Lane
from engine.journal.audit import Act, record
from engine.running import Running
from engine.runtime import clock
from formats import hl7v2
from store.database import Connection
from store.reason import Reason
from web.admin import change
from web.admin.change import Change
from web.fhir.resource import missing
from web.outcome import outcome

AT_ONCE = 200
"""Messages in one transaction, so that the writer is held for milliseconds."""
OVER = "it had an effect, its bytes are in the spool, or it is not at its end"


class Wanted(Change):
    """Which messages, the oldest first; `to`: for a resend, only what went to this destination."""

    ids: tuple[int, ...] = ()
    to: str = ""


class Edit(Change):
    """New values by path: {"PID-5.1": "SMITH"}."""

    set: dict[str, str] = msgspec.field(default_factory=dict)


def doing(what: Again) -> Callable[[Running, Request], Awaitable[Response]]:
    return lambda running, request: _do(running, request, what)


async def _do(running: Running, request: Request, what: Again) -> Response:
    wanted = await change.asked(request, Wanted)
    if isinstance(wanted, Response):
        return wanted
    if not 0 < len(wanted.ids) <= AT_ONCE:
        return outcome(400, "required", f"say which messages, at most {AT_ONCE} at a time", place="ids")
    if wanted.to and what is not Again.RESEND:
        return outcome(
            400, "not-supported", f"a {what} is for every route; only a resend can be for one", place="to"
        )
    if reason := _written(running, wanted.ids):
        return outcome(409, "conflict", reason)
    who, now = change.who(request), clock.now()

    def work(connection: Connection) -> tuple[list[int], set[Lane]]:
        done, lanes = again.again(connection, what, wanted.ids, wanted.to, now)
        if done:
            rows = {"messages": done, **({"to": wanted.to} if wanted.to else {})}
            record(connection, Act(who, f"messages.{what}", rows, wanted.why), now)
        return done, lanes

    made = await change.made(running, wanted, work)
    if isinstance(made, Response):
        return made
    done, lanes = made
    for destination, lane in () if wanted.dry_run else lanes:
        running.hurry(destination, lane)
    return JSONResponse({"messages": done})


def _written(running: Running, ids: tuple[int, ...]) -> str | None:
    """What clients of the FHIR API wrote was answered; written again it would be another write."""
    api = {c.name for c in running.configuration.channels if isinstance(c.source, FhirSource)}
    for id in ids:
        entry = inquiry.message(running.reader, id)
        if entry is None:
            return f"there is no message {id}"
        if entry.channel in api:
            return f"message {id} was written and answered by the FHIR API; its client must write again"
    return None


async def edit(running: Running, request: Request) -> Response:
    """A new message with other values, which points to the old one; with `dry_run` only what would be written."""
    wanted = await change.asked(request, Edit)
    if isinstance(wanted, Response):
        return wanted
    id, now = request.path_params["id"], clock.now()
    entry = inquiry.message(running.reader, id)
    if entry is None:
        return missing()
    body = _edited(_channel(running, entry.channel), inquiry.body(running.reader, id), wanted.set)
    if isinstance(body, Reason):
        return outcome(400, body.code, body.text, place=body.place)

    def work(connection: Connection) -> int | None:
        new = again.edit(connection, id, body, now)
        if new is not None:
            rows: dict[str, Any] = {"messages": [id], "made": new, "set": list(wanted.set)}
            record(connection, Act(change.who(request), "messages.edit", rows, wanted.why), now)
        return new

    new = await change.made(running, wanted, work)
    if isinstance(new, Response):
        return new
    if new is None:
        return outcome(409, "conflict", f"message {id} cannot be edited: {OVER}")
    return JSONResponse({"message": id, "made": None if wanted.dry_run else new})


def _channel(running: Running, name: str) -> Channel | None:
    return next((c for c in running.configuration.channels if c.name == name), None)


def _edited(channel: Channel | None, body: bytes | None, values: dict[str, str]) -> bytes | Reason:
    if not values:
        return Reason("required", "say what to set: a path and a value", "set")
    parsed = channel.parse(body) if channel and body is not None else None
    if isinstance(parsed, Reason):
        return parsed
    if not isinstance(parsed, hl7v2.Message):
        return Reason("not-supported", "only an HL7 v2 message of a configured channel can be edited")
    try:
        for path, value in values.items():
            parsed = parsed.set(path, value)
    except ValueError as error:
        return Reason("invalid", f"{path}: {error}", "set")
    return parsed.raw
