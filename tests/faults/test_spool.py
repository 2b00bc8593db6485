"""A body too big for a row is taken by one process and read by others, which share no disk with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.mllp_peer import Sender, fields
from tests.faults.house import house
from tests.flow.messages import adt
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres
ROLES = {"intake": "intake", "worker": "worker", "deliver": "deliver"}
SIZE = 3 << 20


async def test_what_one_process_spools_others_read(server: PostgresServer, tmp_path: Path) -> None:
    async with house(tmp_path, server.database(tmp_path), ROLES) as site:
        big = adt("BIG", "BIG").rstrip(b"\r") + b"\rZBG|" + b"x" * SIZE + b"\r"
        line = await Sender.connect(f"mllp://127.0.0.1:{site.ports['adt']}")
        assert fields(await line.ask(big), b"MSA")[1] == "AA"
        await line.leave()
        await site.partner.arrived(1)
        assert b"x" * SIZE in site.partner.got[0]
        assert site.ask("SELECT count(*) FROM chunk") == [(4,)]
        assert site.ask("SELECT state FROM message") == [("STORED",)]
