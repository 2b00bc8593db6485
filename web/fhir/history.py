"""history of one resource, newest version first (http://hl7.org/fhir/R4/http.html#history)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from store.chart import SQL
from store.identity import fhir_id, key_of
from store.reason import Reason
from store.resource import instant
from web.fhir.answer import CONTROLS, answer, base
from web.fhir.bundle import bundle, link, raw
from web.fhir.parameters import LAST, Item, lenient, page, unknown, wrong
from web.fhir.resource import Version, missing, resource

PAGING = frozenset({"_count", "_cursor"})


async def history(running: Running, request: Request) -> Response:
    """Pages by version number, so that a new version does not shift them."""
    type, key = request.path_params["type"], key_of(request.path_params["id"])
    given = request.query_params.multi_items()
    strange = [name for name, _ in given if name not in PAGING | CONTROLS]
    if strange and not lenient(request):
        return wrong(unknown(strange[0], PAGING))
    asked = page(given, LAST)
    if isinstance(asked, Reason):
        return wrong(asked)
    size, before = asked
    if key is None or not (total := running.reader.all(SQL.history_size, (key, type))[0][0]):
        return missing()
    versions = [Version(*row) for row in running.reader.all(SQL.history, (key, type, before, size + 1))]
    url = f"{base(request)}/{type}/{fhir_id(key)}"
    links = [link("self", f"{url}/_history", [item for item in given if item[0] in PAGING])]
    if len(versions) > size:
        following: list[Item] = [("_count", str(size)), ("_cursor", str(versions[size - 1].number))]
        links.append(link("next", f"{url}/_history", following))
    entries = [_entry(url, type, key, version) for version in versions[:size]]
    return answer(request, bundle("history", total, links, entries))


def _entry(url: str, type: str, key: bytes, version: Version) -> dict[str, Any]:
    """What was done to the resource; a version without a body is a deletion."""
    gone, first = version.body is None, version.number == 1
    status = "204 No Content" if gone else "201 Created" if first else "200 OK"
    entry: dict[str, Any] = {"fullUrl": url}
    if not gone:
        entry["resource"] = raw(resource(type, key, version))
    entry["request"] = {"method": "DELETE" if gone else "PUT", "url": f"{type}/{fhir_id(key)}"}
    entry["response"] = {"status": status, "etag": version.etag, "lastModified": instant(version.updated)}
    return entry
