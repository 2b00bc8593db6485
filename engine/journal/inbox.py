"""The inbox: what arrived, and where each message stands. Every call runs inside the caller's transaction."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from engine.journal import SQL
from engine.message import Accepted, Duplicate, Processed, Received, State
from store.database import Connection, one
from store.reason import Reason

# A resend of one of these is a new attempt on the same row: it has had no effect yet.
RENEWABLE = frozenset({State.REFUSED, State.FAILED, State.QUARANTINED})


def digest(channel: str, received: Received) -> bytes | None:
    """What tells a resend: the same bytes under the same key on the same channel. None: never a resend."""
    if not received.key:
        return None
    head = f"{channel}\0{received.key}\0".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(head + received.body, digest_size=16).digest()


def append(connection: Connection, channel: str, received: Received, now: int) -> Accepted | Duplicate:
    """Write the message, or find that it is here already. The commit is the caller's."""
    mark = digest(channel, received)
    row = (
        channel,
        now,
        received.key,
        mark,
        received.peer,
        len(received.body),
        State.RECEIVED,
        None,
        None,
        None,
    )
    if added := one(connection, SQL.append, row):
        connection.run(SQL.append_body, (added[0], received.body))
        return Accepted(added[0])
    id, state = connection.all(SQL.same, (mark,))[0]
    if state in RENEWABLE:
        connection.run(SQL.renew, (now, id))
        return Accepted(id)
    connection.run(SQL.repeat, (id,))
    return Duplicate(id)


def refuse(
    connection: Connection, channel: str, received: Received, now: int, reason: Reason, keep: bool
) -> int:
    """Keep what is not a message; only its digest and size where `keep` is false."""
    mark = hashlib.blake2b(received.body, digest_size=16).digest() if not keep else None
    row = (channel, now, received.key, mark, received.peer, len(received.body), State.REFUSED,
           reason.code, reason.text, reason.place)  # fmt: skip
    added = one(connection, SQL.append, row)
    if added is None:
        id: int = connection.all(SQL.same, (mark,))[0][0]
        connection.run(SQL.repeat, (id,))
        return id
    if keep:
        connection.run(SQL.append_body, (added[0], received.body))
    return int(added[0])


def settle(connection: Connection, processed: Processed, now: int) -> None:
    """Write the end state of a message."""
    reason = processed.reason
    why = (reason.code, reason.text, reason.place) if reason else (None, None, None)
    row = (processed.state, *why, processed.kind, processed.patient, now, processed.message)
    connection.run(SQL.settle, row)


class Waiting(NamedTuple):
    """A durable message that is to be processed."""

    id: int
    channel: str
    received: int
    body: bytes


def waiting(connection: Connection, limit: int) -> list[Waiting]:
    """The next messages in order of arrival."""
    return [Waiting(*row) for row in connection.all(SQL.waiting, (limit,))]
