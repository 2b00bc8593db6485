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
from engine.journal.spool import Spool
from engine.message import Processed, State
from engine.runtime import clock
from engine.runtime.compute import Elsewhere
from engine.runtime.current import Current, Made
from engine.runtime.filing import Filed, file_all
from store.database import Connection, Down
from store.database.commit import Committer
from store.reason import Reason

BATCH = 16  # small, so that the writer is held for milliseconds
IN_HAND = 2 * BATCH
"""So many messages may have been in hand when an engine died: one batch computed, one being filed."""
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
        reader: Connection,
        committer: Committer,
        broken: Callable[[Exception], bool],
        spool: Spool,
        filed: Callable[[str, Filed], None],
        leftovers: set[int],
    ) -> None:
        self._leftovers = leftovers
        self._current = current
        self._reader = reader
        self._committer = committer
        self._broken = broken
        self._spool = spool
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
                waiting = inbox.waiting(self._reader, BATCH + len(held), self._spool)
                batch = [w for w in waiting if w.id not in held][:BATCH]
                if not batch and committing is None:
                    await self._woken.wait()
                    continue
                if batch and batch[0].id in self._leftovers:
                    if committing is None:
                        await self._carefully(batch[0])
                    else:  # then look again: what was not filed goes first
                        await committing
                        committing, held = None, frozenset()
                    continue
                batch = list(takewhile(lambda each: each.id not in self._leftovers, batch))
                made = self._current.made
                computed = await loop.run_in_executor(self._threads, made.compute, batch) if batch else []
                if committing is not None and not await committing:
                    batch = []  # what came before it must be computed again, and this one after it
                committing = asyncio.create_task(self._commit(made, batch, computed)) if batch else None
                held = frozenset(w.id for w in batch)
        finally:
            if committing is not None:
                committing.cancel()  # the committer finishes what it has; a database that is down is not waited for
                await asyncio.wait([committing])
            self._threads.shutdown(wait=False)  # what is being computed is still in the journal

    async def _carefully(self, waiting: Waiting) -> None:
        """One that was perhaps in hand when an engine died: by itself, and not for ever. It is counted only while it
        is in hand of this process, so that somebody who kills engines does not park what is innocent."""
        self._leftovers.discard(waiting.id)
        made = self._current.made
        asked = await self._computed(made, waiting) if isinstance(made.compute, Elsewhere) else None
        if await self._written(lambda connection: inbox.strike(connection, waiting.id)) >= STRIKES:
            log.error("parked after three strikes", message=waiting.id, channel=waiting.channel)
            asked = Processed(waiting.id, State.FAILED, STRUCK)
        await self._commit(made, [waiting], [asked or await self._computed(made, waiting)])

    async def _computed(self, made: Made, waiting: Waiting) -> Processed:
        loop = asyncio.get_running_loop()
        (asked,) = await loop.run_in_executor(self._threads, made.compute, [waiting])
        return asked

    async def _commit(self, made: Made, batch: Sequence[Waiting], computed: Sequence[Processed]) -> bool:
        """False: another configuration is current by now, and nothing was filed."""
        by = made.configuration
        asked = [replace(each, configuration=by.number) for each in computed]

        def work(connection: Connection) -> list[Filed] | None:
            if self._current.made is not made:
                return None
            return file_all(connection, by.identity, asked, clock.now(), self._broken, by.triggers)

        began = time.monotonic()
        filed = await self._written(work)
        if filed is None:
            log.info("computed again by another configuration", messages=len(batch))
            return False
        log.debug("filed", messages=len(batch), seconds=round(time.monotonic() - began, 4))
        for waiting, each in zip(batch, filed, strict=True):
            self._filed(waiting.channel, each)
        return True

    async def _written(self, work: Callable[[Connection], T]) -> T:
        """Disk full, database locked: the messages stay in the journal, and it is tried again."""
        wait = 0.1
        while True:
            try:
                return await self._committer.submit(work)
            except Down as e:
                log.error("chart unavailable", reason=str(e), retry_in=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)
