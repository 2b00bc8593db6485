"""The engine's side of a source, in memory: what came, and receipts as a test wants them."""

from __future__ import annotations

import asyncio
import tempfile
from asyncio import Future
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from engine.journal.spool import Spool
from engine.message import Accepted, Receipt, Received, Refused
from store.reason import Reason

DEADLINE = 10.0


class MemoryIntake:
    """`answer` decides each receipt; None holds it back until `release`."""

    def __init__(self, answer: Callable[[Received], Receipt | None] = lambda received: Accepted(1)) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.refused: list[tuple[Received, Reason]] = []
        self.held: list[Future[Receipt]] = []
        self._came = asyncio.Event()

    def __call__(self, received: Received) -> Future[Receipt]:
        self.received.append(received)
        return self._receipt(self.answer(received))

    @cached_property
    def spool(self) -> Spool:
        """The engine's own spool, in a directory that goes with the test."""
        self._directory = tempfile.TemporaryDirectory(prefix="spool")
        return Spool(Path(self._directory.name))

    def ask(self, received: Received) -> Future[Receipt]:
        """A query is answered as `answer` decides."""
        self.received.append(received)
        return self._receipt(self.answer(received))

    def refuse(self, received: Received, reason: Reason) -> Future[Receipt]:
        self.refused.append((received, reason))
        return self._receipt(Refused(reason))

    def _receipt(self, receipt: Receipt | None) -> Future[Receipt]:
        future: Future[Receipt] = asyncio.get_running_loop().create_future()
        if receipt is None:
            self.held.append(future)
        else:
            future.set_result(receipt)
        self._came.set()
        return future

    def release(self, receipt: Receipt) -> None:
        """Every receipt that was held back."""
        for future in self.held:
            future.set_result(receipt)
        self.held.clear()

    async def came(self, messages: int, refused: int = 0) -> None:
        """Wait until so many messages have been taken and so many been refused."""
        async with asyncio.timeout(DEADLINE):
            while len(self.received) < messages or len(self.refused) < refused:
                self._came.clear()
                await self._came.wait()
