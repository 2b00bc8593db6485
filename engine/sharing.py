"""One of several processes on one database: what it looks for because others may have left it there.

Hints through Redis make it quick; without them, or when one is lost, a sweep finds everything. What others have
paused is paused here, and a source whose address another process has is taken over when that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from engine.channel import Configuration
from engine.journal import chunks, claims, pauses
from engine.journal.chunks import Chunks
from engine.journal.claims import Claim
from engine.lines import Lines
from engine.runtime import clock
from engine.runtime.destinations import Destinations
from engine.runtime.hints import Hints
from engine.runtime.sources import Cannot, grouped, listens, role
from engine.runtime.splitting import Splitters
from engine.runtime.worker import IN_HAND, Worker
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer

OFTEN = 0.1
"""Seconds between two sweeps without hints."""
SELDOM = 1.0
"""And with them."""
TIDY = 600.0
"""Seconds between two looks for what the spool need not keep."""
OTHERS = 1.0
"""Seconds between two looks for what others have paused, or let go."""
log = structlog.get_logger("sharing")


def wanted(configuration: Configuration, roles: Collection[str]) -> frozenset[Claim]:
    """What a process with these roles can do that only one does at a time."""
    channels, found = configuration.channels, set[Claim]()
    if "worker" in roles:
        found |= {("watch", ""), *(("channel", channel.name) for channel in channels)}
        found |= {("splitting", "") for channel in channels if channel.split}
    if "deliver" in roles:
        found |= {("destination", partner.name) for partner in configuration.partners}
    found |= {("source", g[0].name) for g in grouped(channels) if role(g) in roles and not listens(g)}
    return frozenset(found)


@dataclass
class Sharing:
    """`ready` is called when every source of this process listens."""

    lines: Lines
    worker: Worker
    splitters: Splitters
    destinations: Destinations
    reader: Connection
    committer: Committer
    spool: Chunks
    hints: Hints
    ready: Callable[[], None]
    standby: bool = False

    async def sweep(self) -> None:
        """Until cancelled."""
        while True:
            self.wake()
            await asyncio.sleep(SELDOM if self.hints.heard else OFTEN)

    def wake(self, hint: str = "") -> None:
        """Look for work: everywhere, or where a hint points: `worker`, `destination NAME`, `hurry LANE NAME`."""
        if hint.startswith("hurry "):
            _, lane, destination = hint.split(" ", 2)
            if there := self.destinations.dispatchers.get(destination):
                there.hurry(int(lane))
            return
        if hint in ("", "worker"):
            self.worker.wake()
            self.splitters.wake()
        for name, dispatcher in list(self.destinations.dispatchers.items()):
            if hint in ("", f"destination {name}"):
                dispatcher.look()

    async def follow(self) -> None:
        """Until cancelled: what others have paused or let go."""
        while True:
            await asyncio.sleep(OTHERS)
            try:
                paused = frozenset(pause.of for pause in pauses.pauses(self.reader))
                if self.standby or paused != frozenset(self.lines.paused):
                    await self._obey(paused)
            except Down as e:
                log.warning("what is paused cannot be read", reason=str(e))

    async def tidy(self) -> None:
        """Until cancelled: the spool keeps only what somebody names."""
        while True:
            await asyncio.sleep(TIDY)
            await asyncio.to_thread(self.spool.trim)
            if self.lines.claims.holds("watch", ""):
                with contextlib.suppress(Down, Uncertain):
                    await self.committer.submit(lambda c: chunks.sweep(c, clock.now()))

    async def claimed(self, unclean: Collection[Claim]) -> None:
        """What may be begun, and what must end, has changed. Return when that has ended."""
        for kind, name in unclean:
            if kind == "channel":
                self.worker.leftovers |= claims.first_waiting(self.reader, name, IN_HAND)
        await self._obey(frozenset(self.lines.paused))
        self.wake()

    async def _obey(self, paused: frozenset[tuple[str, str]]) -> None:
        async with self.lines.lock:
            try:
                await self.lines.obey(paused)
            except Cannot as e:
                if not self.standby:
                    log.warning("a source cannot be had yet", channel=e.channel, reason=e.why)
                self.standby = True
                return
        if self.standby:
            log.info("taking over")
            self.standby = False
            self.ready()
