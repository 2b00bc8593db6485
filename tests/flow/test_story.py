"""The main job, end to end: from the sender's socket to the chart, to three kinds of partners, over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adapters import http_peer, mllp_peer
from tests.adapters.mllp_peer import Said, acknowledgement, fields
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt, oru

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {ward}, timeout: 20s}}, retry: {{first: 50ms, max: 100ms}}}}
  warehouse: {{http: {{url: "{warehouse}"}}, retry: {{first: 50ms, max: 100ms}}, head: block}}
  archive: {{files: {{directory: "{archive}"}}}}
routes:
  - {{from: adt, when: {{MSH-9.2: [A01, A03]}}, to: ward}}
  - {{from: [adt, lab], send: chart, to: warehouse}}
  - {{from: [adt, lab], to: archive}}
"""


@dataclass
class World:
    """The installation and those that it tells."""

    site: Installation
    ward: mllp_peer.Receiver
    warehouse: http_peer.Server
    archive: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("story")
    archive = directory / "archive"
    archive.mkdir()
    async with mllp_peer.receiver() as ward, http_peer.server() as warehouse:
        routes = ROUTES.format(ward=ward.port, warehouse=warehouse.url, archive=archive)
        files = {
            "channels/adt.yaml": channel("adt"),
            "channels/lab.yaml": channel("lab", "mllp: {port: 0, max_frame: 1MB}"),
            "routes.yaml": routes,
        }
        async with running(directory, files) as site:
            yield World(site, ward, warehouse, archive)


async def test_an_admission_reaches_the_chart_and_everyone_who_must_hear(world: World) -> None:
    site, body = world.site, adt("S1", "S1", family="MÜLLER").decode().encode("latin-1")
    body = body.replace(b"|P|2.5.1\r", b"|P|2.5.1||||||8859/1\r")
    sender = await site.sender("adt")
    answer = await sender.ask(body)
    assert fields(answer, b"MSH")[3:7] == ["CW", "HOSPITAL", "ADT1", "GHH"], "sender and receiver swapped"
    assert fields(answer, b"MSA")[1:3] == ["AA", "S1"]
    await sender.leave()
    message = await site.end("S1")
    assert (message["state"], message["kind"]) == ("STORED", "ADT^A01")

    (patient,) = await site.resources("Patient?identifier=urn:test:mrn|S1")
    assert patient["name"][0]["family"] == "MÜLLER"
    assert patient["birthDate"] == "1961-06-15"
    (stay,) = await site.resources(f"Encounter?patient={patient['id']}")
    assert (stay["status"], stay["class"]["code"]) == ("in-progress", "IMP")

    deliveries = await site.deliveries("S1", "DELIVERED")
    assert {d["destination"] for d in deliveries} == {"ward", "warehouse", "archive"}
    control = {d["destination"]: d["control"] for d in deliveries}
    (told,) = [m for m in world.ward.got if b"S1^^^MRN" in m]
    assert fields(told, b"MSH")[10] == control["ward"]
    assert told.replace(control["ward"].encode(), b"S1") == body, "nothing but MSH-10 is ours"
    (posted,) = [r for r in world.warehouse.got if r.headers["idempotency-key"] == control["warehouse"]]
    entries = {e["resource"]["resourceType"]: e for e in posted.json["entry"]}
    assert posted.json["type"] == "transaction"
    assert entries["Patient"]["request"] == {"method": "PUT", "url": f"Patient/{patient['id']}"}
    assert entries["Encounter"]["resource"]["subject"]["reference"] == f"Patient/{patient['id']}"
    (file,) = [f for f in world.archive.iterdir() if control["archive"] in f.name]
    assert file.read_bytes() == body


async def test_a_result_reaches_the_chart_with_every_digit(world: World) -> None:
    site = world.site
    adt_feed, lab = await site.sender("adt"), await site.sender("lab")
    await adt_feed.ask(adt("S2", "S2"))
    await site.end("S2")
    await lab.ask(oru("S3", "S2", "6.30"))
    assert (await site.end("S3"))["state"] == "STORED"
    (patient,) = await site.resources("Patient?identifier=urn:test:mrn|S2")
    answer = await site.read(f"/fhir/Observation?patient={patient['id']}&code=2823-3")
    assert b'"value":6.30' in answer.body.replace(b" ", b"")
    assert {d["destination"] for d in await site.deliveries("S3", "DELIVERED")} == {"warehouse", "archive"}
    await adt_feed.leave()
    await lab.leave()


