"""The other end of MQTT, for tests: Mosquitto in a directory of its own, and a publisher that waits for its PUBACK."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

DEADLINE = 20.0
CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {home}/
autosave_interval {saves}
autosave_on_changes true
max_queued_messages 0
max_inflight_messages 100
user root
"""


class Broker:
    """Mosquitto, which can be killed and started again with what it had."""

    def __init__(self, home: Path, saves: int) -> None:
        self._program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if self._program is None:
            pytest.skip("no Mosquitto here: `make test` installs it with apt-get")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._file = home / "mosquitto.conf"
        self._file.write_text(CONFIGURATION.format(port=self.port, home=home, saves=saves))
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = await asyncio.to_thread(self._started)
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._program
        command = [self._program, "-c", str(self._file)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


@contextmanager
def broker(home: Path, saves: int = 1) -> Iterator[Broker]:
    """`saves`: after how many changes Mosquitto writes down what it has."""
    made = Broker(home, saves)
    try:
        yield made
    finally:
        made.kill()


def batched(payloads: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(payloads)
    while window := list(islice(rest, size)):
        yield window


class Publisher:
    """Publishes at quality of service 1; what it says was published, the broker has."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Did the broker acknowledge it?"""
        sent = self._client.publish(topic, payload, qos=1)
        try:
            sent.wait_for_publish(DEADLINE)
        except (RuntimeError, ValueError):
            return False
        return sent.is_published()

    def publish_all(self, topic: str, payloads: Iterable[bytes]) -> None:
        """As fast as the broker takes them; returns when it has all of them."""
        for window in batched(payloads, 1000):
            sent = [self._client.publish(topic, payload, qos=1) for payload in window]
            for each in sent:
                each.wait_for_publish(DEADLINE)
                assert each.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
