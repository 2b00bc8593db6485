"""delete, by id or by conditions (http://hl7.org/fhir/R4/http.html#delete)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from web.fhir.update import asked
from web.fhir.writing import single


async def delete(running: Running, request: Request) -> Response:
    return await single(running, request, {"request": asked(request)})
