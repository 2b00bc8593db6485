"""A process that sleeps past its epoch and wakes up."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from engine.journal.claims import TERM
from tests.faults.house import FOUR, ROUNDS, Load, Report, ended, house
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


async def test_a_worker_that_sleeps_past_its_epoch_writes_nothing(
    server: PostgresServer, tmp_path: Path, report: Report
) -> None:
    """The others take over what it had, and when it wakes up with messages in hand it finds that out."""
    async with house(tmp_path, server.database(tmp_path), FOUR) as site:
        load = Load(site, pause=0.06)  # more than the workers can do, so that they have something in hand
        load.start()
        for n in range(max(ROUNDS // 10, 2)):
            await load.more(300)
            sleeper = f"worker {1 + n % 2}"
            site.signal(sleeper, signal.SIGSTOP)
            await asyncio.sleep(1.6 * TERM / 1e6)
            site.signal(sleeper, signal.SIGCONT)
            await asyncio.sleep(1.0)
        await ended(site, load, "a worker asleep past its epoch", report)
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
        await ended(site, load, "a deliverer asleep past its epoch", report)
