"""kill -9 under load: what was acknowledged is in the journal and reaches the chart, and nothing is there twice."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.crash.ledger import check, settled
from tests.engine_process import EngineProcess, port_of
from tests.senders import Crowd

pytestmark = pytest.mark.embedded("tests/faults has the same of PostgreSQL")

ROUNDS, SENDERS = int(os.environ.get("CHARTWIRE_ROUNDS", "20")), 32


async def test_kill_9_under_32_senders(config: Path, tmp_path: Path) -> None:
    engine = EngineProcess(config, tmp_path / "data")
    chance = random.Random(7)
    accepted: set[str] = set()
    for round in range(ROUNDS):
        told = await asyncio.to_thread(engine.start)
        crowd = Crowd(port_of(told["sources"]["adt"]), f"R{round:02d}")
        running = asyncio.create_task(crowd.run(SENDERS, enough=chance.randrange(1, 400)))
        await asyncio.wait_for(crowd.some.wait(), 60)
        engine.kill()
        await running
        assert not crowd.refused
        accepted |= crowd.accepted
    await asyncio.to_thread(engine.start)
    reader = await asyncio.to_thread(settled, engine.data)
    check(reader, accepted)
    assert engine.stop() == 0
    assert len(accepted) > ROUNDS * SENDERS
