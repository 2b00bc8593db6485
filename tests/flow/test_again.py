"""Messages again: reprocessed, replayed, resent, edited; each does what it says, once, with a reason, on record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adapters.mllp_peer import Receiver, fields, receiver
from tests.flow.installation import Installation, Json, channel, running, until
from tests.flow.messages import adt, oru

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {0}}}}}
  desk: {{mllp: {{host: 127.0.0.1, port: {1}}}}}
routes:
  - {{from: adt, to: [ward, desk]}}
"""
Running = tuple[Installation, Receiver, Receiver]
WHY = ("--why", "a test")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[Running]:
    async with receiver() as ward, receiver() as desk:
        files = {
            "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "head: block"),
            "routes.yaml": ROUTES.format(ward.port, desk.port),
        }
        async with running(tmp_path, files) as site:
            yield site, ward, desk


async def send(site: Installation, *bodies: bytes) -> None:
    sender = await site.sender("adt")
    for body in bodies:
        assert fields(await sender.ask(body), b"MSA")[1] == "AA"
    await sender.leave()


async def did(site: Installation, *arguments: str) -> str:
    done = await site.command("messages", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def delivered(site: Installation, id: int, count: int) -> list[Json]:
    """The deliveries of a message, when there are so many and all arrived."""

    async def over() -> list[Json]:
        found: list[Json] = (await site.get(f"/admin/messages/{id}/trace"))["deliveries"]
        return found if len(found) == count and all(d["state"] == "DELIVERED" for d in found) else []

    return await until(over)


async def test_reprocessed_it_changes_nothing_and_tells_nobody_twice(world: Running) -> None:
    site, ward, desk = world
    await send(site, adt("A1", "A"), adt("A2", "A", "A08", family="NEXT"))
    await site.deliveries("A2", "DELIVERED")
    before = await site.resources("Patient?identifier=urn:test:mrn|A")
    assert "2 messages: reprocess" in await did(
        site, "reprocess", "--where", "channel=adt state=stored", *WHY
    )
    await site.end("A1")
    await site.end("A2")
    assert await site.resources("Patient?identifier=urn:test:mrn|A") == before
    assert (len(ward.got), len(desk.got)) == (2, 2)


async def test_replayed_it_changes_nothing_and_tells_everybody_again_in_order(world: Running) -> None:
    site, ward, desk = world
    await send(site, *(adt(f"A{n}", "A", "A08" if n else "A01", family=f"N{n}") for n in range(5)))
    await site.deliveries("A4", "DELIVERED")
    before = await site.resources("Patient?identifier=urn:test:mrn|A")
    for replays in (1, 2):
        assert "5 messages: replay" in await did(
            site, "replay", "--where", "channel=adt since=1h", "--rate", "100", *WHY
        )
        last = await site.end("A4")
        found = await delivered(site, last["id"], 2 + 2 * replays)
        assert len({d["control"] for d in found}) == len(found), "each is a delivery of its own"
    assert await site.resources("Patient?identifier=urn:test:mrn|A") == before
    for peer in (ward, desk):
        assert [fields(m, b"PID")[5][:2] for m in peer.got] == [f"N{n}" for n in range(5)] * 3


async def test_resent_it_goes_to_whom_one_says_and_the_chart_is_left_alone(world: Running) -> None:
    site, ward, desk = world
    await send(site, adt("A1", "A"))
    message = await site.end("A1")
    await delivered(site, message["id"], 2)
    previewed = await did(site, "resend", str(message["id"]), "--to", "ward", "--dry-run")
    assert "would be" in previewed
    for times in (1, 2):
        await did(site, "resend", str(message["id"]), "--to", "ward", *WHY)
        await delivered(site, message["id"], 2 + times)
    assert (len(ward.got), len(desk.got)) == (3, 1)
    assert (await site.end("A1"))["settled"] == message["settled"], "it was not processed again"


async def test_an_edited_message_takes_the_place_of_the_one_that_was_wrong(world: Running) -> None:
    """Those behind it waited, and come after it."""
    site, ward, _ = world
    await send(
        site,
        adt("A1", "A"),
        adt("A2", "A", "A08", family="TWO", born="1961BAD"),
        adt("A3", "A", "A08", family="THREE"),
    )
    stuck = await site.end("A2")
    assert stuck["state"] == "QUARANTINED"
    told = await did(site, "edit", str(stuck["id"]), "--set", "PID-7=19610615", "--resubmit", *WHY)
    await site.deliveries("A3", "DELIVERED")
    old, new = await site.messages(key="A2")
    assert told.strip() == f"message {new['id']} corrects message {old['id']}"
    assert (old["state"], new["state"]) == ("QUARANTINED", "STORED")
    assert [fields(m, b"PID")[5] for m in ward.got] == [f"{n}^ADAM^A" for n in ("EVERYMAN", "TWO", "THREE")]
    assert f"message {old['id']}" in await did(site, "show", str(new["id"]))
    assert f"by message {new['id']}" in await did(site, "show", str(old["id"]))
    assert (await site.command("queues")).returncode == 0
    (patient,) = await site.resources("Patient?identifier=urn:test:mrn|A")
    assert (patient["birthDate"], patient["name"][0]["family"]) == ("1961-06-15", "THREE")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["reprocess", "1"], "say why"),
        (["reprocess", *WHY], "say which messages"),
        (["replay", "999", *WHY], "there is no message 999"),
        (["reprocess", "--where", "state=asleep", *WHY], "must be one of"),
        (["reprocess", "--where", "colour=red", *WHY], "not known"),
        (["edit", "1", "--set", "PID-5.1=X", "--resubmit", *WHY], "cannot be edited: it had an effect"),
        (["edit", "1", "--set", "PID=X", "--resubmit", *WHY], "PID"),
        (["edit", "1", "--set", "PID-5.1", "--resubmit", *WHY], "PATH=VALUE"),
        (["edit", "999", "--set", "PID-5.1=X", "--resubmit", *WHY], "no such"),
    ],
)
async def test_what_cannot_be_done_is_told(world: Running, arguments: list[str], told: str) -> None:
    site, _, _ = world
    await send(site, adt("A1", "A"))
    await site.end("A1")
    ended = await site.command("messages", *arguments)
    assert ended.returncode != 0
    assert told in ended.stderr


