"""The worker: durable messages, in order of arrival, through their channels and into the chart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile
from typing import TypeVar

import structlog

from engine.journal import inbox
from engine.journal.inbox import Waiting
from engine.message import Processed, State
from engine.runtime import clock
from engine.runtime.claims import Claims, Ticket
from engine.runtime.compute import Elsewhere
from engine.runtime.current import Current, Made
from engine.runtime.filing import Filed, file_all
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer
from store.reason import Reason

BATCH = 16  # small, so that the writer is held for milliseconds
IN_HAND = 2 * BATCH
"""So many messages may have been in hand when an engine died: one batch computed, one being filed."""
AGAIN = 1.0
"""Seconds after which a journal that could not be read is read again."""
STRIKES = 3
STRUCK = Reason(
    "three-strikes",
    "an engine died three times when it had this message in hand; look at it before it is tried again",
)
T = TypeVar("T")
log = structlog.get_logger("worker")


class Worker:
    """One batch is computed while the one before it is being committed.

    A batch is filed by the configuration that computed it, and only while that is current: else it is computed again.
    """

    def __init__(
        self,
        current: Current,
        waiting: Callable[[int], list[Waiting]],
        committer: Committer,
        broken: Callable[[Exception], bool],
        claims: Claims,
        filed: Callable[[str, Filed], None],
        leftovers: set[int],
    ) -> None:
        self.leftovers = leftovers
        self._current = current
        self._waiting = waiting
        self._committer = committer
        self._broken = broken
        self._claims = claims
        self._filed = filed
        self._woken = asyncio.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def retire(self, made: Made) -> None:
        """Close what computed for a configuration that is no longer current, when it has nothing in hand."""
        self._threads.submit(made.close)

    async def run(self) -> None:
        """Until cancelled. What is in hand is finished by the committer; the rest stays in the journal."""
        loop = asyncio.get_running_loop()
        committing: asyncio.Task[bool] | None = None
        held: frozenset[int] = frozenset()  # what is being committed, and still looks as if it were waiting
        try:
            while True:
                self._woken.clear()
                waiting = self._read(BATCH + len(held))
                batch = [w for w in waiting if w.id not in held][:BATCH]
                ticket = self._claims.ticket("channel", {w.channel for w in batch})  # at once: still as read
                batch = [] if ticket is None else batch
                if not batch and committing is None:
                    await self._woken.wait()
                    continue
                if batch and batch[0].id in self.leftovers:
                    if committing is None:
                        await self._carefully(batch[0], ticket or ())
                    else:  # then look again: what was not filed goes first
                        await committing
                        committing, held = None, frozenset()
                    continue
                batch = list(takewhile(lambda each: each.id not in self.leftovers, batch))
                made = self._current.made
                computed = await loop.run_in_executor(self._threads, made.compute, batch) if batch else []
                if committing is not None and not await committing:
                    batch = []  # what came before it must be computed again, and this one after it
                committing = (
                    asyncio.create_task(self._commit(made, batch, computed, ticket or ())) if batch else None
                )
                held = frozenset(w.id for w in batch)
        finally:
            if committing is not None:
                committing.cancel()  # the committer finishes what it has; a database that is down is not waited for
                await asyncio.wait([committing])
            self._threads.shutdown(wait=False)  # what is being computed is still in the journal

    async def _carefully(self, waiting: Waiting, ticket: Ticket) -> None:
        """One that was perhaps in hand when an engine died: by itself, and not for ever. It is counted only while it
        is in hand of this process, so that somebody who kills engines does not park what is innocent."""
        made = self._current.made
        asked = await self._computed(made, waiting) if isinstance(made.compute, Elsewhere) else None
        strikes = await self._written(lambda connection: inbox.strike(connection, waiting.id))
        if strikes is None:
            return
        self.leftovers.discard(waiting.id)
        if strikes >= STRIKES:
            log.error("parked after three strikes", message=waiting.id, channel=waiting.channel)
            asked = replace(
                asked or Processed(waiting.id, State.FAILED),
                state=State.FAILED, reason=STRUCK, said=(), outgoing=(),
            )  # fmt: skip
        await self._commit(made, [waiting], [asked or await self._computed(made, waiting)], ticket)

    async def _computed(self, made: Made, waiting: Waiting) -> Processed:
        loop = asyncio.get_running_loop()
        (asked,) = await loop.run_in_executor(self._threads, made.compute, [waiting])
        return asked

    def _read(self, limit: int) -> list[Waiting]:
        """What is next; nothing for a while when that cannot be read."""
        try:
            return self._waiting(limit)
        except Down as e:
            log.error("the journal cannot be read", reason=str(e))
            asyncio.get_running_loop().call_later(AGAIN, self.wake)
            return []

    async def _commit(
        self, made: Made, batch: Sequence[Waiting], computed: Sequence[Processed], ticket: Ticket
    ) -> bool:
        """False: another configuration is current by now, or another process has them, and nothing was filed; or it is
        not known what was."""
        by = made.configuration
        asked = [replace(each, configuration=by.number) for each in computed]

        def work(connection: Connection) -> list[Filed] | None:
            if self._current.made is not made or not self._claims.valid(connection, ticket):
                return None
            return file_all(connection, by.identity, asked, clock.now(), self._broken, by.triggers)

        began = time.monotonic()
        filed = await self._written(work)
        if filed is None:
            log.info("not filed", messages=len(batch))
            return False
        log.debug("filed", messages=len(batch), seconds=round(time.monotonic() - began, 4))
        for waiting, each in zip(batch, filed, strict=True):
            self._filed(waiting.channel, each)
        return True

    async def _written(self, work: Callable[[Connection], T]) -> T | None:
        """Disk full, database locked: the messages stay in the journal, and it is tried again. None: nobody knows."""
        wait = 0.1
        while True:
            try:
                return await self._committer.submit(work)
            except Down as e:
                log.error("chart unavailable", reason=str(e), retry_in=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)
            except Uncertain:
                return None
