"""The composition root: the only file that knows everybody. What each command needs is put together here."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import multiprocessing
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from engine.channel import Channel, Configuration
from engine.engine import Address, Engine
from engine.journal import SQL
from engine.logging import configure
from engine.plugin import discover
from engine.runtime.compute import Compute, Elsewhere, here, serve, take_apart
from store.database import Down, one
from store.database.sqlite import Sqlite, create

if TYPE_CHECKING:
    from adapters.mllp.client import Ack
    from engine.config.problem import Problem

Settings = tuple[Path, str | None, bytes]  # what a configuration is compiled from
HTTP = "127.0.0.1:8080"


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
        import web

        sys.setswitchinterval(0.002)  # the event loop answers senders; it must not wait long for the worker
        gc.freeze()  # what is here now stays: looking for garbage in it again and again would make senders wait
        gc.set_threshold(20_000, 20, 50)
        with _compute(configuration, (config, env, secret)) as compute:
            split = partial(_start, take_apart, (config, env, secret))
            engine = Engine(configuration, data, connection, compute, split, listen, web.build)
            return uvloop.run(engine.serve())


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

    discover("adapters", "transforms", "engine.standards", "engine.api", "engine.trigger")
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


@contextlib.contextmanager
def _compute(configuration: Configuration, settings: Settings) -> Iterator[Compute]:
    """Where channels are computed: in a process of its own if there is a core for it, else in a thread."""
    if os.environ.get("CHARTWIRE_COMPUTE", "1" if (os.cpu_count() or 1) > 1 else "0") == "0":
        yield here({c.name: c for c in configuration.channels})
        return
    elsewhere = Elsewhere(partial(_start, serve, settings))
    try:
        yield elsewhere
    finally:
        elsewhere.close()


Task = Callable[[Connection, Mapping[str, Channel]], None]


def _start(task: Task, settings: Settings) -> tuple[BaseProcess, Connection]:
    """A process that compiles the same configuration and does one thing with its channels."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_process, args=(theirs, task, *settings), name=task.__name__, daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _process(pipe: Connection, task: Task, config: Path, env: str | None, secret: bytes) -> None:
    configure()
    # Ctrl-C and supervisors signal the whole group; the engine ends us, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configuration = load(config, env, secret)
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    if not isinstance(configuration, list):
        task(pipe, {c.name: c for c in configuration.channels})


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
