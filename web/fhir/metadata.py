"""capabilities: what this server offers, no more and no less (http://hl7.org/fhir/R4/http.html#capabilities)."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from formats import fhir
from store.search import COMMON, SUPPORTED
from web.fhir.answer import answer, base

STARTED = datetime.now(UTC).isoformat(timespec="seconds")
INTERACTIONS = ("read", "vread", "history-instance", "search-type")
SECURITY = "A bearer token for all but this statement; `chartwire token create` makes one."
TYPES = {
    "_id": "token",
    "_lastUpdated": "date",
    "birthdate": "date",
    "code": "token",
    "date": "date",
    "identifier": "token",
    "name": "string",
    "patient": "reference",
    "category": "token",
    "status": "token",
}


async def metadata(running: Running, request: Request) -> Response:
    return answer(request, fhir.encode(statement(base(request))))


def statement(url: str) -> dict[str, Any]:
    """The CapabilityStatement of the server at `url`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": STARTED,
        "kind": "instance",
        "software": {"name": "Chartwire", "version": version("chartwire")},
        "implementation": {"description": "The chart of a Chartwire engine", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": SECURITY},
                "resource": [_resource(type, names) for type, names in SUPPORTED.items()],
            }
        ],
    }


def _resource(type: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": type,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "searchParam": [{"name": name, "type": TYPES[name]} for name in (*COMMON, *names)],
    }
