"""MQTT 3.1.1 from the broker's side, byte by byte: it sends PUBLISH at quality of service 1 and waits for PUBACK.

Mosquitto never tells a publisher what a subscriber did; this one end is both, so that the suite can see it. What a
real broker makes of it is shown in tests/adapters/test_mqtt_source.py.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from itertools import count

from adapters.mqtt.source import MqttSource
from tests.conformance.harness import Sign, Verdict

DEADLINE = 10.0
CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 1, 3, 4, 8, 12


async def packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Type and body of the next control packet (MQTT 3.1.1, 2.2)."""
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first >> 4, await reader.readexactly(length)


def packed(first: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, low = divmod(size, 128)
        length.append(low | (128 if size else 0))
        if not size:
            return bytes([first]) + bytes(length) + body


class TinyBroker:
    """One session. What was not acknowledged is sent again with each connection, as brokers do."""

    def __init__(self) -> None:
        self._mids = count(1)
        self._unacknowledged: dict[int, bytes] = {}
        self.acknowledged: dict[int, asyncio.Event] = {}
        self.left: dict[int, asyncio.Event] = {}
        self._writer: asyncio.StreamWriter | None = None
        self.ready = asyncio.Event()
        self.server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await packet(reader)
                if kind == CONNECT:
                    writer.write(packed(0x20, b"\0\0"))
                elif kind == SUBSCRIBE:
                    writer.write(packed(0x90, body[:2] + b"\1"))
                    self._writer = writer
                    for whole in self._unacknowledged.values():
                        writer.write(whole)
                    self.ready.set()
                elif kind == PINGREQ:
                    writer.write(packed(0xD0, b""))
                elif kind == PUBACK:
                    mid = int.from_bytes(body[:2], "big")
                    self._unacknowledged.pop(mid, None)
                    self.acknowledged[mid].set()
        self.ready.clear()
        for event in self.left.values():
            event.set()
        writer.close()

    async def publish(self, topic: str, payload: bytes) -> int:
        mid = next(self._mids)
        head = len(topic).to_bytes(2, "big") + topic.encode() + mid.to_bytes(2, "big")
        self._unacknowledged[mid] = packed(0x32, head + payload)
        self.acknowledged[mid], self.left[mid] = asyncio.Event(), asyncio.Event()
        await asyncio.wait_for(self.ready.wait(), DEADLINE)
        assert self._writer
        self._writer.write(self._unacknowledged[mid])
        return mid


class MqttClient:
    """Publishes through the tiny broker; a verdict is what becomes of the PUBLISH."""

    def __init__(self, broker: TinyBroker) -> None:
        self._broker = broker
        self._sent: list[int] = []

    async def send(self, body: bytes) -> None:
        with suppress(ValueError):
            number = json.loads(body).get("n", 0)
            self._sent.append(await self._broker.publish(f"ward/{number}/vitals", body))
            return
        self._sent.append(await self._broker.publish("ward/x/vitals", body))

    async def verdict(self) -> Verdict:
        mid = self._sent.pop(0)
        came = [
            asyncio.create_task(e.wait()) for e in (self._broker.acknowledged[mid], self._broker.left[mid])
        ]
        done, late = await asyncio.wait(came, timeout=DEADLINE, return_when="FIRST_COMPLETED")
        for task in late:
            task.cancel()
        assert done, "neither acknowledged nor left"
        return Verdict("accepted" if self._broker.acknowledged[mid].is_set() else "closed")

    def silent(self) -> bool:
        return not self._broker.acknowledged[self._sent[0]].is_set()

    async def break_off(self, body: bytes) -> None:
        raise NotImplementedError

    async def leave(self) -> None: ...


class MqttSubscription:
    name = "mqtt"
    garbage = b" "
    cannot: Mapping[Sign, str] = {
        Sign.CLOSED: "the broker, not the sender, sees a connection end; tests/adapters/test_mqtt_source.py shows it",
        Sign.BROKEN: "a broker sends whole messages only",
        Sign.NO: "a message that is kept is acknowledged, whatever is thought of it: docs/decisions/0011",
    }

    def __init__(self) -> None:
        self._brokers: dict[str, TinyBroker] = {}

    def source(self) -> MqttSource:
        broker = TinyBroker()
        return _with_broker(broker, self._brokers)

    def message(self, number: int) -> bytes:
        return json.dumps({"n": number, "model": "VM-100", "filler": "x" * 60}).encode()

    async def connect(self, address: str) -> MqttClient:
        return MqttClient(self._brokers[address])


def _with_broker(broker: TinyBroker, known: dict[str, TinyBroker]) -> MqttSource:
    """A source on a free port, whose broker is there as soon as it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    class Beside(MqttSource):
        async def run(self, intake, ready) -> None:  # type: ignore[no-untyped-def]
            await broker.start(port)
            known[self.address()] = broker
            try:
                await super().run(intake, ready)
            finally:
                assert broker.server
                broker.server.close()

    return Beside(host="127.0.0.1", port=port, topics=("ward/+/vitals",), client_id="suite")


SOURCES = [MqttSubscription()]
