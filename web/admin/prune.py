"""`POST /admin/prune` {before, channel, after}: retention, a slice at a time."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal.audit import Act, record
from engine.journal.prune import Pruned
from engine.journal.prune import prune as forget
from engine.running import Running
from engine.runtime import clock
from store.database import Connection
from web.admin import change
from web.admin.change import Change
from web.outcome import outcome

SLICE = 500
"""Messages in one transaction, so that the writer is held for milliseconds."""
YOUNGEST = 86_400_000_000
"""Microseconds: what came within a day is not pruned, whatever is asked for."""


class Wanted(Change):
    """Messages that came `before` then (microseconds since the epoch), above `after`, of one channel or of all."""

    before: int = 0
    channel: str = ""
    after: int = 0


async def prune(running: Running, request: Request) -> Response:
    """What was pruned, and where the next slice begins: `next` is null at the end."""
    wanted = await change.asked(request, Wanted)
    if isinstance(wanted, Response):
        return wanted
    now = clock.now()
    if not 0 < wanted.before <= now - YOUNGEST:
        return outcome(400, "invalid", "what came within the last day is kept", place="before")

    def work(connection: Connection) -> Pruned:
        pruned = forget(connection, wanted.before, wanted.channel, wanted.after, SLICE)
        if pruned.messages:
            of = {"before": wanted.before, "channel": wanted.channel, "above": wanted.after}
            rows = {**of, "messages": pruned.messages}
            record(connection, Act(change.who(request), "prune", rows, wanted.why), now)
            connection.shrink()
        return pruned

    pruned = await change.made(running, wanted, work)
    if isinstance(pruned, Response):
        return pruned
    if running.spool is not None and not wanted.dry_run:
        for name in pruned.files:
            running.spool.forget(name)
    return JSONResponse({"messages": pruned.messages, "next": pruned.last})
