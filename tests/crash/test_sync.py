"""kill -9 leaves the page cache alone, so it proves nothing about fsync. These two tests do.

One watches the system calls: each acknowledgement is written after a completed sync of the file that holds
its bytes. The other runs the engine on a disk that forgets what was not synced, and looks at that disk.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.crash.ledger import check, settled
from tests.engine_process import EngineProcess, port_of
from tests.senders import Crowd

pytestmark = pytest.mark.embedded("tests/faults has the same of PostgreSQL")

HERE = Path(__file__).parent


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    library = tmp_path / "unsynced.so"
    command = [
        "gcc",
        "-O1",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(HERE / "unsynced.c"),
        "-ldl",
        "-lpthread",
    ]
    subprocess.run(command, check=True)
    return library


async def flood(engine: EngineProcess, prefix: str, enough: int) -> Crowd:
    told = await asyncio.to_thread(engine.start)
    crowd = Crowd(port_of(told["sources"]["adt"]), prefix)
    running = asyncio.create_task(crowd.run(8, enough=enough))
    await asyncio.wait_for(crowd.some.wait(), 120)
    engine.kill()
    await running
    return crowd


@pytest.mark.parametrize("spooled", ["", "spool_over: 64B\n"], ids=["rows", "spool"])
async def test_a_disk_that_forgets_loses_nothing_acknowledged(
    config: Path, tmp_path: Path, shim: Path, spooled: str
) -> None:
    with (config / "channels" / "adt.yaml").open("a") as channel:
        channel.write(spooled)
    live, disk = tmp_path / "live", tmp_path / "disk"
    disk.mkdir()
    env = {"LD_PRELOAD": str(shim), "UNSYNCED_LIVE": str(live), "UNSYNCED_DISK": str(disk)}
    crowd = await flood(EngineProcess(config, live, env), "U", enough=300 if spooled else 1500)
    assert (disk / "chartwire.db").exists(), "the shim saw no sync at all"
    assert bool(spooled) == any(file.is_file() for file in (disk / "spool").rglob("*"))
    after = EngineProcess(config, tmp_path / "after")
    shutil.copytree(disk, after.data)
    await asyncio.to_thread(after.start)
    check(await asyncio.to_thread(settled, after.data), crowd.accepted)
    assert after.stop() == 0


async def test_each_acknowledgement_follows_a_completed_sync(config: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,fdatasync,fsync,write,sendto,writev,sendmsg"
    strace = ("strace", "-f", "-y", "-ttt", "-s", "65536", "-e", calls, "-o", str(trace))
    crowd = await flood(EngineProcess(config, tmp_path / "data", wrapper=strace), "S", enough=100)
    durable, acknowledged = follow(trace.read_bytes())
    assert len(acknowledged & crowd.accepted) >= 100
    assert acknowledged <= durable, "an acknowledgement left before its bytes were synced"


def follow(trace: bytes) -> tuple[set[str], set[str]]:
    """Control ids that were durable when acknowledged, and all acknowledged ones, from the trace of system calls.

    A line `<unfinished ...>` starts a call and `resumed` ends it; a sync covers what was written before it began.
    """
    written: set[bytes] = set()
    covered: dict[bytes, set[bytes]] = {}
    durable: set[bytes] = set()
    good: set[str] = set()
    acknowledged: set[str] = set()
    for line in trace.splitlines():
        thread = line.split(b" ", 1)[0]
        wal = b"chartwire.db-wal>" in line
        if b"pwrite64(" in line and wal:
            written |= set(re.findall(rb"S\d{8}", line))
        elif (b"fdatasync(" in line or b"fsync(" in line) and wal:
            covered[thread] = set(written)
        if (b"fdatasync" in line or b"fsync" in line) and line.rstrip().endswith(b"= 0"):
            durable |= covered.pop(thread, set())
        for control in re.findall(rb"MSA\|[AC]A\|(S\d{8})", line):
            acknowledged.add(control.decode())
            if control in durable:
                good.add(control.decode())
    return good, acknowledged
