"""Claims: what one process at a time does, of those that run on one database. PostgreSQL only.

A claim is a row with an owner, an epoch and an expiry. It is renewed while its owner lives; one that expired is taken
by another process under the next epoch, and from then on nothing is written under the one before (`fence`). Time is
the server's. Every call runs inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from engine.journal import inbox
from engine.journal.inbox import Waiting
from engine.journal.spool import Spool
from store.database import Connection
from store.database.statements import load

SQL = load("engine.journal", "claims.sql")
TERM = 5_000_000
"""Microseconds after which a claim that is not renewed is anybody's."""
GRACE = 2_500_000
"""And for so long it is left to the process whose turn it is."""
Claim = tuple[str, str]  # kind, name
ROLES: Mapping[str, str] = {
    "channel": "role worker", "splitting": "role worker", "destination": "role deliver", "source": "role intake",
    "watch": "role worker",
}  # fmt: skip
"""Which processes can take what."""


class Taken(NamedTuple):
    """A claim that is ours now. `unclean`: the owner before did not let it go."""

    epoch: int
    unclean: bool


class Beat(NamedTuple):
    """What a process has after it has told that it lives, and what of that is another's turn."""

    held: Mapping[Claim, int]  # epochs
    unclean: Collection[Claim]
    surplus: Collection[Claim]
    living: frozenset[Claim] = frozenset()
    untaken: frozenset[Claim] = (
        frozenset()
    )  # taken because whose turn it is did not, while the same ones live


def beat(
    connection: Connection, owner: str, roles: Iterable[str], wanted: Collection[Claim], last: Beat
) -> Beat:
    """Renew what is ours, take what is free and ours to take; `last` is what came of it the last time."""
    now: int = connection.all(SQL.now)[0][0]
    for role in roles:
        connection.run(SQL.appear, (f"role {role}", owner, now + TERM))
    connection.run(SQL.bury, (now - 60 * TERM,))
    connection.run(SQL.renew, (now + TERM, owner))
    living = frozenset((kind, name) for kind, name in connection.all(SQL.living, (now,)))
    untaken = last.untaken if living == last.living else frozenset()
    held = {(kind, name): epoch for kind, name, epoch in connection.all(SQL.held, (owner,))}
    unclean: list[Claim] = []
    for claim in _free(connection, wanted, now):
        mine = _turn(claim[:2], living) == owner
        if (mine or claim[2] < now - GRACE) and (taken := _take(connection, owner, claim[:2], now)):
            held[claim[:2]] = taken.epoch
            unclean += [claim[:2]] if taken.unclean else []
            untaken = untaken if mine else untaken | {claim[:2]}
    surplus = [c for c in held if c not in wanted or (c not in untaken and _turn(c, living) != owner)]
    return Beat(held, unclean, surplus, living, untaken)


def _free(connection: Connection, wanted: Collection[Claim], now: int) -> list[tuple[str, str, int]]:
    """With the time at which each expired; what was never there is there now, and was let go just now."""
    known = {(kind, name) for kind, name in connection.all(SQL.known)}
    connection.many(SQL.offer, [(*claim, now) for claim in wanted if claim not in known])
    free = [(kind, name, expires) for kind, name, expires in connection.all(SQL.free, (now,))]
    return [row for row in free if row[:2] in wanted]


def _turn(claim: Claim, living: Iterable[Claim]) -> str | None:
    """Of the processes that live and can, the one whose turn it is: the same one, whoever asks (rendezvous hashing)."""
    able = [name for role, name in living if role == ROLES[claim[0]]]
    return max(able, key=lambda name: _weight(claim, name), default=None)


def _weight(claim: Claim, name: str) -> bytes:
    return hashlib.blake2b("\0".join((*claim, name)).encode(), digest_size=8).digest()


def _take(connection: Connection, owner: str, claim: Claim, now: int) -> Taken | None:
    rows = connection.all(SQL.take, (owner, now + TERM, *claim, now))
    return Taken(rows[0][0], rows[0][1] not in ("", owner)) if rows else None


def release(connection: Connection, owner: str, claims: Iterable[Claim]) -> None:
    """Let them go: they are anybody's at once."""
    now: int = connection.all(SQL.now)[0][0]
    connection.many(SQL.release, [(now, *claim, owner) for claim in claims])


def disappear(connection: Connection, owner: str) -> None:
    """The process ends, and has let go what it had."""
    connection.run(SQL.disappear, (owner,))


def waiting(connection: Connection, channels: Sequence[str], limit: int, spool: Spool) -> list[Waiting]:
    """As `inbox.waiting`, of these channels."""
    return [inbox.waited(row, spool) for row in connection.all(SQL.waiting, (channels, limit))]


def first_waiting(connection: Connection, channel: str, limit: int) -> set[int]:
    """As `inbox.first_waiting`, of one channel."""
    return {id for (id,) in connection.all(SQL.first_waiting, (channel, limit))}


def fence(connection: Connection, owner: str, claim: Claim, epoch: int) -> bool:
    """Is it still ours, under this epoch? Then nobody takes it before the end of the transaction."""
    known = (claim, epoch)
    if known not in connection.sure and connection.all(SQL.fence, (*claim, owner, epoch)):
        connection.sure.add(known)
    return known in connection.sure
