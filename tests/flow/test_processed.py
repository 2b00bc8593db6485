"""`ack: processed`: the sender hears the verdict; AA means that the chart has it already."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import Receiver, fields, receiver
from tests.flow.installation import Installation, channel, running
from tests.flow.messages import adt, oru

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}}}
routes:
  - {{from: adt, to: ward}}
"""
Running = tuple[Installation, Receiver]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with receiver() as ward:
        drop = ("pipeline:", "  - hl7.drop: {when: {PID-5.1: ZZTEST}}")
        files = {
            "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "ack: processed", *drop),
            "routes.yaml": ROUTES.format(port=ward.port),
        }
        async with running(tmp_path_factory.mktemp("processed"), files) as site:
            yield site, ward


async def test_after_aa_the_chart_is_readable_at_once(world: Running) -> None:
    site, _ = world
    sender = await site.sender("adt")
    for n in range(30):
        mrn = f"P1{n:02d}"
        assert fields(await sender.ask(adt(mrn, mrn, family=f"NAME{n}")), b"MSA")[1] == "AA"
        (patient,) = await site.resources(f"Patient?identifier=urn:test:mrn|{mrn}")
        assert patient["name"][0]["family"] == f"NAME{n}"
        (message,) = await site.messages(key=mrn)
        assert message["state"] == "STORED"
    await sender.leave()


async def test_what_is_accepted_is_told_on_and_what_is_refused_is_not(world: Running) -> None:
    site, ward = world
    sender = await site.sender("adt")
    assert fields(await sender.ask(adt("P2A", "P2", born="19610231")), b"MSA")[1] == "AE"
    assert fields(await sender.ask(adt("P2B", "P2")), b"MSA")[1] == "AA"
    await site.deliveries("P2B", "DELIVERED")
    refused = await site.end("P2A")
    assert refused["state"] == "REFUSED"
    shown = await site.get(f"/admin/messages/{refused['id']}")
    assert "19610231" in shown["body"]["text"], "its bytes are kept"
    assert shown["deliveries"] == []
    assert sum(b"P2^^^MRN" in m for m in ward.got) == 1
    await sender.leave()


async def test_a_refused_update_leaves_the_chart_as_it_was(world: Running) -> None:
    site, _ = world
    sender = await site.sender("adt")
    await sender.ask(adt("P3A", "P3", family="BEFORE"))
    answer = await sender.ask(adt("P3B", "P3", "A08", family="AFTER", born="1961BAD"))
    assert fields(answer, b"MSA")[1] == "AE"
    assert fields(answer, b"ERR")[2] == "PID^1^7^1"
    (patient,) = await site.resources("Patient?identifier=urn:test:mrn|P3")
    assert patient["name"][0]["family"] == "BEFORE"
    assert patient["meta"]["versionId"] == "1"
    await sender.leave()


async def test_a_resend_of_a_refused_message_is_a_new_attempt_on_the_same_row(world: Running) -> None:
    """The claim that was contested is not any more, once the other patient's identifier is corrected."""
    site, ward = world
    sender = await site.sender("adt")
    await sender.ask(adt("P4A", "P4A", ids="P4A^^^MRN~E4^^^EPI"))
    contested = adt("P4B", "P4B", ids="P4B^^^MRN~E4^^^EPI")
    answer = await sender.ask(contested)
    assert fields(answer, b"MSA")[1] == "AE"
    assert fields(answer, b"ERR")[2] == "PID^1^3^2^1"
    first = await site.end("P4B")
    assert (first["state"], first["code"]) == ("REFUSED", "contested-identifier")
    assert not await site.resources("Patient?identifier=urn:test:mrn|P4B")
    (holder,) = await site.resources("Patient?identifier=urn:test:mrn|P4A")
    assert (holder["meta"]["versionId"], "tag" in holder["meta"]) == ("1", False), "it was never said"
    assert fields(await sender.ask(contested), b"MSA")[1] == "AE"
    again = await site.end("P4B")
    assert (again["id"], again["repeats"]) == (first["id"], 1)
    assert sum(b"P4B^^^MRN" in m for m in ward.got) == 0
    await sender.leave()


async def test_what_the_channel_filters_is_accepted(world: Running) -> None:
    site, _ = world
    sender = await site.sender("adt")
    assert fields(await sender.ask(adt("P5", "P5", family="ZZTEST")), b"MSA")[1] == "AA"
    assert (await site.end("P5"))["state"] == "FILTERED"
    assert not await site.resources("Patient?identifier=urn:test:mrn|P5")
    await sender.leave()


async def test_answers_come_in_the_order_of_the_messages(world: Running) -> None:
    site, _ = world
    sender = await site.sender("adt")
    bad = {7, 8, 30}
    bodies = [adt(f"P6{n:02d}", f"P6{n:02d}", born="BAD" if n in bad else "19610615") for n in range(40)]
    await sender.send(*bodies)
    answers = [fields(await sender.answer(), b"MSA")[1:3] for _ in bodies]
    assert answers == [["AE" if n in bad else "AA", f"P6{n:02d}"] for n in range(40)]
    await sender.leave()


async def test_a_kind_without_a_map_is_stored_raw_and_accepted(world: Running) -> None:
    site, _ = world
    sender = await site.sender("adt")
    body = oru("P7", "P7").replace(b"ORU^R01^ORU_R01", b"ZZZ^Z01")
    assert fields(await sender.ask(body), b"MSA")[1] == "AA"
    assert (await site.end("P7"))["state"] == "STORED_RAW"
    await sender.leave()


async def test_a_long_message_is_not_overtaken_by_a_short_one_behind_it(world: Running) -> None:
    site, ward = world
    sender = await site.sender("adt")
    at = "20260101101010"  # one clock: which of the two is the truth, their order says
    long = adt("P8A", "P8", time=at, family="OLD", last="NTE|1||" + "x" * 50_000)
    await sender.send(long, adt("P8B", "P8", "A08", time=at, family="NEW"))
    assert [fields(await sender.answer(), b"MSA")[1:3] for _ in range(2)] == [["AA", "P8A"], ["AA", "P8B"]]
    for key in ("P8A", "P8B"):
        await site.deliveries(key, "DELIVERED")
    told = [fields(m, b"PID")[5][:3] for m in ward.got if b"P8^^^MRN" in m]
    assert told == ["OLD", "NEW"]
    (patient,) = await site.resources("Patient?identifier=urn:test:mrn|P8")
    assert patient["name"][0]["family"] == "NEW"
    await sender.leave()
