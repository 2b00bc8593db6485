"""create, and create if there is none (http://hl7.org/fhir/R4/http.html#create)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from web.fhir.door import resource_of
from web.fhir.writing import single


async def create(running: Running, request: Request) -> Response:
    resource = await resource_of(running, request)
    if isinstance(resource, Response):
        return resource
    asked = {"method": "POST", "url": request.path_params["type"]}
    if (condition := request.headers.get("if-none-exist")) is not None:
        asked["ifNoneExist"] = condition
    return await single(running, request, {"resource": resource, "request": asked})
