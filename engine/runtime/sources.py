"""The sources that run, each with the intake that its channels share: they start, stay and stop one by one."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from engine.api import FhirSource
from engine.channel import Channel, Configuration
from engine.runtime.intake import Intake
from engine.trigger import ChartSource

Ended = Callable[["asyncio.Task[None]"], None]
Group = Sequence[Channel]  # the channels behind one source
log = structlog.get_logger("engine")


class Cannot(Exception):
    """A source did not start: the channel, why in a word or two, and whether somebody else has its address."""

    def __init__(self, channel: str, why: str, taken: bool = False) -> None:
        super().__init__(channel, why)
        self.taken = taken
        self.channel = channel
        self.why = why


class Listening:
    """One source, from its start until it has answered all that it had in hand."""

    def __init__(self, group: Group, intake: Intake) -> None:
        self.group = group
        self.intake = intake
        self.address = ""
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, ended: Ended, patience: float | None) -> None:
        """Return when it can take messages, or after so many seconds. `ended` is called if it ends by itself later.
        Raises Cannot."""
        self._task = asyncio.create_task(self.group[0].source.run(self.intake, self._ready))
        heard = asyncio.create_task(self._heard.wait())
        try:
            await asyncio.wait([self._task, heard], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.stop()
            raise
        finally:
            heard.cancel()
        if self._task.done() and (error := self._task.exception()):
            raise self._cannot(error)
        self._task.add_done_callback(ended)

    def _cannot(self, error: BaseException) -> Cannot:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number) if number else type(error).__name__
        name = self.group[0].name
        taken = number == errno.EADDRINUSE
        say = log.warning if taken else log.critical
        say("a source cannot be had", channel=name, address=address(self.group), reason=why)
        return Cannot(name, why, taken)

    def _ready(self, address: str) -> None:
        self.address = address
        self._heard.set()

    async def stop(self) -> None:
        """Take nothing more; return when all in hand is answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


class Sources:
    """A source that two configurations have in common keeps its listener and its connections."""

    def __init__(self, intake: Callable[[Group, Configuration], Intake], ended: Ended) -> None:
        self._intake = intake
        self._ended = ended
        self._running: list[Listening] = []
        self._left: list[Listening] = []
        self.intakes: dict[str, Intake] = {}  # by channel
        self.addresses: dict[str, str] = {}

    async def leave(self, groups: Sequence[Group]) -> None:
        """Stop those that are not of these channels."""
        self._left = [each for each in self._running if not any(same(each.group, group) for group in groups)]
        self._running = [each for each in self._running if each not in self._left]
        await asyncio.gather(*(each.stop() for each in self._left))

    def become(self, groups: Sequence[Group], configuration: Configuration) -> None:
        """What arrives or is in hand from now on is taken by the channels of this configuration. At once."""
        channels = {channel.name: channel for channel in configuration.channels}
        for left in self._left:  # of the API something may be in hand yet
            if still := [channels[channel.name] for channel in left.group if channel.name in channels]:
                left.intake.become(still, configuration)
        for group in groups:
            if listening := self._serving(group):
                listening.group = group
                listening.intake.become(group, configuration)
        self._list()

    async def join(
        self, groups: Sequence[Group], configuration: Configuration, patience: float | None = None
    ) -> None:
        """Start those that do not run yet; return when all listen, or after so many seconds. Raises Cannot."""
        new = [Listening(g, self._intake(g, configuration)) for g in groups if not self._serving(g)]
        self._running += new
        starting = (each.start(self._ended, patience) for each in new)
        started = await asyncio.gather(*starting, return_exceptions=True)
        failed = [error for error in started if error is not None]
        self._running = [e for e in self._running if e not in new or started[new.index(e)] is None]
        self._list()
        if failed:
            raise failed[0]

    def _serving(self, group: Group) -> Listening | None:
        return next((each for each in self._running if same(each.group, group)), None)

    def _list(self) -> None:
        found = [(c.name, each) for each in self._running for c in each.group]
        for known in (self.intakes, self.addresses):
            known.clear()
        self.intakes.update((name, each.intake) for name, each in found)
        self.addresses.update((name, each.address) for name, each in found)


def grouped(channels: Iterable[Channel]) -> list[list[Channel]]:
    """Channels with the same source settings share one listener and are told apart by their `feed:`."""
    groups: list[list[Channel]] = []
    for channel in channels:
        alone = isinstance(channel.source, ChartSource)
        group = next((g for g in groups if g[0].source == channel.source and not alone), None)
        if group is None:
            groups.append([channel])
        else:
            group.append(channel)
    return groups


def same(one: Group, two: Group) -> bool:
    """Have these channels one source, so that what serves the first may serve the second?"""
    alone = isinstance(one[0].source, ChartSource) and one[0].name != two[0].name
    return one[0].source == two[0].source and not alone


def role(group: Group) -> str:
    """Of what process its messages are taken: the FHIR API is where HTTP is served."""
    return "web" if isinstance(group[0].source, FhirSource) else "intake"


def listens(group: Group) -> bool:
    """Do others come to it? Then it may be had several times; one that looks for itself, or dials out, only once."""
    return isinstance(group[0].source, ChartSource | FhirSource) or _here(address(group))


def _here(address: str) -> bool:
    """Is it a host and a port to listen on, not a folder or somebody who is called?"""
    return bool(address) and "://" not in address


def address(group: Group) -> str:
    """Where it listens, or what it is alone with; empty where its source does not say."""
    return str(getattr(group[0].source, "address", lambda: "")() or "")


def listening(groups: Iterable[Group]) -> Mapping[str, str]:
    """By address, host and port, the channel that listens there. Others dial out, or look into a folder."""
    found = ((address(group), group[0].name) for group in groups)
    return {at: name for at, name in found if _here(at) and not at.endswith(":0")}
