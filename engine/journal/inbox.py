"""The inbox: what arrived, and where each message stands. Every call runs inside the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from engine.journal import SQL
from engine.journal.spool import Spool
from engine.message import Accepted, Duplicate, Part, Processed, Received, Spooled, State
from store.database import Connection, Row, one
from store.reason import Reason

# A resend of one of these is a new attempt on the same row: it has had no effect yet.
RENEWABLE = frozenset({State.REFUSED, State.FAILED, State.QUARANTINED})
# These keep their lane in mind, where the channel has `head: block`.
IN_LANE = frozenset({State.HELD, State.FAILED, State.QUARANTINED})


def digest(channel: str, received: Received) -> bytes | None:
    """What tells a resend: the same bytes under the same key on the same channel. None: never a resend."""
    if not received.key:
        return None
    head = f"{channel}\0{received.key}\0".encode("utf-8", "surrogateescape")
    body = received.spooled.digest if received.spooled else received.body
    return hashlib.blake2b(head + body, digest_size=16).digest()


def append(
    connection: Connection,
    channel: str,
    received: Received,
    now: int,
    state: State = State.RECEIVED,
    spool: Callable[[bytes], Spooled] | None = None,
) -> Accepted | Duplicate:
    """Write the message, or find that it is here already. The commit is the caller's.

    `spool` keeps a body that is in memory; it is called only for a new message.
    """
    mark = digest(channel, received)
    if spool is not None and received.spooled is None:
        same = one(connection, SQL.same, (mark,))
        if same is None or same[1] in RENEWABLE:
            received = replace(received, body=b"", spooled=spool(received.body))
    name = received.spooled.name if received.spooled else None
    row = (channel, now, received.key, mark, received.peer, received.size, state, None, None, None, name)
    added = one(connection, SQL.append, row)
    if added is None:
        return _again(connection, mark, received, now, state)
    if received.body or name is None:
        connection.run(SQL.append_body, (added[0], received.body))
    return Accepted(added[0])


def known(connection: Connection, channel: str, received: Received) -> int | None:
    """The message that these bytes were accepted as before."""
    row = one(connection, SQL.same, (digest(channel, received),))
    return int(row[0]) if row and row[1] not in RENEWABLE else None


def _again(
    connection: Connection, mark: bytes | None, received: Received, now: int, state: State
) -> Accepted | Duplicate:
    id, ended, reply = connection.all(SQL.same, (mark,))[0]
    if ended in RENEWABLE:
        connection.run(SQL.renew, (state, now, id))
        if received.spooled:  # the file of the earlier attempt may be gone
            connection.run(SQL.respool, (received.spooled.name, id))
        return Accepted(id)
    connection.run(SQL.repeat, (id,))
    return Duplicate(id, bytes(reply) if reply is not None else None)


def append_parts(
    connection: Connection, whole: Splitting, parts: Iterable[tuple[int, Part]], now: int
) -> None:
    """Write parts, by their positions, as messages of their own; those that are here already stay as they are."""
    for position, part in parts:
        reason, state = part.reason, State.REFUSED if part.reason else State.RECEIVED
        why = (reason.code, reason.text, reason.place) if reason else (None, None, None)
        row = (whole.channel, now, part.key, whole.peer, len(part.body), state, *why, whole.id, position)
        if added := one(connection, SQL.append_part, row):
            connection.run(SQL.append_body, (added[0], part.body))


def refuse(
    connection: Connection, channel: str, received: Received, now: int, reason: Reason, keep: bool
) -> int:
    """Keep what is not a message; only its digest and size where `keep` is false."""
    whole = received.spooled.digest if received.spooled else received.body
    mark = hashlib.blake2b(whole, digest_size=16).digest() if not keep else None
    name = received.spooled.name if received.spooled and keep else None
    row = (channel, now, received.key, mark, received.peer, received.size, State.REFUSED,
           reason.code, reason.text, reason.place, name)  # fmt: skip
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
    lane = processed.lane if processed.state in IN_LANE else None
    over = None if processed.state is State.HELD else now
    what = (processed.kind, processed.patient, over, lane, processed.configuration)
    row = (processed.state, *why, *what, processed.message)
    connection.run(SQL.settle, row)


def behind(connection: Connection, processed: Processed) -> int | None:
    """The first message of its lane that is in trouble, or waits for one that is, and came before it."""
    if processed.lane is None or processed.edits:  # a correction takes the place of what it corrects
        return None
    row = one(connection, SQL.behind, (processed.lane, processed.message))
    return row[0] if row else None


def park(connection: Connection, message: int) -> bool:
    """Let the lane go on that a message in trouble holds; the message stays as it is. False: it holds none."""
    row = one(connection, SQL.stuck, (message,))
    if row is not None:
        connection.run(SQL.leave_lane, (message,))
        unhold(connection, row[0])
    return row is not None


def unhold(connection: Connection, lane: int | None) -> bool:
    """Those that were held in a lane go on. Are there any?"""
    return lane is not None and bool(connection.all(SQL.unhold, (lane,)))


class Waiting(NamedTuple):
    """A durable message that is to be processed."""

    id: int
    channel: str
    received: int
    body: bytes
    origin: str = ""
    hops: int = 0
    attempt: int = 0  # how often it was replayed
    edits: int | None = None  # the message that it corrects
    lost: bool = False  # its bytes should be in the spool, and cannot be read there


def waiting(connection: Connection, limit: int, spool: Spool | None = None) -> list[Waiting]:
    """The next messages in order of arrival, with what their channels read of them."""
    return [waited(row, spool) for row in connection.all(SQL.waiting, (limit,))]


def waited(row: Row, spool: Spool | None) -> Waiting:
    """A row of `waiting`, with the bytes that it names."""
    id, channel, received, data, name, *more = row
    try:
        return Waiting(id, channel, received, read(data, name, spool), *more)
    except OSError:
        return Waiting(id, channel, received, b"", *more)._replace(lost=True)


def first_waiting(connection: Connection, limit: int) -> set[int]:
    """The numbers of the next messages."""
    return {id for (id,) in connection.all(SQL.first_waiting, (limit,))}


def strike(connection: Connection, message: int) -> int:
    """It is begun once more after an engine died: how often that was."""
    return int(connection.all(SQL.strike, (message,))[0][0])


def read(data: bytes | None, name: str | None, spool: Spool | None) -> bytes:
    """The bytes of a row, or those of the spooled file that it names."""
    if data is not None or name is None or spool is None:
        return data or b""
    with spool.open(spool.path(name)) as file:
        return file.read()


class Unprocessed(NamedTuple):
    """What a channel took and has not ended: `moving` by itself, `held` behind a message in trouble."""

    moving: int
    held: int


def unprocessed(connection: Connection, channel: str) -> Unprocessed:
    """How many there are."""
    return Unprocessed(*connection.all(SQL.unprocessed, (channel,))[0])


class Splitting(NamedTuple):
    """A durable message whose parts are to be made messages of their own."""

    id: int
    channel: str
    key: str | None
    peer: str
    spool: str
    repeats: int = 0


def splitting(connection: Connection) -> Splitting | None:
    """The next one in order of arrival."""
    row = one(connection, SQL.splitting)
    return Splitting(*row) if row else None


def seen(connection: Connection, whole: Splitting) -> bool:
    """Was another message taken before under the same key?"""
    return one(connection, SQL.seen, (whole.key, whole.id, whole.channel)) is not None
