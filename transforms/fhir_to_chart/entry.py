"""One entry of a Bundle of requests (http://hl7.org/fhir/R4/bundle.html#Bundle.entry.request)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from store.identity import key_of
from store.reason import Reason

METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ETAG = re.compile(r'(?:W/)?"(\d{1,15})"')


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry asks for. `id` is in its address; `criteria` are its query, or If-None-Exist."""

    place: str
    method: str
    type: str
    id: str
    criteria: tuple[tuple[str, str], ...]
    if_match: int | None
    if_none_match: bool
    resource: Mapping[str, Any]
    full_url: str


def read(entry: Any, place: str) -> Entry | Reason:
    """The entry, or what is wrong with it."""
    request = entry.get("request") if isinstance(entry, Mapping) else None
    if not isinstance(request, Mapping):
        return Reason("invalid", "an entry needs a request with method and url", place)
    method, url = request.get("method"), request.get("url")
    if method not in METHODS or not isinstance(url, str):
        return Reason("invalid", "method must be POST, PUT, PATCH or DELETE, with a url", f"{place}.request")
    parts = urlsplit(url)
    type, *rest = parts.path.strip("/").split("/")
    if len(rest) > 1 or (rest and parts.query) or (rest and method == "POST"):
        return Reason("invalid", "the url must be Type, Type/id or Type?conditions", f"{place}.request.url")
    query = str(request.get("ifNoneExist") or "") if method == "POST" else parts.query
    criteria = _criteria(query)
    if criteria is None or (not rest and not criteria and method != "POST"):
        return Reason("invalid", "the url names neither an id nor conditions", f"{place}.request.url")
    match = _version(request.get("ifMatch"))
    if isinstance(match, Reason):
        return Reason(match.code, match.text, f"{place}.request.ifMatch")
    resource = entry.get("resource", {})
    if not isinstance(resource, Mapping) or (method != "DELETE" and not resource):
        return Reason("invalid", "the entry needs a resource", f"{place}.resource")
    absent = request.get("ifNoneMatch")
    if absent not in (None, "*"):
        return Reason(
            "not-supported", "If-None-Match of a write can only be *", f"{place}.request.ifNoneMatch"
        )
    full_url = entry.get("fullUrl")
    named = full_url if isinstance(full_url, str) else ""
    return Entry(place, method, type, rest[0] if rest else "", criteria, match, bool(absent), resource, named)


def _criteria(query: str) -> tuple[tuple[str, str], ...] | None:
    try:
        return (
            tuple(parse_qsl(query.lstrip("?"), keep_blank_values=True, strict_parsing=True)) if query else ()
        )
    except ValueError:
        return None


def _version(text: Any) -> int | Reason | None:
    if text is None:
        return None
    match = _ETAG.fullmatch(text) if isinstance(text, str) else None
    return int(match[1]) if match else Reason("invalid", 'If-Match must be an ETag such as W/"3"')


def patch_of(entry: Entry) -> bytes | Reason:
    """The JSON Patch in the Binary of a PATCH (R4 http.html#patch)."""
    place = f"{entry.place}.resource"
    resource = entry.resource
    if (
        resource.get("resourceType") != "Binary"
        or resource.get("contentType") != "application/json-patch+json"
    ):
        return Reason("not-supported", "a patch is a Binary of application/json-patch+json", place)
    try:
        return base64.b64decode(str(resource.get("data", "")), validate=True)
    except binascii.Error:
        return Reason("invalid", "the data of the patch is not base64", f"{place}.data")


def named_key(entry: Entry) -> bytes | Reason:
    """The key behind the id in the address."""
    if key := key_of(entry.id):
        return key
    if entry.method == "PUT":
        text = "ids are given by this server: create it with POST"
        return Reason("not-allowed", text, f"{entry.place}.request.url")
    return Reason("not-found", "there is no such resource", f"{entry.place}.request.url")
