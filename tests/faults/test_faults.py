"""What fails around the processes: the database, Redis, and a process that sleeps past its epoch and wakes up."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.journal.claims import TERM
from tests.faults.house import Load, Report, house
from tests.postgres_server import PostgresServer, postgres_server
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.postgres
ROUNDS = int(os.environ.get("CHARTWIRE_ROUNDS", "20"))
ROLES = {"intake": "intake", "worker 1": "worker", "worker 2": "worker", "deliver": "deliver"}


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A server that only this test uses, for it is killed."""
    with postgres_server() as running:
        yield running


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


async def test_kill_9_of_postgresql(mortal: PostgresServer, tmp_path: Path, report: Report) -> None:
    """No process needs to be started again."""
    chance = random.Random(3)
    async with house(tmp_path, mortal.database(tmp_path), ROLES) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(chance.randrange(1, 50))
            await asyncio.to_thread(mortal.kill)
            await asyncio.to_thread(mortal.start)
        await load.stop()
        account = await site.account(load)
        report("kill -9 of PostgreSQL", account)
        assert account.sound()
        assert all(process.process and process.process.poll() is None for process in site.processes.values())


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


async def test_a_worker_that_sleeps_past_its_epoch_writes_nothing(
    server: PostgresServer, tmp_path: Path, report: Report
) -> None:
    """The others take over what it had, and when it wakes up with messages in hand it finds that out."""
    async with house(tmp_path, server.database(tmp_path), ROLES) as site:
        load = Load(site, pause=0.03)  # more than the workers can do, so that they have something in hand
        load.start()
        for n in range(max(ROUNDS // 10, 2)):
            await load.more(300)
            sleeper = f"worker {1 + n % 2}"
            site.signal(sleeper, signal.SIGSTOP)
            await asyncio.sleep(1.6 * TERM / 1e6)
            site.signal(sleeper, signal.SIGCONT)
            await asyncio.sleep(1.0)
        await load.stop()
        account = await site.account(load)
        report("a worker asleep past its epoch", account)
        assert account.sound()
        assert "not filed" in site.log("worker 1") + site.log("worker 2")


async def test_a_deliverer_that_sleeps_past_its_epoch_settles_nothing(
    server: PostgresServer, tmp_path: Path, report: Report
) -> None:
    roles = {"intake": "intake", "worker": "worker", "deliver 1": "deliver", "deliver 2": "deliver"}
    async with house(tmp_path, server.database(tmp_path), roles) as site:
        load = Load(site)
        load.start()
        for n in range(2):
            await load.more(50)
            sleeper = f"deliver {1 + n % 2}"
            site.signal(sleeper, signal.SIGSTOP)
            await asyncio.sleep(2 * TERM / 1e6)
            await load.more(50)
            site.signal(sleeper, signal.SIGCONT)
        await load.stop()
        account = await site.account(load)
        report("a deliverer asleep past its epoch", account)
        assert account.sound()


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
