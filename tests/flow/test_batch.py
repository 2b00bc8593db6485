"""Batches of HL7 v2 messages in files: each message goes its own way, and the batch is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt

ROUTES = """
destinations:
  answers: {{files: {{directory: "{0}"}}}}
routes:
  - {{from: nightly, send: answer, to: answers}}
"""
FHS = "FHS|^~\\&|LAB|GHH|CW|HOSPITAL|20261122||night.hl7||F77"
BHS = "BHS|^~\\&|LAB|GHH|CW|HOSPITAL|20261122||||B77"


def messages(*keys: str) -> str:
    return "".join(adt(key, key).decode() for key in keys)


class Nightly:
    """A folder that is read and one that the answers come into."""

    def __init__(self, site: Installation, folder: Path) -> None:
        self.site = site
        self.inbox, self.answers = folder / "in", folder / "out"

    def put(self, name: str, text: str) -> None:
        partial = self.inbox.parent / name
        partial.write_bytes(text.encode())
        partial.rename(self.inbox / name)

    async def whole(self, number: int) -> list[dict[str, object]]:
        async def over() -> list[dict[str, object]]:
            found = [m for m in await self.site.messages() if m["state"] in ("SPLIT", "QUARANTINED")]
            return found if len(found) == number else []

        return await until(over)

    async def answer(self) -> list[str]:
        async def come() -> str:
            return "".join(p.read_text() for p in self.answers.glob("*") if p.is_file())

        return (await until(come)).splitlines()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    inbox, answers = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    answers.mkdir()
    source = f'files: {{directory: "{inbox}", pattern: "*.hl7", settle: 0s, poll: 100ms}}'
    return {
        "channels/nightly.yaml": channel("nightly", source, "split: hl7.batch"),
        "routes.yaml": ROUTES.format(answers),
    }


async def test_a_batch_is_taken_apart_and_answered(tmp_path: Path, files: dict[str, str]) -> None:
    async with running(tmp_path, files) as site:
        night = Nightly(site, tmp_path)
        bad = "MSH|^~\\&|LAB\rPID|1||\r".replace("MSH|^~\\&", "MSH|")
        night.put("a.hl7", f"{FHS}\r{BHS}\r{messages('A1', 'A2')}{bad}{messages('A3')}BTS|4\rFTS|1\r")
        for key in ("A1", "A2", "A3"):
            assert (await site.end(key))["state"] == "STORED"
        lines = await night.answer()
        assert lines[0].startswith("FHS|^~\\&|CW|HOSPITAL|LAB|GHH|")
        assert lines[0].endswith("|F77")
        assert lines[1].endswith("|B77")
        assert [line.split("|")[1] for line in lines if line.startswith("MSA")] == ["AE"]
        assert lines[-2:] == ["BTS|1", "FTS|1"]
        refused = [m for m in await site.messages() if m["state"] == "REFUSED"]
        assert len(refused) == 1


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
async def test_bare_messages_one_after_the_other(tmp_path: Path, files: dict[str, str], end: str) -> None:
    async with running(tmp_path, files) as site:
        night = Nightly(site, tmp_path)
        night.put("b.hl7", messages("B1", "B2", "B3").replace("\r", end))
        for key in ("B1", "B2", "B3"):
            assert (await site.end(key))["state"] == "STORED"
        assert len(await site.resources("Patient")) == 3
        assert not list(night.answers.iterdir())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{BHS}\r{messages('C1')}", "BHS"),
        (f"{BHS}\r{messages('C1')}BTS|2\r", "BTS"),
        (f"{FHS}\r{BHS}\r{messages('C1')}BTS|1\rFTS|2\r", "FTS"),
        (f"{BHS}\r{messages('C1')}FTS|1\r", "FTS"),
    ],
)
async def test_one_that_was_cut_off_or_miscounted_is_held_whole(
    tmp_path: Path, files: dict[str, str], text: str, place: str
) -> None:
    async with running(tmp_path, files) as site:
        night = Nightly(site, tmp_path)
        night.put("c.hl7", text)
        (whole,) = await night.whole(1)
        assert (whole["state"], whole["code"], whole["place"]) == ("QUARANTINED", "batch-envelope", place)
        assert not await site.messages(key="C1")
        assert any("|" in line and line.startswith(("BTS|0|", "FTS|1|")) for line in await night.answer())


async def test_lenient_takes_what_is_there(tmp_path: Path, files: dict[str, str]) -> None:
    files["channels/nightly.yaml"] = files["channels/nightly.yaml"].replace(
        "split: hl7.batch", "split: {hl7.batch: {envelope: lenient}}"
    )
    async with running(tmp_path, files) as site:
        Nightly(site, tmp_path).put("d.hl7", f"{BHS}\r{messages('D1', 'D2')}")
        for key in ("D1", "D2"):
            assert (await site.end(key))["state"] == "STORED"


async def test_two_thousand_messages_in_one_file(tmp_path: Path, files: dict[str, str]) -> None:
    async with running(tmp_path, files) as site:
        many = [f"E{n}" for n in range(2000)]
        Nightly(site, tmp_path).put("e.hl7", f"{BHS}\r{messages(*many)}BTS|{len(many)}\r")
        assert (await site.end("E1999"))["state"] == "STORED"
