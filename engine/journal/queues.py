"""What waits, where, since when and why: the inbox by channel, the outbox by destination and lane."""

from __future__ import annotations

from typing import NamedTuple

from engine.journal.outbox import lanes as some
from store.database import Connection
from store.database.statements import load

SQL = load("engine.journal", "queues.sql")
DEEP = 10_000
"""A lane is counted no further than this."""


class Queue(NamedTuple):
    """How many wait, and when the oldest of them came (microseconds since the epoch)."""

    depth: int
    oldest: int


EMPTY = Queue(0, 0)


def inbox(connection: Connection) -> dict[str, Queue]:
    """What waits to be processed, by channel."""
    return {channel: Queue(depth, oldest) for channel, depth, oldest in connection.all(SQL.inbox)}


def held(connection: Connection) -> dict[str, Queue]:
    """What waits behind a message in trouble, by channel."""
    return {channel: Queue(depth, oldest) for channel, depth, oldest in connection.all(SQL.waiting)}


def outbox(connection: Connection) -> dict[str, dict[str, Queue]]:
    """What was not delivered, by state and destination."""
    found: dict[str, dict[str, Queue]] = {"QUEUED": {}, "HELD": {}, "PARKED": {}}
    for destination, queued, queued_since, held, held_since in connection.all(SQL.outbox):
        for state, depth, oldest in (("QUEUED", queued, queued_since), ("HELD", held, held_since)):
            if depth:
                found[state][destination] = Queue(depth, oldest)
    for destination, depth, oldest in connection.all(SQL.parked):
        found["PARKED"][destination] = Queue(depth, oldest)
    return found


class Blocked(NamedTuple):
    """A lane of a channel with `head: block`: the message in trouble, and how many are held behind it."""

    lane: int
    channel: str
    message: int
    state: str
    code: str | None
    place: str | None
    received: int
    behind: int


def blocked(connection: Connection, limit: int) -> list[Blocked]:
    """The lanes that stand still on the way in."""
    return [Blocked(*row) for row in connection.all(SQL.blocking, (limit,))]


class Lane(NamedTuple):
    """A lane of a destination by its head: `state` HELD (a person decides), FAILING (tried and to be tried again, at
    `due`) or WAITING. `depth` counts no further than `DEEP`. Times in microseconds since the epoch."""

    state: str
    depth: int
    lane: int
    delivery: int
    message: int
    attempts: int
    due: int
    created: int
    code: str | None
    reason: str | None


def lanes(connection: Connection, destination: str, limit: int) -> list[Lane]:
    """The lanes of one destination: those in trouble first, then others; so many at most."""
    found = troubled(connection, destination, limit)
    seen = {lane.lane for lane in found}
    for lane in some(connection, destination, -1, limit):
        if lane not in seen and len(found) < limit:
            rows = connection.all(SQL.first, (destination, lane))
            found += [_lane(connection, destination, "WAITING", row) for row in rows]
    return found


def troubled(connection: Connection, destination: str, limit: int) -> list[Lane]:
    """The lanes whose head is held, then those whose head is tried again and again."""
    found: dict[int, Lane] = {}
    for state, sql in (("HELD", SQL.held), ("FAILING", SQL.failing)):
        for row in connection.all(sql, (destination, limit)):
            found.setdefault(row[0], _lane(connection, destination, state, row))
    return list(found.values())[:limit]


def _lane(connection: Connection, destination: str, state: str, row: tuple[object, ...]) -> Lane:
    ((depth,),) = connection.all(SQL.depth, (destination, row[0], DEEP))
    return Lane(state, depth, *row)  # type: ignore[arg-type]
