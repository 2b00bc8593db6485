"""FHIR R4 as JSON: a resource or a Bundle, as a mapping with exact decimals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.plugin import Format, format_
from formats import fhir
from store.reason import Reason


def parse(body: bytes) -> Mapping[str, Any] | Reason:
    """A resource; whether it is a valid one is for whoever stores it to say."""
    try:
        found = fhir.decode(body)
    except ValueError:
        return Reason("not-json", "the body is not JSON in UTF-8")
    if isinstance(found, dict) and isinstance(found.get("resourceType"), str):
        return found
    return Reason("not-fhir", "the body is not a FHIR resource: it has no resourceType", "resourceType")


def _kind(body: Mapping[str, Any]) -> str:
    """The type of the resource; of what the chart tells, of the first one in it."""
    if body["resourceType"] == "Bundle" and body.get("type") == "collection":
        first: Mapping[str, Any] = next(iter(body.get("entry", ())), {})
        return str(first.get("resource", {}).get("resourceType", "Bundle"))
    return str(body["resourceType"])


FORMAT = format_("fhir", Format(parse=parse, kind=_kind, write=fhir.encode))
