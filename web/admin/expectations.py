"""The answers that deliveries wait for, or that came: `GET /admin/expectations?state=overdue`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import inquiry
from engine.journal.inquiry import Expectation, Standing
from engine.running import Running
from engine.runtime import clock
from store.resource import instant
from web.outcome import outcome


async def listing(running: Running, request: Request) -> Response:
    """All, newest first; or those in one state, of the overdue and open ones the most urgent first."""
    given = request.query_params
    if any(name != "state" for name in given):
        return outcome(400, "not-supported", "a parameter is not known; there is state")
    if (asked := given.get("state")) not in (None, *Standing):
        return outcome(400, "invalid", f"must be one of {', '.join(Standing)}", place="state")
    found = inquiry.expectations(running.reader, clock.now(), Standing(asked) if asked else None)
    return JSONResponse({"expectations": [shown(e) for e in found]}, headers={"cache-control": "no-store"})


def shown(found: Expectation) -> dict[str, object]:
    return {**found._asdict(), "due": instant(found.due) if found.due is not None else None}
