"""What every partner's program has: how it is told to behave, how it tells what happens, how it ends."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from types import FrameType

PATIENCE = 30.0
"""Seconds for anything that is waited for."""

_telling = Lock()


def tell(at: str, **said: object) -> None:
    """One line of JSON on standard output; whole, from whatever thread."""
    with _telling:
        sys.stdout.write(json.dumps({"at": at, **said}) + "\n")
        sys.stdout.flush()


def ready(**addresses: object) -> None:
    with _telling:
        sys.stdout.write(json.dumps({"ready": addresses}) + "\n")
        sys.stdout.flush()


def options(about: str | None, *behaviours: str) -> argparse.ArgumentParser:
    """The parser of a partner's command line; the first of `behaviours` is the default."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--behave", choices=behaviours, default=behaviours[0], help="default: %(default)s")
    return parser


def until_told() -> None:
    """Serve until standard input ends or SIGTERM comes; either way what was started is ended."""
    sys.stdin.read()


def ends_on_sigterm() -> None:
    """So that `finally` is reached."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


@contextmanager
def program(command: Sequence[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """A listener that is a program of its own, listening on `port`; ended with us. Its output goes to ours."""
    ends_on_sigterm()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    try:
        _listening(running, port)
        yield running
    finally:
        running.terminate()
        running.wait()


def _listening(running: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        if running.poll() is not None:
            sys.exit(f"it ended with status {running.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"it does not listen on port {port}")
            time.sleep(0.02)
        else:
            return


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port
