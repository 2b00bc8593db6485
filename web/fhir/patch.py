"""patch with a JSON Patch (http://hl7.org/fhir/R4/http.html#patch, RFC 6902)."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from web.fhir.door import door, sent
from web.fhir.update import asked
from web.fhir.writing import single

MEDIA = "application/json-patch+json"


async def patch(running: Running, request: Request) -> Response:
    way = door(running)
    if isinstance(way, Response):
        return way
    raw = await sent(running, way, request, way.max_transaction, (MEDIA,))
    if isinstance(raw, Response):
        return raw
    data = base64.b64encode(raw).decode()
    binary = {"resourceType": "Binary", "contentType": MEDIA, "data": data}
    return await single(running, request, {"resource": binary, "request": asked(request)})
