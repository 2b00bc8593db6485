"""X12 through the front door: a folder, a real engine, what the clearinghouse picks up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine_process import ROOT
from tests.flow.installation import NOBODY, Installation, until

SAMPLES = ROOT / "channels" / "samples"
CHANNEL = """
channel: claims
source:
  files: {{directory: "{inbox}", settle: 50ms, poll: 50ms}}
format: x12
timezone: America/New_York
authority: mrn
split: x12
store: x12_to_fhir
order_by: patient
"""
ROUTES = """
destinations:
  clearinghouse: {{files: {{directory: "{out}", create: true}}}}
routes:
  - {{from: claims, send: answer, to: clearinghouse}}
"""
GOING = {"RECEIVED", "SPLITTING"}
Json = dict[str, Any]


class House(Installation):
    """An engine with one folder for interchanges and one for what answers them."""

    def __init__(self, home: Path) -> None:
        self.inbox, self.out = home / "inbox", home / "out"
        self.inbox.mkdir()
        files = {
            "channels/claims.yaml": CHANNEL.format(inbox=self.inbox),
            "routes.yaml": ROUTES.format(out=self.out),
        }
        super().__init__(home, files)

    def drop(self, name: str, body: bytes) -> None:
        """As a careful sender does: written under a hidden name, then renamed."""
        (self.inbox / f".{name}").write_bytes(body)
        (self.inbox / f".{name}").rename(self.inbox / name)

    async def all(self, count: int) -> list[Json]:
        """The messages, when so many are there and all have come to an end."""

        async def over() -> list[Json]:
            found = await self.messages(channel="claims")
            return found if len(found) >= count and all(m["state"] not in GOING for m in found) else []

        return await until(over)

    def answers(self) -> list[str]:
        """What the clearinghouse can pick up, by the transaction that answers."""
        found = self.out.glob("[!.]*") if self.out.exists() else ()
        return sorted(
            (file.read_text().replace("\n", "") for file in found), key=lambda text: "ST*999*" in text
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.kill()


def many(claims: int) -> bytes:
    """The sample with so many claims in all: its first one again and again, each with an account number of its own."""
    text = (SAMPLES / "claims_two.x12").read_text().replace("\n", "")
    segments = [f"{s}~" for s in text.split("~") if s]
    first = next(n for n, s in enumerate(segments) if s.startswith("CLM*"))
    end = next(n for n, s in enumerate(segments) if n > first and s.startswith(("HL*", "SE*")))
    claim = "".join(segments[first:end])
    copies = [re.sub(r"CLM\*[^*]*\*", f"CLM*ACC{n}*", claim, count=1) for n in range(claims - 1)]
    whole = "".join(segments[:first]) + "".join(copies) + "".join(segments[end:])
    body = whole[whole.index("ST*") : whole.index("SE*")].count("~") + 1
    return re.sub(r"SE\*\d+\*", f"SE*{body}*", whole).encode()


async def test_each_claim_is_a_message_and_the_sender_is_answered_once(house: House) -> None:
    await house.start()
    body = (SAMPLES / "claims_two.x12").read_bytes()
    house.drop("one.x12", body)
    messages = await house.all(3)
    assert [m["state"] for m in messages] == ["SPLIT", "STORED", "STORED"]
    whole, part = [(await house.command("messages", "show", str(messages[n]["id"]))).stdout for n in (0, 2)]
    assert re.search(r"parts +2\b", whole)
    assert f"2 of message {messages[0]['id']}" in part
    assert {c["identifier"][0]["value"] for c in await house.resources("Claim")} == {"ACC100", "ACC101"}
    ta1, answer = await until(lambda: _said(house))
    assert "TA1*000000101*260301*1200*A*000~" in ta1, "ISA14 asks for it"
    assert "AK9*A*1*1*1~" in answer
    house.drop("again.x12", body)
    await until(lambda: _archived(house, 2))
    assert len(await house.all(3)) == 3, "the same interchange under another name"
    assert len(house.answers()) == 2
    assert await house.stop() == 0


async def test_a_new_attempt_has_answers_of_its_own(house: House) -> None:
    body = (SAMPLES / "claims_two.x12").read_bytes()
    strict = CHANNEL.format(inbox=house.inbox).replace("split: x12", "split: {x12: {senders: [NOBODY]}}")
    house.write({"channels/claims.yaml": strict})
    await house.start()
    house.drop("one.x12", body)
    (refused,) = await house.all(1)
    assert refused["state"] == "REFUSED"
    (ta1,) = await until(lambda: _answered(house, 1))
    assert "TA1*000000101*260301*1200*R*" in ta1
    assert await house.stop() == 0
    house.write({"channels/claims.yaml": CHANNEL.format(inbox=house.inbox)})
    await house.start()
    house.drop("again.x12", body)
    assert [m["state"] for m in await house.all(3)] == ["SPLIT", "STORED", "STORED"]
    again = await until(lambda: _answered(house, 3))
    assert "AK9*A*1*1*1~" in again[-1]
    assert await house.stop() == 0


async def _answered(house: House, count: int) -> list[str]:
    return found if len(found := house.answers()) == count else []


async def test_an_engine_killed_over_an_interchange_loses_no_claim_and_doubles_none(house: House) -> None:
    count = 90  # a subscriber has at most 100 (X222, loop 2300)
    await house.start()
    house.drop("big.x12", many(count))
    await until(lambda: _parts(house, 20))
    house.kill()
    await house.start()
    messages = await house.all(1 + count)
    assert sorted(m["state"] for m in messages) == ["SPLIT", *["STORED"] * count]
    assert len(await house.resources("Claim?_count=1000")) == count
    assert len(await until(lambda: _said(house))) == 2
    assert await house.stop() == 0


async def test_what_cannot_be_read_is_kept_and_the_rest_flows(house: House) -> None:
    await house.start()
    house.drop("garbage.x12", b"this is no interchange\n" * 20)
    house.drop("good.x12", (SAMPLES / "claims_two.x12").read_bytes())
    messages = await house.all(4)
    states = sorted(m["state"] for m in messages)
    assert states in (["QUARANTINED", "SPLIT", "STORED", "STORED"], ["REFUSED", "SPLIT", "STORED", "STORED"])
    assert await house.stop() == 0


async def _said(house: House) -> list[str]:
    found = house.answers()
    return found if len(found) == 2 else []


async def _parts(house: House, count: int) -> list[Json]:
    found = await house.messages(channel="claims")
    return found if len(found) > count else []


async def _archived(house: House, count: int) -> list[Path]:
    found = list((house.inbox / "archive").glob("*"))
    return found if len(found) == count else []


BROKEN = """
from engine.plugin import splitter


