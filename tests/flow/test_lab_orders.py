"""An order in the chart goes to the laboratory as OML, once, and what the laboratory finds comes back to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from demo.children import free_ports
from tests.demo.partners import Partner, partner
from tests.flow.installation import Installation, channel, running, until
from tests.flow.messages import later, oru

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS = """
channel: orders
source:
  chart:
    type: ServiceRequest
    when: {ServiceRequest.status: [active, revoked], ServiceRequest.intent: order}
format: fhir
timezone: America/New_York
"""
ROUTES = """
destinations:
  lis: {{mllp: {{host: 127.0.0.1, port: {lis}}}, system: laboratory}}
  refusing: {{mllp: {{host: 127.0.0.1, port: {refusing}}}, system: refusing}}
  babbling: {{mllp: {{host: 127.0.0.1, port: {babbling}}}, system: babbling, retry: {{unknown: hold}}}}
routes:
  - {{from: orders, transform: [{{oml.o21: {{receiving_application: LIS}}}}], to: [lis, refusing, babbling]}}
"""


class World:
    def __init__(self, site: Installation, laboratory: Partner) -> None:
        self.site = site
        self.laboratory = laboratory

    async def say(self, key: str, body: bytes) -> None:
        sender = await self.site.sender("other")
        await sender.ask(body)
        await sender.leave()
        await self.site.ended(key)

    async def orders(self, count: int) -> list[str]:
        """The keys of the orders told, when there are so many."""

        async def over() -> list[str]:
            found = await self.site.messages(channel="orders")
            return [m["key"] for m in found] if len(found) >= count else []

        return await until(over)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("lab")
    (results,) = free_ports(1)
    with ExitStack() as partners:

        def start(behave: str) -> tuple[Partner, int]:
            log = home / behave
            log.mkdir()
            arguments = ("--results", f"127.0.0.1:{results}", "--behave", behave)
            made = partners.enter_context(partner("lab_system", log, *arguments))
            return made, made.addresses["lis"]

        laboratory, lis = start("accept")
        _, refusing = start("error")
        _, babbling = start("garbage")
        files = {
            "channels/other.yaml": channel("other", "mllp: {port: 0}", "system: other"),
            "channels/lab.yaml": channel(
                "lab", f"mllp: {{host: 127.0.0.1, port: {results}}}", "system: laboratory"
            ),
            "channels/orders.yaml": ORDERS,
            "routes.yaml": ROUTES.format(lis=lis, refusing=refusing, babbling=babbling),
        }
        files["channels/other.yaml"] = files["channels/other.yaml"].replace(
            "store: hl7v2_to_fhir", "store: {hl7v2_to_fhir: {new_patients: true}}"
        )
        async with running(home, files) as site:
            yield World(site, laboratory)


async def test_it_goes_out_once_and_its_results_come_back(world: World) -> None:
    early, time = later(), later()
    asked = oru("B1", "9001", status="P", order="7001", time=time, code="2951-2^Sodium^LN")
    await world.say("B1", asked)
    (key,) = await world.orders(1)
    assert {"does": "NW", "order": "P7001", "again": False}.items() <= world.laboratory.says().items()
    assert {"at": "results", "order": "P7001", "ack": "CA"}.items() <= world.laboratory.says().items()
    await world.site.deliveries(key, "DELIVERED", "PARKED", "HELD")
    await world.say("B1", asked)  # a duplicate
    await world.say(
        "B2", oru("B2", "9001", status="P", order="7001", time=early)
    )  # a late fact, another fold

    async def potassium() -> list[dict]:
        return await world.site.resources("Observation?code=2823-3")

    assert await until(potassium)
    assert await world.orders(1) == [key]


async def test_what_the_laboratory_refuses_or_does_not_understand_is_seen(world: World) -> None:
    (key,) = await world.orders(1)
    ended = {d["destination"]: d for d in await world.site.deliveries(key, "DELIVERED", "PARKED", "HELD")}
    assert {name: d["state"] for name, d in ended.items()} == {
        "lis": "DELIVERED",
        "refusing": "PARKED",
        "babbling": "HELD",
    }
