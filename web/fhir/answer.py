"""What every interaction has in common: the format that the client takes, and how a body is sent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from web.outcome import MEDIA_TYPE, outcome

FORMATS = frozenset({"json", "application/json", "application/fhir+json"})  # R4, clause 3.1.0.1.11
ACCEPTED = FORMATS | {"text/json", "application/*", "*/*"}
CONTROLS = frozenset({"_format", "_pretty"})
HOST = re.compile(r"[A-Za-z0-9.\-_:\[\]]{1,255}")

Interaction = Callable[[Running, Request], Awaitable[Response]]


def negotiated(interaction: Interaction) -> Interaction:
    """The interaction, for clients that take JSON; the others are told what there is."""

    async def answer(running: Running, request: Request) -> Response:
        if _takes_json(request):
            return await interaction(running, request)
        return outcome(406, "not-supported", "only JSON is offered: application/fhir+json")

    return answer


def _takes_json(request: Request) -> bool:
    """`_format` comes before the Accept header (R4, clause 3.1.0.1.11)."""
    if (asked := request.query_params.get("_format")) is not None:
        return asked.replace(" ", "+").partition(";")[0].strip().lower() in FORMATS
    accept = request.headers.get("accept", "").strip()
    return not accept or any(_media_type(part) in ACCEPTED for part in accept.split(","))


def _media_type(part: str) -> str:
    return part.partition(";")[0].strip().lower()


def answer(request: Request, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """200 with a resource; `_pretty=true` only adds white space, so that 6.30 stays 6.30."""
    if request.query_params.get("_pretty") == "true":
        body = msgspec.json.format(body, indent=2) + b"\n"
    return Response(body, 200, {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)


def base(request: Request) -> str:
    """The address of this API as the client knows it."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host if HOST.fullmatch(host) else 'localhost'}/fhir"
