"""Batches out: many messages go to a partner as one, in order, each under a control id of its own, and none twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.adapters.mllp_peer import END, VT, Said, acknowledgement, fields, receiver
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import a40, adt

ROUTES = """
destinations:
  registry:
    {where}
    gather: {{as: {{hl7.batch: {{{settings}}}}}, most: {most}, every: {every}}}
    retry: {{first: 20ms, max: 50ms}}
    head: {head}
routes:
  - {{from: adt, to: registry}}
"""


def files(
    where: str, *, most: int = 3, every: str = "1h", settings: str = "", head: str = "park"
) -> dict[str, str]:
    routes = ROUTES.format(where=where, most=most, every=every, settings=settings, head=head)
    return {"channels/adt.yaml": channel("adt"), "routes.yaml": routes}


async def send(site: Installation, *bodies: bytes) -> None:
    sender = await site.sender("adt")
    for body in bodies:
        assert fields(await sender.ask(body), b"MSA")[1] == "AA"
    await sender.leave()


def segments(batch: bytes) -> list[str]:
    return [line.split(b"|")[0].decode() for line in batch.split(b"\r") if line]


def last(batch: bytes) -> list[str]:
    """What each message says by its ZZZ segment."""
    return [line.split(b"|")[1].decode() for line in batch.split(b"\r") if line.startswith(b"ZZZ")]


async def test_so_many_are_one_and_what_is_left_goes_when_the_first_has_waited(tmp_path: Path) -> None:
    out = tmp_path / "out"
    where = f'files: {{directory: "{out}", create: true}}'
    wanted = files(where, every="2s", settings="file: true, sending_facility: RIVERSIDE")
    async with running(tmp_path, wanted) as site:
        await send(site, *(adt(f"M{n}", f"P{n % 2}", last=f"ZZZ|{n}") for n in range(7)))

        async def come() -> list[bytes]:
            found = sorted(out.glob("*.hl7"), key=lambda path: path.stat().st_mtime_ns)
            return [path.read_bytes() for path in found] if len(found) == 3 else []

        batches = await until(come)
        assert [last(batch) for batch in batches] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
        first = batches[0].decode().split("\r")
        assert segments(batches[0])[:2] == ["FHS", "BHS"]
        assert segments(batches[0]).count("MSH") == 3
        assert first[-3:] == ["BTS|3", "FTS|1", ""]
        assert first[1].split("|")[3] == "RIVERSIDE"
        (one,) = await site.deliveries("M0", "DELIVERED")
        (two,) = await site.deliveries("M1", "DELIVERED")
        assert first[1].split("|")[10] == f"CW{one['id']}" or first[1].split("|")[10].endswith(str(one["id"]))
        own = [line.split("|")[9] for line in first if line.startswith("MSH")]
        assert own[0] == first[1].split("|")[10]
        assert own[1].endswith(str(two["id"]))


async def test_a_batch_whose_fate_is_unknown_is_the_same_batch_again_over_a_kill(tmp_path: Path) -> None:
    """More came meanwhile, and a merge; the batch that was tried is not another one for that."""
    silent = True

    def away(message: bytes) -> Said:
        return Said(close=True) if silent else batch_acknowledgement(message)

    async with receiver(away) as partner:
        where = f"mllp: {{host: 127.0.0.1, port: {partner.port}, timeout: 2s}}"
        async with running(tmp_path, files(where, most=2)) as site:
            await send(site, adt("A", "P1", last="ZZZ|A"), adt("B", "P2", last="ZZZ|B"))
            await partner.arrived(2)
            await send(site, adt("C", "P1", last="ZZZ|C"), a40("D", "P1", "P2") + b"ZZZ|D\r")
            site.kill()
            await site.start()
            tried = len(partner.got)
            await partner.arrived(tried + 1)
            silent = False
            await site.deliveries("D", "DELIVERED")
    batches = list(dict.fromkeys(partner.got))
    assert [last(batch) for batch in batches] == [["A", "B"], ["C", "D"]]
    assert len(partner.got) > len(batches)


def batch_acknowledgement(batch: bytes, *refused: str) -> Said:
    """A batch of answers, for what was not taken."""
    of = batch.split(b"\r")[0].split(b"|")[10].decode()
    lines = ["BHS|^~\\&|R|R|S|S|20261127||||1|" + of]
    for control in refused:
        lines += [
            f"MSH|^~\\&|R|R|S|S|20261127||ACK|R{control}|P|2.5.1",
            f"MSA|AE|{control}",
            "ERR||PID^1^3|204|E",
        ]
    text = "\r".join([*lines, f"BTS|{len(refused)}", ""])
    return Said(VT + text.encode() + END)


async def test_one_that_the_partner_refuses_does_not_lose_the_others(tmp_path: Path) -> None:
    def answer(batch: bytes) -> Said:
        second = [line.split(b"|")[9].decode() for line in batch.split(b"\r") if line.startswith(b"MSH")][1]
        return batch_acknowledgement(batch, second)

    async with receiver(answer) as partner:
        where = f"mllp: {{host: 127.0.0.1, port: {partner.port}, timeout: 2s}}"
        async with running(tmp_path, files(where)) as site:
            await send(site, *(adt(key, key, last=f"ZZZ|{key}") for key in "ABC"))
            for key, state in (("A", "DELIVERED"), ("B", "PARKED"), ("C", "DELIVERED")):
                (found,) = await site.deliveries(key, state)
                assert found["attempts"] == 1
                assert found["code"] == ("answered-ae" if key == "B" else None)
            partner.reply = batch_acknowledgement
            retried = await site.command("deliveries", "retry", "--where", "state=parked", "--why", "mended")
            assert retried.returncode == 0, retried.stderr
            await site.deliveries("B", "DELIVERED")
    assert [last(batch) for batch in partner.got] == [["A", "B", "C"], ["B"]]


async def test_a_batch_in_one_block_is_taken_apart_and_answered(tmp_path: Path) -> None:
    """In over MLLP: an accept for the whole at once, a batch acknowledgement by the route, also over MLLP."""
    async with receiver(acknowledgement_of_batch) as partner:
        routes = f"""
