"""A second run on the same database."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.house import ROUNDS, Account, Load, Report, house, settled, several, sound
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


async def test_a_second_run_takes_over(server: PostgresServer, tmp_path: Path, report: Report) -> None:
    """Both do everything; the first one has the ports. Then a third, when the second is killed, and so on."""
    took: list[float] = []

    async def play(folder: Path, rounds: int) -> Account:
        async with house(folder, server.database(folder), {"run 0": "all"}) as site:
            load = Load(site, pause=0.5)
            load.start()
            for before, after in pairwise(f"run {n}" for n in range(rounds + 1)):
                next_one = site.beside(after, "all")
                await load.more(10)
                waiting = asyncio.create_task(asyncio.to_thread(next_one.start))
                await load.more(10)
                await asyncio.sleep(2.0)
                assert not waiting.done()
                site.kill(before)
                killed = time.monotonic()
                await waiting
                await load.more(1)
                took.append(time.monotonic() - killed)
                await load.more(10)
                del site.processes[before]
            return await settled(site, load)

    account = await several(tmp_path, ROUNDS, play)
    report("it took over", f"in {max(took):.1f} s at most, four of them at a time")
    sound(account, "a second run takes over", report)
