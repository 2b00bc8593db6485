"""A second run on the same database."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.faults.house import Load, Report, house
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres
ROUNDS = int(os.environ.get("CHARTWIRE_ROUNDS", "20"))
ROLES = {"intake": "intake", "worker 1": "worker", "worker 2": "worker", "deliver": "deliver"}


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
        await load.stop()
        account = await site.account(load)
        report("a second run takes over", account)
        assert account.sound()
        del site.processes["one"]
