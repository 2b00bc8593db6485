"""The links that count their messages (HL7 v2, 2.10.1): `GET /admin/sequences`, and `POST` to say which is next."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import sequence
from engine.journal.audit import Act, record
from engine.running import Running
from engine.runtime import clock
from store.database import Connection
from web.admin import change
from web.admin.change import Change
from web.outcome import outcome


class Wanted(Change, forbid_unknown_fields=True):
    """`link` is `channel NAME` or `destination NAME`; `next` the number that its next message bears."""

    link: str = ""
    next: Annotated[int, msgspec.Meta(ge=1, le=10**15)] = 1


async def listing(running: Running, request: Request) -> Response:
    """Every link that counts, with the number that is next."""
    found = [link._asdict() for link in sequence.links(running.reader)]
    return JSONResponse({"links": found}, headers={"cache-control": "no-store"})


async def setting(running: Running, request: Request) -> Response:
    """For a link that stands still because its two sides do not agree."""
    wanted, who = await change.asked(request, Wanted), change.who(request)
    if isinstance(wanted, Response):
        return wanted
    if wanted.link not in {link.link for link in sequence.links(running.reader)}:
        return outcome(404, "not-found", f"no link {wanted.link}: `chartwire sequences` lists them")

    def work(connection: Connection) -> int | None:
        before = sequence.expected(connection, wanted.link)
        sequence.follow(connection, wanted.link, wanted.next)
        rows = {"link": wanted.link, "before": before, "next": wanted.next}
        record(connection, Act(who, "sequences.set", rows, wanted.why), clock.now())
        return before

    before = await change.made(running, wanted, work)
    if isinstance(before, Response):
        return before
    return JSONResponse({"link": wanted.link, "before": before, "next": wanted.next})