async def test_without_a_token_nobody_learns_anything(world: World) -> None:
    for path in ("/fhir/Patient?name=MÜLLER", "/fhir/Patient/x", "/admin/messages", "/admin/messages/1"):
        for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": "Basic Z3Vlc3M6ZWQ="}):
            answer = await world.site.ask(path.replace("Ü", "%C3%9C"), headers)
            assert (answer.status, answer.json["resourceType"]) == (401, "OperationOutcome")


async def test_the_command_line_tells_the_story(world: World) -> None:
    site = world.site
    message = await site.end("S1")
    listed = await site.command("messages", "list", "--key", "S1", "--json")
    (line,) = listed.stdout.splitlines()
    assert json.loads(line)["id"] == message["id"]
    by_patient = await site.command("messages", "list", "--patient", "S1", "--state", "STORED", "--json")
    assert [json.loads(line)["key"] for line in by_patient.stdout.splitlines()] == ["S1"]
    shown = await site.command("messages", "show", str(message["id"]))
    assert "MÜLLER" in shown.stdout
    traced = await site.command("messages", "trace", str(message["id"]))
    for word in ("STORED", "/fhir/Patient/", "/fhir/Encounter/", "ward", "warehouse", "archive", "DELIVERED"):
        assert word in traced.stdout
    assert (await site.command("messages", "show", "999999")).returncode == 1


async def test_sigterm_waits_for_the_answer_that_is_on_its_way(world: World) -> None:
    """What is in hand is finished: the partner's answer, given after SIGTERM, is still heard and kept."""
    site, asked, answering = world.site, asyncio.Event(), asyncio.Event()

    async def slowly(message: bytes) -> Said:
        asked.set()
        await answering.wait()
        return acknowledgement(message)

    world.ward.reply = slowly
    sender = await site.sender("adt")
    assert fields(await sender.ask(adt("S4", "S4")), b"MSA")[1] == "AA"
    await asyncio.wait_for(asked.wait(), 30)
    stopping = asyncio.create_task(site.stop())
    assert await sender.answer() == b"", "the listener is closed first"
    answering.set()
    assert await stopping == 0
    world.ward.reply = acknowledgement
    await site.start()
    (ward,) = [d for d in await site.deliveries("S4", "DELIVERED") if d["destination"] == "ward"]
    assert ward["attempts"] == 1
    assert len([m for m in world.ward.got if b"S4^^^MRN" in m]) == 1, "a restart repeats nothing"


async def test_a_restart_loses_and_repeats_nothing(world: World) -> None:
    site = world.site
    await world.ward.stop()
    sender = await site.sender("adt")
    sent = [f"S5{n:02d}" for n in range(20)]
    for key in sent:
        assert fields(await sender.ask(adt(key, key)), b"MSA")[1] == "AA"
    assert await site.stop() == 0, "it does not wait for a partner that is down"
    await world.ward.start()
    await site.start()
    for key in sent:
        assert (await site.end(key))["state"] == "STORED"
        assert len(await site.deliveries(key, "DELIVERED")) == 3
    heard = [fields(m, b"PID")[3].split("^")[0] for m in world.ward.got if b"|S5" in m]
    assert sorted(heard) == sent, "each once"
    archived = [f.read_bytes() for f in world.archive.iterdir()]
    assert sorted(k for b in archived if (k := fields(b, b"MSH")[10]).startswith("S5")) == sent
    keys = [r.headers["idempotency-key"] for r in world.warehouse.got]
    assert len(keys) == len(set(keys)), "no transaction was posted twice"
    assert len(await site.resources("Patient?identifier=urn:test:mrn|S507")) == 1


async def test_what_was_acknowledged_before_a_stop_is_processed_after_it(world: World) -> None:
    """A burst and SIGTERM right behind it: whatever got its AA is there after the restart, once."""
    site, accepted = world.site, []
    sender = await site.sender("adt")
    keys = [f"S6{n:03d}" for n in range(200)]
    await sender.send(*(adt(key, key) for key in keys))
    accepted.append(fields(await sender.answer(), b"MSA")[2])
    stopping = asyncio.create_task(site.stop())
    while answer := await sender.answer():
        assert fields(answer, b"MSA")[1] == "AA"
        accepted.append(fields(answer, b"MSA")[2])
    assert await stopping == 0
    await site.start()

    async def over() -> list[object]:
        waiting = await site.messages(state="RECEIVED")
        return [] if waiting else [True]

    await until(over)
    stored = [m["key"] for m in await site.messages(state="STORED") if m["key"].startswith("S6")]
    assert len(stored) == len(set(stored))
    assert set(accepted) <= set(stored)
