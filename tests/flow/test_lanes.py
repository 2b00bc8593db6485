"""Lanes: what must keep its order keeps it through merges, through trouble, and at the pace that a partner bears."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.adapters.mllp_peer import Receiver, Said, acknowledgement, fields, receiver
from tests.flow.installation import Installation, Json, channel, running, until
from tests.flow.messages import a40, adt

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}, timeout: 2s}}, {more}}}
routes:
  - {{from: adt, to: ward}}
"""
QUICK = "retry: {first: 20ms, max: 50ms}"


def files(ward: Receiver, more: str, *channel_more: str) -> dict[str, str]:
    return {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", *channel_more),
        "routes.yaml": ROUTES.format(port=ward.port, more=more),
    }


async def send(site: Installation, *bodies: bytes) -> None:
    sender = await site.sender("adt")
    for body in bodies:
        assert fields(await sender.ask(body), b"MSA")[1] == "AA"
    await sender.leave()


def heard(ward: Receiver) -> list[str]:
    """What came, by the last segment of each: an update's own, or the patient that was merged."""
    return [message.rstrip(b"\r").split(b"\r")[-1].decode().split("^")[0] for message in ward.got]


async def outbox(site: Installation, key: str) -> Json:
    message = await site.end(key)
    (found,) = (await site.get(f"/admin/messages/{message['id']}"))["deliveries"]
    delivery: Json = found
    return delivery


async def test_a_merge_waits_for_both_patients_and_both_wait_for_it(tmp_path: Path) -> None:
    """Four connections, and the prior's lane is the slow one: without a place in it the merge would overtake."""
    let_go = asyncio.Event()

    async def slow(message: bytes) -> Said:
        if b"ZZZ|PRIOR-1" in message:
            await let_go.wait()
        return acknowledgement(message)

    async with receiver(slow) as ward, running(tmp_path, files(ward, f"{QUICK}, connections: 4")) as site:
        await send(
            site,
            adt("P1", "PRIOR", last="ZZZ|PRIOR-1"),
            adt("S1", "SURVIVOR", last="ZZZ|SURVIVOR-1"),
            a40("M1", "SURVIVOR", "PRIOR"),
            adt("P2", "PRIOR", "A08", last="ZZZ|PRIOR-2"),
            adt("S2", "SURVIVOR", "A08", last="ZZZ|SURVIVOR-2"),
            adt("O1", "OTHER", last="ZZZ|OTHER-1"),
        )
        await site.deliveries("O1", "DELIVERED")
        for key in ("M1", "P2", "S2"):
            assert (await outbox(site, key))["state"] == "QUEUED", "the merge and what follows it wait"
        let_go.set()
        for key in ("P2", "S2"):
            await site.deliveries(key, "DELIVERED")
        order = heard(ward)
        assert len(order) == 6
        merge = order.index("MRG|PRIOR")
        assert {"ZZZ|PRIOR-1", "ZZZ|SURVIVOR-1"} < set(order[:merge])
        assert {"ZZZ|PRIOR-2", "ZZZ|SURVIVOR-2"} == set(order[merge + 1 :])


async def test_a_merge_that_is_held_holds_both_and_survives_a_kill(tmp_path: Path) -> None:
    refuse = True

    def merging(message: bytes) -> Said:
        return acknowledgement(message, "AR" if refuse and b"MRG|" in message else "AA")

    async with receiver(merging) as ward:
        site = Installation(tmp_path, files(ward, f"{QUICK}, connections: 4, head: block"))
        try:
            await site.start()
            await send(site, a40("M1", "SURVIVOR", "PRIOR"), adt("P1", "PRIOR"), adt("O1", "OTHER"))
            await send(site, adt("S1", "SURVIVOR"))
            await site.deliveries("M1", "HELD")
            await site.deliveries("O1", "DELIVERED")
            site.kill()
            await site.start()
            await send(site, adt("O2", "OTHER", "A08"))
            await site.deliveries("O2", "DELIVERED")
            assert [(await outbox(site, key))["state"] for key in ("M1", "P1", "S1")] == [
                "HELD",
                "QUEUED",
                "QUEUED",
            ]
            assert await site.stop() == 0
        finally:
            site.kill()


