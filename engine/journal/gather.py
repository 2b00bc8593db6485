"""Deliveries that go out together, as a batch. Which they are is written before the first attempt, so that every
attempt is at the same batch. Every call that writes runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.channel import Gather, Partner
from engine.journal import inbox, outbox
from engine.journal.outbox import Head, Verdict
from engine.journal.spool import Spool
from engine.message import Delivered, Delivery, Outcome, Part, Rejected
from store.database import Connection
from store.database.statements import load

SQL = load("engine.journal", "gather.sql")


def ready(connection: Connection, gather: Gather, destination: str, head: Head, now: int) -> float:
    """Seconds until what waits behind the head, and with it, is to go as one batch; 0: now."""
    (number, oldest) = connection.all(SQL.waiting, (destination, head.lane, gather.most))[0]
    left = (oldest - now) / 1e6 + gather.every
    enough = number >= gather.most or not 0 < left <= gather.every  # longer: the clock was set back
    return 0.0 if enough else left


def freeze(connection: Connection, gather: Gather, destination: str, head: Head) -> None:
    """These are one batch from now on."""
    connection.run(SQL.freeze, (head.id, destination, head.lane, gather.most))


def members(connection: Connection, destination: str, head: Head) -> list[Head]:
    """Those of the head's batch that are still to go, itself the first."""
    return [Head(*row) for row in connection.all(SQL.members, (head.id, destination, head.lane))]


@contextmanager
def together(
    connection: Connection, partner: Partner, batch: Sequence[Head], origin: str, spool: Spool
) -> Iterator[Delivery]:
    """One delivery for all, under the control id of the first; each message keeps that of its own. Its time is that of
    the newest, the same at every attempt."""
    assert partner.gather is not None
    parts = []
    for each in batch:
        own = Delivery(each.id, each.message, partner.name, each.lane, b"", origin=origin)
        parts.append(Part(inbox.read(each.body, each.spool, spool), own.control))
    first, (when,) = batch[0], connection.all(SQL.created, (batch[-1].id,))[0]
    body = partner.gather.write(parts, parts[0].key, when)
    yield Delivery(first.id, first.message, partner.name, first.lane, body, first.attempts, origin)


def judged(
    partner: Partner, batch: Sequence[Head], outcome: Outcome, now: int, chance: float, origin: str
) -> list[tuple[Head, Verdict]]:
    """What becomes of each: what became of all, but for those that were not taken."""
    refused = dict(outcome.refused) if isinstance(outcome, Delivered) else {}

    def own(each: Head) -> Outcome:
        reason = refused.get(f"{origin}{each.id}")
        return Rejected(reason) if reason else outcome

    first = batch[0]  # they are tried again at one time: its attempts count for all
    same = [each._replace(attempts=first.attempts, tried=first.tried) for each in batch]
    return [(each, outbox.judge(partner, each, own(each), now, chance)) for each in same]
