"""A process that sleeps past its epoch and wakes up."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from engine.journal.claims import TERM
from tests.faults.house import FOUR, ROUNDS, Account, Load, Report, house, settled, several, sound
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


async def test_a_worker_that_sleeps_past_its_epoch_writes_nothing(
    server: PostgresServer, tmp_path: Path, report: Report
) -> None:
    """The others take over what it had, and when it wakes up with messages in hand it finds that out."""
    found_out = []

    async def play(folder: Path, rounds: int) -> Account:
        async with house(folder, server.database(folder), FOUR) as site:
            load = Load(site, pause=1.0)
            load.start()
            for n in range(rounds):
                await load.more(10)
                await load.burst(80)
                sleeper = f"worker {1 + n % 2}"
                site.signal(sleeper, signal.SIGSTOP)
                await asyncio.sleep(1.6 * TERM / 1e6)
                site.signal(sleeper, signal.SIGCONT)
                await asyncio.sleep(1.0)
            account = await settled(site, load)
            found_out.append("not filed" in site.log("worker 1") + site.log("worker 2"))
            return account

    sound(await several(tmp_path, ROUNDS, play), "a worker asleep past its epoch", report)
    assert any(found_out)


async def test_a_deliverer_that_sleeps_past_its_epoch_settles_nothing(
    server: PostgresServer, tmp_path: Path, report: Report
) -> None:
    roles = {"intake": "intake", "worker": "worker", "deliver 1": "deliver", "deliver 2": "deliver"}

    async def play(folder: Path, rounds: int) -> Account:
        async with house(folder, server.database(folder), roles) as site:
            load = Load(site, pause=1.0)
            load.start()
            for n in range(rounds):
                await load.more(10)
                sleeper = f"deliver {1 + n % 2}"
                site.signal(sleeper, signal.SIGSTOP)
                await asyncio.sleep(1.6 * TERM / 1e6)
                site.signal(sleeper, signal.SIGCONT)
            return await settled(site, load)

    sound(await several(tmp_path, ROUNDS, play), "a deliverer asleep past its epoch", report)
