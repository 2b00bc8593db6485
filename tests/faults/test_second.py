"""A second run on the same database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.house import Load, Report, ended, house
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


async def test_a_second_run_takes_over(server: PostgresServer, tmp_path: Path, report: Report) -> None:
    """Both do everything; the first one has the ports."""
    async with house(tmp_path, server.database(tmp_path), {"one": "all"}) as site:
        two = site.beside("two", "all")
        load = Load(site)
        load.start()
        await load.more(100)
        waiting = asyncio.create_task(asyncio.to_thread(two.start))
        await load.more(100)
        assert not waiting.done()
        site.kill("one")
        async with asyncio.timeout(10):
            await waiting
            await load.more(100)
        await ended(site, load, "a second run takes over", report)
        del site.processes["one"]