destinations:
  answers: {{mllp: {{host: 127.0.0.1, port: {partner.port}, timeout: 2s}}}}
routes:
  - {{from: adt, send: answer, to: answers}}
"""
        wanted = {
            "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "split: hl7.batch"),
            "routes.yaml": routes,
        }
        async with running(tmp_path, wanted) as site:
            sender = await site.sender("adt")
            batch = (
                b"BHS|^~\\&|LAB|GHH|CW|HOSPITAL|20261127||||B7\r"
                + adt("X", "P1")
                + adt("Y", "P2")
                + b"BTS|2\r"
            )
            answer = await sender.ask(batch)
            assert fields(answer, b"MSA")[1:3] == ["AA", "B7"]
            assert fields(answer, b"MSH")[5] == "LAB"
            assert (await site.end("X"))["state"] == "STORED"
            assert (await site.end("Y"))["state"] == "STORED"
            await partner.arrived(1)
            assert segments(partner.got[0]) == ["BHS", "BTS"]
            assert partner.got[0].split(b"\r")[0].split(b"|")[11] == b"B7"
            again = await sender.ask(batch)
            assert fields(again, b"MSA")[1:3] == ["AA", "B7"]
            assert len(await site.messages(key="X")) == 1
            await sender.leave()


async def test_a_channel_that_takes_nothing_apart_refuses_a_batch_by_its_name(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        sender = await site.sender("adt")
        batch = b"BHS|^~\\&|LAB|GHH|CW|HOSPITAL|20261127||||B7\r" + adt("X", "P1") + b"BTS|1\r"
        answer = fields(await sender.ask(batch), b"MSA")
        assert answer[1:3] == ["AR", "B7"]
        assert answer[3].startswith("batch")
        answer = fields(await sender.ask(adt("X", "P1") + adt("Y", "P1")), b"MSA")
        assert (answer[1], answer[3].split(" ")[0]) == ("AR", "several-messages")
        assert [m["state"] for m in await site.messages()] == ["REFUSED", "REFUSED"]
        await sender.leave()
        await asyncio.sleep(0)


def acknowledgement_of_batch(message: bytes) -> Said:
    of = message.split(b"\r")[0].split(b"|")[10].decode()
    return acknowledgement(message.replace(b"BHS", b"MSH", 1), control=of)
