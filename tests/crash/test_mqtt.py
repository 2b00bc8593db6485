"""kill -9 of the engine and of the broker's connection in mid publish: every published reading is in the chart once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.adapters.mqtt_peer import Publisher, broker
from tests.flow.installation import Installation, until

pytestmark = pytest.mark.embedded("tests/faults has the same of PostgreSQL")

ROUNDS = max(4, int(os.environ.get("CHARTWIRE_ROUNDS", "20")) // 4)
CHANNEL = """
channel: vitals
source:
  mqtt: {{host: 127.0.0.1, port: {port}, topics: [ward/+/vitals], client_id: crash}}
format: device
timezone: UTC
authority: mrn
order_by: patient
store:
  device_to_fhir:
    devices:
      monitor:
        when: {{model: M1}}
        id: serial
        patient: patient
        time: at
        metrics:
          heart_rate: {{from: hr, code: 8867-4, display: Heart rate, unit: /min}}
"""


def reading(n: int) -> bytes:
    return b'{"model":"M1","serial":"S1","patient":"P1","at":%d,"hr":%d}' % (1_770_000_000 + n, 60 + n % 40)


async def test_kill_9_in_mid_publish(tmp_path: Path) -> None:
    with broker(tmp_path) as mosquitto:
        await mosquitto.start()
        site = Installation(tmp_path, {"channels/vitals.yaml": CHANNEL.format(port=mosquitto.port)})
        try:
            await site.start()
            published = 0
            for round in range(ROUNDS):
                publisher = Publisher(mosquitto.port)
                wanted = published + 40 + 7 * round
                while published < wanted:
                    assert await asyncio.to_thread(publisher.publish, "ward/7/vitals", reading(published))
                    published += 1
                    if published == wanted - 5:
                        site.kill()
                publisher.close()
                await site.start()

            async def all_there() -> list[object]:
                bundle = await site.get("/fhir/Observation?code=8867-4&_count=1000")
                found = bundle.get("entry", [])
                return found if len(found) >= published else []

            found = await until(all_there)
            assert len(found) == published
            assert await site.stop() == 0
        finally:
            site.kill()
