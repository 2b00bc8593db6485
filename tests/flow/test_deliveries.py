"""`chartwire queues` and `deliveries`: what stands still is seen first, and what is done about it is done once, with a
reason, and kept on record."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import Receiver, Said, acknowledgement, fields, receiver
from tests.flow.installation import Installation, Json, channel, running, until
from tests.flow.messages import adt

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}, retry: {{first: 20ms, max: 1h}}, head: block}}
  archive: {{files: {{directory: "{out}", create: true}}}}
routes:
  - {{from: adt, when: {{PV1-3.1: ward}}, to: ward}}
  - {{from: adt, when: {{PV1-3.1: away}}, to: archive}}
"""
Running = tuple[Installation, Receiver]


class Ward:
    """Refuses for good, or for now, the messages whose keys are named."""

    def __init__(self) -> None:
        self.no: set[str] = set()
        self.later: set[str] = set()

    def __call__(self, message: bytes) -> Said:
        key = fields(message, b"ZKY")[1]
        return acknowledgement(message, "AR" if key in self.no else "AE" if key in self.later else "AA")


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest_asyncio.fixture
async def world(tmp_path: Path, ward: Ward) -> AsyncIterator[Running]:
    async with receiver(ward) as peer:
        out = tmp_path / "out"
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": ROUTES.format(port=peer.port, out=out)}
        async with running(tmp_path, files) as site:
            yield site, peer


async def send(site: Installation, *keys: str, ward: str = "ward") -> None:
    """A key is PATIENT-N."""
    sender = await site.sender("adt")
    for key in keys:
        answer = await sender.ask(adt(key, key.partition("-")[0], ward=ward, last=f"ZKY|{key}"))
        assert fields(answer, b"MSA")[1] == "AA"
    await sender.leave()


async def one(site: Installation, key: str, *states: str) -> Json:
    (found,) = await site.deliveries(key, *states)
    return found


