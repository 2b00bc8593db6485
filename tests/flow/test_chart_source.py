"""The chart as a source: what comes to be is told once, never to the system whose word it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from store.database.sqlite import Sqlite
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import adt, later, oru

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS = """
channel: orders
source: {chart: {type: ServiceRequest, state: [code.coding.code]}}
format: fhir
timezone: UTC
"""
ROUTES = """
destinations:
  lis: {{files: {{directory: "{out}/lis", create: true}}, system: laboratory}}
  registry: {{files: {{directory: "{out}/registry", create: true}}, system: registry}}
routes:
  - {{from: orders, to: [lis, registry]}}
"""


class World:
    def __init__(self, site: Installation, out: Path) -> None:
        self.site = site
        self.out = out

    def told(self, destination: str) -> list[dict[str, Any]]:
        """What a destination got, the oldest first."""
        files = sorted((self.out / destination).glob("[!.]*"), key=lambda f: f.stat().st_mtime_ns)
        return [json.loads(file.read_bytes()) for file in files]

    async def orders(self, count: int) -> list[dict[str, Any]]:
        """The messages of the chart, when so many have come to an end."""

        async def over() -> list[dict[str, Any]]:
            found = await self.site.messages(channel="orders")
            return found if len(found) >= count and all(m["settled"] for m in found) else []

        return await until(over)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("chart")
    out = home / "out"
    out.mkdir()
    files = {
        "channels/adt.yaml": channel("adt", "mllp: {port: 0}", "feed: {MSH-3.1: ADT1}"),
        "channels/lab.yaml": channel("lab", "mllp: {port: 0}", "feed: {MSH-3.1: LAB1}", "system: laboratory"),
        "channels/other.yaml": channel("other", "mllp: {port: 0}", "feed: {MSH-3.1: OTHER}"),
        "channels/orders.yaml": ORDERS,
        "routes.yaml": ROUTES.format(out=out),
    }
    async with running(home, files) as site:
        yield World(site, out)


async def sent(site: Installation, to: str, key: str, body: bytes) -> None:
    sender = await site.sender(to)
    await sender.ask(body)
    await sender.leave()
    await site.ended(key)


async def test_a_change_is_told_with_what_it_refers_to_and_not_back(world: World) -> None:
    await sent(world.site, "adt", "C1A", adt("C1A", "C1", family="TOLD"))
    await sent(world.site, "lab", "C1B", oru("C1B", "C1"))
    (message,) = await world.orders(1)
    assert message["state"] == "ROUTED"
    assert message["peer"] == "chart"
    assert message["kind"] == "ServiceRequest"
    await world.site.deliveries(message["key"], "DELIVERED")
    (bundle,) = world.told("registry")
    first, *others = [entry["resource"] for entry in bundle["entry"]]
    assert first["resourceType"] == "ServiceRequest"
    patient = next(r for r in others if r["resourceType"] == "Patient")
    assert patient["name"][0]["family"] == "TOLD"
    assert world.told("lis") == [], "it came from the laboratory"


async def test_what_comes_from_elsewhere_goes_to_the_laboratory_too(world: World) -> None:
    before = len(await world.site.messages(channel="orders"))
    await sent(world.site, "other", "C2A", oru("C2A", "C2", sender="OTHER"))
    message = (await world.orders(before + 1))[-1]
    deliveries = await world.site.deliveries(message["key"], "DELIVERED")
    assert {d["destination"] for d in deliveries} == {"lis", "registry"}


async def test_neither_a_resend_nor_another_fold_of_the_same_facts_tells_it_again(world: World) -> None:
    before = len(await world.site.messages(channel="orders"))
    early, late = later(), later()

    def result(control: str, value: str, time: str) -> bytes:
        return oru(control, "C3", value, time=time, order="C3", sender="OTHER")

    await sent(world.site, "other", "C3A", result("C3A", "6.10", late))
    assert len(await world.orders(before + 1)) == before + 1
    await sent(world.site, "other", "C3A", result("C3A", "6.10", late))  # a duplicate
    await sent(world.site, "other", "C3B", result("C3B", "5.10", early))  # a late fact
    await sent(world.site, "other", "C3C", result("C3C", "4.10", later()))  # a newer one
    await sent(world.site, "adt", "C3D", adt("C3D", "C3"))
    assert len(await world.orders(before + 1)) == before + 1


@pytest.mark.embedded("it writes past the engine")
async def test_a_message_that_is_processed_again_tells_nothing_again(tmp_path: Path) -> None:
    """As a replay does: the same row walks once more, after a restart."""
    out = tmp_path / "out"
    out.mkdir()
    files = {
        "channels/other.yaml": channel("other"),
        "channels/orders.yaml": ORDERS,
        "routes.yaml": ROUTES.format(out=out),
    }
    site = Installation(tmp_path, files)
    try:
        await site.start()
        here = World(site, out)
        await sent(site, "other", "C4A", oru("C4A", "C4"))
        await here.orders(1)
        assert await site.stop() == 0
        database = Sqlite(site.data / "chartwire.db", writes=True)
        database.run("UPDATE message SET state = 'RECEIVED', settled = NULL WHERE key = 'C4A'")
        database.close()
        await site.start()
        assert (await site.end("C4A"))["state"] == "STORED"
        assert len(await here.orders(1)) == 1
        assert len(here.told("lis")) == 1
        assert await site.stop() == 0
    finally:
        site.kill()


CIRCLE = """
channel: circle
source: {chart: {type: ServiceRequest, state: [note.text]}}
format: fhir
timezone: UTC
store: example.again
"""
AGAIN = '''
from collections.abc import Mapping, Sequence
from typing import Any

from engine.plugin import Feed, transform
from store.facts import Clock, Fact
from store.identity import key_of


@transform("example.again")
def again(body: Mapping[str, Any], feed: Feed) -> Sequence[Fact]:
    """Says something new of each order that it hears of."""
    order = body["entry"][0]["resource"]
    said = {k: v for k, v in order.items() if k not in ("resourceType", "id", "meta")}
    notes = [*order.get("note", ()), {"text": "and again"}]
    patient = key_of(order["subject"]["reference"].partition("/")[2])
    at = Clock(1_780_000_000_000_000 + len(notes))
    return [Fact("ServiceRequest", key_of(order["id"]), at, {**said, "note": notes}, patient)]
'''


async def test_a_circle_of_changes_comes_to_an_end_and_is_seen(tmp_path: Path) -> None:
    files = {
        "channels/other.yaml": channel("other"),
        "channels/circle.yaml": CIRCLE,
        "plugins/again.py": AGAIN,
    }
    async with running(tmp_path, files) as site:
        await sent(site, "other", "C5A", oru("C5A", "C5"))

        async def stopped() -> list[dict[str, Any]]:
            return await site.messages(channel="circle", state="QUARANTINED")

        (last,) = await until(stopped)
        assert last["code"] == "circle"
        assert len(await site.messages(channel="circle")) == 9
        await sent(site, "other", "C5B", oru("C5B", "C6"))
