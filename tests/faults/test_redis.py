"""Redis forgets, dies and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.house import FOUR, ROUNDS, Load, Report, ended, house
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.postgres


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


async def test_redis_forgets_and_dies(
    server: PostgresServer, redis: RedisServer, tmp_path: Path, report: Report
) -> None:
    async with house(tmp_path, server.database(tmp_path), FOUR, CHARTWIRE_REDIS=redis.url) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(10)
            await asyncio.to_thread(redis.command, "FLUSHALL")
            await load.more(10)
            await asyncio.to_thread(redis.kill)
            await load.more(10)
            await asyncio.to_thread(redis.start)
        await ended(site, load, "FLUSHALL and death of Redis", report)
        assert "hints are heard" in site.log("worker 1")
