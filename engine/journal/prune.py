"""Retention: the bytes of messages that are long over go. What is in the chart, the rows that say what became of each
message, and the audit stay; and so does what a person has to look at yet."""

from __future__ import annotations

from typing import NamedTuple

from store.database import Connection
from store.database.statements import load

SQL = load("engine.journal", "prune.sql")


class Pruned(NamedTuple):
    """Of one slice. `last`: where the next one begins; None: there is none. `files`: names in the spool that nobody
    names any more, once this is durable."""

    messages: int
    last: int | None
    files: tuple[str, ...]


def prune(connection: Connection, before: int, channel: str, after: int, most: int) -> Pruned:
    """Forget the bytes of messages above `after` that came `before` then (microseconds), of a channel or of all (""),
    and of what was sent of them. The commit is the caller's."""
    rows = connection.all(SQL.prunable, (after, before, channel, most))
    ids = [(id,) for id, _, _ in rows]
    for sql in (SQL.forget_body, SQL.forget_file, SQL.forget_sent):
        connection.many(sql, ids)
    files = tuple(name for _, _, name in rows if name)
    return Pruned(len(rows), rows[-1][0] if len(rows) == most else None, files)
