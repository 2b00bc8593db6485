"""Is the process alive, and can it take messages? For supervisors and load balancers; no token needed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.running import Running


async def alive(running: Running, request: Request) -> Response:
    """The event loop answers."""
    return JSONResponse({"status": "alive"})


async def ready(running: Running, request: Request) -> Response:
    """Messages can be taken, or why not; and what an operator has paused."""
    if reason := running.unready():
        return JSONResponse({"status": "unready", "code": reason.code, "reason": reason.text}, 503)
    paused = sorted(running.pausing.lines.paused) if running.pausing else []
    told = {"paused": [f"{kind} {name}" for kind, name in paused]} if paused else {}
    return JSONResponse({"status": "ready", **told})
