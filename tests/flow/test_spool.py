"""A message too big for a row walks like any other, and a killed engine leaves no piece of one behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.database.sqlite import Sqlite
from tests.adapters.mllp_peer import fields
from tests.flow.installation import Installation, channel, running
from tests.flow.messages import adt

ROUTES = """
destinations:
  archive: {{files: {{directory: "{out}", create: true}}}}
routes:
  - {{from: adt, to: archive}}
"""
NOTE = "NTE|1||" + "x" * (2 << 20)


def spooled(site: Installation) -> list[Path]:
    return [file for file in (site.data / "spool").rglob("*") if file.is_file()]


async def test_a_big_message_reaches_chart_and_partner_byte_for_byte(tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = {"channels/adt.yaml": channel("adt"), "routes.yaml": ROUTES.format(out=out)}
    async with running(tmp_path, files) as site:
        sender = await site.sender("adt")
        big = adt("B1", "B1", last=NOTE)
        assert fields(await sender.ask(big), b"MSA")[1] == "AA"
        assert fields(await sender.ask(big), b"MSA")[1] == "AA", "a resend"
        await site.deliveries("B1", "DELIVERED")
        (message,) = await site.messages(key="B1")
        assert (message["state"], message["repeats"]) == ("STORED", 1)
        assert [file.read_bytes() for file in spooled(site)] == [big]
        assert [file.read_bytes() for file in out.iterdir()] == [big]
        assert await site.resources("Patient?identifier=urn:test:mrn|B1")
        shown = (await site.command("messages", "show", str(message["id"]))).stdout
        assert str(spooled(site)[0]) in shown
        assert "NTE|1||xxx" in shown
        assert len(shown) < 100_000
        await sender.leave()


@pytest.mark.embedded("the spool of a server is in its database")
async def test_what_was_not_acknowledged_is_swept(tmp_path: Path) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt")})
    try:
        await site.start()
        sender = await site.sender("adt")
        await sender.ask(adt("B2", "B2", last=NOTE))
        (kept,) = spooled(site)
        site.kill()
        (site.data / "spool" / "incoming" / "half").write_bytes(b"a patient's name")
        (site.data / "spool" / "00" / "00nobody").write_bytes(b"never acknowledged")
        await site.start()
        assert (await site.end("B2"))["state"] == "STORED"
        assert spooled(site) == [kept]
    finally:
        site.kill()


@pytest.mark.embedded("the spool of a server is in its database")
async def test_a_file_that_somebody_took_away_fails_its_message_alone(tmp_path: Path) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt", "mllp: {port: 0}", "spool_over: 1KB")})
    try:
        await site.start()
        sender = await site.sender("adt")
        body = adt("B3", "B3", last="NTE|1||" + "x" * 2000)
        await sender.ask(body)
        await site.end("B3")
        site.kill()
        for file in spooled(site):
            file.unlink()
        database = Sqlite(site.data / "chartwire.db", writes=True)
        database.run("UPDATE message SET state = 'RECEIVED'")
        database.close()
        await site.start()
        message = await site.end("B3")
        assert (message["state"], message["code"]) == ("FAILED", "lost-body")
        sender = await site.sender("adt")
        await sender.ask(adt("B4", "B4"))
        assert (await site.end("B4"))["state"] == "STORED"
        await sender.ask(body)  # sent again, it is a new attempt with its bytes
        assert (await site.end("B3"))["state"] == "STORED"
    finally:
        site.kill()
