"""The outbox: one row per (message, route). The head of a lane goes first; what becomes of it is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from engine.channel import Partner, RetryPolicy
from engine.journal import SQL, inbox
from engine.journal.spool import Spool
from engine.message import Delivered, Delivery, Outcome, Received, Rejected, Retry
from store.database import Connection, one
from store.reason import Reason

WAITING = ("QUEUED", "HELD")


class Head(NamedTuple):
    """The first unsettled delivery of a lane. `due` (the next attempt) and `tried` (the first one, if there was
    one) in microseconds since the epoch."""

    id: int
    message: int
    lane: int
    shared: int  # does it stand in other lanes too?
    state: str
    attempts: int
    due: int
    tried: int | None
    body: bytes | None
    spool: str | None = None
    answers: str | None = None  # the channel by which an answer is expected
    batch: int | None = None  # the first of those with which it goes out together

    @contextmanager
    def delivery(self, destination: str, lane: int, origin: str, spool: Spool) -> Iterator[Delivery]:
        """What goes to the destination; its body is what the channel read, or else the whole spooled file."""
        body = inbox.read(self.body, self.spool, spool)
        with spool.plain(self.spool) if self.spool else nullcontext() as path:
            yield Delivery(self.id, self.message, destination, lane, body, self.attempts, origin, path)


def head(connection: Connection, destination: str, lane: int) -> Head | None:
    """What must go next in this lane; its own `lane` may be another one, in which it goes."""
    row = one(connection, SQL.lane, (destination, lane))
    return Head(*row) if row else None


def waits(connection: Connection, head: Head) -> bool:
    """Is there something that must go before it, in another lane in which it stands?"""
    return bool(head.shared) and one(connection, SQL.waits, (head.id,)) is not None


def undelivered(connection: Connection, destination: str) -> tuple[int, int]:
    """How many wait for a destination, and how many are held."""
    (queued, held), *_ = connection.all(SQL.undelivered, (destination,))
    return queued, held


def lanes(connection: Connection, destination: str, after: int, limit: int) -> list[int]:
    """Lanes above `after` in which something waits for this destination, in order."""
    rows = connection.all(SQL.lanes, (destination, after, limit))
    return [lane for (lane,) in rows if lane is not None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after one attempt."""

    state: str
    attempts: int
    tried: int
    due: int = 0
    reason: Reason | None = None
    reply: bytes = b""
    final: bool = True  # what is expected does not come later


def judge(partner: Partner, head: Head, outcome: Outcome, now: int, chance: float = 0.5) -> Verdict:
    """The one retry policy. `now` in microseconds; `chance` from 0 to 1 spreads the retries of many lanes."""
    attempts, tried = head.attempts + 1, head.tried or now
    if isinstance(outcome, Delivered):
        return Verdict("DELIVERED", attempts, tried, reply=outcome.reply, final=outcome.final)
    stuck = "HELD" if partner.head == "block" else "PARKED"
    if isinstance(outcome, Rejected):
        return Verdict(stuck, attempts, tried, reason=outcome.reason, reply=outcome.reply)
    policy = partner.retry
    if not isinstance(outcome, Retry) and policy.unknown == "hold":
        return Verdict("HELD", attempts, tried, reason=outcome.reason)
    if _given_up(policy, attempts, now - tried):
        return Verdict(stuck, attempts, tried, reason=outcome.reason)
    wait = min(policy.max, policy.first * 2 ** min(head.attempts, 30)) * (0.75 + 0.5 * chance)
    return Verdict("QUEUED", attempts, tried, now + int(wait * 1e6), outcome.reason)


def _given_up(policy: RetryPolicy, attempts: int, since: int) -> bool:
    often = policy.attempts is not None and attempts >= policy.attempts
    return often or (policy.give_up is not None and since >= policy.give_up * 1e6)


def settle(connection: Connection, head: Head, verdict: Verdict, now: int) -> list[int]:
    """Write what became of a delivery; the other lanes that may go on now. The commit is the caller's."""
    id, reason = head.id, verdict.reason
    settled = None if verdict.state == "QUEUED" else now
    why = (reason.code, str(reason)) if reason else (None, None)
    when = (verdict.due, verdict.tried, settled)
    row = (verdict.state, verdict.attempts, *when, *why, verdict.reply or None, id)
    connection.run(SQL.deliver, row)
    if settled is not None and head.answers:
        if verdict.state == "DELIVERED":
            connection.run(SQL.wait_for, (now, id))
        if verdict.reply and verdict.final:
            _answer(connection, head.answers, id, verdict.reply, now)
    over = head.shared and verdict.state not in WAITING
    return [lane for (lane,) in connection.all(SQL.unshare, (id,))] if over else []


def _answer(connection: Connection, channel: str, id: int, reply: bytes, now: int) -> None:
    """The answer on the same connection is a message like one that comes later by another."""
    inbox.append(connection, channel, Received(reply, f"answer-{id}", "destination"), now)
