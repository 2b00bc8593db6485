"""What waits and what stands still: `GET /admin/queues?destination=D`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal import queues
from engine.journal.queues import EMPTY, Blocked, Lane, Queue
from engine.running import Running
from store.database import Connection
from store.resource import instant
from web.outcome import outcome

MOST = 100
"""Lanes shown of each destination."""
Json = dict[str, Any]


async def listing(running: Running, request: Request) -> Response:
    """The lanes in trouble first, then every channel and destination. Of one `destination`, all its lanes."""
    given = request.query_params
    if any(name != "destination" for name in given):
        return outcome(400, "not-supported", "a parameter is not known; there is destination")
    names = {partner.name for partner in running.configuration.partners}
    wanted = given.get("destination")
    found = await running.look(lambda connection: _read(connection, names, wanted))
    if wanted and wanted not in names and not found["lanes"]:
        return outcome(
            404, "not-found", "no such destination, and nothing waits for one", place="destination"
        )
    channels = [c.name for c in running.configuration.channels] if not wanted else []
    return JSONResponse(
        {
            "lanes": found["lanes"],
            "channels": [
                _channel(running, name, found) for name in {**dict.fromkeys(channels), **found["in"]}
            ],
            "destinations": [_destination(running, name, found) for name in sorted(found["names"])],
        },
        headers={"cache-control": "no-store"},
    )


def _read(connection: Connection, configured: set[str], wanted: str | None) -> Json:
    outbox = queues.outbox(connection)
    names = {wanted} if wanted else {*configured, *(name for found in outbox.values() for name in found)}
    lanes = queues.lanes if wanted else queues.troubled
    shown = [_lane(name, lane) for name in sorted(names) for lane in lanes(connection, name, MOST)]
    blocked = [] if wanted else [_blocked(each) for each in queues.blocked(connection, MOST)]
    inbox = {} if wanted else queues.inbox(connection)
    held = {} if wanted else queues.held(connection)
    shown.sort(key=lambda lane: lane["state"] != "HELD")
    return {"lanes": blocked + shown, "in": {**held, **inbox}, "inbox": inbox, "held": held,
            "outbox": outbox, "names": names}  # fmt: skip


def _blocked(found: Blocked) -> Json:
    """A lane of a channel; `depth` are those behind the message in trouble."""
    return {
        "channel": found.channel, "destination": None, "lane": str(found.lane), "state": found.state,
        "message": found.message, "delivery": None, "code": found.code, "reason": None, "place": found.place,
        "attempts": None, "due": None, "depth": found.behind, "oldest": instant(found.received),
    }  # fmt: skip


def _lane(destination: str, found: Lane) -> Json:
    """`lane` is text because JSON readers round numbers as large."""
    return {
        "channel": None, "destination": destination, "lane": str(found.lane), "state": found.state,
        "message": found.message, "delivery": found.delivery, "code": found.code, "reason": found.reason,
        "place": None, "attempts": found.attempts, "due": instant(found.due) if found.due else None,
        "depth": found.depth, "oldest": instant(found.created),
    }  # fmt: skip


def _channel(running: Running, name: str, found: Json) -> Json:
    waiting, held = found["inbox"].get(name, EMPTY), found["held"].get(name, EMPTY)
    return {
        "channel": name, "waiting": waiting.depth, "held": held.depth, "oldest": _oldest(waiting, held),
        "paused": running.paused("channel", name),
    }  # fmt: skip


def _destination(running: Running, name: str, found: Json) -> Json:
    outbox: Mapping[str, Mapping[str, Queue]] = found["outbox"]
    queued, held, parked = (outbox[state].get(name, EMPTY) for state in ("QUEUED", "HELD", "PARKED"))
    dispatcher = running.dispatchers.get(name)
    return {
        "destination": name, "queued": queued.depth, "held": held.depth, "parked": parked.depth,
        "oldest": _oldest(queued, held), "breaker": _breaker(dispatcher.pace.open if dispatcher else None),
        "paused": running.paused("destination", name),
    }  # fmt: skip


def _breaker(open: bool | None) -> str | None:
    """None: its deliveries are made by another process, or by none."""
    return None if open is None else "open" if open else "closed"


def _oldest(*found: Queue) -> str | None:
    ages = [queue.oldest for queue in found if queue.depth]
    return instant(min(ages)) if ages else None
