"""The engine: what it is made of, how it starts, how it drains and stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from engine.channel import Channel, Configuration
from engine.journal import SQL
from engine.journal.spool import Spool
from engine.message import State
from engine.running import Running
from engine.runtime.compute import Compute
from engine.runtime.delivery import Dispatcher
from engine.runtime.filing import Filed
from engine.runtime.intake import Intake
from engine.runtime.metrics import Metrics
from engine.runtime.server import Server, private
from engine.runtime.splitting import Splitters, Start
from engine.runtime.worker import Worker
from engine.trigger import ChartSource
from store.database.commit import Committer
from store.database.sqlite import Sqlite
from store.reason import Reason

Address = tuple[str, int]
DRAIN = 10.0  # seconds that deliveries in hand get at a stop
log = structlog.get_logger("engine")


@dataclass
class Engine:
    """The engine from start to stop. `web` builds the HTTP application for strangers or for the local operator."""

    configuration: Configuration
    data: Path
    connection: Sqlite
    compute: Compute
    split: Start
    listen: Address
    web: Callable[..., object]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    unready: Reason | None = field(default_factory=lambda: Reason("starting", "the engine is starting"))
    addresses: dict[str, str] = field(default_factory=dict)

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        self._compose()
        self._warn()
        try:
            async with (
                self._background(self.worker.run()),
                self._background(self.splitters.run()),
                self._deliveries(),
                self._web(),
            ):
                await self._listen()
        except* Exception as group:
            for error in group.exceptions:
                log.error("stopped by", error=type(error).__name__)
            self.status = 1
        finally:
            await self.committer.stop()
            for connection in (self.reader, self.connection):
                connection.close()
            (self.data / "engine.json").unlink(missing_ok=True)
        log.info("stopped", status=self.status)
        return self.status

    # -- parts

    def _compose(self) -> None:
        path = self.data / "chartwire.db"
        self.reader = Sqlite(path, writes=False)
        self.committer = Committer(self.connection, self._dead, self._committed)
        self.metrics = Metrics(c.name for c in self.configuration.channels)
        identity = self.configuration.identity
        self.spool = Spool(self.data / "spool")
        if swept := self.spool.sweep({name for (name,) in self.reader.all(SQL.spooled)}):
            log.warning("what was never acknowledged is swept from the spool", files=swept)
        self.dispatchers = {
            p.name: Dispatcher(p, self.reader, self.committer, self.metrics, identity.origin, self.spool)
            for p in self.configuration.partners
        }
        made, broken = self.configuration, self.connection.broken
        self.worker = Worker(self.compute, self.reader, self.committer, broken, made, self.spool, self._filed)
        self.splits = any(channel.split for channel in made.channels)
        self.splitters = Splitters(self.split, self.reader, self.committer, made, self.spool, self._filed)
        self.intakes = {
            channel.name: intake
            for group in _by_source(made.channels)
            for intake in (self._intake(group),)
            for channel in group
        }
        self.running = Running(
            made, self.reader, self.committer, identity, self.metrics, self._unready,
            partial(Sqlite, path, writes=False), self.dispatchers, self.intakes, self.spool,
        )  # fmt: skip

    def _intake(self, group: Sequence[Channel]) -> Intake:
        return Intake(
            group, self.spool, self.reader, self.committer, self.configuration, self.metrics, self._filed
        )

    def _warn(self) -> None:
        """What an operator should hear at every start."""
        for warning in self.configuration.warnings:
            log.warning("configuration", text=warning)
        known = {p.name for p in self.configuration.partners}
        for (name,) in self.reader.all(SQL.destinations):
            if name not in known:
                log.warning("deliveries wait for a destination that is not configured", destination=name)

    def _dead(self, error: BaseException) -> None:
        """Nobody can commit any more: stop the process, so that senders see closed connections and try again."""
        log.critical("the committer died", error=type(error).__name__)
        self.unready = Reason("no-committer", "the database failed; the process is stopping")
        self.status = 70
        self.stopping.set()

    def _committed(self) -> None:
        self.worker.wake()
        if self.splits:
            self.splitters.wake()

    def _unready(self) -> Reason | None:
        if self.unready is None and self.committer.down:  # whoever asks also makes it try again
            self.committer.submit(lambda c: c.run(SQL.set_setting, ("probe", b"")), failed=lambda e: None)
            return Reason("database-down", f"the database takes no work: {self.committer.down}")
        return self.unready

    def _filed(self, channel: str, filed: Filed) -> None:
        ended = filed.processed
        self.metrics.ended(channel, ended.state)
        if ended.state not in (State.STORED, State.ROUTED, State.SPLIT):
            code = ended.reason.code if ended.reason else None
            log.info("message ended", message=ended.message, channel=channel, state=ended.state, code=code)
        for destination, lane in filed.lanes:
            if dispatcher := self.dispatchers.get(destination):
                dispatcher.wake(lane)

    # -- life

    async def _listen(self) -> None:
        """Run the sources until it is time to stop; report readiness when all of them listen."""
        groups = _by_source(self.configuration.channels)
        waiting = {group[0].name for group in groups}

        def ready(group: Sequence[Channel], address: str) -> None:
            for channel in group:
                self.addresses[channel.name] = address
            waiting.discard(group[0].name)
            if not waiting:
                self._ready()

        if not groups:
            self._ready()
        async with asyncio.TaskGroup() as tasks:
            sources = [tasks.create_task(self._source(group, ready)) for group in groups]
            await self.stopping.wait()
            self.unready = self.unready or Reason("stopping", "the engine is stopping")
            log.info("stopping")
            for source in sources:
                source.cancel()

    async def _source(self, group: Sequence[Channel], ready: object) -> None:
        assert callable(ready)
        channel = group[0]
        try:
            await channel.source.run(self.intakes[channel.name], lambda address: ready(group, address))
        except OSError as e:
            why = os.strerror(e.errno) if e.errno else type(e).__name__
            log.critical(
                "a source cannot be had", channel=channel.name, address=_address(channel), reason=why
            )
            raise

    def _ready(self) -> None:
        self.unready = None
        told = {"pid": os.getpid(), "http": f"http://{self.http}", "sources": self.addresses}
        partial = self.data / "engine.json.new"
        partial.write_text(json.dumps(told))
        partial.replace(self.data / "engine.json")
        log.info("ready", http=self.http, sources=self.addresses)

    @contextlib.asynccontextmanager
    async def _background(self, work: object) -> AsyncIterator[None]:
        task = asyncio.create_task(work)  # type: ignore[arg-type, var-annotated]
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part that ends by itself takes the engine down: half an engine would look alive."""
        if not task.cancelled() and (error := task.exception()):
            log.critical("a part of the engine ended", error=type(error).__name__)
            self.status = 1
            self.stopping.set()

    @contextlib.asynccontextmanager
    async def _deliveries(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(d.run()) for d in self.dispatchers.values()]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            yield
        finally:
            for dispatcher in self.dispatchers.values():
                dispatcher.stop()
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=DRAIN)
                for task in late:
                    task.cancel()
                if late:
                    await asyncio.wait(late)

    @contextlib.asynccontextmanager
    async def _web(self) -> AsyncIterator[None]:
        """HTTP on loopback with tokens, and the same for the local operator on a socket that only he can open."""
        host, port = self.listen
        tcp = Server(self.web(self.running, trusted=False), host=host, port=port)
        with private(self.data / "engine.sock") as name:
            local = Server(self.web(self.running, trusted=True), uds=name)
            async with tcp.running(), local.running():
                self.http = f"{host}:{tcp.port}"
                yield


def _address(channel: Channel) -> str:
    return str(getattr(channel.source, "address", lambda: "")() or "")


def _by_source(channels: Sequence[Channel]) -> list[list[Channel]]:
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
