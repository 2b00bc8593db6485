"""update, by id or by conditions (http://hl7.org/fhir/R4/http.html#update)."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from web.fhir.answer import CONTROLS
from web.fhir.door import Json, resource_of
from web.fhir.writing import single


async def update(running: Running, request: Request) -> Response:
    resource = await resource_of(running, request)
    if isinstance(resource, Response):
        return resource
    return await single(running, request, {"resource": resource, "request": asked(request)})


def asked(request: Request) -> Json:
    """Which resource, under which conditions: the `request` of a Bundle's entry."""
    type, id = request.path_params["type"], request.path_params.get("id")
    criteria = urlencode([item for item in request.query_params.multi_items() if item[0] not in CONTROLS])
    found = {"method": request.method, "url": f"{type}/{id}" if id else f"{type}?{criteria}"}
    for header, name in (("if-match", "ifMatch"), ("if-none-match", "ifNoneMatch")):
        if (value := request.headers.get(header)) is not None:
            found[name] = value
    return found
