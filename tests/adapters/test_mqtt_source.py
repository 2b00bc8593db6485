"""The MQTT source against Mosquitto: what the broker has, the intake gets, and nothing is acknowledged too early."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from adapters.mqtt.source import MqttSource
from engine.message import Accepted, Receipt, Received, Unavailable
from store.reason import Reason
from tests.adapters.mqtt_peer import Broker, Publisher, broker
from tests.conformance.intake import MemoryIntake
from tests.conformance.running import running


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    with broker(tmp_path) as made:
        yield made


def source(port: int, **more: object) -> MqttSource:
    return MqttSource(host="127.0.0.1", port=port, topics=("ward/+/vitals",), client_id="test", **more)  # type: ignore[arg-type]


async def published(port: int, *payloads: bytes) -> None:
    publisher = Publisher(port)
    for payload in payloads:
        assert await asyncio.to_thread(publisher.publish, "ward/7/vitals", payload)
    publisher.close()


async def test_what_is_published_arrives_with_its_topic_in_order(mosquitto: Broker) -> None:
    await mosquitto.start()
    intake = MemoryIntake()
    async with running(source(mosquitto.port), intake):
        await published(mosquitto.port, *(b'{"n":%d}' % n for n in range(50)))
        await intake.came(50)
    assert [r.body for r in intake.received] == [b'{"n":%d}' % n for n in range(50)]
    assert {r.key for r in intake.received} == {"ward/7/vitals"}


async def test_what_is_published_while_we_are_away_waits_at_the_broker(mosquitto: Broker) -> None:
    await mosquitto.start()
    async with running(source(mosquitto.port), MemoryIntake()):
        pass
    await published(mosquitto.port, b"{}", b'{"a":1}')
    intake = MemoryIntake()
    async with running(source(mosquitto.port), intake):
        await intake.came(2)
    assert [r.body for r in intake.received] == [b"{}", b'{"a":1}']


async def test_what_has_no_receipt_is_not_acknowledged_and_comes_again(mosquitto: Broker) -> None:
    await mosquitto.start()
    undecided = MemoryIntake(lambda received: None)
    async with running(source(mosquitto.port), undecided) as first:
        await published(mosquitto.port, b'{"a":1}')
        await undecided.came(1)
        first.task.cancel()
        await asyncio.sleep(0)
        undecided.release(Unavailable(Reason("not-stored", "no disk")))
        await first.ended()
    intake = MemoryIntake()
    async with running(source(mosquitto.port), intake):
        await intake.came(1)
    again = MemoryIntake()
    async with running(source(mosquitto.port), again):
        await published(mosquitto.port, b'{"b":1}')
        await again.came(1)
    assert [r.body for r in again.received] == [b'{"b":1}'], "what was accepted was acknowledged"


async def test_what_could_not_be_kept_is_asked_for_again(mosquitto: Broker) -> None:
    await mosquitto.start()
    turn = iter([Unavailable(Reason("not-stored", "no disk"))])

    def answer(received: Received) -> Receipt:
        return next(turn, Accepted(1))

    intake = MemoryIntake(answer)
    async with running(source(mosquitto.port), intake):
        await published(mosquitto.port, b'{"a":1}')
        await intake.came(2)
    assert [r.body for r in intake.received] == [b'{"a":1}'] * 2


async def test_a_broker_that_is_stopped_and_comes_back_loses_nothing(mosquitto: Broker) -> None:
    await mosquitto.start()
    intake = MemoryIntake()
    async with running(source(mosquitto.port), intake):
        sent = []
        for round in range(3):
            payloads = [b'{"round":%d,"n":%d}' % (round, n) for n in range(20)]
            await published(mosquitto.port, *payloads)
            sent += payloads
            mosquitto.kill(signal.SIGTERM)  # it saves what it has; what it has, it sends
            await mosquitto.start()
        await published(mosquitto.port, b'{"last":1}')
        await everything(intake, {*sent, b'{"last":1}'})


async def test_after_a_kill_9_of_the_broker_the_flow_goes_on(mosquitto: Broker) -> None:
    """What Mosquitto had not saved is lost to it (its own documentation says so); what we have, we have."""
    await mosquitto.start()
    intake = MemoryIntake()
    async with running(source(mosquitto.port), intake) as made:
        assert made.address
        for round in range(3):
            await published(mosquitto.port, b'{"round":%d}' % round)
            await everything(intake, {b'{"round":%d}' % round})
            mosquitto.kill(signal.SIGKILL)
            await mosquitto.start()


async def everything(intake: MemoryIntake, wanted: set[bytes]) -> None:
    async with asyncio.timeout(20):
        while not wanted <= {r.body for r in intake.received}:
            await intake.came(len(intake.received) + 1)


async def test_a_broker_that_is_not_there_yet_is_waited_for_and_keeps_nobody_else(mosquitto: Broker) -> None:
    intake = MemoryIntake()
    async with running(source(mosquitto.port), intake) as made:
        assert made.address, "ready, although there is no broker"
        await mosquitto.start()
        async with asyncio.timeout(20):
            while not intake.received:
                await published(mosquitto.port, b'{"a":1}')
                with suppress(TimeoutError):
                    await asyncio.wait_for(intake.came(1), 0.5)


@pytest.mark.parametrize("says", [b"\x20\x02\x00\x05", b"\x20\x02\x00\x00\x90\x03\x00\x01\x80"])
async def test_a_broker_that_refuses_us_keeps_nobody_else(says: bytes) -> None:
    """CONNACK with return code 5, not authorized; SUBACK with 0x80, failure (MQTT 3.1.1: 3.2.2.3, 3.9.3)."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(says)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, running(source(server.sockets[0].getsockname()[1]), MemoryIntake()):
        pass  # it was ready


async def test_an_empty_and_a_long_message_are_refused_kept_and_acknowledged(mosquitto: Broker) -> None:
    await mosquitto.start()
    intake = MemoryIntake()
    async with running(source(mosquitto.port, max_payload=100), intake):
        await published(mosquitto.port, b"", b"x" * 101, b"{}")
        await intake.came(1, refused=2)
    assert [reason.code for _, reason in intake.refused] == ["empty", "payload-too-long"]
    again = MemoryIntake()
    async with running(source(mosquitto.port), again):
        await published(mosquitto.port, b'{"b":1}')
        await again.came(1)
    assert [r.body for r in again.received] == [b'{"b":1}']
    assert not again.refused


def test_settings_that_cannot_work_are_told() -> None:
    assert MqttSource(host="broker.example", topics=("a",), client_id="x").problems()
    assert MqttSource(host="127.0.0.1", topics=(), client_id="x").problems()
    assert not MqttSource(host="127.0.0.1", topics=("a",), client_id="x").problems()
