"""The chart as a source: what comes to be is told once, never to the system whose word it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

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
