"""search, by GET and by POST (http://hl7.org/fhir/R4/http.html#search)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from engine.running import Running
from store import criteria
from store.criteria import Criterion
from store.database import Row
from store.identity import fhir_id
from store.reason import Reason
from store.search import SUPPORTED
from web.fhir.answer import CONTROLS, answer, base
from web.fhir.bundle import bundle, link, raw
from web.fhir.parameters import Item, items, lenient, page, unknown, wrong
from web.fhir.resource import Version, resource
from web.outcome import outcome

PAGING = frozenset({"_count", "_cursor"})


class Asked(NamedTuple):
    """A search as it was understood: `kept` are the parameters that it follows."""

    type: str
    criteria: Sequence[Criterion]
    size: int
    cursor: int
    kept: Sequence[Item]


async def search(running: Running, request: Request) -> Response:
    """Pages in the order in which resources came to be, so that none shifts when others come or change."""
    type = request.path_params["type"]
    if type not in SUPPORTED:
        return outcome(
            404, "not-supported", f"there is no such resource type here; there are {', '.join(SUPPORTED)}"
        )
    given = await items(request)
    if isinstance(given, Response):
        return given
    asked = understood(type, given, lenient(request))
    if isinstance(asked, Reason):
        return wrong(asked)
    rows = running.reader.all(*criteria.found(type, asked.criteria, asked.cursor, asked.size + 1))
    return answer(request, _page(asked, rows, base(request)))


def understood(type: str, given: Sequence[Item], lenient: bool) -> Asked | Reason:
    """The search that the parameters ask for, or the first thing that is wrong with them."""
    known = criteria.names(type)
    wanted: list[Criterion] = []
    kept: list[Item] = []
    for parameter, value in given:
        if parameter.partition(":")[0] in known:
            criterion = criteria.criterion(type, parameter, value)
            if isinstance(criterion, Reason):
                return criterion
            wanted.append(criterion)
        elif parameter not in PAGING | CONTROLS:
            if not lenient:
                return unknown(parameter, known)
            continue
        kept.append((parameter, value))
    paging = page(kept, 0)
    return paging if isinstance(paging, Reason) else Asked(type, wanted, *paging, kept)


def _page(asked: Asked, rows: Sequence[Row], url: str) -> bytes:
    url, shown = f"{url}/{asked.type}", rows[: asked.size]
    links = [link("self", url, asked.kept)]
    more = len(rows) > len(shown)
    if more:
        kept = [item for item in asked.kept if item[0] != "_cursor"]
        links.append(link("next", url, [*kept, ("_cursor", str(shown[-1][0]))]))
    total = None if more or asked.cursor else len(shown)
    return bundle("searchset", total, links, [_entry(url, asked.type, row) for row in shown])


def _entry(url: str, type: str, row: Row) -> dict[str, Any]:
    _, key, *version = row
    found = raw(resource(type, key, Version(*version)))
    return {"fullUrl": f"{url}/{fhir_id(key)}", "resource": found, "search": {"mode": "match"}}
