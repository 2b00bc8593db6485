"""The running engine, as the web sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from engine.channel import Configuration
from engine.journal.spool import Spool
from engine.pausing import Pausing
from engine.plugin import Intake
from engine.reload import Reload
from engine.runtime.delivery import Dispatcher
from engine.runtime.metrics import Metrics
from engine.runtime.reading import Open, beside
from store.database import Connection
from store.database.commit import Committer
from store.identity import Identity
from store.reason import Reason

T = TypeVar("T")


def unheard(hint: str) -> None:
    """There is no other process."""


@dataclass(frozen=True, slots=True)
class Running:
    """`current` gives the configuration that runs now, which may be another one later.

    `reader` is a read-only connection for the event loop's thread; writes go through `committer`.
    `open` makes another one, for `look`. `unready` says why messages cannot be taken now, or None if they can.
    `dispatchers` by destination, `intakes` by channel."""

    current: Callable[[], Configuration]
    reader: Connection
    committer: Committer
    metrics: Metrics
    unready: Callable[[], Reason | None]
    open: Open | None = None
    dispatchers: Mapping[str, Dispatcher] = field(default_factory=dict)
    intakes: Mapping[str, Intake] = field(default_factory=dict)
    spool: Spool | None = None
    reload: Reload | None = None
    pausing: Pausing | None = None
    hint: Callable[[str], None] = unheard

    @property
    def configuration(self) -> Configuration:
        return self.current()

    @property
    def identity(self) -> Identity:
        return self.configuration.identity

    def paused(self, kind: str, name: str) -> bool:
        """Has an operator paused this `channel` or `destination`?"""
        return self.pausing is not None and (kind, name) in self.pausing.lines.paused

    def hurry(self, destination: str, lane: int) -> None:
        """A lane may go on, whatever it waited for."""
        if dispatcher := self.dispatchers.get(destination):
            dispatcher.hurry(lane)
        else:
            self.hint(f"hurry {lane} {destination}")

    async def look(self, read: Callable[[Connection], T]) -> T:
        """What a reading finds that may take long, beside the event loop."""
        return await beside(self.open, read) if self.open else read(self.reader)
