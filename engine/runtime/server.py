"""The HTTP server as a part of this process: it starts and stops with the engine and leaves signals alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn

log = structlog.get_logger("http")


@contextlib.contextmanager
def private(path: Path) -> Iterator[str]:
    """The name of a socket that only this user may open, short enough for the kernel (107 bytes)."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    name = f"/proc/self/fd/{folder}/{path.name}"
    path.unlink(missing_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as placeholder:  # uvicorn takes over the mode that it finds
            placeholder.bind(name)
        path.chmod(0o600)
        yield name
    finally:
        path.unlink(missing_ok=True)
        os.close(folder)


class Server(uvicorn.Server):
    """uvicorn as a part of this process: it starts and stops with us and leaves signals alone."""

    def __init__(self, app: Any, **where: Any) -> None:
        quiet: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
        super().__init__(uvicorn.Config(app, lifespan="off", **quiet, **where))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """OSError where uvicorn would end the process by itself."""
        try:
            await super().startup(sockets)
        except SystemExit:
            hint = "it is in use, or not this machine's; set CHARTWIRE_HTTP=HOST:PORT"
            log.critical("the HTTP address cannot be had", port=self.config.port, hint=hint)
            raise OSError from None

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.serve())
        while not self.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.005)
        if not self.started:
            await task
        try:
            yield
        finally:
            self.should_exit = True
            await asyncio.wait([task])
