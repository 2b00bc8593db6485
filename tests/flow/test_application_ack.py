"""Application acknowledgements as exchanges of their own: who asks for one hears, later, what became of its message."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.adapters.mllp_peer import Receiver, Said, Sender, acknowledgement, adt, fields, receiver
from tests.engine_process import ROOT
from tests.flow.installation import Installation, channel, running, until

TABLE = ROOT / "formats" / "hl7v2" / "acknowledgement.tsv"
ROWS = list(csv.DictReader(TABLE.read_text().splitlines(), delimiter="\t"))
ROUTES = """
destinations:
  answers: {{mllp: {{host: 127.0.0.1, port: {port}, timeout: 2s}}, retry: {{first: 20ms, max: 50ms}}}}
routes: []
application_ack:
  - {{from: adt, to: answers{more}}}
"""
BAD = "PID|1||MRN1^^^MRN~MRN2^^^MRN||EVERYMAN"  # two numbers of one authority: quarantined


def files(partner: Receiver, more: str = "", *channel_more: str) -> dict[str, str]:
    return {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", *channel_more),
        "routes.yaml": ROUTES.format(port=partner.port, more=more),
    }


def good(control: str, asks: str) -> bytes:
    return adt(control, asks=asks).replace(b"^^^GHH^MR", b"^^^MRN")


def bad(control: str, asks: str) -> bytes:
    before, _, after = good(control, asks).partition(b"PID|1||MRN1^^^MRN|")
    return before + BAD.encode() + after[after.index(b"^ADAM") :]


def said(messages: Sequence[bytes]) -> list[tuple[str, str]]:
    return sorted((fields(m, b"MSA")[2], fields(m, b"MSA")[1]) for m in messages)


async def told(partner: Receiver, number: int) -> list[tuple[str, str]]:
    async def come() -> bool:
        return len(partner.got) >= number

    await until(come)
    return said(partner.got)


async def test_each_combination_gets_what_the_table_says(tmp_path: Path) -> None:
    """All 25 at once: one message that ends well and one that is quarantined for each. The connection has accept
    acknowledgements only; the partner hears, at its own port, of those that it asked for."""
    connection: list[tuple[str, str]] = []
    exchange: list[tuple[str, str]] = []
    sent: list[bytes] = []
    for n, row in enumerate(ROWS):
        asks = f"{row['accept'].strip('-')}|{row['application'].strip('-')}"
        sent += [good(f"G{n}", asks), bad(f"B{n}", asks)]
        if (mode := row["connection"].split("/")[0]) != "-":
            connection += [(f"{word}{n}", f"{mode}A") for word in "GB"]
        success, failure = row["exchange"].split("/")
        exchange += [(f"G{n}", "AA")] * (success == "A") + [(f"B{n}", "AE")] * (failure == "A")
    assert exchange
    async with receiver(acknowledgement) as partner, running(tmp_path, files(partner)) as site:
        sender = await site.sender("adt")
        await sender.send(*sent, good("LAST", "AL|NE"))
        heard = []
        while fields(answer := await sender.answer(), b"MSA")[2] != "LAST":
            heard.append(answer)
        assert said(heard) == sorted(connection)
        assert await told(partner, len(exchange)) == sorted(exchange)
        await site.end("LAST")
        await sender.leave()
    ours = [fields(message, b"MSH") for message in partner.got]
    assert len({msh[10] for msh in ours}) == len(ours), "each under a control id of its own"
    assert {(msh[3], msh[5], msh[9], msh[15], msh[16]) for msh in ours} == {
        ("CW", "ADT1", "ACK^A01^ACK", "AL", "NE")
    }


async def test_it_says_why_and_says_again_what_the_sender_may_not_have_got(tmp_path: Path) -> None:
    async with receiver(acknowledgement) as partner, running(tmp_path, files(partner)) as site:
        sender = await site.sender("adt")
        assert fields(await sender.ask(bad("B", "AL|AL")), b"MSA")[1] == "CA"
        assert await told(partner, 1) == [("B", "AE")]
        error = fields(partner.got[0], b"ERR")
        assert (error[2], error[3].split("^")[0]) == ("PID^1^3^2^1", "204")
        await sender.ask(good("G", "AL|AL"))
        assert (await told(partner, 2))[-1] == ("G", "AA")
        await site.deliveries("G", "DELIVERED")
        await sender.ask(good("G", "AL|AL"))  # a resend: it was processed, and is answered again
        assert (await told(partner, 3))[-2:] == [("G", "AA"), ("G", "AA")]
        await sender.ask(bad("B", "AL|AL"))  # a new attempt, with the same end
        assert (await told(partner, 4))[:2] == [("B", "AE"), ("B", "AE")]
        await sender.leave()


async def test_what_is_owed_survives_a_kill_and_a_partner_who_is_away(tmp_path: Path) -> None:
    answering = False

    def away(message: bytes) -> Said:
        return acknowledgement(message) if answering else Said()

    async with receiver(away) as partner, running(tmp_path, files(partner)) as site:
        sender = await site.sender("adt")
        await sender.ask(good("G", "AL|AL"))
        await told(partner, 1)
        site.kill()
        await site.start()
        answering = True
        await site.deliveries("G", "DELIVERED")
    assert set(said(partner.got)) == {("G", "AA")}
    assert len({fields(message, b"MSH")[10] for message in partner.got}) == 1, (
        "one answer, however often it was sent"
    )


async def test_an_answer_is_acknowledged_only_where_it_asks_for_it_and_settles_what_was_expected(
    tmp_path: Path,
) -> None:
    """The other side of it: our message gets CA on the connection; the application's answer comes by a channel."""
    config = {
        "channels/adt.yaml": channel("adt"),
        "channels/answers.yaml": channel("answers", "mllp: {port: 0, max_per_peer: 9}").replace(
            "store: hl7v2_to_fhir\n", ""
        ),
    }

    def accepted(message: bytes) -> Said:
        return acknowledgement(message, "CA")

    async with receiver(accepted) as partner:
        config["routes.yaml"] = f"""
destinations:
  partner: {{mllp: {{host: 127.0.0.1, port: {partner.port}}}}}
routes:
  - {{from: adt, to: partner, expect: {{within: 1h, answers: answers}}}}
"""
        async with running(tmp_path, config) as site:
            sender = await site.sender("adt")
            await sender.ask(good("M", "|"))
            await site.deliveries("M", "DELIVERED")
            control = fields(partner.got[0], b"MSH")[10]
            (waiting,) = (await site.get("/admin/expectations?state=open"))["expectations"]
            assert not waiting["said"], "an accept acknowledgement is no answer"
            partner_side = await site.sender("answers")
            await partner_side.send(answer("N1", control, "AE", ""), answer("N2", "unknown", "CA", "AL"))
            assert fields(await partner_side.ask(answer("N3", control, "AE", "AL")), b"MSA")[1:3] == [
                "CA",
                "N3",
            ]
            await site.end("N1")
            found = (await site.get("/admin/expectations?state=answered"))["expectations"]
            assert [(each["delivery"], each["said"]) for each in found] == [
                (waiting["delivery"], "ACK^A01 AE")
            ]
            await partner_side.leave()
            await sender.leave()


