"""Deliveries as an operator asks for them, and what he does about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from engine.journal import SQL as JOURNAL
from store.database import Connection, one
from store.database.clause import Clause, joined
from store.database.statements import load

SQL = load("engine.journal", "deliveries.sql")
SPAN = 100_000
"""So many deliveries are looked through for a page that no index leads to."""


class State(StrEnum):
    """Where a delivery stands."""

    QUEUED = "QUEUED"  # to be tried, at once or when it is due
    HELD = "HELD"  # not delivered; its lane waits for a person
    DELIVERED = "DELIVERED"
    PARKED = "PARKED"  # set aside: its lane went on without it
    CANCELLED = "CANCELLED"  # set aside for good


class Action(StrEnum):
    """What can be done about a delivery, and from which states."""

    RETRY = "retry"  # try it now, as if for the first time: QUEUED, HELD, PARKED
    RELEASE = "release"  # let a lane that was held go on with it: HELD
    PARK = "park"  # set it aside, and let its lane go on without it: QUEUED, HELD
    CANCEL = "cancel"  # never send it: QUEUED, HELD, PARKED


FROM = {
    Action.RETRY: frozenset({State.QUEUED, State.HELD, State.PARKED}),
    Action.RELEASE: frozenset({State.HELD}),
    Action.PARK: frozenset({State.QUEUED, State.HELD}),
    Action.CANCEL: frozenset({State.QUEUED, State.HELD, State.PARKED}),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries; `since` in microseconds since the epoch."""

    destination: str | None = None
    state: State | None = None
    code: str | None = None
    message: int | None = None
    lane: int | None = None
    since: int | None = None


class Entry(NamedTuple):
    """One delivery, without its payload. Times in microseconds since the epoch."""

    id: int
    message: int
    route: str
    destination: str
    lane: int
    state: str
    attempts: int
    created: int
    due: int
    settled: int | None
    code: str | None
    reason: str | None


class Page(NamedTuple):
    """Newest first. `next`: ask again with it as `before`; None: that was all."""

    entries: list[Entry]
    next: int | None


def listed(connection: Connection, wanted: Filter, before: int | None, limit: int) -> Page:
    """One page, perhaps not a full one, of the deliveries with ids below `before`."""
    if before is None:
        before = connection.all(SQL.newest)[0][0] + 1
    low = 0 if _indexed(wanted) else max(0, before - SPAN)
    rows = connection.all(*query(wanted, before, low, limit))
    entries = [Entry(*row) for row in rows]
    if len(entries) == limit:
        return Page(entries, entries[-1].id)
    return Page(entries, low or None)


def _indexed(wanted: Filter) -> bool:
    waits = wanted.state in (State.QUEUED, State.HELD, State.PARKED)
    return wanted.message is not None or (waits and wanted.destination is not None)


def query(wanted: Filter, before: int, low: int, limit: int) -> Clause:
    """The newest of those with ids from `low` up to before `before`; `low` 0: from the first on."""
    conditions = [Clause(SQL.deliveries, (before,)), *_conditions(wanted)]
    if low:
        conditions.append(Clause(SQL.not_before, (low,)))
    return joined("\n", (joined(" AND ", conditions), Clause(SQL.page, (limit,))))


def _conditions(wanted: Filter) -> Iterator[Clause]:
    for name in ("destination", "code", "message", "lane", "since"):
        if (value := getattr(wanted, name)) is not None:
            yield Clause(getattr(SQL, name), (value,))
    if wanted.state is not None:
        waiting = wanted.state in (State.QUEUED, State.HELD)
        yield Clause(SQL.waiting if waiting else SQL.state, (wanted.state,))


def found(connection: Connection, id: int) -> Entry | None:
    """One delivery by its id."""
    row = one(connection, SQL.one, (id,))
    return Entry(*row) if row else None


Lane = tuple[str, int]


def act(
    connection: Connection, action: Action, entries: Sequence[Entry], now: int
) -> tuple[list[int], set[Lane]]:
    """Do it to those that are still in a state from which it can be done: which, and the lanes that may go on.
    What is on its way at this moment is settled by its outcome. The commit is the caller's."""
    done = [entry for entry in entries if _done(connection, action, entry.id, now)]
    lanes: set[Lane] = {(entry.destination, entry.lane) for entry in done}
    for entry in done:
        beside = connection.all(JOURNAL.beside, (entry.id,))
        lanes |= {(entry.destination, lane) for (lane,) in beside}
    return [entry.id for entry in done], lanes


def _done(connection: Connection, action: Action, id: int, now: int) -> bool:
    sets_aside = action in (Action.PARK, Action.CANCEL)
    row = (now, id) if sets_aside else (id,)
    done = bool(connection.all(getattr(SQL, action), row))
    if done:
        connection.run(JOURNAL.share_again, (int(not sets_aside), id))
    return done
