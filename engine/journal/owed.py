"""Answers that senders get by exchanges of their own: deliveries whose route ends with what they say (`NAME:AA`)."""

from __future__ import annotations

from engine.journal import SQL as JOURNAL
from engine.message import Processed, State
from engine.plugin import FORMATS
from store.database import Connection, one
from store.database.statements import load
from store.identity import Identity

SQL = load("engine.journal", "owed.sql")
Lane = tuple[str, int]  # destination, lane
NEGATIVE = frozenset({State.QUARANTINED, State.FAILED})


def owe(connection: Connection, identity: Identity, processed: Processed, now: int) -> list[Lane]:
    """Write the answers to a message that has ended. The same answer is written once for each time that it came and for
    each replay, another one when reprocessing changed its end."""
    if not processed.owed or processed.state is State.HELD:
        return []
    row = one(connection, SQL.repeats, (processed.message,))
    again = (f"+{row[0]}" if row and row[0] else "") + (f"!{processed.attempt}" if processed.attempt else "")
    bad, ours = processed.state in NEGATIVE, processed.state is State.FAILED
    said = "AA" if not bad else "AR" if ours else "AE"
    lanes: list[Lane] = []
    for owed in processed.owed:
        if owed.failure if bad else owed.success:
            reason = processed.reason if bad else None
            body = FORMATS[owed.format].acknowledge(owed.head, ours, reason, now)
            lane = identity.lane(owed.destination, f"answer {processed.message}")
            where = (owed.destination, lane)
            connection.run(
                JOURNAL.enqueue, (processed.message, f"{owed.route}{again}:{said}", *where, 0, now, body)
            )
            lanes.append(where)
    return lanes


def again(connection: Connection, message: int, now: int) -> list[Lane]:
    """A message that was taken before has come once more: its sender may not have got the answer."""
    return [(destination, lane) for destination, lane in connection.all(SQL.again, (now, message))]
