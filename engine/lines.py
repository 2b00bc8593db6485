"""What runs of the current configuration: its sources and its destinations, less what is paused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from engine.channel import Configuration, Marks
from engine.journal import inbox
from engine.journal.pauses import Name
from engine.runtime.claims import Claims
from engine.runtime.current import Current, Made
from engine.runtime.destinations import Destinations
from engine.runtime.metrics import Metrics
from engine.runtime.reading import Open, beside
from engine.runtime.sources import Cannot, Group, Sources, grouped, listens, role
from engine.runtime.worker import Worker
from store.database.commit import Committer

READY = 10.0
"""Seconds that a new source gets to say that it listens; one that dials out may take longer."""
DRAIN = 20.0
"""Seconds in which a channel that is removed must have processed what it took."""
log = structlog.get_logger("engine")


class Undrained(Exception):
    """A channel that is to be removed still has messages to process."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.channel = channel


@dataclass
class Lines:
    """One configuration is replaced by another without a moment in which two of them are in force. `lock` is held by
    whoever changes what runs; `changed` is called when it may have; `lost` if what ran before cannot run again."""

    current: Current
    worker: Worker
    open: Open
    sources: Sources
    destinations: Destinations
    committer: Committer
    metrics: Metrics
    claims: Claims
    roles: Collection[str]
    changed: Callable[[], None]
    lost: Callable[[], None]
    paused: Collection[Name] = ()
    stopped: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def groups(self, configuration: Configuration) -> list[Group]:
        """The channels of each source that runs here: one that is paused stops those that share its source."""
        groups = (g for g in grouped(configuration.channels) if role(g) in self.roles)
        mine = [g for g in groups if listens(g) or self.claims.holds("source", g[0].name)]
        return [g for g in mine if not any(("channel", c.name) in self.paused for c in g)]

    async def listen(self) -> None:
        """Start every source; return when all listen. Raises Cannot."""
        configuration = self.current.made.configuration
        await self.sources.join(self.groups(configuration), configuration)

    def deliver(self, kept: Collection[str] = ()) -> None:
        """Deliver to every destination."""
        configuration = self.current.made.configuration
        self.metrics.begin(channel.name for channel in configuration.channels)
        named = [p for p in configuration.partners if self.claims.holds("destination", p.name)]
        wanted = [p for p in named if ("destination", p.name) not in self.paused]
        self.destinations.become(wanted, kept)

    async def stop(self) -> None:
        """Every source answers what it has in hand and stops; nothing is started any more."""
        async with self.lock:
            self.stopped = True
            await self.sources.leave(())

    async def become(self, made: Made) -> None:
        """Replace the configuration, or leave all as before. Raises Cannot, Undrained, Down.

        Channels that are not in it process what they took; sources that are not in it stop, and answer what they have
        in hand; then it is current, at once; then its new sources start.
        """
        before = self.current.made
        try:
            await self._leave(before, made)
            await self._join(made, before.configuration.marks)
        except Exception:
            await self._return(before, made)
            raise
        finally:
            self.changed()
        self.worker.retire(before)

    async def _return(self, before: Made, made: Made) -> None:
        try:
            await self.sources.leave(self.groups(before.configuration))
            await self._join(before, made.configuration.marks)
        except Cannot:
            self.lost()
        self.worker.retire(made)

    async def obey(self, paused: Collection[Name]) -> None:
        """Stop what is paused now, start what is not any more. Raises Cannot: that stays as it was."""
        if self.stopped:
            return
        made, before = self.current.made, self.paused
        self.paused = paused
        await self.sources.leave(self.groups(made.configuration))
        try:
            await self._join(made, made.configuration.marks)
            await self.destinations.rest()
        except Cannot:
            self.paused = before
            raise
        finally:
            self.changed()

    async def _leave(self, before: Made, made: Made) -> None:
        if removed := _names(before.configuration) - _names(made.configuration):
            await self._remove(before, removed)
        await self.sources.leave(self.groups(made.configuration))

    async def _remove(self, before: Made, removed: Collection[str]) -> None:
        """These channels take nothing more, are told nothing more by the chart, and process what they took."""
        less = replace(before, configuration=_untold(before.configuration, removed))
        staying = [[c for c in group if c.name not in removed] for group in self.groups(before.configuration)]
        groups = [group for group in staying if group]
        await self.sources.leave(groups)
        self.current.made = less
        self.sources.become(groups, less.configuration)
        await self.committer.submit(lambda connection: None)  # what was under way before is durable now
        await self._drained(removed)

    async def _join(self, made: Made, running: Marks) -> None:
        self._set(made)
        wanted = made.configuration.marks.destinations
        self.deliver([name for name, mark in wanted.items() if running.destinations.get(name) == mark])
        await self.sources.join(self.groups(made.configuration), made.configuration, READY)

    def _set(self, made: Made) -> None:
        self.current.made = made
        self.sources.become(self.groups(made.configuration), made.configuration)
        self.worker.wake()

    async def _drained(self, channels: Iterable[str]) -> None:
        end = time.monotonic() + DRAIN
        for channel in channels:
            look = partial(inbox.unprocessed, channel=channel)
            while (await beside(self.open, look)).moving:
                if time.monotonic() > end:
                    raise Undrained(channel)
                await asyncio.sleep(0.05)


def _names(configuration: Configuration) -> set[str]:
    return {channel.name for channel in configuration.channels}


def _untold(configuration: Configuration, channels: Collection[str]) -> Configuration:
    """The chart tells these channels nothing more."""
    told = {
        type: tuple(trigger for trigger in triggers if trigger.channel not in channels)
        for type, triggers in configuration.triggers.items()
    }
    return replace(configuration, triggers=told)
