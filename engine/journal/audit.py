"""The audit: who did or read what, of which rows, when and why. Each row's hash holds the hash before it, so that
one that is edited, taken out or put elsewhere is found. What is cut off at the end is found by a head kept
elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from store.database import Alone, Connection, Row, one
from store.database.statements import load

SQL = load("engine.journal", "audit.sql")
PAGE = 1000
NEWEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Act:
    """What is recorded: `what` as `deliveries.retry`; `rows` what it concerned, by ids: nothing of any body."""

    who: str
    what: str
    rows: Mapping[str, Any]
    why: str = ""


class Entry(NamedTuple):
    """One row. `at` in microseconds since the epoch; `hash` is empty where the chain had not begun."""

    id: int
    at: int
    act: Act
    hash: bytes


class Head(NamedTuple):
    """The newest row: whoever keeps it elsewhere can tell that none was cut off."""

    id: int
    hash: bytes


NONE = Head(0, b"")


class Broken(NamedTuple):
    """The first row that is not as it was written."""

    id: int
    why: str


def record(connection: Connection, act: Act, now: int) -> int:
    """Append to the chain, in the caller's transaction; the number of the row."""
    connection.alone(Alone.AUDIT)
    before = head(connection)
    id, rows = before.id + 1, msgspec.json.encode(act.rows, order="deterministic").decode()
    row = (id, now, act.who, act.what, rows, act.why)
    connection.run(SQL.record, (*row, _hash(before.hash, row)))
    return id


def answered(
    connection: Connection, who: str, channel: str, kind: str, patients: Sequence[bytes], now: int
) -> int:
    """A query was answered with what is known of these patients, by their keys."""
    rows = {"channel": channel, "kind": kind, "hits": len(patients), "patients": [p.hex() for p in patients]}
    id = record(connection, Act(who, "query", rows), now)
    connection.many(SQL.audited, [(id, patient) for patient in patients])
    return id


def head(connection: Connection) -> Head:
    """The newest row."""
    row = one(connection, SQL.last)
    return Head(row[0], bytes(row[1])) if row else NONE


def entries(connection: Connection, before: int, limit: int) -> list[Entry]:
    """Newest first, below `before`."""
    return [_entry(row) for row in connection.all(SQL.before, (before, limit))]


def verify(connection: Connection) -> Broken | Head:
    """Read the whole chain, a page at a time: what is wrong first, or its head."""
    last = NONE
    for row in _rows(connection):
        if row[0] != last.id + 1:
            return Broken(last.id + 1, "it was taken out")
        hash = bytes(row[6])
        if (hash or last.hash) and hash != _hash(last.hash, row[:6]):
            return Broken(row[0], "it was edited, or the one before it was")
        last = Head(row[0], hash)
    return last


def _rows(connection: Connection) -> Iterator[Row]:
    after = 0
    while page := connection.all(SQL.after, (after, PAGE)):
        yield from page
        after = page[-1][0]


def _entry(row: Row) -> Entry:
    id, at, who, what, rows, why, hash = row
    return Entry(id, at, Act(who, what, msgspec.json.decode(rows), why), bytes(hash))


def _hash(before: bytes, row: Row) -> bytes:
    return hashlib.blake2b(before + msgspec.json.encode(row), digest_size=32).digest()
