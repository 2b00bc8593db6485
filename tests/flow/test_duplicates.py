"""Duplicates take effect once; a resend of what had no effect is a new attempt on the same row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import Receiver, fields, receiver
from tests.flow.installation import AUTHORITIES, Installation, channel, running, until
from tests.flow.messages import adt

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}}}
routes:
  - {{from: [adt, strict], to: ward}}
"""
BROKEN = '''
from engine.plugin import transform
from formats import hl7v2


@transform("site.ward")
def ward(message: hl7v2.Message) -> hl7v2.Message:
    """Puts the ward right."""
    if message.get("PV1-3.1") == "WEST":
        raise ValueError("no ward of that name")
    return message
'''
STEPS = ("pipeline:", "  - site.ward: {}")
Running = tuple[Installation, Receiver]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with receiver() as ward:
        files = {
            "channels/adt.yaml": channel("adt", "mllp: {port: 0}", *STEPS),
            "channels/strict.yaml": channel(
                "strict", "mllp: {port: 0, max_frame: 1MB}", "ack: processed", *STEPS
            ),
            "plugins/ward.py": BROKEN,
            "routes.yaml": ROUTES.format(port=ward.port),
        }
        async with running(tmp_path_factory.mktemp("duplicates"), files) as site:
            yield site, ward


async def said(site: Installation, feed: str, *bodies: bytes) -> list[str]:
    """MSA-1 of the answers, each body on a connection of its own."""
    codes = []
    for body in bodies:
        sender = await site.sender(feed)
        codes.append(fields(await sender.ask(body), b"MSA")[1])
        await sender.leave()
    return codes


async def versions(site: Installation, mrn: str) -> int:
    (patient,) = await site.resources(f"Patient?identifier=urn:test:mrn|{mrn}")
    return int((await site.get(f"/fhir/Patient/{patient['id']}/_history"))["total"])


def heard(ward: Receiver, mrn: str) -> int:
    return sum(f"||{mrn}^^^".encode() in message for message in ward.got)


@pytest.mark.parametrize("feed", ["adt", "strict"])
async def test_the_same_message_again_is_accepted_and_has_no_effect(world: Running, feed: str) -> None:
    site, ward = world
    mrn = f"D1{feed}"
    body = adt(mrn, mrn)
    assert await said(site, feed, body) == ["AA"]
    await site.deliveries(mrn, "DELIVERED")
    assert await said(site, feed, body, body, body) == ["AA", "AA", "AA"]
    await said(site, feed, adt(f"{mrn}L", f"{mrn}L"))
    await site.deliveries(f"{mrn}L", "DELIVERED")
    (message,) = await site.messages(key=mrn)
    assert (message["state"], message["repeats"]) == ("STORED", 3)
    assert await versions(site, mrn) == 1
    assert heard(ward, mrn) == 1
    metrics = (await site.ask("/metrics", {})).body.decode()
    assert f'chartwire_duplicate_total{{channel="{feed}"}} 3.0' in metrics


async def test_many_at_once_are_one(world: Running) -> None:
    site, ward = world
    body = adt("D2", "D2")
    senders = [await site.sender("adt") for _ in range(16)]
    for sender in senders:
        await sender.send(body, body)
    for sender in senders:
        assert [fields(await sender.answer(), b"MSA")[1] for _ in range(2)] == ["AA", "AA"]
        await sender.leave()
    await site.deliveries("D2", "DELIVERED")
    (message,) = await site.messages(key="D2")
    assert message["repeats"] == 31
    assert (await versions(site, "D2"), heard(ward, "D2")) == (1, 1)


async def test_other_bytes_under_the_same_key_are_another_message(world: Running) -> None:
    site, ward = world
    first = adt("D3", "D3", family="FIRST")
    assert await said(site, "adt", first, first.replace(b"FIRST", b"OTHER")) == ["AA", "AA"]
    assert [m["state"] for m in await site.ended("D3", 2)] == ["STORED", "STORED"]
    await until(lambda: asyncio.sleep(0, heard(ward, "D3") == 2))


async def test_without_a_key_nothing_is_a_resend(world: Running) -> None:
    site, _ = world
    body = adt("", "D4")
    await said(site, "adt", body, body)
    await said(site, "adt", adt("D4L", "D4"))
    await site.end("D4L")
    assert [m["state"] for m in await site.messages(patient="D4")] == ["STORED"] * 3
    assert await versions(site, "D4") == 1, "the others say nothing new"


@pytest.mark.parametrize("feed", ["adt", "strict"])
async def test_a_failing_step_fails_its_message_alone(world: Running, feed: str) -> None:
    """The defect of a site's own step: visible, kept, the next message flows."""
    site, ward = world
    mrn = f"D5{feed}"
    codes = await said(site, feed, adt(mrn, mrn, ward="WEST"), adt(f"{mrn}B", f"{mrn}B"))
    assert codes == (["AA", "AA"] if feed == "adt" else ["AE", "AA"])
    message = await site.end(mrn)
    assert message["state"] == ("FAILED" if feed == "adt" else "REFUSED")
    assert message["code"] == "defect"
    assert "no ward of that name" not in str(message), "what an exception says may be content"
    assert (await site.end(f"{mrn}B"))["state"] == "STORED"
    assert heard(ward, mrn) == 0


async def test_after_a_correction_a_resend_is_a_new_attempt_on_the_same_row(world: Running) -> None:
    """Quarantined, failed and refused messages; the configuration is corrected and the engine restarted."""
    site, ward = world
    quarantined = adt("D6Q", "D6Q", ids="D6Q^^^NORTH^MR")
    failed = adt("D6F", "D6F", ward="WEST")
    refused = adt("D6R", "D6R", ids="D6R^^^NORTH^MR")
    assert await said(site, "adt", quarantined, failed) == ["AA", "AA"]
    assert await said(site, "strict", refused) == ["AE"]
    before = [await site.end(key) for key in ("D6Q", "D6F", "D6R")]
    assert [m["state"] for m in before] == ["QUARANTINED", "FAILED", "REFUSED"]

    assert await said(site, "adt", quarantined) == ["AA"]
    assert await said(site, "strict", refused) == ["AE"]
    assert [(await site.end(k))["state"] for k in ("D6Q", "D6R")] == ["QUARANTINED", "REFUSED"], (
        "as wrong as before"
    )

    assert await site.stop() == 0
    known = AUTHORITIES.replace("aliases: [MRN]", "aliases: [MRN, NORTH]")
    site.write({"authorities.yaml": known, "plugins/ward.py": BROKEN.replace("WEST", "NONE")})
    await site.start()
    assert await said(site, "adt", quarantined, failed) == ["AA", "AA"]
    assert await said(site, "strict", refused) == ["AA"]
    after = [await site.end(key) for key in ("D6Q", "D6F", "D6R")]
    assert [m["state"] for m in after] == ["STORED"] * 3
    assert [m["id"] for m in after] == [m["id"] for m in before]
    assert [m["code"] for m in after] == [None] * 3
    for key in ("D6Q", "D6F", "D6R"):
        assert len(await site.deliveries(key, "DELIVERED")) == 1
        assert await versions(site, key) == 1
        assert heard(ward, key) == 1
    assert await said(site, "adt", quarantined, failed) == ["AA", "AA"], "and from now on it is a duplicate"
    assert heard(ward, "D6Q") == 1
