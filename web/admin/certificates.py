"""`GET /admin/certificates`: what the configuration that runs uses, the one that ends first at the top."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.certificates import Certificate, certificates, days
from engine.running import Running
from engine.runtime import clock
from store.resource import instant


async def listing(running: Running, request: Request) -> Response:
    found = await asyncio.to_thread(certificates, running.configuration)
    now = clock.now()
    shown = [_shown(each, now) for each in sorted(found, key=lambda each: each.until or 0)]
    return JSONResponse({"certificates": shown}, headers={"cache-control": "no-store"})


def _shown(found: Certificate, now: int) -> dict[str, object]:
    until = found.until
    return {
        **found._asdict(),
        "until": instant(until) if until is not None else None,
        "days": days(until, now) if until is not None else None,
    }
