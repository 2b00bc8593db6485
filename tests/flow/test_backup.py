"""A backup is whole, or it is not there; what is restored is what was, and sends nothing until somebody says so."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from tests.adapters.mllp_peer import Receiver, fields, receiver
from tests.flow.installation import Installation, channel
from tests.flow.messages import adt

pytestmark = pytest.mark.embedded("a server has backups of its own")

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}, retry: {{first: 50ms, max: 50ms}}}}
routes:
  - {{from: adt, to: ward}}
"""
WHY = ("--why", "a test")
BIG = "NTE|1||" + "x" * 30_000


def site_of(directory: Path, ward: Receiver) -> Installation:
    files = {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "spool_over: 10KB"),
        "routes.yaml": ROUTES.format(port=ward.port),
    }
    return Installation(directory, files)


async def send(site: Installation, *bodies: bytes) -> None:
    sender = await site.sender("adt")
    for body in bodies:
        assert fields(await sender.ask(body), b"MSA")[1] == "AA"
    await sender.leave()


async def test_a_backup_under_load_is_restored_with_everything_and_holds_its_deliveries(
    tmp_path: Path,
) -> None:
    file = tmp_path / "night.backup"
    async with receiver() as ward:
        site = site_of(tmp_path / "old", ward)
        try:
            await site.start()
            await send(site, *(adt(f"A{n}", f"A{n}") for n in range(50)), adt("BIG", "BIG", last=BIG))
            await site.deliveries("BIG", "DELIVERED")
            await ward.stop()
            await send(site, adt("LAST", "LAST"))
            load = asyncio.create_task(send(site, *(adt(f"L{n}", f"L{n}") for n in range(200))))
            done = await site.command("backup", str(file), *WHY)
            await load
            assert done.returncode == 0, done.stderr
            assert "1 spooled files; sha256 " in done.stdout
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert "backup" in (await site.command("audit", "list")).stdout
            assert (await site.command("audit", "verify")).returncode == 0
            before = await site.resources("Patient?identifier=urn:test:mrn|BIG")
            site.kill()
            again = site_of(tmp_path / "new", ward)
            sound = await again.command("restore", str(file), "--verify")
            assert (sound.returncode, sound.stdout[:7]) == (0, "sound: "), sound.stderr
            assert not again.data.exists(), "nothing was written there"
            restored = await again.command("restore", str(file), *WHY)
            assert restored.returncode == 0, restored.stderr
            heard = len(ward.got)
            await ward.start()
            await again.start()
            assert await again.resources("Patient?identifier=urn:test:mrn|BIG") == before
            assert [f.stat().st_size for f in (again.data / "spool").rglob("*") if f.is_file()] == [
                len(adt("BIG", "BIG", time="20260301000000", last=BIG))
            ]
            assert [d["state"] for d in await again.deliveries("LAST", "QUEUED")] == ["QUEUED"]
            await send(again, adt("NEW", "NEW"))
            await again.deliveries("NEW", "QUEUED")
            assert len(ward.got) == heard, "nothing was sent"
            assert "restored from a backup" in (await again.command("pause")).stdout
            assert (await again.command("resume", "ward", *WHY)).returncode == 0
            await again.deliveries("LAST", "DELIVERED")
            await again.deliveries("NEW", "DELIVERED")
            assert await again.stop() == 0
        finally:
            site.kill()
            again.kill()


@pytest.mark.parametrize("how", ["broken off", "a bit", "no backup"])
async def test_one_that_is_damaged_is_told_and_nothing_is_touched(tmp_path: Path, how: str) -> None:
    async with receiver() as ward:
        site = site_of(tmp_path / "old", ward)
        try:
            await site.start()
            await send(site, adt("BIG", "BIG", last=BIG))
            await site.deliveries("BIG", "DELIVERED")
            file = tmp_path / "b"
            assert (await site.command("backup", str(file), *WHY)).returncode == 0
            assert await site.stop() == 0
        finally:
            site.kill()
        whole = bytearray(file.read_bytes())
        if how == "broken off":
            del whole[len(whole) // 2 :]
        elif how == "a bit":
            whole[whole.rindex(b"xxxx")] ^= 1
        else:
            whole = bytearray(b"not a backup at all")
        file.write_bytes(whole)
        names = sorted(path.name for path in (tmp_path / "old").iterdir())
        for arguments in (("--verify",), ("--force", *WHY)):
            ended = await site.command("restore", str(file), *arguments)
            assert ended.returncode == 1, ended.stdout
            assert "chartwire: " in ended.stderr
        assert sorted(path.name for path in (tmp_path / "old").iterdir()) == names, (
            "nothing is left beside it"
        )


async def test_what_must_not_be_overwritten_is_not(tmp_path: Path) -> None:
    async with receiver() as ward:
        site = site_of(tmp_path / "old", ward)
        try:
            await site.start()
            file = tmp_path / "b"
            assert "say why" in (await site.command("backup", str(file))).stderr
            assert (await site.command("backup", str(file), *WHY)).returncode == 0
            assert "there already" in (await site.command("backup", str(file), *WHY)).stderr
            assert "there is data" in (await site.command("restore", str(file), *WHY)).stderr
            assert "an engine runs" in (await site.command("restore", str(file), "--force", *WHY)).stderr
            assert (
                "no such file"
                in (await site.command("restore", str(tmp_path / "none"), "--verify")).stderr.lower()
            )
            assert await site.stop() == 0
            done = await site.command("restore", str(file), "--force", *WHY)
            assert done.returncode == 0, done.stderr
            kept = [path.name for path in (tmp_path / "old").iterdir() if ".before." in path.name]
            assert len(kept) == 1
        finally:
            site.kill()
