"""The destinations that are delivered to: they start, stay and stop one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from engine.channel import Partner
from engine.runtime.delivery import Dispatcher

DRAIN = 10.0
"""Seconds that deliveries in hand get when they are waited for."""
Ended = Callable[["asyncio.Task[None]"], None]


class Destinations:
    """Where one takes over from another of the same name, it waits until that has settled all that it had in hand:
    a lane is never sent from two sides."""

    def __init__(self, dispatcher: Callable[[Partner], Dispatcher], ended: Ended) -> None:
        self._dispatcher = dispatcher
        self._ended = ended
        self.dispatchers: dict[str, Dispatcher] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def become(self, partners: Iterable[Partner], kept: Collection[str] = ()) -> None:
        """Deliver to these and no others; those that are `kept` go on as they are."""
        wanted = {partner.name: partner for partner in partners}
        for name in [n for n in self.dispatchers if n not in wanted or n not in kept]:
            self.dispatchers.pop(name).stop()
        for name, partner in wanted.items():
            if name not in self.dispatchers:
                self._start(name, self._dispatcher(partner))

    def _start(self, name: str, dispatcher: Dispatcher) -> None:
        self.dispatchers[name] = dispatcher
        self._tasks[name] = asyncio.create_task(self._run(dispatcher, self._tasks.get(name)))
        self._tasks[name].add_done_callback(self._ended)

    async def _run(self, dispatcher: Dispatcher, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        await dispatcher.run()

    async def rest(self) -> None:
        """Wait a while for those that were stopped to settle what they have in hand."""
        stopped = [task for name, task in self._tasks.items() if name not in self.dispatchers]
        if stopped:
            await asyncio.wait(stopped, timeout=DRAIN)

    async def close(self) -> None:
        """Send nothing more; what is in hand gets a while to be settled."""
        self.become(())
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=DRAIN)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
