"""The engine as a process of its own, as the tests of whole promises need it: started, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store.database import Reading
from store.database.postgres import Postgres
from store.database.sqlite import Sqlite
from tests.postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 60.0


@dataclass
class EngineProcess:
    """`chartwire run` on a configuration and a data directory; HTTP on a free port unless `env` says otherwise."""

    config: Path
    data: Path
    env: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        """Start and wait until everything listens; the addresses as engine.json tells them."""
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "engine.json").unlink(missing_ok=True)
        environ = {
            **os.environ,
            "CHARTWIRE_HTTP": "127.0.0.1:0",
            "PYTHONPATH": str(ROOT),
            **_database(self.data),
        }
        command = [*self.wrapper, sys.executable, "-m", "engine.cli", "run", *self.arguments]
        with self.data.with_name(f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config), "--data", str(self.data)],
                stderr=log, stdout=log, cwd=ROOT, start_new_session=True,
                env={**environ, **self.env},
            )  # fmt: skip
        return self.ready()

    def ready(self) -> dict[str, Any]:
        assert self.process is not None
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if (self.data / "engine.json").exists():
                told: dict[str, Any] = json.loads((self.data / "engine.json").read_text())
                return told
            if self.process.poll() is not None:
                raise AssertionError(f"the engine ended with {self.process.returncode}: {self.log()}")
            time.sleep(0.01)
        raise AssertionError(f"the engine is not ready: {self.log()}")

    def log(self) -> str:
        return self.data.with_name(f"{self.data.name}.log").read_text()[-4000:]

    def kill(self) -> None:
        """kill -9 of the engine and whatever wraps it, then wait for the body."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def _database(data: Path) -> dict[str, str]:
    """A database of its own on the server of the tests, if they run on one."""
    home = os.environ.get("CHARTWIRE_TEST_SERVER")
    return {"CHARTWIRE_DATABASE": PostgresServer(Path(home)).database(data)} if home else {}


def past_the_engine(data: Path) -> Reading:
    """A reader of its database, on purpose: the engine is on trial."""
    url = _database(data).get("CHARTWIRE_DATABASE")
    return Postgres(url, writes=False) if url else Sqlite(data / "chartwire.db", writes=False)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def children(process: int) -> list[int]:
    """Those that live."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in found if Path(f"/proc/{pid}/cmdline").read_bytes()]


def forking(engine: int) -> int:
    """The process that forks those that compute (`engine.runtime.forks`)."""
    (found,) = children(engine)
    return found


def computing(engine: int) -> list[int]:
    """The processes that compute."""
    return children(forking(engine))


def family(engine: int) -> list[int]:
    """The engine and every process below it."""
    found = [engine]
    for process in found:
        found += children(process)
    return found


def memory(process: int, what: str = "VmHWM") -> int:
    """KiB that it took at most so far, with what it has mapped of files; or what it has now of its own (`RssAnon`)."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(what))
