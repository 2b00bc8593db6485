"""Deliveries: `GET /admin/deliveries`, `.../ID`; `POST /admin/deliveries/retry`, release, park, cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import deliveries
from engine.journal.audit import Act, record
from engine.journal.deliveries import FROM, Action, Entry, Filter, Lane, Page, State
from engine.message import Delivery
from engine.running import Running
from engine.runtime import clock
from store.database import Connection
from store.reason import Reason
from store.resource import instant
from web.admin import change, filters
from web.admin.change import Change
from web.outcome import outcome

WORDS = ("destination", "state", "code", "message", "lane", "since")
PAGE, LARGEST = 50, 1000
AT_ONCE = 200
"""Deliveries changed in one transaction, so that the writer is held for milliseconds."""
Json = dict[str, Any]


class Wanted(Change):
    """Which deliveries: `ids`, or all that `where` describes, a page at a time from `cursor` on."""

    ids: tuple[int, ...] = ()
    where: dict[str, str] = msgspec.field(default_factory=dict)
    cursor: int | None = None


async def listing(running: Running, request: Request) -> Response:
    """A page, newest first. A page may be short or empty and still have a `next`."""
    given = dict(request.query_params)
    limit = filters.number(given.pop("limit", None), "limit")
    cursor = filters.number(given.pop("cursor", None), "cursor")
    wanted = read(given)
    if isinstance(limit, Reason) or isinstance(cursor, Reason) or isinstance(wanted, Reason):
        wrong = next(each for each in (limit, cursor, wanted) if isinstance(each, Reason))
        return outcome(400, wrong.code, wrong.text, place=wrong.place)
    before, most = cursor, min(limit or PAGE, LARGEST)
    page = await running.look(lambda connection: deliveries.listed(connection, wanted, before, most))
    return _page(running, page.entries, page.next)


def _page(running: Running, entries: list[Entry], next: int | None) -> Response:
    shown = [_shown(running, entry) for entry in entries]
    return JSONResponse({"deliveries": shown, "next": next}, headers={"cache-control": "no-store"})


async def show(running: Running, request: Request) -> Response:
    """One delivery."""
    id = request.path_params["id"]
    found = deliveries.found(running.reader, id)
    if found is None:
        return outcome(404, "not-found", f"there is no delivery {id}")
    return JSONResponse(_shown(running, found))


def read(given: Mapping[str, str]) -> Filter | Reason:
    """What is asked for, or which word is wrong (never its value)."""
    if any(name not in WORDS for name in given):
        return Reason("not-supported", f"a word is not known; there are {', '.join(WORDS)}")
    values: dict[str, Any] = {name: _read(name, text) for name, text in given.items()}
    wrong = next((value for value in values.values() if isinstance(value, Reason)), None)
    return wrong or Filter(**values)


def _read(name: str, text: str) -> Any:
    match name:
        case "state":
            known = text.upper() in State.__members__
            return (
                State(text.upper())
                if known
                else Reason("invalid", f"must be one of {', '.join(State)}", name)
            )
        case "since":
            return filters.since(text, clock.now())
        case "message" | "lane":
            return filters.number(text, name)
    return text


def acting(action: Action) -> Callable[[Running, Request], Awaitable[Response]]:
    return lambda running, request: act(running, request, action)


async def act(running: Running, request: Request, action: Action) -> Response:
    """Retry, release, park or cancel: the deliveries that it was done to, or with `dry_run` would be."""
    wanted = await change.asked(request, Wanted)
    if isinstance(wanted, Response):
        return wanted
    page = await _chosen(running, action, wanted)
    if isinstance(page, Reason):
        return outcome(400, page.code, page.text, place=page.place)
    possible = [entry for entry in page.entries if entry.state in FROM[action]]
    who, now = change.who(request), clock.now()

    def work(connection: Connection) -> tuple[list[int], set[Lane]]:
        done, lanes = deliveries.act(connection, action, possible, now)
        if done:
            record(connection, Act(who, f"deliveries.{action}", {"deliveries": done}, wanted.why), now)
        return done, lanes

    made = await change.made(running, wanted, work)
    if isinstance(made, Response):
        return made
    done, lanes = made
    for destination, lane in () if wanted.dry_run else lanes:
        running.hurry(destination, lane)
    now_so = [entry for id in done if (entry := deliveries.found(running.reader, id))]
    return _page(running, now_so, page.next)


async def _chosen(running: Running, action: Action, wanted: Wanted) -> Page | Reason:
    """By number, where one that cannot be is an error; or a page of all that are described."""
    if bool(wanted.ids) == bool(wanted.where):
        return Reason("required", f"say which: ids, or where with {', '.join(WORDS)}")
    if wanted.ids:
        return _numbered(running.reader, action, wanted.ids)
    asked = read(wanted.where)
    if isinstance(asked, Reason):
        return asked
    if asked.state is not None and asked.state not in FROM[action]:
        return _impossible(f"what is {asked.state}", action)
    return await running.look(lambda c: deliveries.listed(c, asked, wanted.cursor, AT_ONCE))


def _numbered(connection: Connection, action: Action, ids: Sequence[int]) -> Page | Reason:
    if len(ids) > AT_ONCE:
        return Reason("too-long", f"at most {AT_ONCE} at a time", "ids")
    entries = []
    for id in dict.fromkeys(ids):
        entry = deliveries.found(connection, id)
        if entry is None:
            return Reason("not-found", f"there is no delivery {id}", "ids")
        if entry.state not in FROM[action]:
            return _impossible(f"delivery {id} is {entry.state}, which", action)
        entries.append(entry)
    return Page(entries, None)


def _impossible(what: str, action: Action) -> Reason:
    return Reason(
        "conflict", f"{what} cannot be {PAST[action]}; what is {', '.join(sorted(FROM[action]))} can"
    )


PAST = {
    Action.RETRY: "retried",
    Action.RELEASE: "released",
    Action.PARK: "parked",
    Action.CANCEL: "cancelled",
}


def _shown(running: Running, entry: Entry) -> Json:
    """`lane` is text because JSON readers round numbers as large."""
    delivery = Delivery(entry.id, 0, entry.destination, entry.lane, b"", origin=running.identity.origin)
    return {
        **entry._asdict(),
        "control": delivery.control,
        "lane": str(entry.lane),
        "created": instant(entry.created),
        "due": instant(entry.due) if entry.state == "QUEUED" and entry.due else None,
        "settled": instant(entry.settled) if entry.settled else None,
    }
