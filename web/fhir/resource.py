"""A stored version as a FHIR resource. The stored bytes go out unread, so that decimals stay as they were."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from formats import fhir
from store.identity import fhir_id
from store.resource import instant
from web.fhir.answer import answer
from web.outcome import outcome


class Version(NamedTuple):
    """One version of a resource. `updated` in microseconds since the epoch; `message` made it; `body` None:
    the resource was gone from here on."""

    number: int
    updated: int
    message: int
    body: bytes | None

    @property
    def etag(self) -> str:
        return f'W/"{self.number}"'


def resource(type: str, key: bytes, version: Version) -> bytes:
    """The whole resource. Only where the stored body has a `meta` of its own is it decoded."""
    assert version.body is not None
    stored, tags = bytes(version.body), {}
    if b'"meta":' in stored:
        elements = fhir.decode(stored)
        tags = elements.pop("meta", {})
        stored = fhir.encode(elements)
    head = fhir.encode({"resourceType": type, "id": fhir_id(key), "meta": {**tags, **_meta(version)}})
    return head if stored == b"{}" else head[:-1] + b"," + stored[1:]


def _meta(version: Version) -> dict[str, Any]:
    return {
        "versionId": str(version.number),
        "lastUpdated": instant(version.updated),
        "source": f"urn:chartwire:message:{version.message}",
    }


def sent(request: Request, type: str, key: bytes, version: Version) -> Response:
    """One version as the answer to read or vread; 410 where the resource was gone (R4, clause 3.1.0.7)."""
    headers = {"etag": version.etag, "last-modified": formatdate(version.updated / 1e6, usegmt=True)}
    if version.body is None:
        return outcome(410, "deleted", "the resource was there, and was withdrawn", headers=headers)
    return answer(request, resource(type, key, version), headers)


def missing() -> Response:
    return outcome(404, "not-found", "there is no such resource")
