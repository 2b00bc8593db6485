"""Encryption at rest: nothing of any patient can be read in anything that the engine wrote, and keys are exchanged."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.journal.seal import Keys, Sealing, opened
from tests.adapters.mllp_peer import fields, receiver
from tests.flow.installation import Installation, channel, running
from tests.flow.messages import adt

pytestmark = pytest.mark.embedded("PostgreSQL is on an encrypted volume: docs/scale-out.md")
CANARY = b"CANARYBIRD"
WHY = ("--why", "a drill")
ROUTES = """
destinations:
  pager: {{mllp: {{host: 127.0.0.1, port: {0}}}}}
  mute: {{mllp: {{host: 127.0.0.1, port: 1}}}}
routes:
  - {{from: adt, to: [pager, mute]}}
"""


def keys(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines))
    path.chmod(0o600)


def key() -> str:
    return secrets.token_hex(32)


def written(folder: Path) -> Iterator[tuple[Path, bytes]]:
    yield from ((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())


async def fed(site: Installation, *names: str) -> None:
    """A short message and one for the spool, of each patient."""
    line = await site.sender("adt")
    for name in names:
        for control, pad in ((name, 1), (f"{name}-BIG", 20_000)):
            message = adt(control, name, family=f"{CANARY.decode()}{name}") + b"ZPD|" + CANARY * pad + b"\r"
            assert fields(await line.ask(message), b"MSA")[1] == "AA"
            await site.end(control)
    await line.leave()


def clean(folder: Path) -> None:
    found = [path for path, data in written(folder) if CANARY in data or b"STREET" in data]
    assert not found, found


async def test_nothing_can_be_read_and_keys_are_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, one, two = tmp_path / "keys", key(), key()
    keys(file, one)
    monkeypatch.setenv("CHARTWIRE_KEY_FILE", str(file))
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt", "mllp: {port: 0}", "spool_over: 16KB"),
                 "routes.yaml": ROUTES.format(partner.port)}  # fmt: skip
        async with running(tmp_path, files) as site:
            await fed(site, "P1", "P2")
            await partner.arrived(4)
            assert sum(CANARY in message for message in partner.got) == 4
            clean(site.data)
            backup = tmp_path / "first.tar"
            made = await site.command("backup", str(backup), *WHY)
            assert made.returncode == 0, made.stderr
            assert CANARY not in backup.read_bytes()
            site.kill()
            clean(site.data)
            await site.start()
            assert len(await site.resources("Patient")) == 2
            assert await site.stop() == 0

            keys(file, two, one)
            with pytest.raises(AssertionError, match="chartwire rekey"):
                await site.start()
            done = await site.command("rekey", *WHY)
            assert done.returncode == 0, done.stderr
            assert "and 2 spooled files" in done.stdout
            keys(file, two)
            await site.start()
            assert len(await site.resources("Patient")) == 2
            reprocessed = await site.command("messages", "reprocess", "--where", "key=P1-BIG", *WHY)
            assert reprocessed.returncode == 0, reprocessed.stderr
            assert (await site.end("P1-BIG"))["state"] == "STORED"
            clean(site.data)
            old = await site.command("restore", str(backup), "--verify")
            assert old.returncode == 1
            assert "no key of CHARTWIRE_KEY_FILE fits" in old.stderr
            keys(file, two, one)
            assert (await site.command("restore", str(backup), "--verify")).returncode == 0
            verified = await site.command("audit", "verify")
            assert verified.returncode == 0, verified.stdout


async def test_what_was_there_before_is_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"channels/adt.yaml": channel("adt", "mllp: {port: 0}", "spool_over: 16KB")}
    async with running(tmp_path, files) as site:
        await fed(site, "P1")
        assert await site.stop() == 0
        assert any(CANARY in data for _, data in written(site.data))
        keys(tmp_path / "keys", key())
        monkeypatch.setenv("CHARTWIRE_KEY_FILE", str(tmp_path / "keys"))
        with pytest.raises(AssertionError, match="chartwire rekey"):
            await site.start()
        done = await site.command("rekey", *WHY)
        assert done.returncode == 0, done.stderr
        clean(site.data)
        await site.start()
        assert len(await site.resources("Patient")) == 1
        monkeypatch.delenv("CHARTWIRE_KEY_FILE")
        assert await site.stop() == 0
        with pytest.raises(AssertionError, match="no key of CHARTWIRE_KEY_FILE fits"):
            await site.start()
        monkeypatch.setenv("CHARTWIRE_KEY_FILE", str(tmp_path / "keys"))
        await site.start()


@pytest.mark.parametrize("text", ["", "short", "zz" * 32])
async def test_a_key_file_that_is_none_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    keys(tmp_path / "keys", text)
    monkeypatch.setenv("CHARTWIRE_KEY_FILE", str(tmp_path / "keys"))
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt")})
    with pytest.raises(AssertionError, match="the key file"):
        await site.start()


async def test_a_key_file_that_others_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(tmp_path / "keys", key())
    (tmp_path / "keys").chmod(0o644)
    monkeypatch.setenv("CHARTWIRE_KEY_FILE", str(tmp_path / "keys"))
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt")})
    with pytest.raises(AssertionError, match="chmod 600"):
        await site.start()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
def test_a_sealed_file_is_read_from_any_place_and_not_changed(tmp_path: Path, size: int) -> None:
    held, data, path = Keys([bytes(range(32))]), secrets.token_bytes(size), tmp_path / "file"
    sealing = Sealing(path.open("wb"), held.keys[0])
    for at in range(0, size, 7919):
        sealing.write(data[at : at + 7919])
    sealing.close()
    with opened(path, held) as file:
        assert file.read() == data
        file.seek(size // 2)
        assert file.read(10) == data[size // 2 : size // 2 + 10]
    whole = path.read_bytes()
    for wrong in (
        whole[:-1],
        whole[:-17] + b"x" + whole[-16:],
        whole[: 28 + 65_552] if size > 65_536 else whole[:-16],
    ):
        path.write_bytes(wrong)
        with pytest.raises(OSError, match="not as it was written"), opened(path, held) as file:
            file.read()
