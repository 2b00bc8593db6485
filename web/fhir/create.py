"""create, and create if there is none (http://hl7.org/fhir/R4/http.html#create)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from web.fhir.door import door, parsed, sent
from web.fhir.writing import single


async def create(running: Running, request: Request) -> Response:
    way = door(running)
    if isinstance(way, Response):
        return way
    raw = await sent(running, way, request, way.max_transaction)
    resource = raw if isinstance(raw, Response) else await parsed(running, way, request, raw)
    if isinstance(resource, Response):
        return resource
    asked = {"method": "POST", "url": request.path_params["type"]}
    if (condition := request.headers.get("if-none-exist")) is not None:
        asked["ifNoneExist"] = condition
    return await single(running, request, {"resource": resource, "request": asked})
