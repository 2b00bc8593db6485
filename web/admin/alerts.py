"""Alerts: `GET /admin/alerts`; `POST /admin/alerts/ID/ack`, `.../mute`, `.../unmute`, `.../test`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.alerts import record
from engine.alerts.notify import tell
from engine.alerts.record import EVERYTHING, Alert, Mute
from engine.alerts.rules import Rule
from engine.alerts.settings import Mail, Webhook
from engine.journal.audit import Act
from engine.journal.audit import record as audit
from engine.running import Running
from engine.runtime import clock
from store.database import Connection
from store.resource import instant
from web.admin import change
from web.admin.change import Change
from web.outcome import outcome

MOST = 200
LONGEST = 365 * 86400.0
Json = dict[str, Any]


class Muted(Change):
    """Which: a rule, and one subject of it or all; `seconds` how long."""

    rule: str = ""
    subject: str = EVERYTHING
    seconds: float = 0.0


async def listing(running: Running, request: Request) -> Response:
    """Open and closed, the newest first, and what is muted."""
    found, mutes = record.newest(running.reader, MOST), record.mutes(running.reader, clock.now())
    return JSONResponse(
        {"alerts": [_shown(each) for each in found], "mutes": [_mute(each) for each in mutes]},
        headers={"cache-control": "no-store"},
    )


async def acknowledge(running: Running, request: Request) -> Response:
    """It stays open until it is over, but nobody is reminded of it."""
    id, who = request.path_params["id"], change.who(request)
    wanted = await change.asked(request, Change)
    if isinstance(wanted, Response):
        return wanted
    act = Act(who, "alerts.ack", {"alerts": [id]}, wanted.why)
    done = await _written(
        running, wanted, act, lambda connection: record.acknowledge(connection, id, who, wanted.why)
    )
    return done or outcome(409, "conflict", f"no alert {id} is open")


async def mute(running: Running, request: Request) -> Response:
    """Nobody is told of what opens or closes meanwhile; it is listed all the same."""
    wanted = await change.asked(request, Muted)
    if isinstance(wanted, Response):
        return wanted
    if wrong := _wrong(wanted) or (
        None if 0 < wanted.seconds <= LONGEST else "say for how long, at most a year"
    ):
        return outcome(400, "invalid", wrong)
    who, until = change.who(request), clock.now() + int(wanted.seconds * 1e6)
    row = Mute(wanted.rule, wanted.subject, until, who, wanted.why)
    act = Act(
        who, "alerts.mute", {"rule": row.rule, "subject": row.subject, "until": instant(until)}, wanted.why
    )

    def work(connection: Connection) -> bool:
        record.mute(connection, row)
        return True

    return await _written(running, wanted, act, work) or outcome(500, "exception", "it was not written")


async def unmute(running: Running, request: Request) -> Response:
    wanted = await change.asked(request, Muted)
    if isinstance(wanted, Response):
        return wanted
    if wrong := _wrong(wanted):
        return outcome(400, "invalid", wrong)
    rows = {"rule": wanted.rule, "subject": wanted.subject}
    act = Act(change.who(request), "alerts.unmute", rows, wanted.why)
    done = await _written(
        running, wanted, act, lambda connection: record.unmute(connection, wanted.rule, wanted.subject)
    )
    return done or outcome(409, "conflict", "that is not muted")


async def test(running: Running, request: Request) -> Response:
    """Tell everybody who is told of alerts that this is a test: who took it."""
    now = clock.now()
    alert = Alert(
        0, "test", "alerts", "this is a test: `chartwire alerts test`", now, now, now, None, None, None
    )
    notifiers = running.configuration.alerts.notifiers
    found = [await asyncio.to_thread(_tried, each, alert) for each in notifiers]
    return JSONResponse({"told": found})


def _tried(notifier: Mail | Webhook, alert: Alert) -> Json:
    name = type(notifier).__name__.lower()
    try:
        tell(notifier, "OPENED", alert)
    except Exception as error:  # whatever it is, it is what was asked for
        return {"notifier": name, "taken": False, "why": f"{type(error).__name__}: {error}"}
    return {"notifier": name, "taken": True, "why": ""}


def _wrong(wanted: Muted) -> str | None:
    return None if wanted.rule in list(Rule) else f"rule must be one of {', '.join(Rule)}"


async def _written(
    running: Running, wanted: Change, act: Act, work: Callable[[Connection], bool]
) -> Response | None:
    """Done and on record; None: there was nothing to do it to."""

    def both(connection: Connection) -> bool:
        done = work(connection)
        if done:
            audit(connection, act, clock.now())
        return done

    done = await change.made(running, wanted, both)
    if isinstance(done, Response):
        return done
    return JSONResponse(dict(act.rows)) if done else None


def _shown(alert: Alert) -> Json:
    times = {
        name: instant(at) if (at := getattr(alert, name)) else None
        for name in ("opened", "seen", "told", "closed")
    }
    return {**alert._asdict(), **times}


def _mute(found: Mute) -> Json:
    return {**found._asdict(), "until": instant(found.until)}
