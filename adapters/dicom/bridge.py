"""From pynetdicom's threads to the engine's loop and back."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable

from engine.message import Receipt, Uncertain


class Bridge:
    """Waits in a thread for what the loop answers."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop

    def receipt(self, call: Callable[[], Future[Receipt]]) -> Receipt:
        """What became of a call of the intake; Uncertain if it failed."""
        return asyncio.run_coroutine_threadsafe(_receipt(call), self._loop).result()


async def _receipt(call: Callable[[], Future[Receipt]]) -> Receipt:
    future = call()
    await asyncio.wait([future])
    return Uncertain() if future.cancelled() or future.exception() else future.result()
