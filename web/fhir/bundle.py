"""Bundles: pages of resources (http://hl7.org/fhir/R4/bundle.html), with the resources' bytes as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from formats import fhir
from web.fhir.parameters import Item


def link(relation: str, url: str, items: Sequence[Item]) -> dict[str, str]:
    return {"relation": relation, "url": f"{url}?{urlencode(items)}" if items else url}


def bundle(type: str, total: int | None, links: Sequence[Any], entries: Sequence[Any]) -> bytes:
    """The Bundle; `total` None: unknown. FHIR has no empty arrays."""
    body: dict[str, Any] = {"resourceType": "Bundle", "type": type}
    if total is not None:
        body["total"] = total
    body["link"] = links
    if entries:
        body["entry"] = entries
    return fhir.encode(body)


def raw(resource: bytes) -> msgspec.Raw:
    """A resource that is JSON already."""
    return msgspec.Raw(resource)
