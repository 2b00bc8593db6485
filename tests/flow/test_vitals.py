"""Bedside readings through the front door: Mosquitto, a real engine, the chart; and what cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.adapters.mqtt_peer import Publisher, broker
from tests.engine_process import ROOT
from tests.flow.installation import Installation, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
Json = dict[str, Any]
READING = (ROOT / "channels" / "samples" / "vitals.json").read_bytes().strip()


def channel(port: int) -> str:
    """The repository's own, at this broker and for this house's numbers."""
    text = (ROOT / "channels" / "vitals.yaml").read_text()
    text = text.replace('"${MQTT_HOST:127.0.0.1}"', "127.0.0.1").replace('"${MQTT_PORT:1883}"', str(port))
    return text.replace("riverside_mrn", "mrn").replace("topics:", "max_payload: 4KB\n    topics:")


class World:
    def __init__(self, site: Installation, publisher: Publisher) -> None:
        self.site = site
        self._publisher = publisher

    async def publish(self, body: bytes, bed: str = "7") -> None:
        assert await asyncio.to_thread(self._publisher.publish, f"ward/{bed}/vitals", body)

    async def ended(self, bed: str) -> Json:
        """The one message of that bed, when it came to its end."""
        return await self.site.end(f"ward/{bed}/vitals")

    async def observations(self, mrn: str) -> list[Json]:
        found = await self.site.resources("Observation?_count=500")
        patients = {o["subject"]["reference"]: o for o in found}
        assert patients
        key = [p["id"] for p in await self.site.resources(f"Patient?identifier=urn:test:mrn|{mrn}")]
        return [o for o in found if not key or o["subject"]["reference"] == f"Patient/{key[0]}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("vitals")
    with broker(home) as mosquitto:
        await mosquitto.start()
        async with running(home, {"channels/vitals.yaml": channel(mosquitto.port)}) as site:
            publisher = Publisher(mosquitto.port)
            yield World(site, publisher)
            publisher.close()


async def test_a_reading_is_in_the_chart_with_loinc_and_ucum_to_the_digit(world: World) -> None:
    await world.publish(READING, "1")
    assert (await world.ended("1"))["state"] == "STORED"
    found = {o["code"]["coding"][0]["code"]: o for o in await world.observations("MRN10001")}
    assert set(found) == {"8867-4", "59408-5", "9279-1", "8310-5", "85354-9"}
    temperature = (await world.site.read(f"/fhir/Observation/{found['8310-5']['id']}")).body
    assert b'"value":37.20' in temperature
    assert found["8310-5"]["effectiveDateTime"] == "2026-03-01T08:15:30.000-05:00"
    assert [c["code"]["coding"][0]["code"] for c in found["85354-9"]["component"]] == ["8480-6", "8462-4"]


async def test_a_redelivery_is_one_observation_and_one_message(world: World) -> None:
    body = READING.replace(b"08:15:30", b"08:16:30")
    for _ in range(3):
        await world.publish(body, "2")

    async def thrice() -> bool:
        return (await world.ended("2"))["repeats"] == 2

    assert await until(thrice)
    assert len(await world.site.resources("Observation?code=8867-4&date=2026-03-01T08:16:30-05:00")) == 1


BAD = {
    "garbage": (b"\xff\xfe no reading", "REFUSED", "not-json"),
    "truncated": (READING[:60], "REFUSED", "not-json"),
    "list": (b"[" + READING + b"]", "REFUSED", "not-a-reading"),
    "deep": (b'{"a":' * 60 + b"1" + b"}" * 60, "REFUSED", "not-a-reading"),
    "oversized": (b'{"a":"' + b"x" * 5000 + b'"}', "REFUSED", "payload-too-long"),
    "empty": (b"  ", "REFUSED", "empty"),
    "unknown": (READING.replace(b"VM-100", b"VM-999"), "QUARANTINED", "unknown-device"),
    "nobody": (READING.replace(b"MRN10001", b"  "), "QUARANTINED", "blank-patient-id"),
    "no-time": (READING.replace(b"2026-03-01T08:15:30", b"noon"), "QUARANTINED", "bad-time"),
    "text": (READING.replace(b'"hr":84', b'"hr":"fast"'), "QUARANTINED", "not-a-number"),
    "lies": (READING.replace(b'"unit":"C"', b'"unit":"K"'), "QUARANTINED", "unknown-unit"),
    "impossible": (READING.replace(b'"spo2":97', b'"spo2":970'), "QUARANTINED", "implausible"),
    "future": (READING.replace(b"2026-03-01", b"2999-03-01"), "QUARANTINED", "future-time"),
}


@pytest.mark.parametrize("what", BAD)
async def test_what_cannot_be_trusted_is_kept_with_its_reason_and_the_rest_flows(
    world: World, what: str
) -> None:
    body, state, code = BAD[what]
    await world.publish(body, f"bad-{what}")
    message = await world.ended(f"bad-{what}")
    assert (message["state"], message["code"]) == (state, code)
    minute = list(BAD).index(what)
    await world.publish(READING.replace(b"T08:15:30", b"T09:%02d:00" % minute), f"after-{what}")
    assert (await world.ended(f"after-{what}"))["state"] == "STORED"
