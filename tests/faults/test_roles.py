"""Processes of every role on one PostgreSQL: what is acknowledged is in the chart and with the partner once, in order,
whoever is killed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.engine_process import family
from tests.faults.house import ROUNDS, House, Load, Report, ended, house
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres
ROLES = {
    "intake": "intake", "worker 1": "worker", "worker 2": "worker", "deliver 1": "deliver", "deliver 2": "deliver",
    "web": "web",
}  # fmt: skip


MOST = 250 << 20
"""Bytes of memory of a role, what it shares counted by its share (PSS)."""


def memory(site: House, name: str) -> int:
    process = site.processes[name].process
    assert process is not None
    return sum(map(share, family(process.pid)))


def share(process: int) -> int:
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in rollup if line.startswith("Pss:"))


async def test_every_role_does_its_part(server: PostgresServer, tmp_path: Path, report: Report) -> None:
    async with house(tmp_path, server.database(tmp_path), ROLES) as site:
        load = Load(site)
        load.start()
        await load.more(200)
        taken = {name: memory(site, name) for name in ROLES}
        report("memory", "  ".join(f"{name} {size >> 20} MB" for name, size in taken.items()))
        assert max(taken.values()) < MOST
        await ended(site, load, "every role", report)
        owned = site.ask(
            "SELECT kind, count(*) FROM claim WHERE owner <> '' AND kind NOT LIKE 'role %' GROUP BY kind"
        )
        assert {"channel": 3, "destination": 2}.items() <= dict(owned).items(), "each has somebody"


async def test_kill_9_of_every_role(server: PostgresServer, tmp_path: Path, report: Report) -> None:
    chance = random.Random(11)
    async with house(tmp_path, server.database(tmp_path), ROLES) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            name = chance.choice([*ROLES])
            await load.more(chance.randrange(1, 25))
            site.kill(name)
            await asyncio.gather(site.restart(name))
        await ended(site, load, "kill -9 of every role", report)
