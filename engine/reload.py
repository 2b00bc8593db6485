"""A new configuration: read, planned, probed, and then put in the place of the one that runs, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog

from engine.channel import Configuration, Where
from engine.config.problem import Place, Problem, error
from engine.journal import SQL, configuration
from engine.journal.audit import Act, record
from engine.lines import DRAIN, Lines, Undrained
from engine.plan import WAITING, Change, planned
from engine.runtime import clock
from engine.runtime.current import Made
from engine.runtime.reading import beside
from engine.runtime.sources import Cannot, listening
from store.database import Connection, Down, Uncertain
from store.database.commit import Committer
from store.identity import Identity

FOLDER = Place("channels")
log = structlog.get_logger("reload")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration without a fault. `start` gives what it needs to run; it blocks."""

    configuration: Configuration
    start: Callable[[Configuration], Made]


Read = Callable[[Identity], "Candidate | list[Problem]"]


class Applied(NamedTuple):
    """What came of it: the plan, or the problems because of which all is as it was."""

    plan: Sequence[Change] = ()
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Reload:
    """`read` compiles what is on disk now, for an engine with this identity; it blocks."""

    read: Read
    lines: Lines
    committer: Committer

    async def plan(self) -> Applied:
        """What would change."""
        async with self.lines.lock:
            read = await self._read()
            return read if isinstance(read, Applied) else Applied(await self._planned(read))

    async def apply(self, who: str, why: str) -> Applied:
        """Change it. What is not taken by every part is taken by none."""
        async with self.lines.lock:
            read = await self._read()
            if isinstance(read, Applied):
                return self._told(read.problems)
            plan = await self._planned(read)
            if all(change.what == "kept" for change in plan):
                return Applied(plan)
            if problems := await self._become(read, who, why, plan):
                await self._failed(read.configuration, who, problems)
            return self._told(problems) if problems else Applied(plan)

    def _told(self, problems: Sequence[Problem]) -> Applied:
        """What an operator reads in the log, whoever asked."""
        for problem in problems:
            log.error("the configuration is not applied", problem=str(problem))
        return Applied(problems=problems)

    async def _read(self) -> Candidate | Applied:
        if self.lines.stopped:
            return Applied(problems=[error(FOLDER, "stopping", "the engine is stopping", "start it again")])
        identity = self.lines.current.made.configuration.identity
        read = await asyncio.to_thread(self.read, identity)
        if isinstance(read, list):
            return Applied(problems=read)
        problems = await asyncio.to_thread(lambda: list(self._taken(read.configuration)))
        return Applied(problems=problems) if problems else read

    async def _planned(self, read: Candidate) -> list[Change]:
        rows = await beside(self.lines.open, lambda connection: connection.all(SQL.destinations))
        queued = {name for (name,) in rows}
        return planned(self.lines.current.made.configuration, read.configuration, queued)

    def _taken(self, new: Configuration) -> Iterator[Problem]:
        """The addresses that somebody else has. Those that we listen on are ours to give."""
        running = self.lines.groups(self.lines.current.made.configuration)
        ours = {_port(address) for address in listening(running)}
        for address, name in listening(self.lines.groups(new)).items():
            if _port(address) not in ours and (why := cannot_bind(address)):
                yield unlistened(new, name, f"{address} cannot be had: {why}")

    async def _become(self, read: Candidate, who: str, why: str, plan: Sequence[Change]) -> list[Problem]:
        changed = [f"{c.what} {c.kind} {c.name}" for c in plan if c.what != "kept"]
        rows = {"configuration": read.configuration.marks.whole, "parts": changed}
        try:
            number = await self._recorded(read.configuration, Act(who, "configuration.apply", rows, why))
            await self.lines.become(await self._made(read, number))
        except (Down, Uncertain) as e:
            return [error(FOLDER, "database-down", f"the database takes no work: {e}", "try again")]
        except (OSError, EOFError):
            return [error(FOLDER, "no-process", "the process that computes did not start", "see the log")]
        except Undrained as e:
            text = f'channel "{e.channel}" has messages to process yet, after {DRAIN:.0f} seconds'
            return [error(FOLDER, "not-drained", text, f"chartwire drain {e.channel}, then apply")]
        except Cannot as e:
            return [unlistened(read.configuration, e.channel, f"its source did not start: {e.why}")]
        log.info("applied", configuration=read.configuration.marks.whole, parts=changed)
        self._warn(read.configuration, plan)
        return []

    async def _made(self, read: Candidate, number: int) -> Made:
        """When the process that computes has compiled it too."""
        made = await asyncio.to_thread(read.start, replace(read.configuration, number=number))
        try:
            await asyncio.to_thread(made.ready)
        except EOFError:
            made.close()
            raise
        return made

    def _warn(self, made: Configuration, plan: Sequence[Change]) -> None:
        for warning in made.warnings:
            log.warning("configuration", text=warning)
        for change in plan:
            if change.note == WAITING:
                log.warning(WAITING, destination=change.name)

    async def _failed(self, made: Configuration, who: str, problems: Sequence[Problem]) -> None:
        """The record says that it did not come to that."""
        rows = {"configuration": made.marks.whole, "codes": [problem.code for problem in problems]}
        act = Act(who, "configuration.failed", rows)
        with contextlib.suppress(Down, Uncertain):
            await self.committer.submit(lambda connection: record(connection, act, clock.now()), first=True)

    async def _recorded(self, made: Configuration, act: Act) -> int:
        def work(connection: Connection) -> int:
            record(connection, act, clock.now())
            return configuration.number(connection, made.marks.whole, clock.now())

        return await self.committer.submit(work, first=True)


def unlistened(configuration: Configuration, channel: str, text: str) -> Problem:
    place: Where = configuration.places.get(channel, FOLDER)
    return error(Place(*place), "cannot-listen", text, "free it, or choose another")


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def cannot_bind(address: str) -> str | None:
    """Why nobody could listen on `host:port` now; None: somebody could. It blocks."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
                probe.listen(1)
    except OSError as e:
        return e.strerror or type(e).__name__
    return None