def answer(control: str, of: str, code: str, asks: str) -> bytes:
    return (
        f"MSH|^~\\&|GHH|HOSPITAL|CW|HOSPITAL|20261122101530||ACK^A01^ACK|{control}|P|2.5.1|||{asks}|NE\r"
        f"MSA|{code}|{of}\r"
    ).encode()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{from: nobody, to: answers}", "unknown-channel"),
        ("{from: adt, to: nobody}", "unknown-destination"),
        ("{from: adt, to: answers, combinations: {AL/AL: C/A}}", "wrong-value"),
        ("{from: fast, to: answers}", "wrong-value"),
        ("{from: adt, to: counted}", "wrong-value"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(tmp_path: Path, wrong: str, said: str) -> None:
    site = Installation(
        tmp_path,
        {
            "channels/adt.yaml": channel("adt"),
            "channels/fast.yaml": channel("fast", "mllp: {port: 0}", "ack: processed"),
            "routes.yaml": ROUTES.format(port=1, more="")
            .replace("{from: adt, to: answers}", wrong)
            .replace(
                "routes: []", "  counted: {mllp: {host: 127.0.0.1, port: 1}, sequence: true}\nroutes: []"
            ),
        },
    )
    command = [sys.executable, "-m", "engine.cli", "check", "--config", str(site.config)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    told = checked.stdout + checked.stderr
    assert checked.returncode == 1, told
    assert said in told
    assert "routes.yaml:7" in told


async def test_a_site_has_its_own_way(tmp_path: Path) -> None:
    more = ", combinations: {AL/NE: A/A}, name: verdicts"
    async with receiver(acknowledgement) as partner, running(tmp_path, files(partner, more)) as site:
        sender: Sender = await site.sender("adt")
        await sender.ask(good("G", "AL|NE"))
        assert await told(partner, 1) == [("G", "AA")]
        (found,) = (await site.get(f"/admin/messages/{(await site.end('G'))['id']}"))["deliveries"]
        assert found["route"] == "verdicts:AA"
        await sender.leave()
