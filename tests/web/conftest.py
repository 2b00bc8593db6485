from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

import web
from engine.running import Running
from engine.runtime.metrics import Metrics
from store.database.commit import Committer
from store.database.sqlite import Sqlite, create
from tests.web.hospital import CONFIGURATION, IDENTITY, Hospital, served


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Hospital]:
    """An empty chart; `says` fills it."""
    connection = create(tmp_path / "chartwire.db")
    reader = Sqlite(tmp_path / "chartwire.db", writes=False)
    committer = Committer(connection, on_death=lambda error: None)
    running = Running(CONFIGURATION, reader, committer, IDENTITY, Metrics(), lambda: site.unready)
    tcp, unix = socket.socket(), socket.socket(socket.AF_UNIX)
    tcp.bind(("127.0.0.1", 0))
    unix.bind(str(tmp_path / "engine.sock"))
    async with (
        served(web.build(running, trusted=False), tcp),
        served(web.build(running, trusted=True), unix),
        aiohttp.ClientSession() as remote,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "engine.sock"))) as local,
    ):
        site = Hospital(running, f"http://127.0.0.1:{tcp.getsockname()[1]}", remote, local)
        site.token = await site.new_token()
        yield site
    await committer.stop()
    reader.close()
    connection.close()
