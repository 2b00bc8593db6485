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
from web.fhir.door import writes
from web.fhir.patch import MEDIA as PATCHES

STARTED = datetime.now(UTC).isoformat(timespec="seconds")
READS = ("read", "vread", "history-instance", "search-type")
WRITES = ("create", "update", "patch", "delete")
CONDITIONS = {
    "conditionalCreate": True,
    "conditionalRead": "not-match",
    "conditionalUpdate": True,
    "conditionalDelete": "single",
}
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
    "subject": "reference",
    "category": "token",
    "status": "token",
}


async def metadata(running: Running, request: Request) -> Response:
    return answer(request, fhir.encode(statement(base(request), writes=writes(running) is not None)))


def statement(url: str, *, writes: bool) -> dict[str, Any]:
    """The CapabilityStatement of the server at `url`; `writes`: there is a channel that takes them."""
    whole = {"interaction": [{"code": "transaction"}, {"code": "batch"}]} if writes else {}
    patches = {"patchFormat": [PATCHES]} if writes else {}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": STARTED,
        "kind": "instance",
        "software": {"name": "Chartwire", "version": version("chartwire")},
        "implementation": {"description": "The chart of a Chartwire engine", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        **patches,
        "rest": [
            {
                "mode": "server",
                "security": {"description": SECURITY},
                "resource": [_resource(type, names, writes) for type, names in SUPPORTED.items()],
                **whole,
            }
        ],
    }


def _resource(type: str, names: tuple[str, ...], writes: bool) -> dict[str, Any]:
    codes = (*READS, *WRITES) if writes else READS
    return {
        "type": type,
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update" if writes else "versioned",
        "readHistory": True,
        "updateCreate": False,
        **(CONDITIONS if writes else {}),
        "searchParam": [{"name": name, "type": TYPES[name]} for name in (*COMMON, *names)],
    }
