"""The body of a request, within bounds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from web.outcome import outcome

LONGEST = 64 * 1024


async def body(request: Request) -> bytes | Response:
    """All of it, or the refusal of one that is too long, of which no more is read."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > LONGEST:
            return outcome(413, "too-long", f"the request is longer than {LONGEST} bytes")
    return bytes(received)
