"""A stored version as a whole resource."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from formats import fhir
from store.identity import fhir_id

EPOCH = datetime(1970, 1, 1)


def instant(micros: int) -> str:
    """A FHIR instant, UTC, of microseconds since the epoch."""
    return (EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"


def whole(type: str, key: bytes, number: int, updated: int, body: bytes) -> dict[str, Any]:
    """With its id, and in `meta` its version and when that was stored (microseconds since the epoch)."""
    elements = fhir.decode(body)
    meta = {**elements.pop("meta", {}), "versionId": str(number), "lastUpdated": instant(updated)}
    return {"resourceType": type, "id": fhir_id(key), "meta": meta, **elements}
