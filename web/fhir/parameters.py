"""The parameters of a request, from the address or from a form, and what is said of those that are wrong."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from store.reason import Reason
from web.body import body
from web.outcome import outcome

Item = tuple[str, str]
PAGE, LARGEST = 50, 500
LAST = 2**62
_NAME = re.compile(r"[A-Za-z_-]{1,40}")


async def items(request: Request) -> list[Item] | Response:
    """All of them, in order; a POST has them in its form, in its address, or in both (R4, clause 3.1.1.4)."""
    given = list(request.query_params.multi_items())
    if request.method != "POST":
        return given
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return outcome(415, "not-supported", "a search by POST takes application/x-www-form-urlencoded")
    form = await body(request)
    if isinstance(form, Response):
        return form
    try:
        return given + parse_qsl(form.decode("utf-8"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return outcome(400, "invalid", "the form cannot be read; send UTF-8, at most 200 fields")


def lenient(request: Request) -> bool:
    """May parameters that are not known be passed over (R4, clause 3.1.1.4.1)?"""
    return "handling=lenient" in request.headers.get("prefer", "").replace(" ", "").lower()


def wrong(reason: Reason) -> Response:
    """400; `place` is the parameter's name."""
    return outcome(400, reason.code, reason.text, place=reason.place)


def unknown(name: str, supported: frozenset[str]) -> Reason:
    """A name that is not a parameter's may be anything; only one that looks like a name is repeated."""
    shown = name if _NAME.fullmatch(name) else ""
    known = ", ".join(sorted(supported))
    text = f"is not supported here; there are {known}; with Prefer: handling=lenient it is passed over"
    return Reason("not-supported", text, shown)


def page(given: list[Item], first: int) -> tuple[int, int] | Reason:
    """`_count` (fewer may be given, R4, clause 3.1.1.5.2) and `_cursor`, where the page before ended; `first`
    stands for the first page."""
    named = dict(given)
    size, cursor = _number(named.get("_count", str(PAGE))), _number(named.get("_cursor", str(first)))
    if not size:
        return Reason("invalid", "must be a number above 0", "_count")
    if cursor is None:
        return Reason("invalid", "must be as a next link gave it", "_cursor")
    return min(size, LARGEST), cursor


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= LAST else None
