"""An operator pauses, drains and resumes: nothing is taken or sent meanwhile, nothing is lost, a restart changes
nothing of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine.client import Engine, Refused
from tests.adapters.mllp_peer import fields, receiver
from tests.flow.installation import Installation, channel, running
from tests.flow.messages import adt
from tests.flow.test_reload import routes

WHY = ("--why", "the switch is replaced")
FHIR = """
channel: api
source: fhir
format: fhir
timezone: UTC
ack: processed
store: fhir_to_chart
"""
ORDERS = """
channel: orders
source: {chart: {type: ServiceRequest}}
format: fhir
timezone: UTC
"""


async def did(site: Installation, *arguments: str) -> list[str]:
    """What the command printed."""
    done = await site.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def refused(site: Installation, *arguments: str) -> str:
    done = await site.command(*arguments)
    assert done.returncode == 1, done.stdout
    return done.stderr


def addresses(site: Installation) -> dict[str, str]:
    found: dict[str, str] = json.loads((site.data / "engine.json").read_text())["sources"]
    return found


async def test_a_paused_channel_takes_nothing_and_what_it_took_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        keys = [f"P{n}" for n in range(30)]
        await sender.send(*(adt(key, key) for key in keys))
        assert await did(site, "pause", "adt", *WHY) == ["channel adt: paused"]
        taken = []
        while answer := await sender.answer():  # and then the connection is closed
            assert fields(answer, b"MSA")[1] == "AA"
            taken.append(fields(answer, b"MSA")[2])
        with pytest.raises(ConnectionRefusedError):
            await site.sender("adt")
        assert {(await site.end(key))["state"] for key in taken} == {"STORED"}
        assert {message["key"] for message in await site.messages()} == {*taken}
        assert (await site.ask("/readyz", {})).json == {"status": "ready", "paused": ["channel adt"]}
        assert await did(site, "resume", "adt", *WHY) == ["channel adt: resumed"]
        site.sources = addresses(site)
        again = await site.sender("adt")
        assert fields(await again.ask(adt("Q", "Q")), b"MSA")[1] == "AA"
        assert (await site.ask("/readyz", {})).json == {"status": "ready"}


async def test_a_paused_destination_is_sent_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": routes(("pager", partner.port))}
        async with running(tmp_path, files) as site:
            assert await did(site, "pause", "pager", *WHY) == ["destination pager: paused"]
            sender = await site.sender("adt")
            for key in ("D1", "D2", "D3"):
                await sender.ask(adt(key, "D"))
                await site.deliveries(key, "QUEUED")
            assert partner.got == []
            assert await did(site, "resume", "pager", *WHY) == ["destination pager: resumed"]
            for key in ("D1", "D2", "D3"):
                await site.deliveries(key, "DELIVERED")
            assert len(partner.got) == 3


async def test_what_is_paused_stays_so_over_a_restart_and_is_on_record(tmp_path: Path) -> None:
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": routes(("pager", partner.port))}
        async with running(tmp_path, files) as site:
            assert "say why" in await refused(site, "pause", "adt")
            assert "no such channel" in await refused(site, "pause", "nobody", *WHY)
            assert await did(site, "pause") == ["nothing is paused"]
            assert await did(site, "pause", "adt", *WHY, "--dry-run") == ["channel adt: would be paused"]
            await site.sender("adt")
            await did(site, "pause", "adt", *WHY)
            await did(site, "pause", "pager", *WHY)
            assert await site.stop() == 0
            await site.start()
            assert site.sources == {}
            told = [line.split(maxsplit=4) for line in (await did(site, "pause"))[1:]]
            assert [(kind, name, why) for kind, name, _, _, why in told] == [
                ("channel", "adt", WHY[1]),
                ("destination", "pager", WHY[1]),
            ]
            acts = [json.loads(line) for line in await did(site, "audit", "list", "--json")]
            found = [(act["what"], act["rows"], act["why"]) for act in acts if act["what"] == "pause"]
            assert found == [
                ("pause", {"destinations": ["pager"]}, WHY[1]),
                ("pause", {"channels": ["adt"]}, WHY[1]),
            ]
            await did(site, "resume", "adt", *WHY)
            site.sources = addresses(site)
            assert fields(await (await site.sender("adt")).ask(adt("R", "R")), b"MSA")[1] == "AA"
            await site.deliveries("R", "QUEUED")


async def test_drained_when_nothing_is_left(tmp_path: Path) -> None:
    async with receiver() as partner:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": routes(("pager", partner.port))}
        async with running(tmp_path, files) as site:
            sender = await site.sender("adt")
            keys = [f"E{n}" for n in range(50)]
            await sender.send(*(adt(key, "E") for key in keys))
            for _ in keys:
                await sender.answer()
            told = await did(site, "drain", "adt", *WHY)
            assert (told[0], told[-1]) == ("channel adt: paused", "channel adt: 0 left")
            assert {message["state"] for message in await site.messages()} == {"STORED"}
            told = await did(site, "drain", "pager", *WHY)
            assert told[-2:] == ["destination pager: 0 left", "destination pager: paused"]
            assert len(partner.got) == len(keys)


async def test_channels_that_share_a_source_pause_together(tmp_path: Path) -> None:
    shared = "mllp: {port: 0}"
    files = {
        "channels/one.yaml": channel("one", shared, "feed: {MSH-3.1: ADT1}"),
        "channels/two.yaml": channel("two", shared, "feed: {MSH-3.1: ADT2}"),
        "channels/api.yaml": FHIR,
        "channels/orders.yaml": ORDERS,
    }
    async with running(tmp_path, files) as site:
        assert await did(site, "pause", "two", *WHY) == ["channel one: paused", "channel two: paused"]
        with pytest.raises(ConnectionRefusedError):
            await site.sender("one")
        assert await did(site, "resume", "one", *WHY) == ["channel one: resumed", "channel two: resumed"]
        assert "the chart is its source" in await refused(site, "pause", "orders", *WHY)
        await did(site, "pause", "api", *WHY)
        with pytest.raises(Refused, match="api takes nothing for now"):
            await written(site)
        await did(site, "resume", "api", *WHY)
        await written(site)


async def written(site: Installation) -> None:
    """What a client writes is taken, or Refused."""
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:test:mrn", "value": "W1"}]}

    def write() -> None:
        with Engine(site.data) as engine:
            engine.post("/fhir/Patient", patient)

    await asyncio.to_thread(write)
