"""The sequence number protocol (HL7 v2.5.1, 2.10.1), both ways: nothing twice and nothing left out, over lost answers,
kills and a side that has lost count."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.mllp_peer import END, VT, Said, fields, receiver
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt

COUNTED = "mllp: {port: 0, sequence: true}"
ROUTES = """
destinations:
  lab:
    mllp: {{host: 127.0.0.1, port: {port}, timeout: 1s}}
    sequence: true
    retry: {{first: 20ms, max: 100ms, unknown: retry{more}}}
    breaker: {{after: 1000}}
routes:
  - {{from: adt, to: lab}}
"""


def counted(body: bytes, number: int | str) -> bytes:
    """The message with MSH-13."""
    line, end, rest = body.partition(b"\r")
    parts = line.split(b"|")
    parts += [b""] * (13 - len(parts))
    parts[12] = str(number).encode()
    return b"|".join(parts) + end + rest


def start(control: str) -> bytes:
    return f"MSH|^~\\&|ADT1|GHH|CW|HOSPITAL|20261127||^|{control}|P|2.5.1|0\r".encode()


def said(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-4."""
    msa = [*fields(answer, b"MSA"), "", "", ""]
    return msa[1], msa[4]


async def test_a_listener_takes_what_is_next_and_says_what_is(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt", COUNTED)}) as site:
        sender = await site.sender("adt")
        assert said(await sender.ask(start("S1"))) == ("AA", "-1")
        first, second = counted(adt("M41", "P1"), 41), counted(adt("M42", "P2"), 42)
        assert said(await sender.ask(first)) == ("AA", "42")
        assert said(await sender.ask(second)) == ("AA", "43")
        assert said(await sender.ask(second)) == ("AA", "43"), "its answer was lost: it is here already"
        assert said(await sender.ask(counted(adt("X", "P3"), 42))) == ("AR", "43"), (
            "other content under a number"
        )
        assert said(await sender.ask(counted(adt("M44", "P4"), 44))) == ("AR", "43"), "one is missing"
        assert said(await sender.ask(counted(adt("N", "P4"), "many"))) == ("AR", "")
        site.kill()
        await site.start()
        sender = await site.sender("adt")
        assert said(await sender.ask(start("S2"))) == ("AA", "43"), "it is kept with what was accepted"
        assert said(await sender.ask(counted(adt("M43", "P5"), 43))) == ("AA", "44")
        assert said(await sender.ask(counted(adt("M44", "P4"), 44))) == ("AA", "45")
        assert said(await sender.ask(adt("U", "P6"))) == ("AA", ""), "what is not counted is taken as ever"
        for key in ("M41", "M42", "M43", "U"):
            assert (await site.end(key))["state"] == "STORED"
        assert [m["state"] for m in await site.messages(key="S1")] == [], "the start of a link is no message"
        found = {m["state"]: m["code"] for m in await site.messages(key="M44")}
        assert found == {"REFUSED": "sequence", "STORED": None}
        set_ = await site.command("sequences", "set", "channel adt", "7", "--why", "the sender began anew")
        assert set_.returncode == 0, set_.stderr
        assert said(await sender.ask(counted(adt("M7", "P7"), 7))) == ("AA", "8")
        unknown = await site.command("sequences", "set", "channel x", "7", "--why", "x")
        assert "no link channel x" in unknown.stderr
        listed = await site.command("sequences", "list")
        assert "channel adt" in listed.stdout
        await sender.leave()


class Counting:
    """A receiver that counts. `deaf` says of a message that was taken that its answer is lost."""

    def __init__(self, expected: int = -1) -> None:
        self.expected = expected
        self.took: list[tuple[int, str]] = []
        self.deaf = 0

    def __call__(self, message: bytes) -> Said:
        msh = [*fields(message, b"MSH"), *[""] * 3]
        number = int(msh[13])
        if number == 0:
            return self.answer(msh[10], "AA")
        if self.expected not in (-1, number):
            return self.answer(msh[10], "AR")
        self.expected = number + 1
        self.took.append((number, message.rstrip(b"\r").split(b"|")[-1].decode()))
        if self.deaf:
            self.deaf -= 1
            return Said(close=True)
        return self.answer(msh[10], "AA")

    def answer(self, control: str, code: str) -> Said:
        text = f"MSH|^~\\&|R|R|S|S|20261127||ACK|R|P|2.5.1\rMSA|{code}|{control}||{self.expected}\r"
        return Said(VT + text.encode() + END)


async def send(site: Installation, *names: str) -> None:
    sender = await site.sender("adt")
    for name in names:
        await sender.ask(adt(name, name, last=f"ZZZ|{name}"))
    await sender.leave()


def files(port: int, more: str = "") -> dict[str, str]:
    return {"channels/adt.yaml": channel("adt"), "routes.yaml": ROUTES.format(port=port, more=more)}


async def test_a_lost_answer_costs_no_second_delivery_not_even_over_a_kill(tmp_path: Path) -> None:
    partner = Counting()
    async with receiver(partner) as listening, running(tmp_path, files(listening.port)) as site:
        await send(site, "A")
        await site.deliveries("A", "DELIVERED")
        partner.deaf = 1
        await send(site, "B", "C")
        await site.deliveries("C", "DELIVERED")
        await listening.stop()
        await send(site, "D")
        await listening.start()
        partner.deaf = 1

        async def taken() -> bool:
            return partner.took[-1][1] == "D"

        await until(taken)
        site.kill()  # the number of D was written down before it went out
        await site.start()
        await site.deliveries("D", "DELIVERED")
        await send(site, "E")
        await site.deliveries("E", "DELIVERED")
    assert partner.took == list(enumerate("ABCDE", start=1))


async def test_it_goes_on_where_the_receiver_is_and_after_one_that_was_set_aside(tmp_path: Path) -> None:
    """The receiver has history, loses an answer to a message that is then set aside: the next has the next number."""
    partner = Counting(501)
    async with (
        receiver(partner) as listening,
        running(tmp_path, files(listening.port, ", attempts: 1")) as site,
    ):
        await send(site, "A")
        await site.deliveries("A", "DELIVERED")
        partner.deaf = 1
        await send(site, "B")
        await site.deliveries("B", "PARKED")
        await send(site, "C")
        await site.deliveries("C", "DELIVERED")
    assert partner.took == [(501, "A"), (502, "B"), (503, "C")]


async def test_two_sides_that_do_not_agree_wait_for_a_person(tmp_path: Path) -> None:
    partner = Counting()
    async with receiver(partner) as listening, running(tmp_path, files(listening.port)) as site:
        await send(site, "A")
        await site.deliveries("A", "DELIVERED")
        partner.expected = 90
        listening.drop()
        await send(site, "B", "C")

        async def stuck() -> bool:
            (found,) = await site.deliveries("B", "QUEUED", "DELIVERED")
            return bool(found["code"] == "sequence")

        await until(stuck)
        assert len(partner.took) == 1
        mended = await site.command(
            "sequences", "set", "destination lab", "90", "--why", "the lab was restored"
        )
        assert mended.returncode == 0, mended.stderr
        await site.deliveries("C", "DELIVERED")
    assert partner.took == [(1, "A"), (90, "B"), (91, "C")]


async def test_two_of_us_count_together(tmp_path: Path) -> None:
    there = {"channels/adt.yaml": channel("adt", COUNTED)}
    async with running(tmp_path / "there", there) as lab:
        port = int(lab.sources["adt"].rpartition(":")[2])
        async with running(tmp_path / "here", files(port)) as site:
            await send(site, *"ABC")
            await site.deliveries("C", "DELIVERED")
            lab.kill()
            fixed = {"channels/adt.yaml": channel("adt", f"mllp: {{port: {port}, sequence: true}}")}
            lab.write(fixed)
            await send(site, "D")
            await lab.start()
            await site.deliveries("D", "DELIVERED")

        async def stored() -> bool:
            return [m["state"] for m in await lab.messages()] == ["STORED"] * 4

        await until(stored)
