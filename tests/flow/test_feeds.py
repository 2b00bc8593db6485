"""Several feeds on one port, told apart by what they say of themselves; and what belongs to none of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import Sender, fields
from tests.engine_process import port_of
from tests.flow.installation import Installation, Json, channel, running
from tests.flow.messages import adt, oru

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTE = 1 << 20
CAP = 16 * MEGABYTE
PLUGIN = '''
from engine.plugin import predicate
from formats import hl7v2


@predicate("is_portal")
def is_portal(message: hl7v2.Message) -> bool:
    """A portal numbers its applications."""
    return int(message.get("MSH-3.1") or "") > 0
'''


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    files = {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "feed: {MSH-3: [ADT1, ADT2]}"),
        "channels/lab.yaml": channel(
            "lab", "mllp: {port: 0}", "feed: {MSH-3: LAB1, MSH-4: GHH}", "ack: processed"
        ),
        "channels/portal.yaml": channel("portal", "mllp: {port: 0}", "feed: is_portal"),
        "channels/old.yaml": channel("old", "mllp: {port: 0}", "feed: {MSH-3: OLD}").replace(
            "format: hl7v2", "format: {hl7v2: {charset: 8859/1}}"
        ),
        "plugins/portal.py": PLUGIN,
    }
    async with running(tmp_path_factory.mktemp("feeds"), files) as made:
        yield made


async def test_each_message_goes_to_its_feed(site: Installation) -> None:
    assert len(set(site.sources.values())) == 1, "one port for all"
    sender = await site.sender("adt")
    bodies = {
        "F1": (adt("F1", "F1", sender="ADT1"), "adt"),
        "F2": (adt("F2", "F2", sender="ADT2"), "adt"),
        "F3": (oru("F3", "F1", sender="LAB1"), "lab"),
        "F4": (adt("F4", "F4", sender="77"), "portal"),
    }
    await sender.send(*(body for body, _ in bodies.values()))
    for key in bodies:
        assert fields(await sender.answer(), b"MSA")[1:3] == ["AA", key]
    for key, (_, name) in bodies.items():
        message = await site.end(key)
        assert (message["channel"], message["state"]) == (name, "STORED")
    await sender.leave()


async def test_the_way_of_acknowledging_is_the_feeds_own(site: Installation) -> None:
    sender = await site.sender("adt")
    bad = adt("F5", "F5", born="BAD", sender="ADT1"), oru("F6", "F6", reported="BAD", sender="LAB1")
    assert [fields(await sender.ask(b), b"MSA")[1] for b in bad] == ["AA", "AE"]
    assert [(await site.end(k))["state"] for k in ("F5", "F6")] == ["QUARANTINED", "REFUSED"]
    await sender.leave()


async def test_the_character_set_is_the_feeds_own(site: Installation) -> None:
    """What MSH-18 does not say is declared by the channel, not by the one that happens to come first."""
    sender = await site.sender("adt")
    umlaut = adt("F7", "F7", family="M\N{LATIN CAPITAL LETTER U WITH DIAERESIS}LLER", sender="OLD")
    assert fields(await sender.ask(umlaut.decode().encode("latin-1")), b"MSA")[1] == "AA"
    assert (await site.end("F7"))["state"] == "STORED"
    (patient,) = await site.resources("Patient?identifier=urn:test:mrn|F7")
    assert patient["name"][0]["family"] == "M\N{LATIN CAPITAL LETTER U WITH DIAERESIS}LLER"
    await sender.leave()


async def test_an_unknown_sender_is_told_no_and_kept(site: Installation) -> None:
    sender = await site.sender("adt")
    for key, who in (("F8", "NOBODY"), ("F9", "LAB1")):
        body = adt(key, key, sender=who).replace(b"|GHH|", b"|ELSEWHERE|")
        answer = await sender.ask(body)
        assert fields(answer, b"MSA")[1:3] == ["AR", key]
        message = await site.end(key)
        assert (message["state"], message["code"], message["place"]) == ("REFUSED", "unknown-feed", "MSH-3")
        shown = await site.get(f"/admin/messages/{message['id']}")
        assert shown["body"]["text"].encode() == body
    assert fields(await sender.ask(adt("F10", "F10")), b"MSA")[1] == "AA"
    await sender.leave()


async def from_address(site: Installation, address: str) -> Sender:
    port = port_of(site.sources["adt"])
    return Sender(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))


async def refuse(site: Installation, sender: Sender, body: bytes) -> Json:
    """What is kept of a body that is no message."""
    assert fields(await sender.ask(body), b"MSA")[1] == "AR"
    refused = (await site.messages(state="REFUSED"))[-1]
    return await site.get(f"/admin/messages/{refused['id']}")


async def test_of_garbage_a_peer_may_leave_only_so_much(site: Installation) -> None:
    """Beyond the cap the digest and the size are kept, and repetitions are counted; other peers are unaffected."""
    noisy, other = await from_address(site, "127.0.0.2"), await from_address(site, "127.0.0.3")
    big = CAP // 4 - 1
    for n in range(4):
        kept = await refuse(site, noisy, b"%d" % n * big)
        assert (kept["peer"], kept["size"]) == ("127.0.0.2", big)
        assert len(kept["body"]["text"]) == big
    over = await refuse(site, noisy, b"x" * MEGABYTE)
    assert (over["body"], over["size"], over["state"], over["code"]) == (None, MEGABYTE, "REFUSED", "no-msh")
    again = await refuse(site, noisy, b"x" * MEGABYTE)
    assert (again["id"], again["repeats"]) == (over["id"], 1)
    assert (await refuse(site, other, b"y" * MEGABYTE))["body"]["text"] == "y" * MEGABYTE

    assert fields(await noisy.ask(adt("F11", "F11")), b"MSA")[1] == "AA", "its messages are taken as ever"
    await noisy.leave()
    await other.leave()
    assert await site.stop() == 0
    await site.start()
    noisy = await from_address(site, "127.0.0.2")
    assert (await refuse(site, noisy, b"z" * MEGABYTE))["body"] is None, "a restart does not forget the cap"
    await noisy.leave()
