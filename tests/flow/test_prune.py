"""Retention: the bytes of what is long over go, the file shrinks, and everything else is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.database.sqlite import Sqlite
from tests.adapters.mllp_peer import fields, receiver
from tests.flow.installation import Installation, channel, running
from tests.flow.messages import adt

WHY = ("--why", "ninety days are over")
ROUTES = """
destinations:
  pager: {{mllp: {{host: 127.0.0.1, port: {0}}}}}
  mute: {{mllp: {{host: 127.0.0.1, port: 1}}}}
routes:
  - {{from: adt, to: pager, when: {{PV1-3.1: EAST}}}}
  - {{from: adt, to: mute, when: {{PV1-3.1: WEST}}}}
"""
pytestmark = pytest.mark.embedded("its clock is turned back in the file")


async def sent(site: Installation, key: str, ward: str, pad: int = 0) -> None:
    line = await site.sender("adt")
    told = await line.ask(adt(key, key, ward=ward) + b"ZPD|" + b"canary" * pad + b"\r")
    assert fields(told, b"MSA")[1] == "AA"
    await line.leave()


def aged(site: Installation) -> None:
    """All that is there came a hundred days ago."""
    database = Sqlite(site.data / "chartwire.db", writes=True)
    database.run("UPDATE message SET received = received - 100 * 86400000000")
    database.close()


def size(site: Installation) -> int:
    return (site.data / "chartwire.db").stat().st_size


async def test_the_bytes_go_and_the_file_shrinks(tmp_path: Path) -> None:
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt", "mllp: {port: 0}", "spool_over: 2MB"),
                 "routes.yaml": ROUTES.format(partner.port)}  # fmt: skip
        async with running(tmp_path, files) as site:
            for n in range(40):
                await sent(site, f"P{n}", "EAST", 100_000)
            await sent(site, "BIG", "EAST", 500_000)
            await sent(site, "WAITS", "WEST")
            for key in ("P39", "BIG"):
                await site.deliveries(key, "DELIVERED")
            aged(site)
            await sent(site, "YOUNG", "EAST")
            await site.deliveries("YOUNG", "DELIVERED")
            preview = await site.command("prune", "--older-than", "90d", "--dry-run")
            assert preview.stdout == "would forget the bytes of 41 messages\n", preview.stderr
            assert (await site.end("P0"))["state"] == "STORED"
            before = size(site)
            done = await site.command("prune", "--older-than", "90d", *WHY)
            assert done.stdout == "forgot the bytes of 41 messages\n", done.stderr
            await sent(site, "NEXT", "EAST")
            assert await site.stop() == 0
            assert size(site) < before / 3
            assert not list((site.data / "spool").glob("[0-9a-f][0-9a-f]/*"))
            await site.start()
            again = await site.command("messages", "resend", "--where", "key=P0", *WHY)
            assert "P0" not in again.stdout
            assert len(await site.resources("Patient?_count=100")) == 44
            for key in ("WAITS", "YOUNG"):
                shown = await site.command("messages", "show", str((await site.end(key))["id"]))
                assert key in shown.stdout
            repeated = await site.sender("adt")
            assert fields(await repeated.ask(adt("NEXT", "NEXT", ward="EAST")), b"MSA")[1] in ("AA", "AE")


async def test_what_is_young_and_what_has_no_reason_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        young = await site.command("prune", "--older-than", "1h", *WHY)
        assert young.returncode == 1
        assert "within the last day is kept" in young.stderr
        silent = await site.command("prune", "--older-than", "30d")
        assert silent.returncode == 1
        assert "say why" in silent.stderr
        wrong = await site.command("prune", "--older-than", "soon", *WHY)
        assert wrong.returncode == 2
