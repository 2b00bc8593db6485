"""FHIR R4 as JSON: a resource or a Bundle, as a mapping with exact decimals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.plugin import Feed, Format, format_
from formats import fhir
from store.compartment import owner_of
from store.identity import key_of
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


def _patient(body: Mapping[str, Any], feed: Feed) -> bytes | None:
    """Whose the resource is; of what the chart tells, whose the first one is."""
    first = _first(body)
    if first.get("resourceType") == "Patient":
        return key_of(str(first.get("id", "")))
    return owner_of(str(first.get("resourceType", "")), first)


def _first(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The resource; of a collection, the first in it, if it holds any."""
    entries = body.get("entry") if body.get("type") == "collection" else None
    entry = entries[0] if isinstance(entries, list) and entries else None
    found = entry.get("resource") if isinstance(entry, Mapping) else None
    return found if isinstance(found, Mapping) and isinstance(found.get("resourceType"), str) else body


def _kind(body: Mapping[str, Any]) -> str:
    """The type of the resource; of what the chart tells, of the first one in it."""
    return str(_first(body)["resourceType"])


FORMAT = format_("fhir", Format(parse=parse, kind=_kind, write=fhir.encode, patient=_patient))
