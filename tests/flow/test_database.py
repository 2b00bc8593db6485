"""The database in trouble: never an AA for what is not stored, nobody hangs, and it goes on when the trouble ends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import trouble
from tests.adapters.mllp_peer import Said, Sender, acknowledgement, fields, receiver
from tests.crash.ledger import settled
from tests.engine_process import EngineProcess
from tests.flow.installation import DEADLINE, Installation, channel
from tests.flow.messages import adt
from tests.trouble import Machine

pytestmark = pytest.mark.embedded("its file is held, filled and damaged")

FILES = {
    "channels/adt.yaml": channel("adt"),
    "channels/strict.yaml": channel("strict", "mllp: {port: 0, max_frame: 1MB}", "ack: processed"),
}
ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}}}
routes:
  - {{from: adt, to: ward}}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trouble.shim(tmp_path_factory.mktemp("shim"))


@asynccontextmanager
async def started(directory: Path, disk: Machine, shim: Path, **files: str) -> AsyncIterator[Installation]:
    site = Installation(directory, {**FILES, **files})
    site.engine = EngineProcess(site.config, site.data, disk.env(shim, site.data))
    try:
        await site.start()
        yield site
    finally:
        site.kill()


async def code(sender: Sender, body: bytes) -> str:
    """MSA-1, or nothing if the connection was closed instead."""
    await sender.send(body)
    answer = await asyncio.wait_for(sender.answers.get(), DEADLINE)
    return fields(answer, b"MSA")[1] if answer else ""


async def test_what_a_full_disk_did_not_take_leaves_no_file_behind(tmp_path: Path, shim: Path) -> None:
    disk = Machine(tmp_path)
    big = channel("adt", "mllp: {port: 0}", "spool_over: 1KB")
    async with started(tmp_path, disk, shim, **{"channels/adt.yaml": big}) as site:
        sender, body = await site.sender("adt"), adt("S0", "S0", last="NTE|1||" + "x" * 5000)
        disk.has("full")
        for _ in range(3):
            assert await code(sender, body) == "AR"
        disk.is_well()
        assert await code(sender, body) == "AA"
        await site.end("S0")
        kept = [file for file in (site.data / "spool").rglob("*") if file.is_file()]
        assert [file.read_bytes() for file in kept] == [body]


@pytest.mark.parametrize("feed", ["adt", "strict"])
async def test_a_full_disk_never_gives_an_aa_and_recovers_by_itself(
    tmp_path: Path, shim: Path, feed: str
) -> None:
    disk = Machine(tmp_path)
    async with started(tmp_path, disk, shim) as site:
        first, second = await site.sender(feed), await site.sender(feed)
        assert await code(first, adt("B0", "B0")) == "AA"
        await site.end("B0")
        disk.has("full")
        for n in range(5):
            assert await code(first, adt(f"F{n}", f"F{n}")) == "AR"
            assert await code(second, b"no message at all") == "AR"
        assert (await site.ask("/healthz", {})).status == 200
        assert (await site.ask("/readyz", {})).status == 503
        assert len(await site.resources("Patient?identifier=urn:test:mrn|B0")) == 1, (
            "what is there can be read"
        )
        assert not await site.messages(key="F0")
        disk.is_well()
        for n in range(5):
            assert await code(first, adt(f"F{n}", f"F{n}")) == "AA"
        assert (await site.ask("/readyz", {})).status == 200
        assert [(await site.end(f"F{n}"))["state"] for n in range(5)] == ["STORED"] * 5
        metrics = (await site.ask("/metrics", {})).body.decode()
        assert f'chartwire_unavailable_total{{channel="{feed}"}} 10.0' in metrics
        await first.leave()
        await second.leave()
        assert await site.stop() == 0


async def test_garbage_that_could_not_be_kept_does_not_count_against_its_sender(
    tmp_path: Path, shim: Path
) -> None:
    disk, garbage = Machine(tmp_path), b"x" * (4 << 20)
    async with started(tmp_path, disk, shim) as site:
        sender = await site.sender("adt")
        disk.has("full")
        for _ in range(5):
            assert await code(sender, garbage) == "AR"
        disk.is_well()
        assert await code(sender, garbage) == "AR"
        (kept,) = await site.messages(state="REFUSED")
        assert (await site.get(f"/admin/messages/{kept['id']}"))["body"] is not None
        await sender.leave()
        assert await site.stop() == 0


async def test_what_was_acknowledged_before_the_disk_was_full_is_processed_after_it(
    tmp_path: Path, shim: Path
) -> None:
    """Deliveries too: what the partner took is not forgotten for good, and its lane goes on."""
    disk = Machine(tmp_path)

    def filling(message: bytes) -> Said:
        disk.has("full")  # before its outcome can be written
        return acknowledgement(message)

    async with receiver(filling) as ward:
        routes = ROUTES.format(port=ward.port)
        async with started(tmp_path, disk, shim, **{"routes.yaml": routes}) as site:
            sender = await site.sender("adt")
            accepted: list[str] = []
            while await code(sender, adt(f"L{len(accepted)}", "LANE")) == "AA":
                accepted.append(f"L{len(accepted)}")
            assert accepted
            ward.reply = acknowledgement
            disk.is_well()
            for key in accepted:
                assert (await site.end(key))["state"] == "STORED"
                await site.deliveries(key, "DELIVERED")
            await sender.leave()
            assert await site.stop() == 0


async def test_sigterm_does_not_wait_for_a_full_disk(tmp_path: Path, shim: Path) -> None:
    disk = Machine(tmp_path)
    async with started(tmp_path, disk, shim) as site:
        sender = await site.sender("adt")
        await sender.send(*(adt(f"T{n}", f"T{n}") for n in range(300)))
        first = fields(await sender.answer(), b"MSA")
        disk.has("full")
        stopping = asyncio.create_task(site.stop())
        answers = [first]
        while answer := await sender.answer():
            answers.append(fields(answer, b"MSA"))
        assert await asyncio.wait_for(stopping, DEADLINE) == 0
        disk.is_well()
        await site.start()
        for answered in answers:
            if answered[1] == "AA":
                assert (await site.end(answered[2]))["state"] == "STORED"
        assert await site.stop() == 0


async def test_a_failed_sync_is_never_acknowledged_and_ends_the_process(tmp_path: Path, shim: Path) -> None:
    disk = Machine(tmp_path)
    async with started(tmp_path, disk, shim) as site:
        senders = [await site.sender("adt") for _ in range(8)]
        accepted = []
        for n, sender in enumerate(senders):
            assert await code(sender, adt(f"E{n}", f"E{n}")) == "AA"
            accepted.append(f"E{n}")
        await asyncio.to_thread(settled, site.data)
        disk.has("broken")
        unsaid = [adt(f"X{n}", f"X{n}") for n in range(8)]
        answers = await asyncio.gather(*(code(s, body) for s, body in zip(senders, unsaid, strict=True)))
        assert answers == [""] * 8, "closed without an answer"
        assert site.engine.process is not None
        status = await asyncio.to_thread(site.engine.process.wait, DEADLINE)
        assert status not in (0, None)
        assert "the committer died" in site.log()
        assert not (site.data / "engine.json").exists()

        disk.is_well()
        await site.start()
        for key in accepted:
            assert (await site.end(key))["state"] == "STORED"
        sender = await site.sender("adt")
        for n, body in enumerate(unsaid):
            assert await code(sender, body) == "AA"
            assert (await site.end(f"X{n}"))["state"] == "STORED", "one row, whatever became of the first try"
        await sender.leave()
        assert await site.stop() == 0


async def test_a_foreign_writer_costs_an_ar_and_no_restart(tmp_path: Path) -> None:
    site = Installation(tmp_path, FILES)
    try:
        await site.start()
        sender, strict = await site.sender("adt"), await site.sender("strict")
        foreign = sqlite3.connect(site.data / "chartwire.db", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        codes = [*await asyncio.gather(code(sender, adt("W0", "W0")), code(strict, adt("W1", "W1")))]
        assert codes == ["AR", "AR"]
        foreign.execute("ROLLBACK")
        foreign.close()
        assert await code(sender, adt("W0", "W0")) == "AA"
        assert await code(strict, adt("W1", "W1")) == "AA"
        assert [(await site.end(key))["state"] for key in ("W0", "W1")] == ["STORED", "STORED"]
        await sender.leave()
        await strict.leave()
        assert await site.stop() == 0
    finally:
        site.kill()