async def test_after_so_many_attempts_it_is_set_aside(tmp_path: Path) -> None:
    async with receiver(lambda message: acknowledgement(message, "AE")) as ward:
        more = "retry: {first: 10ms, max: 20ms, attempts: 3}"
        async with running(tmp_path, files(ward, more)) as site:
            await send(site, adt("A1", "A"))
            await site.deliveries("A1", "PARKED")
            assert (await outbox(site, "A1"))["attempts"] == 3
            assert len(ward.got) == 3


async def test_a_partner_that_fails_is_left_in_peace_and_tried_by_one(tmp_path: Path) -> None:
    """20 lanes wait: with the breaker open each pause costs the partner one attempt, not twenty."""
    async with receiver(lambda message: acknowledgement(message, "AE")) as ward:
        more = "retry: {first: 5ms, max: 5ms}, connections: 4, breaker: {after: 3, pause: 300ms}"
        async with running(tmp_path, files(ward, more)) as site:
            await send(site, *(adt(f"B{n}", f"B{n}") for n in range(20)))

            async def tried(count: int) -> bool:
                return len(ward.got) >= count

            await until(lambda: tried(8))
            metrics = (await site.ask("/metrics", {})).body.decode()
            assert 'chartwire_breaker_open{destination="ward"} 1.0' in metrics
            assert len({fields(m, b"PID")[3] for m in ward.got}) < 12, "not each lane had its turn"
            ward.reply = acknowledgement
            for n in range(20):
                await site.deliveries(f"B{n}", "DELIVERED")
            metrics = (await site.ask("/metrics", {})).body.decode()
            assert 'chartwire_breaker_open{destination="ward"} 0.0' in metrics


async def test_what_comes_behind_trouble_is_held_where_the_channel_says_so(tmp_path: Path) -> None:
    async with receiver() as ward:
        site = Installation(tmp_path, files(ward, QUICK, "head: block"))
        try:
            await site.start()
            await send(
                site,
                adt("A1", "A"),
                adt("A2", "A", "A08", born="1961BAD"),
                adt("A3", "A", "A08", family="THREE"),
            )
            await send(site, adt("B1", "B"), adt("A4", "A", "A08", family="FOUR"))

            async def held(key: str) -> bool:
                (message,) = await site.messages(key=key)
                return bool(message["state"] == "HELD")

            await until(lambda: held("A4"))
            (third,), stuck = await site.messages(key="A3"), await site.end("A2")
            assert (third["state"], third["code"]) == ("HELD", "behind")
            assert stuck["state"] == "QUARANTINED"
            assert (await site.end("B1"))["state"] == "STORED", "the others flow"
            site.kill()
            await site.start()
            await send(site, adt("A5", "A", "A08", family="FIVE"))
            await until(lambda: held("A5"))
            shown = await site.command("queues")
            assert shown.returncode == 1, "something waits for a person"
            assert f"message {stuck['id']}" in shown.stdout
            refused = await site.command("messages", "park", str(stuck["id"]))
            assert (refused.returncode, "say why" in refused.stderr) == (1, True)
            previewed = await site.command("messages", "park", str(stuck["id"]), "--dry-run")
            assert "would be parked" in previewed.stdout
            assert (await site.messages(key="A3"))[0]["state"] == "HELD"
            done = await site.command(
                "messages", "park", str(stuck["id"]), "--why", "the birth date is wrong"
            )
            assert done.returncode == 0, done.stderr
            for key in ("A3", "A4", "A5"):
                await site.deliveries(key, "DELIVERED")
                assert (await site.end(key))["state"] == "STORED"
            told = [fields(message, b"PID")[5] for message in ward.got if b"A^^^MRN" in message]
            assert told == [f"{name}^ADAM^A" for name in ("EVERYMAN", "THREE", "FOUR", "FIVE")]
            (patient,) = await site.resources("Patient?identifier=urn:test:mrn|A")
            assert patient["name"][0]["family"] == "FIVE"
            again = await site.command("messages", "park", str(stuck["id"]), "--why", "again")
            assert again.returncode == 1
            assert "holds nothing" in again.stderr
            assert (await site.command("queues")).returncode == 0
            audited = json.loads((await site.command("audit", "list", "--json")).stdout.splitlines()[0])
            assert (audited["what"], audited["rows"]) == ("messages.park", {"messages": [stuck["id"]]})
            assert audited["why"] == "the birth date is wrong"
            assert await site.stop() == 0
        finally:
            site.kill()
