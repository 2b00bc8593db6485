"""The outbox: one row per (message, route). The head of a lane goes first; what becomes of it is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from engine.channel import Partner
from engine.journal import SQL, inbox
from engine.journal.spool import Spool
from engine.message import Delivered, Delivery, Outcome, Received, Rejected, Retry
from store.database import Connection, one
from store.reason import Reason


class Head(NamedTuple):
    """The first unsettled delivery of a lane. `due` (the next attempt) and `tried` (the first one, if there was
    one) in microseconds since the epoch."""

    id: int
    message: int
    state: str
    attempts: int
    due: int
    tried: int | None
    body: bytes | None
    spool: str | None = None
    answers: str | None = None  # the channel by which an answer is expected

    def delivery(self, destination: str, lane: int, origin: str, spool: Spool | None = None) -> Delivery:
        """What goes to the destination; its body is what the channel read, or else the whole spooled file."""
        path = spool.path(self.spool) if spool and self.spool else None
        body = inbox.read(self.body, self.spool, spool)
        return Delivery(self.id, self.message, destination, lane, body, self.attempts, origin, path)


def head(connection: Connection, destination: str, lane: int) -> Head | None:
    """What must go next in this lane."""
    row = one(connection, SQL.lane, (destination, lane, 1))
    return Head(*row) if row else None


def lanes(connection: Connection, destination: str) -> list[int]:
    """The lanes in which something waits for this destination."""
    return [lane for (lane,) in connection.all(SQL.lanes, (destination,))]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after one attempt."""

    state: str
    attempts: int
    tried: int
    due: int = 0
    reason: Reason | None = None
    reply: bytes = b""


def judge(partner: Partner, head: Head, outcome: Outcome, now: int) -> Verdict:
    """The one retry policy. `now` in microseconds."""
    attempts, tried = head.attempts + 1, head.tried or now
    if isinstance(outcome, Delivered):
        return Verdict("DELIVERED", attempts, tried, reply=outcome.reply)
    dead = "HELD" if partner.head == "block" else "DEAD"
    if isinstance(outcome, Rejected):
        return Verdict(dead, attempts, tried, reason=outcome.reason, reply=outcome.reply)
    policy = partner.retry
    if not isinstance(outcome, Retry) and policy.unknown == "hold":
        return Verdict("HELD", attempts, tried, reason=outcome.reason)
    if policy.give_up is not None and now - tried >= policy.give_up * 1e6:
        return Verdict(dead, attempts, tried, reason=outcome.reason)
    wait = min(policy.max, policy.first * 2 ** min(head.attempts, 30))
    return Verdict("QUEUED", attempts, tried, now + int(wait * 1e6), outcome.reason)


def settle(connection: Connection, head: Head, verdict: Verdict, now: int) -> None:
    """Write what became of a delivery. The commit is the caller's."""
    id, reason = head.id, verdict.reason
    settled = None if verdict.state == "QUEUED" else now
    why = (reason.code, str(reason)) if reason else (None, None)
    when = (verdict.due, verdict.tried, settled)
    row = (verdict.state, verdict.attempts, *when, *why, verdict.reply or None, id)
    connection.run(SQL.deliver, row)
    if settled is not None and head.answers:
        if verdict.state == "DELIVERED":
            connection.run(SQL.wait_for, (now, id))
        if verdict.reply:
            _answer(connection, head.answers, id, verdict.reply, now)


def _answer(connection: Connection, channel: str, id: int, reply: bytes, now: int) -> None:
    """The answer on the same connection is a message like one that comes later by another."""
    inbox.append(connection, channel, Received(reply, f"answer-{id}", "destination"), now)
