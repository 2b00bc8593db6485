"""A source at work, for the tests that speak to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.plugin import Source
from tests.conformance.intake import DEADLINE, MemoryIntake


class Running:
    """A source at work; `address` is what it told when it was ready. Cancelling `task` stops it."""

    def __init__(self, source: Source, intake: MemoryIntake) -> None:
        self.address = ""
        self._ready = asyncio.Event()
        self.task = asyncio.create_task(source.run(intake, self._tell))

    def _tell(self, address: str) -> None:
        assert not self.address, "ready is told once"
        self.address = address
        self._ready.set()

    async def ready(self) -> None:
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait([waiting, self.task], return_when="FIRST_COMPLETED", timeout=DEADLINE)
        waiting.cancel()
        assert self.address, "the source did not get ready"

    async def ended(self) -> None:
        await asyncio.wait([self.task], timeout=DEADLINE)
        assert self.task.done()


@asynccontextmanager
async def running(source: Source, intake: MemoryIntake) -> AsyncIterator[Running]:
    started = Running(source, intake)
    try:
        await started.ready()
        yield started
    finally:
        started.task.cancel()
        await started.ended()
