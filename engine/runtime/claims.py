"""What this process does of what only one does at a time: everything, or what it has claimed on a shared database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import structlog

from engine.journal import claims
from engine.journal.claims import Beat, Claim
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer

log = structlog.get_logger("claims")
EVERY = 1.0
"""Seconds between two beats."""
Ticket = Sequence[tuple[Claim, int]]
"""Claims with the epochs under which something was begun."""


class Claims(Protocol):
    """Whose work it is."""

    def holds(self, kind: str, name: str) -> bool: ...

    def ticket(self, kind: str, names: Collection[str]) -> Ticket | None:
        """What `valid` wants to know of work that begins now; None: it is not ours."""

    def valid(self, connection: Connection, ticket: Ticket) -> bool:
        """May what was begun be written, in this transaction?"""

    async def run(self) -> None:
        """Until cancelled: keep what is ours."""


class Everything:
    """There is one process."""

    def holds(self, kind: str, name: str) -> bool:
        return True

    def ticket(self, kind: str, names: Collection[str]) -> Ticket | None:
        return ()

    def valid(self, connection: Connection, ticket: Ticket) -> bool:
        return True

    async def run(self) -> None:
        await asyncio.Event().wait()


class Shared:
    """One of several processes on one database. `wanted` is what it could do; `changed` is told what it may begin or
    has to end, with the claims whose owner before died, and returns when what it has to end has ended."""

    def __init__(
        self,
        committer: Committer,
        owner: str,
        roles: Collection[str],
        wanted: Callable[[], Collection[Claim]],
        changed: Callable[[Collection[Claim]], Awaitable[None]],
    ) -> None:
        self._committer = committer
        self._owner = owner
        self._roles = roles
        self._wanted = wanted
        self._changed = changed
        self._beat = Beat({}, (), ())
        self._until = 0.0  # the claims are certainly ours
        self._granted: frozenset[Claim] = frozenset()  # what `changed` was last called for
        self._again = False  # it failed
        self._unclean: set[Claim] = set()
        self._telling: asyncio.Task[None] | None = None

    def holds(self, kind: str, name: str) -> bool:
        """As `changed` was last told, so that all that follows from it is of one piece; `ticket` knows better."""
        return (kind, name) in self._granted

    def names(self, kind: str) -> list[str]:
        """What is ours of one kind."""
        return [name for of, name in self._held() if of == kind]

    def _held(self) -> frozenset[Claim]:
        if time.monotonic() > self._until:
            return frozenset()
        return frozenset(self._beat.held).difference(self._beat.surplus)

    def ticket(self, kind: str, names: Collection[str]) -> Ticket | None:
        held = self._held()
        wanted = [(kind, name) for name in sorted(names)]
        return [(claim, self._beat.held[claim]) for claim in wanted] if held.issuperset(wanted) else None

    def valid(self, connection: Connection, ticket: Ticket) -> bool:
        return all(claims.fence(connection, self._owner, claim, epoch) for claim, epoch in ticket)

    async def run(self) -> None:
        """Until cancelled; then everything is let go. Nothing may be in hand any more."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(EVERY)
        finally:
            if self._telling is not None:
                self._telling.cancel()
            with contextlib.suppress(Down, Uncertain):
                await self._committer.submit(self._leave, first=True)

    async def _once(self) -> None:
        began = time.monotonic()
        try:
            self._beat = await self._committer.submit(self._live, first=True)
            self._until = began + claims.TERM / 1e6
            self._unclean.update(self._beat.unclean)
        except (Down, Uncertain) as e:
            log.warning("the claims cannot be renewed", reason=str(e))
        if self._held() != self._granted or self._beat.surplus or self._again:
            self._tell()

    def _live(self, connection: Connection) -> Beat:
        return claims.beat(connection, self._owner, self._roles, self._wanted(), self._beat)

    def _tell(self) -> None:
        """One at a time: what ends may take its time, and the beat goes on."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._change())

    async def _change(self) -> None:
        held, unclean, surplus = self._held(), frozenset(self._unclean), self._beat.surplus
        for kind, name in held - self._granted:
            log.info("claimed", kind=kind, name=name)
        self._granted, self._again = held, False
        try:
            await self._changed(unclean)
        except Exception as e:  # then at the next beat
            log.error("what was claimed cannot be begun", error=type(e).__name__)
            self._again = True
            return
        self._unclean -= unclean
        if surplus:
            log.info("let go", claims=[f"{kind} {name}" for kind, name in surplus])
            with contextlib.suppress(Down, Uncertain):
                await self._committer.submit(lambda c: claims.release(c, self._owner, surplus), first=True)

    def _leave(self, connection: Connection) -> None:
        claims.release(connection, self._owner, self._beat.held)
        claims.disappear(connection, self._owner)
