"""One patient or order across all wires: `GET /admin/case?of=...`; and the answers that are waited for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import case
from engine.journal.case import Event, Expectation
from engine.running import Running
from engine.runtime import clock
from store.resource import instant
from web.outcome import outcome

NO_STORE = {"cache-control": "no-store"}


async def timeline(running: Running, request: Request) -> Response:
    """Every message, delivery, answer and query, oldest first. Never what was in them."""
    of = request.query_params.get("of", "").strip()
    if not of:
        return outcome(400, "required", "names the patient or the order", place="of")
    found = case.case(running.reader, running.identity, of, clock.now())
    if found is None:
        text = "no patient and no order goes by that; try AUTHORITY|NUMBER, Patient/ID or another number"
        return outcome(404, "not-found", text, place="of")
    return JSONResponse({"events": [_event(each) for each in found]}, headers=NO_STORE)


async def expectations(running: Running, request: Request) -> Response:
    """The answers that are waited for, or came; `state=overdue`: those that did not come in time."""
    overdue = request.query_params.get("state") == "overdue"
    found = case.expectations(running.reader, clock.now(), overdue=overdue)
    return JSONResponse({"expectations": [_expectation(each) for each in found]}, headers=NO_STORE)


def _event(event: Event) -> dict[str, object]:
    return {**event._asdict(), "at": instant(event.at)}


def _expectation(found: Expectation) -> dict[str, object]:
    return {**found._asdict(), "due": instant(found.due) if found.due else None}