@splitter("example.broken")
def broken(path, feed, seen):
    raise KeyError("PARKER ELENA")
    yield
"""


async def test_a_splitter_that_raises_fails_its_message_alone_and_tells_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    text = CHANNEL.format(inbox=house.inbox).replace("split: x12", "split: example.broken")
    house.write({"channels/claims.yaml": text, "plugins/broken.py": BROKEN, "routes.yaml": NOBODY})
    try:
        await house.start()
        house.drop("one.x12", (SAMPLES / "claims_two.x12").read_bytes())
        (message,) = await house.all(1)
        assert (message["state"], message["code"]) == ("FAILED", "defect")
        assert await house.stop() == 0
        assert "PARKER" not in house.log()
    finally:
        house.kill()


async def test_a_case_holds_the_claim_the_answers_and_the_payment(tmp_path: Path) -> None:
    house = House(tmp_path)
    paid = tmp_path / "paid"
    paid.mkdir()
    payments = CHANNEL.format(inbox=paid).replace("channel: claims", "channel: payments")
    house.write({"channels/payments.yaml": payments})
    try:
        await house.start()
        house.drop("one.x12", (SAMPLES / "claims_two.x12").read_bytes())
        await house.all(3)
        await until(lambda: _said(house))
        (paid / "two.x12").write_bytes((SAMPLES / "remittance.x12").read_bytes())

        async def stored() -> list[Json]:
            return await house.messages(channel="payments", state="STORED")

        await until(stored)
        for of in ("MRN20001", "ACC100"):
            told = await house.command("case", of)
            assert told.returncode == 0, told.stderr
            rows = {tuple(line.split()[1:3]) for line in told.stdout.splitlines()[1:-1]}
            assert rows == {("in", "claims"), ("in", "payments"), ("out", "clearinghouse")}, of
        assert await house.stop() == 0
    finally:
        house.kill()