async def did(site: Installation, *arguments: str) -> str:
    done = await site.command("deliveries", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def heard(peer: Receiver) -> list[str]:
    return [fields(message, b"ZKY")[1] for message in peer.got]


async def test_a_lane_that_stands_still_is_seen_first_and_released(world: Running, ward: Ward) -> None:
    site, peer = world
    ward.no = {"A-0"}
    await send(site, "A-0", "A-1", "A-2", "B-0")
    stuck = await one(site, "A-0", "HELD")
    await one(site, "B-0", "DELIVERED")
    shown = await site.command("queues")
    assert shown.returncode == 1
    first = shown.stdout.splitlines()[1].split()
    assert first[:3] == ["to", "ward", stuck["lane"]]
    assert "HELD" in first
    assert f"delivery {stuck['id']}" in shown.stdout
    lane = json.loads((await site.command("queues", "--destination", "ward", "--json")).stdout)["lanes"][0]
    assert (lane["state"], lane["depth"], lane["delivery"]) == ("HELD", 3, stuck["id"])
    ward.no = set()
    assert "1 deliveries" in await did(site, "release", str(stuck["id"]), "--why", "they have repaired it")
    await one(site, "A-2", "DELIVERED")
    assert [key for key in heard(peer) if key.startswith("A")] == ["A-0", "A-0", "A-1", "A-2"]
    assert (await site.command("queues")).returncode == 0


async def test_what_is_parked_lets_its_lane_go_on_and_can_be_retried(world: Running, ward: Ward) -> None:
    site, peer = world
    ward.no = {"A-0"}
    await send(site, "A-0", "A-1")
    stuck = await one(site, "A-0", "HELD")
    await did(site, "park", str(stuck["id"]), "--why", "their trouble")
    await one(site, "A-1", "DELIVERED")
    assert (await one(site, "A-0", "PARKED"))["code"] == "answered-ar", "why it was held is still told"
    assert (await site.command("queues")).returncode == 1, "it waits for a person"
    ward.no = set()
    await did(site, "retry", "--where", "state=parked destination=ward since=1h", "--why", "repaired")
    await one(site, "A-0", "DELIVERED")
    assert heard(peer) == ["A-0", "A-1", "A-0"]


async def test_what_waits_for_its_time_is_tried_at_once(world: Running, ward: Ward) -> None:
    """After a few failures the next attempt is up to an hour away."""
    site, _ = world
    ward.later = {"A-0"}
    await send(site, "A-0")

    async def tried() -> Json:
        (found,) = await site.deliveries("A-0", "QUEUED")
        return found if found["attempts"] >= 7 else {}

    waiting = await until(tried)
    shown = json.loads((await site.command("queues", "--json")).stdout)["lanes"]
    assert [(lane["state"], lane["delivery"]) for lane in shown] == [("FAILING", waiting["id"])]
    ward.later = set()
    await did(site, "retry", str(waiting["id"]), "--why", "they are back")
    await one(site, "A-0", "DELIVERED")


async def test_what_is_cancelled_is_never_sent(world: Running, ward: Ward) -> None:
    site, peer = world
    ward.no = {"A-0"}
    await send(site, "A-0", "A-1", "A-2")
    await one(site, "A-0", "HELD")
    second = (await one(site, "A-1", "QUEUED"))["id"]
    previewed = await did(site, "cancel", str(second), "--dry-run")
    assert "would be" in previewed
    assert (await one(site, "A-1", "QUEUED"))["id"] == second
    await did(site, "cancel", str(second), "--why", "entered in error")
    ward.no = set()
    await did(site, "release", "--where", "destination=ward", "--why", "go on")
    await one(site, "A-2", "DELIVERED")
    assert (await one(site, "A-1", "CANCELLED"))["attempts"] == 0
    assert "A-1" not in heard(peer)
    refused = await site.command("deliveries", "retry", str(second), "--why", "after all")
    assert refused.returncode == 1
    assert f"delivery {second} is CANCELLED" in refused.stderr


async def test_hundreds_are_changed_a_page_at_a_time(world: Running, ward: Ward) -> None:
    site, _ = world
    ward.no = {"A-0"}
    await send(site, *(f"A-{n}" for n in range(450)))
    await one(site, "A-0", "HELD")
    await site.end("A-449")
    assert "450 deliveries" in await did(
        site, "park", "--where", "destination=ward", "--why", "the ward is closed"
    )
    found = json.loads((await site.command("queues", "--json")).stdout)["destinations"]
    assert {d["destination"]: (d["queued"], d["held"], d["parked"]) for d in found}["ward"] == (0, 0, 450)
    audited = [
        json.loads(line) for line in (await site.command("audit", "list", "--json")).stdout.splitlines()
    ]
    pages = [len(entry["rows"]["deliveries"]) for entry in audited if entry["what"] == "deliveries.park"]
    assert sum(pages) == 450
    assert max(pages) <= 200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["retry", "1"], "say why"),
        (["retry", "--why", "x"], "say which"),
        (["retry", "999", "--why", "x"], "there is no delivery 999"),
        (["release", "--where", "state=delivered", "--why", "x"], "DELIVERED cannot be released"),
        (["release", "--where", "state=asleep", "--why", "x"], "must be one of QUEUED"),
        (["release", "--where", "ward=w", "--why", "x"], "there are destination"),
        (["park", "--where", "since=yesterday", "--why", "x"], "2h"),
        (["list", "--where", "held"], "words such as"),
        (["show", "999"], "there is no delivery 999"),
    ],
)
async def test_what_cannot_be_done_is_told(world: Running, arguments: list[str], told: str) -> None:
    site, _ = world
    ended = await site.command("deliveries", *arguments)
    assert ended.returncode != 0
    assert told in ended.stderr


@pytest.mark.embedded("the file is tampered with")
async def test_who_did_what_is_on_record_and_a_record_that_was_edited_is_named(
    world: Running, ward: Ward, tmp_path: Path
) -> None:
    site, _ = world
    ward.no = {"A-0", "B-0", "C-0"}
    await send(site, "A-0", "B-0", "C-0")
    for key in ("A-0", "B-0", "C-0"):
        await did(site, "park", str((await one(site, key, "HELD"))["id"]), "--why", f"for {key}")
    sound = await site.command("audit", "verify")
    assert sound.returncode == 0
    assert "4 rows" in sound.stdout, "the token that the test made is the first"
    listed = (await site.command("audit", "list")).stdout
    assert "for B-0" in listed
    assert await site.stop() == 0
    database, as_it_was = site.data / "chartwire.db", tmp_path / "as it was"
    shutil.copy(database, as_it_was)
    for change, told in (
        ("UPDATE audit SET why = 'for nobody' WHERE id = 2", "row 2: it was edited"),
        ("DELETE FROM audit WHERE id = 2", "row 2: it was taken out"),
        ("UPDATE audit SET id = 9 WHERE id = 4", "row 4: it was taken out"),
    ):
        shutil.copy(as_it_was, database)
        tampering = apsw.Connection(str(database))
        tampering.execute(change)
        tampering.close()
        await site.start()
        broken = await site.command("audit", "verify")
        assert (broken.returncode, broken.stdout.strip()[: len(told)]) == (1, told)
        assert await site.stop() == 0
    await site.start()
