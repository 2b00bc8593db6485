"""The machine itself fails under load: its disk is full, its clock is set back."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests import trouble
from tests.adapters.mllp_peer import Said, acknowledgement
from tests.faults.house import ROUNDS, Load, Report, ended, house

pytestmark = pytest.mark.embedded("one engine alone is on trial")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trouble.shim(tmp_path_factory.mktemp("shim"))


async def test_a_full_disk(tmp_path: Path, shim: Path, report: Report) -> None:
    """Who is told no, or nothing, sends again."""
    machine = trouble.Machine(tmp_path)
    env = machine.env(shim, tmp_path / "engine")
    async with house(tmp_path, None, {"engine": "all"}, **env) as site:
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(10)
            machine.has("full")
            await asyncio.sleep(0.2)
            machine.is_well()
        await ended(site, load, "a full disk", report)


async def test_a_clock_that_is_set_back(tmp_path: Path, shim: Path, report: Report) -> None:
    """Each time by minutes, while deliveries wait for their next attempt: none waits until the clock is there again."""
    chance = random.Random(17)
    machine = trouble.Machine(tmp_path)
    env = machine.env(shim, tmp_path / "engine")
    ahead = 40_000
    machine.clock(ahead)
    async with house(tmp_path, None, {"engine": "all"}, **env) as site:
        site.partner.reply = lambda m: acknowledgement(m) if chance.random() < 0.7 else Said(close=True)
        load = Load(site)
        load.start()
        for _ in range(ROUNDS):
            await load.more(15)
            ahead -= chance.randrange(60, 1800)
            machine.clock(ahead)
        site.partner.reply = acknowledgement
        await ended(site, load, "a clock that is set back", report)
        (first, last) = site.ask("SELECT max(received), min(received) FROM message")[0]
        assert int(str(first)) - int(str(last)) > 60_000_000 * ROUNDS, "it was"
