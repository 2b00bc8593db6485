"""What people ask of the journal. Only reads, and bounded ones, because the event loop waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from engine.message import State
from store.chart import SQL as CHART
from store.database import Connection, one
from store.database.clause import Clause, joined
from store.database.statements import load

SQL = load("engine.journal", "inquiry.sql")
FILTER = load("engine.journal", "filter.sql")
PIECES = 50  # parts in trouble that are shown
SPAN = 20_000  # messages looked at for one page, where no index leads to them
LED = {State.RECEIVED: Clause(FILTER.waiting), State.SPLITTING: Clause(FILTER.splitting)}
TROUBLED = frozenset(
    {State.HELD, State.UNROUTED, State.FILTERED, State.QUARANTINED, State.FAILED, State.REFUSED}
)


class Entry(NamedTuple):
    """One message, without its bytes. Times in microseconds since the epoch; `settled` None: not yet."""

    id: int
    channel: str
    received: int
    key: str | None
    peer: str
    size: int
    state: str
    code: str | None
    reason: str | None
    place: str | None
    kind: str | None
    settled: int | None
    repeats: int


class Sent(NamedTuple):
    """One delivery of a message. Times in microseconds since the epoch."""

    id: int
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


class Made(NamedTuple):
    """A resource of which a message said something; `versions` it made: (number, gone from here on)."""

    type: str
    key: bytes
    versions: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages. `patient`: the keys that the patient goes by; `since` in microseconds."""

    channel: str | None = None
    state: State | None = None
    key: str | None = None
    patient: tuple[bytes, ...] | None = None
    since: int | None = None
    among: frozenset[int] | None = None  # these, and those that have not got into the chart


class Page(NamedTuple):
    """Newest first. `next`: ask again with it as `before`, there may be more; None: that was all."""

    entries: list[Entry]
    next: int | None


def messages(connection: Connection, wanted: Filter, before: int | None, limit: int) -> Page:
    """One page, perhaps not a full one, of the messages with ids below `before`."""
    if before is None:
        before = connection.all(SQL.newest)[0][0] + 1
    low = 0 if _indexed(wanted) else max(0, before - SPAN)
    rows = connection.all(*query(wanted, before, low, limit))
    entries = [Entry(*row) for row in rows]
    if len(entries) == limit:
        return Page(entries, entries[-1].id)
    return Page(entries, low if low and _goes_on(connection, wanted, low) else None)


LOOKED, READ = 1000, 32 << 20
"""So many messages, or bytes of them, are looked through for a text at a time."""


def containing(connection: Connection, wanted: Filter, text: str, before: int | None, limit: int) -> Page:
    """As `messages`, of those whose bytes hold a text, in letters of any case, or that are `among`; spooled ones are
    not looked into. A page may be empty and still have a `next`."""
    among = wanted.among or frozenset()
    needles = {text.encode(charset, "ignore").lower() for charset in ("utf-8", "latin-1")} - {b""}
    page = messages(connection, wanted, before, LOOKED)
    found: list[Entry] = []
    left = READ
    for entry in page.entries:
        if len(found) == limit or left <= 0:
            return Page(found, entry.id + 1)
        if entry.id in among:
            found.append(entry)
            continue
        data = (body(connection, entry.id) or b"").lower()
        left -= len(data)
        if any(needle in data for needle in needles):
            found.append(entry)
    return Page(found, page.next)


def _indexed(wanted: Filter) -> bool:
    led = wanted.state in TROUBLED or wanted.state in LED
    return led or wanted.key is not None or wanted.patient is not None


def _goes_on(connection: Connection, wanted: Filter, low: int) -> bool:
    """Can there be older ones that are wanted? They were received in the order of their ids, nearly."""
    oldest = one(connection, SQL.received_from, (low,))
    return wanted.since is None or oldest is None or oldest[0] >= wanted.since


def query(wanted: Filter, before: int, low: int, limit: int) -> Clause:
    """The newest of the messages with ids from `low` up to before `before`; `low` 0: from the first on."""
    conditions = [Clause(FILTER.messages, (before,)), *_conditions(wanted)]
    if low:
        conditions.append(Clause(FILTER.not_before, (low,)))
    return joined("\n", (joined(" AND ", conditions), Clause(FILTER.page, (limit,))))


def _conditions(wanted: Filter) -> Iterator[Clause]:
    if wanted.channel is not None:
        yield Clause(FILTER.channel, (wanted.channel,))
    if wanted.key is not None:
        yield Clause(FILTER.key, (wanted.key,))
    if wanted.since is not None:
        yield Clause(FILTER.since, (wanted.since,))
    if wanted.among is not None:
        listed = tuple(sorted(wanted.among)) or (0,)
        places = ", ".join(f"${n}" for n in range(1, len(listed) + 1))
        yield Clause(f"(m.id IN ({places}) OR m.state NOT IN ('STORED', 'SPLIT'))", listed)
    if wanted.patient is not None:
        places = ", ".join(f"${n}" for n in range(1, len(wanted.patient) + 1))
        yield Clause(f"m.patient IN ({places})", wanted.patient)
    if wanted.state is not None:
        yield _state(wanted.state, few=wanted.key is not None or wanted.patient is not None)


