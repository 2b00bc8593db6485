"""vread: one version (http://hl7.org/fhir/R4/http.html#vread)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from store.chart import SQL
from store.database import one
from store.identity import key_of
from web.fhir.resource import Version, missing, sent


async def vread(running: Running, request: Request) -> Response:
    type, key = request.path_params["type"], key_of(request.path_params["id"])
    number = request.path_params["number"]
    if key is None or not (number.isascii() and number.isdigit() and len(number) < 10):
        return missing()
    row = one(running.reader, SQL.vread, (key, type, int(number)))
    return sent(request, type, key, Version(*row)) if row else missing()
