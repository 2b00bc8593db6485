"""Processes that are there at once: one is forked before there are threads and connections, and forks the others.

It has imported everything, and what it has in memory its children share: a process of its own for the channels costs
milliseconds, not a second, whenever one is needed.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

Task = Callable[..., None]
_SIZE = struct.Struct("!I")


class Gone(Exception):
    """What forks is gone: somebody killed it."""


class Forked:
    """A process that is not our own child, by its descriptor (pidfd_open(2)): no other one can be meant by it."""

    exitcode: int | None = None

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def join(self) -> None:
        """Wait until it has ended."""
        select.select([self._descriptor], [], [])
        self.exitcode = -signal.SIGKILL

    def __del__(self) -> None:
        os.close(self._descriptor)


class Forks:
    """Make it while there is one thread and nothing is open. `start` may be called from any thread."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()  # what is shared stays shared
        ours, theirs = socket.socketpair()
        if not os.fork():
            ours.close()
            try:
                _serve(theirs)
            finally:
                os._exit(1)
        theirs.close()
        self._socket = ours
        self._lock = Lock()

    def start(self, task: Task, *arguments: Any) -> tuple[Forked, Connection]:
        """`task(pipe, *arguments)` in a process of its own, and our end of the pipe. Raises Gone."""
        ours, theirs = Pipe()
        data = pickle.dumps((task, arguments))
        try:
            with self._lock:
                socket.send_fds(self._socket, [_SIZE.pack(len(data))], [theirs.fileno()])
                self._socket.sendall(data)
                _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        except OSError:
            raise Gone from None
        finally:
            theirs.close()
        if not descriptors:
            raise Gone
        return Forked(descriptors[0]), ours


def _serve(server: socket.socket) -> None:
    """Fork whenever we are asked to; end with whoever asks. Signals to the whole group are the engine's to obey."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        size, descriptors, _, _ = socket.recv_fds(server, _SIZE.size, 1)
        if not size:
            os._exit(0)
        data = _exactly(server, _SIZE.unpack(size)[0])
        _reap()
        child = os.fork()
        if not child:
            server.close()
            task, arguments = pickle.loads(data)
            task(Connection(descriptors[0]), *arguments)
            os._exit(0)
        os.close(descriptors[0])
        descriptor = os.pidfd_open(child)
        socket.send_fds(server, [b"."], [descriptor])
        os.close(descriptor)


def _exactly(server: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := server.recv(size - len(data))):
            os._exit(0)
        data += more
    return data


def _reap() -> None:
    """Those that ended before."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
