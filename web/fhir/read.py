"""read: the current version (http://hl7.org/fhir/R4/http.html#read)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from store.chart import SQL
from store.database import one
from store.identity import key_of
from web.fhir.resource import Version, missing, sent


async def read(running: Running, request: Request) -> Response:
    type, key = request.path_params["type"], key_of(request.path_params["id"])
    row = one(running.reader, SQL.read, (key, type)) if key else None
    if key is None or row is None:
        return missing()
    version = Version(*row)
    if version.body is not None and request.headers.get("if-none-match") == version.etag:
        return Response(status_code=304, headers={"etag": version.etag})
    return sent(request, type, key, version)