async def test_what_waits_or_is_held_is_left_alone(world: Running) -> None:
    site, _, _ = world
    await send(site, adt("A1", "A", born="1961BAD"), oru("A2", "A"))

    async def held() -> Json:
        (found,) = await site.messages(key="A2")
        return found if found["state"] == "HELD" else {}

    waits = await until(held)
    assert "0 messages: reprocess" in await did(site, "reprocess", str(waits["id"]), *WHY)


async def test_every_change_and_every_reading_of_bytes_is_on_record(world: Running) -> None:
    site, _, _ = world
    await send(site, adt("A1", "A"), adt("B1", "B", born="1961BAD"))
    good, bad = await site.end("A1"), await site.end("B1")
    await did(site, "show", str(good["id"]))
    await did(site, "trace", str(good["id"]))
    await did(site, "replay", str(good["id"]), *WHY)
    await did(site, "edit", str(bad["id"]), "--set", "PID-7=19610615", "--resubmit", "--why", "a slip")
    lines = (await site.command("audit", "list", "--json")).stdout.splitlines()
    acts = [json.loads(line) for line in lines][::-1]
    token, *acts = acts
    assert (token["what"], token["rows"]) == ("tokens.create", {"name": "test"})
    assert [(a["what"], a["rows"]["messages"], a["why"]) for a in acts] == [
        ("messages.read", [good["id"]], ""),
        ("messages.replay", [good["id"]], "a test"),
        ("messages.edit", [bad["id"]], "a slip"),
    ]
    assert "19610615" not in json.dumps(acts[-1]), "which fields were set, not to what"
    assert (await site.command("audit", "verify")).returncode == 0


