"""`POST /admin/messages/ID/park`: the lane that a message in trouble holds goes on without it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import inbox, inquiry
from engine.journal.audit import Act, record
from engine.running import Running
from engine.runtime import clock
from store.database import Connection
from web.admin import change
from web.admin.change import Change
from web.fhir.resource import missing
from web.outcome import outcome


async def park(running: Running, request: Request) -> Response:
    """Of a channel with `head: block`. The message stays as it is, and can be processed again later."""
    id, who = request.path_params["id"], change.who(request)
    wanted = await change.asked(request, Change)
    if isinstance(wanted, Response):
        return wanted
    if inquiry.message(running.reader, id) is None:
        return missing()

    def work(connection: Connection) -> bool:
        parked = inbox.park(connection, id)
        if parked:
            record(connection, Act(who, "messages.park", {"messages": [id]}, wanted.why), clock.now())
        return parked

    parked = await change.made(running, wanted, work)
    if isinstance(parked, Response):
        return parked
    if not parked:
        return outcome(409, "conflict", f"message {id} holds nothing back")
    return JSONResponse({"message": id, "parked": True})
