"""Group commit: one thread, one writing connection, many pieces of work per fsync.

Work that a sender waits for goes first; what it waits for is over when the COMMIT that holds it has been
fsynced. If one piece of work raises, the transaction is rolled back and every piece is run again in a
transaction of its own, so that it fails alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import structlog

from store.database import Connection, Down, Uncertain, Untrusted, Writing

log = structlog.get_logger("database")
T = TypeVar("T")
Work = Callable[[Connection], T]


class Job(NamedTuple):
    """`failed`, if given, turns what went wrong into a result: the future then never raises."""

    work: Work[Any]
    future: asyncio.Future[Any]
    failed: Callable[[BaseException], Any] | None


Settled = tuple[Job, Any, BaseException | None]


class Committer:
    """The one writer. `submit` from the event loop's thread; `on_death` is called there if the thread dies."""

    def __init__(
        self,
        connection: Writing,
        on_death: Callable[[BaseException], None],
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self.commits = 0
        self.down: str | None = None  # why the last transaction could not be committed, if it could not
        self._on_commit = on_commit
        self._connection = connection
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._first: deque[Job] = deque()
        self._later: deque[Job] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Work[T],
        *,
        first: bool = False,
        failed: Callable[[BaseException], T] | None = None,
    ) -> asyncio.Future[T]:
        """Run `work(connection)` in the next transaction; it may be run again if the group has to be undone.
        The future ends after the fsync with its result, with `Down` (nothing committed), with `Uncertain`,
        or with what `work` raised; or with what `failed` makes of these."""
        job = Job(work, self._loop.create_future(), failed)
        if self._stopping:
            _finish(job, None, Down("the engine is stopping"))
            return job.future
        (self._first if first else self._later).append(job)
        self._wake.set()
        return job.future

    async def stop(self) -> None:
        """Finish what was submitted, then end the thread."""
        self._stopping = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        batch: list[Job] = []
        try:
            while batch := self._next():
                self._settle(self._transact(batch))
        except BaseException as e:  # nothing can be trusted any more, or a bug
            self._loop.call_soon_threadsafe(self._died, e, batch)

    def _died(self, error: BaseException, batch: list[Job]) -> None:
        """In the loop's thread, so that nothing is submitted meanwhile: nobody may wait for an answer for ever."""
        self._stopping = True
        for job in (*batch, *self._first, *self._later):
            _finish(job, None, Uncertain(str(error)))
        self._on_death(error)

    def _next(self) -> list[Job]:
        """Everything that a sender waits for, and one piece of the rest; empty when it is time to stop."""
        while not (self._first or self._later):
            if self._stopping:
                return []
            self._wake.wait()
            self._wake.clear()
        batch = [self._first.popleft() for _ in range(len(self._first))]
        if self._later:
            batch.append(self._later.popleft())
        return batch

    def _transact(self, batch: list[Job]) -> list[Settled]:
        try:
            return self._together(batch)
        except Untrusted:
            raise
        except Uncertain as e:
            log.error("it is not known what was committed", reason=str(e))
            return [(job, None, e) for job in batch]
        except Exception as e:
            self._connection.rollback()
            if self._connection.again(e):
                return self._transact(batch)
            if len(batch) > 1 and not self.broken(e):
                return [settled for job in batch for settled in self._transact([job])]
            error = self._failing(e) if self.broken(e) else e
            return [(job, None, error) for job in batch]

    def _together(self, batch: list[Job]) -> list[Settled]:
        self._connection.begin()
        settled: list[Settled] = [(job, job.work(self._connection), None) for job in batch]
        self._connection.commit()
        self.commits += 1
        if self.down:
            log.info("the database takes work again")
        self.down = None
        return settled

    def _failing(self, error: Exception) -> Down:
        why = str(error) if isinstance(error, Down) else type(error).__name__
        if not self.down:
            log.error("the database takes no work", reason=why)
        self.down = why
        return Down(why)

    def broken(self, error: Exception) -> bool:
        """Is this the database's failure, so that all work is to be undone, rather than one piece of work's?"""
        return isinstance(error, Down) or self._connection.broken(error)

    def _settle(self, settled: list[Settled]) -> None:
        self._loop.call_soon_threadsafe(self._resolve, settled)

    def _resolve(self, settled: list[Settled]) -> None:
        for job, result, error in settled:
            _finish(job, result, error)
        self._on_commit()


def _finish(job: Job, result: Any, error: BaseException | None) -> None:
    if job.future.done():
        return
    if error is None:
        job.future.set_result(result)
    elif job.failed is not None:
        job.future.set_result(job.failed(error))
    else:
        job.future.set_exception(error)