def _state(state: State, few: bool) -> Clause:
    """`few`: a better index leads to the messages."""
    if few or state not in {*TROUBLED, *LED}:
        return Clause(FILTER.state, (state,))
    return LED.get(state) or Clause(FILTER.troubled, (state,))


def message(connection: Connection, id: int) -> Entry | None:
    """One message by its id."""
    row = one(connection, SQL.message, (id,))
    return Entry(*row) if row else None


def body(connection: Connection, id: int) -> bytes | None:
    """Its bytes as they arrived; None if they were not kept."""
    row = one(connection, SQL.body, (id,))
    return bytes(row[0]) if row else None


def spooled(connection: Connection, id: int) -> str | None:
    """The name of the spooled file that holds its bytes, if one does."""
    row = one(connection, SQL.spooled, (id,))
    return row[0] if row else None


class Piece(NamedTuple):
    """A part of a message (counted from 1) that came to no good end."""

    id: int
    position: int
    state: str
    code: str | None
    place: str | None


class Place(NamedTuple):
    """Where a message stands among those that were taken apart: its parts by state, the first of those in trouble, and
    whose part it is (counted from 1)."""

    parts: dict[str, int]
    troubled: list[Piece]
    parent: int | None
    position: int | None


def place(connection: Connection, id: int) -> Place:
    """What was made of it, and what it was made of."""
    parts: dict[str, int] = dict(connection.all(SQL.parts, (id,)))
    rows = connection.all(SQL.troubled_parts, (id, PIECES)) if TROUBLED & parts.keys() else []
    whole = one(connection, SQL.part_of, (id,))
    troubled = [Piece(part, position + 1, *why) for part, position, *why in rows]
    return Place(parts, troubled, whole[0] if whole else None, whole[1] + 1 if whole else None)


def deliveries(connection: Connection, id: int) -> list[Sent]:
    """What must leave, or left, because of it."""
    return [Sent(*row) for row in connection.all(SQL.deliveries, (id,))]


def made(connection: Connection, id: int) -> list[Made]:
    """What it said of the chart; no versions of a resource of which it told nothing new."""
    versions: dict[tuple[str, bytes], list[tuple[int, bool]]] = {}
    for type, key in connection.all(CHART.said_of, (id,)):
        versions[type, key] = []
    for type, key, number, gone in connection.all(CHART.made, (id,)):
        versions.setdefault((type, key), []).append((number, bool(gone)))
    return [Made(type, key, tuple(numbers)) for (type, key), numbers in versions.items()]


def same_person(connection: Connection, key: bytes) -> tuple[bytes, ...]:
    """The keys of all patients that are known to be this one, and this one's."""
    return tuple({key, *(bytes(k) for (k,) in connection.all(CHART.same_person, (key,)))})


class Standing(StrEnum):
    """Where an expected answer stands. It is not stored: an answer is overdue because of when one asks."""

    UNDELIVERED = "undelivered"  # there is nothing to answer yet, or there never will be: the delivery tells
    OPEN = "open"
    OVERDUE = "overdue"
    ANSWERED = "answered"


class Expectation(NamedTuple):
    """An answer that must follow a delivery by `due` (microseconds since the epoch; None: it was not delivered), as a
    message of the channel `answers`; the message `answer` is it, and `said` its kind."""

    delivery: int
    destination: str
    message: int
    answers: str
    due: int | None
    answer: int | None
    said: str | None
    state: Standing


MOST = 1000


def expectations(connection: Connection, now: int, state: Standing | None = None) -> list[Expectation]:
    """The newest ones; of those that are open or overdue, the most urgent."""
    return [_expectation(now, *row) for row in connection.all(*standing(now, state))]


def standing(now: int, state: Standing | None) -> Clause:
    """The expectations in one state, or in any."""
    match state:
        case None:
            return Clause(SQL.expectations, (MOST,))
        case Standing.OVERDUE | Standing.OPEN:
            return Clause(getattr(SQL, state), (now, MOST))
    return Clause(getattr(SQL, state), (SPAN, MOST))


def expected(connection: Connection, message: int, now: int) -> dict[int, Expectation]:
    """What must follow the deliveries of a message, by delivery."""
    found = (_expectation(now, *row) for row in connection.all(SQL.expected, (message,)))
    return {each.delivery: each for each in found}


def _expectation(
    now: int, delivery: int, destination: str, message: int, answers: str, due: int | None, answer: int | None,
    said: str | None, settled: int | None,
) -> Expectation:  # fmt: skip
    if settled is not None:
        state = Standing.ANSWERED
    elif due is None:
        state = Standing.UNDELIVERED
    else:
        state = Standing.OVERDUE if due < now else Standing.OPEN
    return Expectation(delivery, destination, message, answers, due, answer, said, state)


class Awaited(NamedTuple):
    """How many answers of one destination are awaited in time, and how many are overdue."""

    open: int
    overdue: int


def awaited(connection: Connection, now: int) -> dict[str, Awaited]:
    """By destination, of what was delivered."""
    rows = connection.all(SQL.awaited, (now,))
    return {destination: Awaited(number - late, late) for destination, number, late in rows}
