"""A stored version as a whole resource."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from formats import fhir
from store.identity import fhir_id

EPOCH = datetime(1970, 1, 1)
CONTESTED = {"system": "urn:chartwire:flag", "code": "contested-identifier"}
"""The tag of a patient of whom another one claims an identifier."""
GIVEN = frozenset({"resourceType", "id", "meta", "link"})
"""What the server says of a resource (`link` of a Patient only); of `meta` see KEPT."""
KEPT = ("profile", "security", "tag")


def instant(micros: int) -> str:
    """A FHIR instant, UTC, of microseconds since the epoch."""
    return (EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"


def whole(type: str, key: bytes, number: int, updated: int, body: bytes) -> dict[str, Any]:
    """With its id, and in `meta` its version and when that was stored (microseconds since the epoch)."""
    elements = fhir.decode(body)
    meta = {**elements.pop("meta", {}), "versionId": str(number), "lastUpdated": instant(updated)}
    return {"resourceType": type, "id": fhir_id(key), "meta": meta, **elements}


def own(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What a client says with a whole resource: its elements, without what the server gave it."""
    patient = resource.get("resourceType") == "Patient"
    said = {k: v for k, v in resource.items() if k not in GIVEN or (k == "link" and not patient)}
    given = resource.get("meta")
    meta = {k: given[k] for k in KEPT if k in given} if isinstance(given, Mapping) else {}
    if isinstance(tags := meta.get("tag"), list) and CONTESTED in tags:
        meta["tag"] = [tag for tag in tags if tag != CONTESTED]
    meta = {k: v for k, v in meta.items() if v != []}
    return {**({"meta": meta} if meta else {}), **said}
