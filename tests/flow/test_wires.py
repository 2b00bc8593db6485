"""The same promises over the other wires: what is posted, and what is laid into a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.adapters import http_peer
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN = ("content-type: application/hl7-v2",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Installation, Path]]:
    directory = tmp_path_factory.mktemp("wires")
    folder = directory / "in"
    folder.mkdir()
    files = {
        "channels/posted.yaml": channel("posted", "http: {port: 0, path: /adt}", "ack: processed"),
        "channels/laid.yaml": channel("laid", f'files: {{directory: "{folder}", poll: 20ms, settle: 0s}}'),
    }
    async with running(directory, files) as site:
        yield site, folder


async def test_what_is_posted_is_in_the_chart_when_it_is_answered(world: tuple[Installation, Path]) -> None:
    site, _ = world
    sender = await http_peer.Sender.connect(site.sources["posted"])
    body = adt("H1", "H1")
    first = await sender.ask(body, *PLAIN)
    assert (first.status, len(await site.resources("Patient?identifier=urn:test:mrn|H1"))) == (202, 1)
    again = await sender.ask(body, *PLAIN)
    assert (again.status, again.json["message"]) == (200, first.json["message"])
    (message,) = await site.messages(key="H1")
    assert (message["id"], message["state"], message["repeats"]) == (first.json["message"], "STORED", 1)
    bad = await sender.ask(adt("H2", "H2", born="BAD"), *PLAIN)
    assert bad.status == 422
    assert b"PID-7" in bad.body
    assert (await sender.ask(b"no message", *PLAIN)).status == 422
    assert [m["code"] for m in await site.messages(state="REFUSED")] == ["invalid-date", "no-msh"]
    await sender.leave()


async def test_what_lies_in_the_folder_is_taken_and_moved_away(world: tuple[Installation, Path]) -> None:
    site, folder = world
    for name, body in (
        ("one", adt("L1", "L1")),
        ("two", b"no message"),
        ("three", adt("L3", "L3", born="BAD")),
    ):
        (folder / f".{name}").write_bytes(body)
        (folder / f".{name}").rename(folder / f"{name}.hl7")

    async def taken() -> bool:
        return not [path for path in folder.iterdir() if path.is_file()]

    async def ended() -> list[tuple[str, str]]:
        found = [(m["state"], m["code"]) for m in await site.messages(channel="laid")]
        return found if len(found) == 3 and "RECEIVED" not in dict(found) else []

    await until(taken)
    assert sorted(await until(ended), key=str) == [
        ("QUARANTINED", "invalid-date"),
        ("REFUSED", "no-msh"),
        ("STORED", None),
    ]
    assert len(await site.resources("Patient?identifier=urn:test:mrn|L1")) == 1
    assert {path.name for path in (folder / "archive").iterdir()} == {"one.hl7", "three.hl7"}
    assert {path.name for path in (folder / "failed").iterdir()} == {"two.hl7", "two.hl7.reason"}
    assert b"no message" not in (folder / "failed" / "two.hl7.reason").read_bytes()
