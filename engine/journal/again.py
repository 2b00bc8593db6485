"""Messages again: reprocessed, replayed, resent, or edited. Every call runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from engine.journal import SQL as JOURNAL
from store.database import Connection, one
from store.database.statements import load

SQL = load("engine.journal", "again.sql")
Lane = tuple[str, int]  # destination, lane


class Again(StrEnum):
    """What can be done again about a message that came to an end."""

    REPROCESS = "reprocess"  # compute and file it again: what it says is replaced, nobody is told twice
    REPLAY = "replay"  # the same, and its routes tell everybody again, by new deliveries
    RESEND = "resend"  # what it sent goes out again as it was, by new deliveries; the chart is left alone


def again(
    connection: Connection, what: Again, messages: Iterable[int], to: str, now: int
) -> tuple[list[int], set[Lane]]:
    """Those to which it was done, and the lanes that got something. `to`: only what went to this destination."""
    done: list[int] = []
    lanes: set[Lane] = set()
    for id in messages:
        if what is Again.RESEND:
            found = connection.all(SQL.resend, (now, id, to))
            lanes.update((destination, lane) for destination, lane in found)
        else:
            found = connection.all(SQL.reprocess, (int(what is Again.REPLAY), id))
        if found:
            done.append(id)
    return done, lanes


def edit(connection: Connection, message: int, body: bytes, now: int) -> int | None:
    """A new message with these bytes that points to the old one; None: that one had an effect, or has none to lose."""
    row = one(connection, SQL.edit, (now, len(body), message))
    if row is None:
        return None
    connection.run(JOURNAL.append_body, (row[0], body))
    return int(row[0])


def edited(connection: Connection, message: int) -> int | None:
    """The message that this one corrects."""
    row = one(connection, SQL.edited, (message,))
    return row[0] if row else None


def edits(connection: Connection, message: int) -> list[int]:
    """The messages that correct this one."""
    return [id for (id,) in connection.all(SQL.edits, (message,))]
