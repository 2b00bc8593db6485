"""The composition root: the only file that knows everybody. What each command needs is put together here."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import multiprocessing
import os
import resource
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from engine.channel import Channel, Configuration
from engine.engine import Address, Engine
from engine.journal import SQL
from engine.journal.configuration import number as row_of
from engine.journal.seal import BadKeys, Keys, read_keys
from engine.logging import configure
from engine.plugin import discover
from engine.rekey import unlike
from engine.reload import Candidate
from engine.runtime import clock
from engine.runtime.compute import Elsewhere, Process, here, serve, take_apart
from engine.runtime.current import Made
from engine.runtime.forks import Forks, Gone
from store.database import Alone, Database, Down, Writing, one
from store.database.sqlite import File
from store.identity import Identity

if TYPE_CHECKING:
    from adapters.mllp.client import Ack
    from engine.config.problem import Problem
    from engine.config.snapshot import Files


class Settings(NamedTuple):
    """What a configuration is compiled from, in every process the same."""

    config: Path
    env: str | None
    secret: bytes
    files: Files


HTTP = "127.0.0.1:8080"
ALL = "all"
ROLES = frozenset({"intake", "worker", "deliver", "web"})


def run(config: Path, data: Path, env: str | None, role: str = ALL) -> int:
    """Lint, start, serve until SIGTERM or SIGINT, drain. Exit status 0 after a clean stop. `role`: of several processes
    on one database, what this one does."""
    configure()
    _many_files()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    if role != ALL and not os.environ.get("CHARTWIRE_DATABASE"):
        print(
            f"--role {role} needs a database that processes can share: set CHARTWIRE_DATABASE",
            file=sys.stderr,
        )
        return 1
    http = os.environ.get("CHARTWIRE_HTTP", HTTP if role in (ALL, "web") else "")
    listen = _loopback(http) if http else None
    if http and listen is None:
        print(
            "CHARTWIRE_HTTP must be HOST:PORT with a loopback address; put a TLS proxy before it",
            file=sys.stderr,
        )
        return 1
    if isinstance(problems := load(config, env, b"lint"), list):
        return _report(problems)  # before anything is written
    roles = ROLES if role == ALL else frozenset({role})
    forks = Forks() if "worker" in roles else None
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    with _only_one(data):
        try:
            keys = read_keys(os.environ.get("CHARTWIRE_KEY_FILE"))
            database = _database(data, keys)
            connection = database.writer()
        except (Down, BadKeys) as e:
            print(e, file=sys.stderr)
            return 1
        secret = _secret(connection)
        compiled = partial(candidate, config, env, secret, forks=forks)
        found = compiled()
        if isinstance(found, list):  # it was sound a moment ago
            return _report(found)
        import web
        from adapters.tls import renew

        sys.setswitchinterval(0.002)  # the event loop answers senders; it must not wait long for the worker
        gc.freeze()  # what is here now stays: looking for garbage in it again and again would make senders wait
        gc.set_threshold(20_000, 20, 50)
        made = found.start(_numbered(connection, found.configuration))
        shared = not isinstance(database, File)
        engine = Engine(
            made, compiled, data, database, connection, keys, shared, roles, listen, web.build, renew
        )
        return uvloop.run(engine.serve())


def _many_files() -> None:
    """Thousands of senders may be connected: as many files as this user may have open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _loopback(text: str) -> Address | None:
    """The address, if it stays on this machine: the API speaks plaintext."""
    host, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        if host == "localhost" or ip_address(host.strip("[]")).is_loopback:
            return host.strip("[]"), int(port)
    return None


def load(
    config: Path,
    env: str | None,
    secret: bytes,
    environ: Mapping[str, str] = os.environ,
    files: Files | None = None,
    running: Identity | None = None,
) -> Configuration | list[Problem]:
    """Compile a configuration directory with every installed plugin; `secret` is the identity key."""
    from engine.config.load import load as compile_configuration

    discover("adapters", "transforms", "engine.standards", "engine.api", "engine.trigger")
    return compile_configuration(config, env, environ, secret, files, running)


def candidate(
    config: Path, env: str | None, secret: bytes, running: Identity | None = None, *, forks: Forks | None
) -> Candidate | list[Problem]:
    """What is on disk now, compiled, and what starts it; for an engine that runs with the identity `running`."""
    from engine.config.snapshot import read_files

    files = read_files(config)
    configuration = load(config, env, secret, files=files, running=running)
    if isinstance(configuration, list):
        return configuration
    return Candidate(configuration, partial(_made, forks, Settings(config, env, secret, files)))


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

    discover("adapters", "transforms", "engine.standards", "engine.api", "engine.trigger")
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


def _made(forks: Forks | None, settings: Settings, configuration: Configuration) -> Made:
    """Where channels are computed: in a process of its own if there is a core for it, else in a thread; without `forks`
    there is nothing to compute."""
    split = partial(_start, forks, take_apart, settings)
    apart = os.environ.get("CHARTWIRE_COMPUTE", "1" if (os.cpu_count() or 1) > 1 else "0") != "0"
    if not (apart and forks):
        return Made(configuration, here({c.name: c for c in configuration.channels}), split)
    elsewhere = Elsewhere(partial(_start, forks, serve, settings))
    return Made(configuration, elsewhere, split, elsewhere.await_ready, elsewhere.close)


Task = Callable[[Connection, Mapping[str, Channel]], None]


def _start(forks: Forks | None, task: Task, settings: Settings) -> tuple[Process, Connection]:
    """A process that compiles the same configuration and does one thing with its channels. What forks may have been
    killed: then from the beginning."""
    if forks is not None:
        with contextlib.suppress(Gone):
            return forks.start(_process, task, settings)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_process, args=(theirs, task, settings), name=task.__name__, daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _process(pipe: Connection, task: Task, settings: Settings) -> None:
    configure()
    # Ctrl-C and supervisors signal the whole group; the engine ends us, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    configuration = load(settings.config, settings.env, settings.secret, files=settings.files)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    if not isinstance(configuration, list):
        task(pipe, {c.name: c for c in configuration.channels})


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Wait until no other engine runs on the data, and be the one. The lock goes with its process."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"another engine runs on {data}; waiting to take over when it ends",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
            print("taking over", file=sys.stderr, flush=True)
        yield


def _database(data: Path, keys: Keys) -> Database:
    """Where the journal and the chart are: in a file of the data directory, or where CHARTWIRE_DATABASE says."""
    url = os.environ.get("CHARTWIRE_DATABASE")
    if not url:
        path = data / "chartwire.db"
        if path.exists() and (why := unlike(path, keys)):
            raise Down(why)
        return File(path, *keys.database()[:1])
    from store.database.postgres import Server  # paid by who has one

    return Server(url)


def _numbered(connection: Writing, configuration: Configuration) -> Configuration:
    """With its row in the journal, which its messages name."""
    connection.begin()
    number = row_of(connection, configuration.marks.whole, clock.now())
    connection.commit()
    return replace(configuration, number=number)


def _secret(connection: Writing) -> bytes:
    """The installation's identity key: made once, kept with the data that it names."""
    connection.begin()
    connection.alone(Alone.MIGRATION)  # of several that start at once, one makes it
    row = one(connection, SQL.setting, ("identity",))
    secret = bytes(row[0]) if row else secrets.token_bytes(32)
    if row is None:
        connection.run(SQL.set_setting, ("identity", secret))
    connection.commit()
    return secret
