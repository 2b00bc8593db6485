"""One patient or order across all wires: `GET /admin/case?of=...`; never what was in the messages."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import case
from engine.journal.case import Event
from engine.running import Running
from engine.runtime import clock
from store.resource import instant
from web.outcome import outcome


async def timeline(running: Running, request: Request) -> Response:
    """Every message, delivery, answer and query, oldest first; of a long case the newest."""
    of = request.query_params.get("of", "").strip()
    if not of:
        return outcome(400, "required", "names the patient or the order", place="of")
    found = case.case(running.reader, running.identity, of, clock.now())
    if found is None:
        text = "no patient and no order goes by that; try AUTHORITY|NUMBER, Patient/ID or another number"
        return outcome(404, "not-found", text, place="of")
    content = {"events": [_event(each) for each in found.events], "more": found.more}
    return JSONResponse(content, headers={"cache-control": "no-store"})


def _event(event: Event) -> dict[str, object]:
    return {**event._asdict(), "at": instant(event.at)}
