"""The engine: what it is made of, how it starts, how it drains and stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from engine.channel import Configuration, Partner
from engine.journal import SQL, claims, inbox
from engine.journal.chunks import Chunks
from engine.journal.claims import Claim
from engine.journal.inbox import Waiting
from engine.journal.seal import Keys
from engine.journal.spool import Spool
from engine.lines import Lines
from engine.message import State
from engine.pausing import Pausing
from engine.plan import WAITING
from engine.reload import Applied, Read, Reload
from engine.running import Running, unheard
from engine.runtime.claims import Claims, Everything, Shared
from engine.runtime.current import Current, Made
from engine.runtime.delivery import Dispatcher
from engine.runtime.destinations import Destinations
from engine.runtime.filing import Filed
from engine.runtime.hints import Hints
from engine.runtime.intake import Intake
from engine.runtime.metrics import Metrics
from engine.runtime.server import Server, private
from engine.runtime.sources import Cannot, Group, Sources
from engine.runtime.splitting import Splitters
from engine.runtime.watch import Watch
from engine.runtime.worker import IN_HAND, Worker
from engine.sharing import Sharing, wanted
from store.database import Database, Down, Uncertain, Writing
from store.database.commit import Committer
from store.reason import Reason

Address = tuple[str, int]
RUNNING = "running"  # the setting that is there while an engine runs
log = structlog.get_logger("engine")


@dataclass
class Engine:
    """The engine from start to stop. `made` is what it starts with, `read` compiles what is on disk later. `web` builds
    the HTTP application for strangers or for the local operator; `renew` takes up certificates that were exchanged."""

    made: Made
    read: Read
    data: Path
    database: Database
    connection: Writing
    keys: Keys
    shared: bool  # with other processes
    roles: frozenset[str]
    listen: Address | None  # None: only the local operator
    web: Callable[..., object]
    renew: Callable[[], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    unready: Reason | None = field(default_factory=lambda: Reason("starting", "the engine is starting"))
    reloading: set[asyncio.Task[Applied]] = field(default_factory=set)

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        self._compose()
        loop.add_signal_handler(signal.SIGHUP, self._hangup)
        self._warn()
        try:
            async with contextlib.AsyncExitStack() as parts:
                for part in self._parts():
                    await parts.enter_async_context(part)
                await self._listen()
        except* Exception as group:
            for error in group.exceptions:
                log.error("stopped by", error=type(error).__name__)
            self.status = 1
        finally:
            await self.committer.stop()
            if self.status == 0 and not self.shared:
                with contextlib.suppress(Down, Uncertain):  # then the next one starts with care
                    self._mark(SQL.forget_setting, (RUNNING,))
            for connection in (self.reader, self.connection):
                connection.close()
            (self.data / "engine.json").unlink(missing_ok=True)
            self.current.made.close()
        log.info("stopped", status=self.status)
        return self.status

    # -- parts

    def _parts(self) -> Iterator[contextlib.AbstractAsyncContextManager[None]]:
        """What runs, in the order in which it starts; it ends the other way round."""
        if self.sharing is not None:
            yield self._background(self.claims.run())
            yield self._background(self.sharing.hints.run())
            yield self._background(self.sharing.sweep())
            yield self._background(self.sharing.follow())
            yield self._background(self.sharing.tidy())
        if "worker" in self.roles:
            yield self._background(self.worker.run())
            yield self._background(self.splitters.run())
        yield self._background(self.watch.run())
        yield self._deliveries()
        yield self._web()

    def _compose(self) -> None:
        open = self.database.reader
        self.reader = open()
        self.committer = Committer(self.connection, self._dead, self._committed)
        self.metrics = Metrics()
        spool = self.data / "spool"
        self.spool = Chunks(spool, self.database, self.keys) if self.shared else Spool(spool, self.keys)
        if not self.shared and (swept := self.spool.sweep({n for (n,) in self.reader.all(SQL.spooled)})):
            log.warning("what was never acknowledged is swept from the spool", files=swept)
        self.current = current = Current(self.made)
        broken = self.connection.broken
        self.claims, waiting, leftovers = self._claims()
        self.worker = Worker(current, waiting, self.committer, broken, self.claims, self._filed, leftovers)
        self.splitters = Splitters(current, self.reader, self.committer, self.claims, self.spool, self._filed)
        self.sources = Sources(self._intake, self._ended)
        self.destinations = Destinations(self._dispatcher, self._ended)
        self.lines = Lines(
            current, self.worker, open, self.sources, self.destinations, self.committer, self.metrics,
            self.claims, self.roles, self._tell, self._lost,
        )  # fmt: skip
        self.watch = Watch(
            self._configuration, self.data, open, self.committer, self.claims, self.metrics, self.renew
        )
        self.pausing = Pausing(self.lines, self.committer)
        self.pausing.recall(self.reader)
        self.sharing = self._sharing() if self.shared else None
        self.reload = Reload(self.read, self.lines, self.committer)
        self.running = Running(
            self._configuration, self.reader, self.committer, self.metrics, self._unready, open,
            self.destinations.dispatchers, self.sources.intakes, self.spool, self.reload, self.pausing,
            self.sharing.hints.tell if self.sharing else unheard,
        )  # fmt: skip

    def _claims(self) -> tuple[Claims, Callable[[int], list[Waiting]], set[int]]:
        """Whose work it is, what of it waits, and what of that was perhaps in hand when somebody died."""
        if not self.shared:
            waiting = partial(inbox.waiting, self.reader, spool=self.spool)
            leftovers = inbox.first_waiting(self.reader, IN_HAND) if self._died_before() else set[int]()
            return Everything(), waiting, leftovers
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

        async def changed(unclean: Collection[Claim]) -> None:
            if self.sharing is not None:
                await self.sharing.claimed(unclean)

        shared = Shared(
            self.committer, owner, self.roles, lambda: wanted(self._configuration(), self.roles), changed
        )

        def mine(limit: int) -> list[Waiting]:
            return claims.waiting(self.reader, shared.names("channel"), limit, self.spool)

        return shared, mine, set()

    def _sharing(self) -> Sharing:
        hints = Hints(os.environ.get("CHARTWIRE_REDIS"), self._configuration().identity.origin, self._hinted)
        assert isinstance(self.spool, Chunks)
        return Sharing(
            self.lines,
            self.worker,
            self.splitters,
            self.destinations,
            self.reader,
            self.committer,
            self.spool,
            hints,
            self._ready,
        )

    def _hinted(self, hint: str) -> None:
        if self.sharing is not None:
            self.sharing.wake(hint)

    def _died_before(self) -> bool:
        """Did the engine before this one not stop cleanly? From now on that is true of this one, until it stops."""
        died = bool(self.reader.all(SQL.setting, (RUNNING,)))
        self._mark(SQL.set_setting, (RUNNING, b""))
        return died

    def _mark(self, sql: str, row: tuple[object, ...]) -> None:
        self.connection.begin()
        self.connection.run(sql, row)
        self.connection.commit()

    def _configuration(self) -> Configuration:
        return self.current.made.configuration

    def _intake(self, group: Group, configuration: Configuration) -> Intake:
        return Intake(
            group,
            self.spool,
            self.reader,
            self.committer,
            configuration,
            self.metrics,
            self._filed,
            self._wake,
        )

    def _dispatcher(self, partner: Partner) -> Dispatcher:
        origin = self._configuration().identity.origin
        return Dispatcher(partner, self.reader, self.committer, self.claims, self.metrics, origin, self.spool)

    def _warn(self) -> None:
        """What an operator should hear at every start."""
        for warning in self._configuration().warnings:
            log.warning("configuration", text=warning)
        known = {p.name for p in self._configuration().partners}
        for (name,) in self.reader.all(SQL.destinations):
            if name not in known:
                log.warning(WAITING, destination=name)

    def _dead(self, error: BaseException) -> None:
        """Nobody can commit any more: stop the process, so that senders see closed connections and try again."""
        log.critical("the committer died", error=type(error).__name__)
        self.unready = Reason("no-committer", "the database failed; the process is stopping")
        self.status = 70
        self.stopping.set()

    def _committed(self) -> None:
        self.worker.wake()
        if any(channel.split for channel in self._configuration().channels):
            self.splitters.wake()
        if self.sharing is not None:
            self.sharing.hints.tell("worker")

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
        self._wake(filed.lanes)

    def _wake(self, lanes: Iterable[tuple[str, int]]) -> None:
        for destination, lane in lanes:
            if dispatcher := self.destinations.dispatchers.get(destination):
                dispatcher.wake(lane)
            elif self.sharing is not None:
                self.sharing.hints.tell(f"destination {destination}")

    # -- life

    async def _listen(self) -> None:
        """Run the sources until it is time to stop; report readiness when all of them listen."""
        starting, stopping = asyncio.create_task(self._start()), asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            self.unready = self.unready or Reason("stopping", "the engine is stopping")
            log.info("stopping")
            await asyncio.wait([starting])
            await self.lines.stop()

    async def _start(self) -> None:
        async with self.lines.lock:
            try:
                await self.lines.listen()
            except Cannot as e:
                if self.sharing is None or not e.taken:
                    raise
                self.sharing.standby = True
                self.unready = Reason(
                    "standby", "another process has the address of a source; waiting for it"
                )
                log.warning("another process has its address; waiting to take over", channel=e.channel)
                return
        self._ready()

    def _ready(self) -> None:
        self.unready = None
        self._tell()
        log.info("ready", http=self.http, sources=self.sources.addresses)

    def _tell(self) -> None:
        """Where it can be reached, once it can be."""
        if self.unready is not None:
            return
        told = {
            "pid": os.getpid(),
            "http": self.http and f"http://{self.http}",
            "sources": self.sources.addresses,
        }
        new = self.data / "engine.json.new"
        new.write_text(json.dumps(told))
        new.replace(self.data / "engine.json")

    def _hangup(self) -> None:
        """SIGHUP: as `chartwire apply`."""
        task = asyncio.create_task(self.reload.apply("SIGHUP", ""))
        self.reloading.add(task)
        task.add_done_callback(self.reloading.discard)

    def _lost(self) -> None:
        """Neither the new sources nor those before can be had."""
        log.critical("the sources that ran cannot be had again")
        self.status = 1
        self.stopping.set()

    @contextlib.asynccontextmanager
    async def _background(self, work: Coroutine[None, None, None]) -> AsyncIterator[None]:
        task = asyncio.create_task(work)
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
        self.lines.deliver()
        try:
            yield
        finally:
            await self.destinations.close()

    @contextlib.asynccontextmanager
    async def _web(self) -> AsyncIterator[None]:
        """HTTP on loopback with tokens, and the same for the local operator on a socket that only he can open."""
        with private(self.data / "engine.sock") as name:
            async with Server(self.web(self.running, trusted=True), uds=name).running():
                if self.listen is None:
                    self.http = ""
                    yield
                    return
                host, port = self.listen
                tcp = Server(self.web(self.running, trusted=False), host=host, port=port)
                async with tcp.running():
                    self.http = f"{host}:{tcp.port}"
                    yield
