"""What is paused: `GET /admin/pauses`, `/admin/drain?name=N`; `POST /admin/pause`, `/admin/resume`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import pauses
from engine.journal.pauses import Name
from engine.pausing import Pausing, left
from engine.running import Running
from engine.runtime.sources import Cannot
from store.database import Down, Uncertain
from store.reason import Reason
from store.resource import instant
from web.admin import change
from web.admin.change import Change
from web.outcome import outcome

STATUS = {"not-found": 404, "conflict": 409}
Json = dict[str, Any]


class Wanted(Change):
    """`name` of a channel or destination; `channel:NAME` or `destination:NAME` where both have it."""

    name: str = ""


async def listing(running: Running, request: Request) -> Response:
    """Since when, by whom and why."""
    found = [{**p._asdict(), "at": instant(p.at)} for p in pauses.pauses(running.reader)]
    return _json({"pauses": found})


async def drain(running: Running, request: Request) -> Response:
    """What is left of one channel or destination: `moving` by itself, `held` until a person helps."""
    of = _named(running, request.query_params.get("name", ""))
    if not isinstance(of, tuple):
        return of
    moving, held = await running.look(left(of))
    kind, name = of
    shown = {"kind": kind, "name": name, "paused": running.paused(kind, name)}
    return _json({**shown, "moving": moving, "held": held})


async def pause(running: Running, request: Request) -> Response:
    """Paused, with what shares its source; with `dry_run` only who that is."""
    asked = await _asked(running, request)
    if isinstance(asked, Response):
        return asked
    pausing, wanted, names = asked
    if not wanted.dry_run:
        try:
            await pausing.pause(names, change.who(request), wanted.why)
        except (Down, Uncertain):
            return outcome(503, "transient", "it could not be stored that it is paused; try again")
    return _shown(names)


async def resume(running: Running, request: Request) -> Response:
    """It goes on, with what shares its source."""
    asked = await _asked(running, request)
    if isinstance(asked, Response):
        return asked
    pausing, wanted, names = asked
    if not wanted.dry_run:
        try:
            await pausing.resume(names, change.who(request), wanted.why)
        except Cannot as e:
            return outcome(
                409, "conflict", f"the source of {e.channel} did not start: {e.why}; it stays paused"
            )
        except (Down, Uncertain):
            return outcome(503, "transient", "it could not be stored that it goes on; it stays paused")
    return _shown(names)


async def _asked(running: Running, request: Request) -> tuple[Pausing, Wanted, list[Name]] | Response:
    wanted = await change.asked(request, Wanted)
    if isinstance(wanted, Response):
        return wanted
    of = _named(running, wanted.name)
    if not isinstance(of, tuple):
        return of
    assert running.pausing is not None
    names = running.pausing.together(of)
    return _refused(names) if isinstance(names, Reason) else (running.pausing, wanted, names)


def _named(running: Running, name: str) -> Name | Response:
    if running.pausing is None:
        return outcome(409, "conflict", "this process runs no channels")
    of = running.pausing.named(name)
    return _refused(of) if isinstance(of, Reason) else of


def _refused(reason: Reason) -> Response:
    return outcome(STATUS[reason.code], reason.code, reason.text, place=reason.place or "")


def _shown(names: Sequence[Name]) -> Response:
    return _json({"names": [{"kind": kind, "name": name} for kind, name in names]})


def _json(content: Json) -> Response:
    return JSONResponse(content, headers={"cache-control": "no-store"})
