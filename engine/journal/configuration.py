"""The configurations that ran: each has a number, which a message keeps of the one that processed it."""

from __future__ import annotations

from store.database import Connection, one
from store.database.statements import load

SQL = load("engine.journal", "configuration.sql")


def number(connection: Connection, hash: str, now: int) -> int:
    """The number of a configuration; a new one where it never ran before. The commit is the caller's."""
    connection.run(SQL.add, (hash, now))
    id: int = connection.all(SQL.number, (hash,))[0][0]
    return id


def judged(connection: Connection, message: int, number: int | None) -> None:
    """A message that no channel processed was refused by this one. The commit is the caller's."""
    connection.run(SQL.judged, (number, message))


def of(connection: Connection, message: int) -> str | None:
    """The hash of the configuration that processed a message; None while none has."""
    row = one(connection, SQL.of, (message,))
    return row[0] if row else None
