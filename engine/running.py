"""The running engine, as the web sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from engine.channel import Configuration
from engine.journal.spool import Spool
from engine.plugin import Intake
from engine.runtime.delivery import Dispatcher
from engine.runtime.metrics import Metrics
from store.database import Connection
from store.database.commit import Committer
from store.identity import Identity
from store.reason import Reason

T = TypeVar("T")


class Reading(Connection, Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """`reader` is a read-only connection for the event loop's thread; writes go through `committer`.
    `open` makes another one, for `look`. `unready` says why messages cannot be taken now, or None if they can.
    `dispatchers` by destination, `intakes` by channel."""

    configuration: Configuration
    reader: Connection
    committer: Committer
    identity: Identity
    metrics: Metrics
    unready: Callable[[], Reason | None]
    open: Callable[[], Reading] | None = None
    dispatchers: Mapping[str, Dispatcher] = field(default_factory=dict)
    intakes: Mapping[str, Intake] = field(default_factory=dict)
    spool: Spool | None = None

    def hurry(self, destination: str, lane: int) -> None:
        """A lane may go on, whatever it waited for."""
        if dispatcher := self.dispatchers.get(destination):
            dispatcher.hurry(lane)

    async def look(self, read: Callable[[Connection], T]) -> T:
        """What a reading finds that may take long, beside the event loop."""
        return await asyncio.to_thread(self._look, read) if self.open else read(self.reader)

    def _look(self, read: Callable[[Connection], T]) -> T:
        assert self.open
        connection = self.open()
        try:
            return read(connection)
        finally:
            connection.close()
