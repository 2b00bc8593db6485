"""A PostgreSQL server of the tests' own: on a socket and a port of its own in a temporary directory, also as root."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

INITDB = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
MISSING = "no PostgreSQL server here: `make test` installs it with apt-get"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """`home` holds its socket, its log and its data."""

    home: Path

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.home}"

    def database(self, name: Path) -> str:
        """The URL of a database that belongs to a data directory; made on first use."""
        short = "d" + hashlib.blake2b(str(name).encode(), digest_size=8).hexdigest()
        with psycopg.connect(self.url, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (short,)).fetchone()
            if not known:
                connection.execute(f"CREATE DATABASE {short} TEMPLATE template0 ENCODING 'UTF8'")
        return f"postgresql://postgres@/{short}?host={self.home}"

    def start(self) -> None:
        _run(self.home, f"pg_ctl -D {self.home}/data -w -l {self.home}/log -o '-k {self.home}' start")

    def stop(self, how: str = "immediate") -> None:
        _run(self.home, f"pg_ctl -D {self.home}/data -w -m {how} stop")

    def kill(self) -> None:
        """kill -9 of the server and all that it started. As long as its process is known, another does not start."""
        leader = (self.home / "data/postmaster.pid").read_text().split()[0]
        while processes := _within(self.home / "data"):
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)
        while Path(f"/proc/{leader}").exists():
            time.sleep(0.01)


@contextmanager
def postgres_server(*settings: str) -> Iterator[PostgresServer]:
    """`settings` are lines of postgresql.conf."""
    home = Path(tempfile.mkdtemp(prefix="postgres"))
    if os.geteuid() == 0:  # initdb refuses to run as root
        shutil.chown(home, "postgres")
    server = PostgresServer(home)
    _run(home, f"initdb -D {home}/data -A trust -U postgres --no-sync -E UTF8 --locale C.UTF-8")
    with (home / "data/postgresql.conf").open("a") as file:
        file.writelines(f"{line}\n" for line in ("max_connections = 300", "listen_addresses = ''", *settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(home)


def _within(folder: Path) -> list[int]:
    """The processes that work there; one that is dead has no place any more."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
    return found


def _run(home: Path, command: str) -> None:
    assert INITDB is not None, MISSING
    shell = ["su", "postgres", "-s", "/bin/sh", "-c"] if os.geteuid() == 0 else ["sh", "-c"]
    done = subprocess.run(
        [*shell, f"cd {home} && {INITDB.parent}/{command}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
