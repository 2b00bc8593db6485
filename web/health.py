"""Is the process alive, and can it take messages? For supervisors and load balancers; no token needed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.running import Running


async def alive(running: Running, request: Request) -> Response:
    """The event loop answers."""
    return JSONResponse({"status": "alive"})


async def ready(running: Running, request: Request) -> Response:
    """Messages can be taken, or why not."""
    if reason := running.unready():
        return JSONResponse({"status": "unready", "code": reason.code, "reason": reason.text}, 503)
    return JSONResponse({"status": "ready"})
