"""A body too big for a row is taken by one process and read by others, which share no disk with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.mllp_peer import Sender, fields
from tests.engine_process import EngineProcess, family, memory
from tests.faults.house import Report, house
from tests.flow.installation import Installation, channel, until
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


async def test_memory_does_not_grow_with_the_file(
    server: PostgresServer, tmp_path: Path, report: Report
) -> None:
    """A hundred megabytes out of a folder, through the spool in the database, to the process that takes it apart."""
    inbox = tmp_path / "in"
    inbox.mkdir()
    source = f'files: {{directory: "{inbox}", pattern: "*.hl7", settle: 0s, poll: 100ms, max_size: 200MB}}'
    files = {"channels/big.yaml": channel("big", source, "split: {hl7.batch: {max_part: 1MB}}")}
    site = Installation(tmp_path, files)
    site.engine = EngineProcess(site.config, site.data, {"CHARTWIRE_DATABASE": server.database(tmp_path)})
    try:
        await site.start()
        taken = [await peak(site, inbox, size) for size in (2, 100)]
        report(
            "the spool of several hosts", f"2 MB: {taken[0] >> 10} MB of memory, 100 MB: {taken[1] >> 10} MB"
        )
        assert taken[1] < taken[0] + (24 << 10), "a fraction of the file"
        assert await site.stop() == 0
    finally:
        site.kill()


async def peak(site: Installation, inbox: Path, size: int) -> int:
    """KiB that any of its processes took at most, once a file of so many megabytes has come to its end."""
    begun = inbox.parent / "begun"
    with begun.open("wb") as file:
        file.write(adt(f"F{size}", "P1") + b"OBX|1|ED|||")
        for _ in range(size):
            file.write(b"x" * (1 << 20))
    begun.rename(inbox / f"{size}.hl7")

    async def over() -> bool:
        found = await site.messages()
        return sum(m["state"] == "SPLIT" for m in found) == (1 if size == 2 else 2)

    await until(over)
    assert site.engine.process is not None
    return max(map(memory, family(site.engine.process.pid)))
