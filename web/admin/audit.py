"""The audit: `GET /admin/audit?before=N&limit=N` newest first, `GET /admin/audit/verify`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import audit
from engine.journal.audit import Broken, Entry
from engine.running import Running
from store.resource import instant
from web.outcome import outcome

LARGEST = 1000


async def listing(running: Running, request: Request) -> Response:
    """A page; `next` is the `before` of the page after it."""
    given = request.query_params
    if any(name not in ("before", "limit") for name in given):
        return outcome(400, "not-supported", "a parameter is not known; there are before, limit")
    if wrong := next((name for name, text in given.items() if not _number(text)), None):
        return outcome(400, "invalid", "must be a number above 0", place=wrong)
    limit = min(int(given.get("limit", 50)), LARGEST)
    found = audit.entries(running.reader, int(given.get("before", audit.NEWEST)), limit)
    return JSONResponse(
        {"entries": [_shown(e) for e in found], "next": found[-1].id if len(found) == limit else None},
        headers={"cache-control": "no-store"},
    )


async def verify(running: Running, request: Request) -> Response:
    """Is each row as it was written? `head`: what to keep elsewhere, so that a tail cut off is noticed too."""
    found = await running.look(audit.verify)
    if isinstance(found, Broken):
        return JSONResponse({"sound": False, "row": found.id, "why": found.why})
    return JSONResponse({"sound": True, "rows": found.id, "head": found.hash.hex()})


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:19]) > 0 and len(text) < 19


def _shown(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id, "at": instant(entry.at), "who": entry.act.who, "what": entry.act.what,
        "rows": entry.act.rows, "why": entry.act.why, "hash": entry.hash.hex(),
    }  # fmt: skip
