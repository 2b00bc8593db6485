"""The composition root: the only file that knows everybody. It builds the engine, starts it and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import multiprocessing
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from engine.channel import Channel, Configuration
from engine.journal import SQL
from engine.logging import configure
from engine.message import State
from engine.plugin import discover
from engine.running import Running
from engine.runtime.compute import Compute, Elsewhere, here, serve
from engine.runtime.delivery import Dispatcher
from engine.runtime.filing import Filed
from engine.runtime.intake import Intake
from engine.runtime.metrics import Metrics
from engine.runtime.server import Server, private
from engine.runtime.worker import Worker
from store.database import Down, one
from store.database.commit import Committer
from store.database.sqlite import Sqlite, create
from store.reason import Reason

if TYPE_CHECKING:
    from adapters.mllp.client import Ack
    from engine.config.problem import Problem

Address = tuple[str, int]
Settings = tuple[Path, str | None, bytes]  # what a configuration is compiled from
DRAIN = 10.0  # seconds that deliveries in hand get at a stop
HTTP = "127.0.0.1:8080"
log = structlog.get_logger("engine")


def run(config: Path, data: Path, env: str | None) -> int:
    """Lint, start, serve until SIGTERM or SIGINT, drain. Exit status 0 after a clean stop."""
    configure()
    listen = _loopback(os.environ.get("CHARTWIRE_HTTP", HTTP))
    if listen is None:
        print(
            "CHARTWIRE_HTTP must be HOST:PORT with a loopback address; put a TLS proxy before it",
            file=sys.stderr,
        )
        return 1
    if isinstance(problems := load(config, env, b"lint"), list):
        return _report(problems)  # before anything is written
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    with _only_one(data) as free:
        if not free:
            print(f"another engine runs on {data}; stop it first, or use another --data", file=sys.stderr)
            return 1
        try:
            connection = create(data / "chartwire.db")
        except Down as e:
            print(e, file=sys.stderr)
            return 1
        secret = _secret(connection)
        configuration = load(config, env, secret)
        assert not isinstance(configuration, list), "it was sound a moment ago"
        sys.setswitchinterval(0.002)  # the event loop answers senders; it must not wait long for the worker
        with _compute(configuration, (config, env, secret)) as compute:
            return uvloop.run(_Engine(configuration, data, connection, compute, listen).serve())


def _loopback(text: str) -> Address | None:
    """The address, if it stays on this machine: the API speaks plaintext."""
    host, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        if host == "localhost" or ip_address(host.strip("[]")).is_loopback:
            return host.strip("[]"), int(port)
    return None


def load(
    config: Path, env: str | None, secret: bytes, environ: Mapping[str, str] = os.environ
) -> Configuration | list[Problem]:
    """Compile a configuration directory with every installed plugin; `secret` is the identity key."""
    from engine.config.load import load as compile_configuration

    discover("adapters", "transforms")
    return compile_configuration(config, env, environ, secret)


def check(config: Path, env: str | None) -> int:
    """Lint everything; print all problems at once."""
    from engine.config.tests import read_cases

    configuration = load(config, env, b"check")
    if isinstance(configuration, list):
        return _report(configuration)
    if problems := read_cases(config, configuration)[1]:
        return _report(problems)
    for warning in configuration.warnings:
        print(f"warning: {warning}")
    print(f"ok: {len(configuration.channels)} channels, {len(configuration.partners)} destinations")
    return 0


def test(config: Path, env: str | None) -> int:
    """Run the tests beside the channels; print a field-level diff of each that fails."""
    from engine.config.tests import run_tests
    from engine.config.variables import Pretended

    configuration = load(config, env, b"test", Pretended(os.environ))
    return _report(configuration) if isinstance(configuration, list) else run_tests(config, configuration)


def describe(kind: str, as_json: bool) -> int:
    """Print every installed source, destination, transform or format with its settings."""
    from engine.config.describe import show

    discover("adapters", "transforms")
    print(show(kind, as_json=as_json))
    return 0


def send(files: Sequence[Path], to: str, count: int, connections: int) -> int:
    """Send files over MLLP and print what came back. Exit status 0 if every message was accepted."""
    from adapters.mllp.client import send as deliver

    def show(ack: Ack) -> None:
        if count == 1:
            print(f"{ack.control or '-'}  {ack.code or ack.problem}  {ack.seconds * 1e3:.1f} ms")

    try:
        report = uvloop.run(deliver(files, to, count=count, connections=connections, on_ack=show))
    except (OSError, ValueError) as e:
        print(e, file=sys.stderr)
        return 1
    for what, number in (*report.codes.items(), *report.problems.items()):
        print(f"{number:>7}  {what}")
    p50, p95, p99 = (report.percentile(share) * 1e3 for share in (0.5, 0.95, 0.99))
    print(f"{report.sent} sent, {report.rate:.0f}/s, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")
    return 0 if report.positive else 1


def _report(problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problem{'s' * (len(problems) != 1)}; nothing was started", file=sys.stderr)
    return 1


@contextlib.contextmanager
def _compute(configuration: Configuration, settings: Settings) -> Iterator[Compute]:
    """Where channels are computed: in a process of its own if there is a core for it, else in a thread."""
    if os.environ.get("CHARTWIRE_COMPUTE", "1" if (os.cpu_count() or 1) > 1 else "0") == "0":
        yield here({c.name: c for c in configuration.channels})
        return
    elsewhere = Elsewhere(lambda: _start_compute(settings))
    try:
        yield elsewhere
    finally:
        elsewhere.close()


def _start_compute(settings: Settings) -> tuple[BaseProcess, Connection]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_compute_process, args=(theirs, *settings), name="compute", daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _compute_process(pipe: Connection, config: Path, env: str | None, secret: bytes) -> None:
    configure()
    # Ctrl-C and supervisors signal the whole group; the engine ends us, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configuration = load(config, env, secret)
    if not isinstance(configuration, list):
        serve(pipe, {c.name: c for c in configuration.channels})


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[bool]:
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _secret(connection: Sqlite) -> bytes:
    """The installation's identity key: made once, kept with the data that it names."""
    if row := one(connection, SQL.setting, ("identity",)):
        return bytes(row[0])
    secret = secrets.token_bytes(32)
    connection.begin()
    connection.run(SQL.set_setting, ("identity", secret))
    connection.commit()
    return secret


