"""Redis forgets, dies and comes back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.house import Load, Report, house
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.postgres
ROUNDS = int(os.environ.get("CHARTWIRE_ROUNDS", "20"))
ROLES = {"intake": "intake", "worker 1": "worker", "worker 2": "worker", "deliver": "deliver"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


async def test_redis_forgets_and_dies(
    server: PostgresServer, redis: RedisServer, tmp_path: Path, report: Report
) -> None:
    async with house(tmp_path, server.database(tmp_path), ROLES, CHARTWIRE_REDIS=redis.url) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(20)
            await asyncio.to_thread(redis.command, "FLUSHALL")
            await load.more(20)
            await asyncio.to_thread(redis.kill)
            await load.more(20)
            await asyncio.to_thread(redis.start)
        await load.stop()
        account = await site.account(load)
        report("FLUSHALL and death of Redis", account)
        assert account.sound()
        assert "hints are heard" in site.log("worker 1")
