"""A monitor at a bed: publishes vital signs over MQTT, quality of service 1, and ends when all are acknowledged.

accept: a reading every moment; twice: each reading again, as a broker may; error: a heart rate that no heart has;
garbage: what is not JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from demo.partners.role import PATIENCE, options, tell

MODEL, SERIAL = "VM-100", "VM-7731"
ZONE = ZoneInfo("America/New_York")


def readings(mrn: str, count: int, until: datetime, behave: str) -> Iterator[bytes]:
    """`count` readings, ten seconds apart, the last one `until`; its clock has no zone."""
    for n in range(count):
        at = until - timedelta(seconds=10 * (count - 1 - n))
        rate = 700 if behave == "error" else 84 + n % 7
        said = {
            "model": MODEL,
            "serial": SERIAL,
            "patient": mrn,
            "takenAt": f"{at:%Y-%m-%dT%H:%M:%S}",
            "hr": rate,
            "spo2": 97 - n % 3,
            "rr": 16,
            "temp": {"value": 37.2, "unit": "C"},
            "bp": {"sys": 121 + n % 5, "dia": 78},
        }
        body = json.dumps(said, separators=(",", ":")).encode()
        yield body[:-7] if behave == "garbage" else body
        if behave == "twice":
            yield body


def main() -> None:
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    parser = options(__doc__, "accept", "twice", "error", "garbage")
    parser.add_argument("broker", help="HOST:PORT")
    parser.add_argument("--mrn", required=True, help="who is in the bed")
    parser.add_argument("--topic", default="ward/CARD/vitals", help="default: %(default)s")
    parser.add_argument("--count", type=int, default=6, help="how many readings")
    given = parser.parse_args()
    host, _, port = given.broker.rpartition(":")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=SERIAL)
    client.connect(host, int(port))
    client.loop_start()
    bodies = readings(given.mrn, given.count, datetime.now(ZONE), given.behave)
    said = [client.publish(given.topic, body, qos=1) for body in bodies]
    for each in said:
        each.wait_for_publish(PATIENCE)
    acknowledged = sum(each.is_published() for each in said)
    client.disconnect()
    client.loop_stop()
    tell("monitor", values=given.count, published=len(said), acknowledged=acknowledged)
    sys.exit(0 if acknowledged == len(said) else 1)


if __name__ == "__main__":
    main()
