"""The sequence number protocol (HL7 v2.5.1, 2.10.1): of each link the number that is next. A link is `channel NAME`,
by the first channel of a source, or `destination NAME`. Every call runs inside the caller's transaction."""

from __future__ import annotations

from typing import NamedTuple

from store.database import Connection, one
from store.database.statements import load

SQL = load("engine.journal", "sequence.sql")
FIRST = -1
"""Said instead of an expected number: whatever comes first is the first."""


class Link(NamedTuple):
    """`next`: the number that the next message bears. `delivery`: the one of ours that may have gone out with it."""

    link: str
    next: int
    delivery: int | None


class Number(NamedTuple):
    """What a delivery goes out with. `number` None: the receiver is asked which it expects. `tried`: it may have gone
    out with it before."""

    number: int | None
    tried: bool


def links(connection: Connection) -> list[Link]:
    """All of them."""
    return [Link(*row) for row in connection.all(SQL.links)]


def expected(connection: Connection, link: str) -> int | None:
    """The number of the next message; None: there was none yet."""
    row = one(connection, SQL.link, (link,))
    return int(row[0]) if row else None


def follow(connection: Connection, link: str, next: int) -> None:
    """This one is next; no delivery of ours has used it."""
    connection.run(SQL.set, (link, next))


def take(connection: Connection, link: str, delivery: int) -> Number:
    """The number for a delivery, written down before it goes out."""
    row = one(connection, SQL.link, (link,))
    if row is None:
        return Number(None, False)
    connection.run(SQL.take, (delivery, link))
    return Number(int(row[0]), row[1] == delivery)
