"""PostgreSQL is killed and comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.house import FOUR, ROUNDS, Load, Report, ended, house
from tests.postgres_server import PostgresServer, postgres_server

pytestmark = pytest.mark.postgres


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A server that only this test uses, for it is killed."""
    with postgres_server() as running:
        yield running


async def test_kill_9_of_postgresql(mortal: PostgresServer, tmp_path: Path, report: Report) -> None:
    """No process needs to be started again."""
    chance = random.Random(3)
    async with house(tmp_path, mortal.database(tmp_path), FOUR) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(chance.randrange(1, 25))
            await asyncio.to_thread(mortal.kill)
            await asyncio.to_thread(mortal.start)
        await ended(site, load, "kill -9 of PostgreSQL", report)
        assert all(process.process and process.process.poll() is None for process in site.processes.values())