@dataclass
class _Engine:
    configuration: Configuration
    data: Path
    connection: Sqlite
    compute: Compute
    listen: Address
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
            async with self._background(self.worker.run()), self._deliveries(), self._web():
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
        self.dispatchers = {
            p.name: Dispatcher(p, self.reader, self.committer, self.metrics, identity.origin)
            for p in self.configuration.partners
        }
        self.worker = Worker(
            self.compute, self.reader, self.committer, self.connection.broken, identity, self._filed
        )
        self.running = Running(
            self.configuration, self.reader, self.committer, identity, self.metrics, self._unready
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

    def _unready(self) -> Reason | None:
        if self.unready is None and self.committer.down:  # whoever asks also makes it try again
            self.committer.submit(lambda c: c.run(SQL.set_setting, ("probe", b"")), failed=lambda e: None)
            return Reason("database-down", f"the database takes no work: {self.committer.down}")
        return self.unready

    def _filed(self, channel: str, filed: Filed) -> None:
        ended = filed.processed
        self.metrics.ended(channel, ended.state)
        if ended.state not in (State.STORED, State.ROUTED):
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
        intake = Intake(group, self.committer, self.configuration.identity, self.metrics, self._filed)
        try:
            await channel.source.run(intake, lambda address: ready(group, address))
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
        import web

        host, port = self.listen
        tcp = Server(web.build(self.running, trusted=False), host=host, port=port)
        with private(self.data / "engine.sock") as name:
            local = Server(web.build(self.running, trusted=True), uds=name)
            async with tcp.running(), local.running():
                self.http = f"{host}:{tcp.port}"
                yield


def _address(channel: Channel) -> str:
    return str(getattr(channel.source, "address", lambda: "")() or "")


def _by_source(channels: Sequence[Channel]) -> list[list[Channel]]:
    """Channels with the same source settings share one listener and are told apart by their `feed:`."""
    groups: list[list[Channel]] = []
    for channel in channels:
        group = next((g for g in groups if g[0].source == channel.source), None)
        if group is None:
            groups.append([channel])
        else:
            group.append(channel)
    return groups
