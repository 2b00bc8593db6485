"""The processes of the demo: the engine and its partners. Each prints JSON lines, which end in one queue."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

PATIENCE = 60.0  # seconds for a process to become ready, or to end


class Failed(Exception):
    """The demo cannot go on; the text says why and what to look at."""


Said = tuple[str, dict[str, Any]]
"""Which process, and what it said."""


class Child:
    """A process whose lines on standard output are JSON objects; standard error goes to `log`."""

    def __init__(
        self, name: str, command: Sequence[str], heard: queue.Queue[Said], log: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=env, text=True,
                start_new_session=True,  # Ctrl-C is the demo's to handle
            )  # fmt: skip
        self._reader = Thread(target=self._read, args=(heard,), daemon=True)
        self._reader.start()

    def _read(self, heard: queue.Queue[Said]) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                heard.put((self.name, said))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None and not self._reader.is_alive()

    def check(self) -> None:
        """Raise Failed if the process has ended in error."""
        if self._process.poll():
            status = self._process.returncode
            raise Failed(f"{self.name} ended with status {status}:\n{tail(self._log)}")

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit status when it has ended by itself and everything that it said was read."""
        status = self._process.wait(patience)
        self._reader.join(patience)
        return status

    def stop(self) -> int:
        """Ask it to end (SIGTERM), wait, and give its exit status; it is killed when it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def chartwire(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("chartwire")), *arguments]


def ask(*arguments: str) -> str:
    """What a `chartwire` command prints."""
    done = subprocess.run(
        chartwire(*arguments), capture_output=True, text=True, timeout=PATIENCE, check=False, env=os.environ
    )
    if done.returncode:
        raise Failed(f"chartwire {' '.join(arguments)} ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def tail(log: Path) -> str:
    return "\n".join(f"    {line}" for line in log.read_text("utf-8", "replace").splitlines()[-15:])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all different."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports: list[int] = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def ready(engine: Child, data: Path) -> dict[str, Any]:
    """What the engine writes when everything listens: its addresses."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        engine.check()
        try:
            told = json.loads((data / "engine.json").read_text())
        except FileNotFoundError:
            time.sleep(0.02)
            continue
        return dict(told)
    raise Failed(f"the engine was not ready within {PATIENCE:.0f} seconds")