async def test_a_text_is_found_in_raw_and_quarantined_ones_and_whoever_looked_is_on_record(
    world: Running,
) -> None:
    site, _, _ = world
    bad = adt("B1", "B", born="1961BAD", last="ZZZ|ACC-4711")
    await send(site, adt("A1", "A"), bad, adt("C1", "C", last="ZZZ|acc-4711"))
    sender = await site.sender("adt")
    assert fields(await sender.ask(b"no message, ACC-4711"), b"MSA")[1] == "AR"
    await sender.leave()
    await site.end("C1")
    found = [
        json.loads(line) for line in (await did(site, "list", "--text", "Acc-4711", "--json")).splitlines()
    ]
    assert [(m["key"], m["state"]) for m in found] == [
        (None, "REFUSED"),
        ("C1", "STORED"),
        ("B1", "QUARANTINED"),
    ]
    some = (await did(site, "list", "--text", "VB^^^VISIT", "--json")).splitlines()
    assert [json.loads(line)["key"] for line in some] == ["B1"], "a visit number"
    assert (await did(site, "list", "--text", "nobody at all")).strip() == "no messages"
    short = await site.command("messages", "list", "--text", "x")
    assert (short.returncode, "3 letters" in short.stderr) == (1, True)
    act = json.loads((await site.command("audit", "list", "--json")).stdout.splitlines()[-2])
    assert act["what"] == "messages.search"
    assert sorted(act["rows"]["messages"]) == sorted(m["id"] for m in found)
    assert "4711" not in json.dumps(act)


async def listed(site: Installation, *arguments: str) -> list[tuple[str, str]]:
    lines = (await did(site, "list", *arguments, "--json")).splitlines()
    return [(found["key"], found["state"]) for found in map(json.loads, lines)]


async def test_messages_are_found_by_visit_and_order_in_the_chart_and_outside_of_it(world: Running) -> None:
    """VB is the visit of patient B. What is in the chart is found by what it said, whatever else its bytes hold."""
    site, _, _ = world
    bad = adt("B2", "B", "A08", born="1961BAD")
    await send(site, adt("A1", "A", last="ZZZ|VB"), adt("B1", "B"), bad, oru("O1", "C", order="77"))
    await site.end("O1")
    assert await listed(site, "--visit", "VB") == [("B2", "QUARANTINED"), ("B1", "STORED")]
    assert await listed(site, "--visit", "visits|VB") == [("B2", "QUARANTINED"), ("B1", "STORED")]
    assert await listed(site, "--visit", "VB", "--state", "STORED") == [("B1", "STORED")]
    assert await listed(site, "--order", "F77") == [("O1", "STORED")]
    assert await listed(site, "--accession", "F77") == [("O1", "STORED")]
    assert (await did(site, "list", "--visit", "F77")).strip() == "no messages"
    both = await site.command("messages", "list", "--visit", "VB", "--order", "F77")
    assert "one of visit, order at a time" in both.stderr


async def test_a_preview_says_what_would_be_done_and_nothing_of_it_is(world: Running) -> None:
    site, ward, _ = world
    await send(site, adt("A1", "A"), adt("B1", "B", born="1961BAD"), adt("B2", "B", "A08"))
    good, bad = await site.end("A1"), await site.end("B1")
    await delivered(site, good["id"], 2)

    async def held() -> Json:
        (found,) = await site.messages(key="B2")
        return found if found["state"] == "HELD" else {}

    behind = await until(held)
    ids = [str(message["id"]) for message in (good, bad, behind)]
    assert "2 messages would be: replay" in await did(site, "replay", *ids, "--dry-run"), (
        "not the one that is held"
    )
    assert "1 messages would be: resend" in await did(site, "resend", *ids, "--to", "ward", "--dry-run")
    assert "would be edited" in await did(
        site, "edit", ids[1], "--set", "PID-7=1961", "--resubmit", "--dry-run"
    )
    refused = await site.command("messages", "edit", ids[0], "--set", "PID-7=1961", "--resubmit", "--dry-run")
    assert (refused.returncode, "it had an effect" in refused.stderr) == (1, True)
    assert [await site.end(key) for key in ("A1", "B1")] == [good, bad]
    assert len(await site.messages()) == 3
    assert len(await delivered(site, good["id"], 2)) == len(ward.got) + 1 == 2
    acts = (await site.command("audit", "list", "--json")).stdout.splitlines()
    assert [json.loads(line)["what"] for line in acts] == ["tokens.create"]
