"""One session with a broker: paho's client in a thread of its own, the intake on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio import Future
from typing import TYPE_CHECKING, Any, NamedTuple

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from adapters import tls
from engine.message import Receipt, Received, Unavailable, Uncertain
from engine.plugin import Intake, Ready
from formats.reason import Reason

if TYPE_CHECKING:
    from adapters.mqtt.source import MqttSource

log = structlog.get_logger("mqtt")
HEAD = 64 * 1024
"""Bytes kept of a payload that is too long."""
FIRST, LONGEST = 0.5, 30.0
"""Seconds between attempts to reach the broker: doubled from the first to the longest."""
HANDSHAKE = 10.0
"""Seconds that a broker has to take us and our subscriptions."""
FINISH = 5.0
EMPTY = Reason("empty", "there is nothing in the message")


class Held(NamedTuple):
    """A message in hand: the connection that it came by, and its number there."""

    connection: int
    mid: int
    qos: int


class Session:
    """Connected again and again until closed. paho's thread only hands over; everything is decided on the loop."""

    def __init__(self, settings: MqttSource, intake: Intake, ready: Ready) -> None:
        self._settings = settings
        self._intake = intake
        self._ready: Ready | None = ready
        self._loop = asyncio.get_running_loop()
        self._connection = 0  # which one: what came by an earlier one cannot be acknowledged any more
        self._lost = asyncio.Event()
        self._subscribed = False
        self._hands: dict[Future[Receipt], Held] = {}
        self._stopping = False
        self._client = self._made()

    def _made(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        if settings.username:
            client.username_pw_set(settings.username, str(settings.password) or None)
        if settings.tls:
            client.tls_set_context(tls.client(settings.ca, settings.certificate, settings.key))
        client.on_socket_open = _prompt
        client.on_connect = lambda c, data, flags, code, more: self._call(
            self._connected, bool(code.is_failure)
        )
        client.on_disconnect = lambda c, data, flags, code, more: self._call(self._disconnected)
        client.on_subscribe = lambda c, data, mid, codes, more: self._call(
            self._accepted, any(code.is_failure for code in codes)
        )
        client.on_message = self._arrived
        return client

    def _call(self, what: Any, *args: Any) -> None:
        """From paho's thread to the event loop; a loop that is gone does not mind."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)

    # -- the life of the session

    async def run(self) -> None:
        """Connect, wait until the connection is lost, and again."""
        wait = FIRST
        while True:
            self._lost.clear()
            self._subscribed = False
            self._connection += 1
            try:
                await asyncio.to_thread(self._connect)
                self._loop.call_later(HANDSHAKE, self._mute, self._connection)
                await self._lost.wait()
                if self._subscribed:
                    wait = FIRST
            except OSError as error:
                log.warning("the broker cannot be reached", broker=self._settings.address(),
                            error=type(error).__name__, retry_in=wait)  # fmt: skip
            self._tell()  # a broker that is away or refuses us is no reason for the other sources to wait
            await asyncio.to_thread(self._client.loop_stop)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST)

    def _connect(self) -> None:
        settings = self._settings
        self._client.connect(settings.host, settings.port, keepalive=max(1, int(settings.keepalive)))
        self._client.loop_start()

    def _connected(self, refused: bool) -> None:
        if refused:
            log.error("the broker refuses us", broker=self._settings.address())
            self._drop()
        else:
            self._client.subscribe([(topic, 1) for topic in self._settings.topics])

    def _accepted(self, refused: bool) -> None:
        if refused:
            log.error("the broker refuses a subscription", broker=self._settings.address())
            self._drop()
            return
        self._subscribed = True
        log.info("subscribed", broker=self._settings.address(), topics=len(self._settings.topics))
        self._tell()

    def _mute(self, connection: int) -> None:
        if connection == self._connection and not self._subscribed and not self._stopping:
            log.error("the broker does not answer", broker=self._settings.address(), seconds=HANDSHAKE)
            self._drop()

    def _tell(self) -> None:
        """Ready, once: subscribed, or at it."""
        if self._ready:
            self._ready(self._settings.address())
            self._ready = None

    def _disconnected(self) -> None:
        if not self._stopping and self._subscribed:
            log.warning("the broker is gone", broker=self._settings.address())
        self._lost.set()

    def _drop(self) -> None:
        """End this connection: the broker sends again what was not acknowledged on it."""
        self._connection += 1
        self._client.disconnect()
        self._lost.set()

    async def finish(self) -> None:
        """Take nothing more; acknowledge what is in hand, for a while."""
        self._stopping = True
        if self._hands:
            await asyncio.wait(list(self._hands), timeout=FINISH)

    def close(self) -> None:
        """Be gone. The broker keeps the session, and what was not acknowledged."""
        self._stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    # -- messages

    def _arrived(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        """In paho's thread."""
        held = Held(self._connection, message.mid, message.qos)
        self._call(self._take, held, message.topic, bytes(message.payload))

    def _take(self, held: Held, topic: str, payload: bytes) -> None:
        if self._stopping or held.connection != self._connection:
            return
        peer = f"{self._settings.host}:{self._settings.port}"
        reason = None if payload.strip() else EMPTY
        if len(payload) > self._settings.max_payload:
            size = len(payload)
            reason = Reason("payload-too-long", f"a message of {size} bytes; max_payload sets the limit")
            payload = payload[:HEAD]
        received = Received(payload, topic, peer, {"topic": topic})
        receipt = self._intake.refuse(received, reason) if reason else self._intake(received)
        self._hands[receipt] = held
        receipt.add_done_callback(self._told)

    def _told(self, receipt: Future[Receipt]) -> None:
        held = self._hands.pop(receipt)
        failed = receipt.cancelled() or receipt.exception() is not None
        told = Uncertain() if failed else receipt.result()
        if held.connection != self._connection:
            return
        if isinstance(told, Unavailable | Uncertain):
            log.warning("not kept, so not acknowledged", broker=self._settings.address())
            self._drop()
        elif held.qos:
            self._client.ack(held.mid, held.qos)


def _prompt(client: mqtt.Client, data: Any, connection: Any) -> None:
    """Acknowledgements are small and must not wait for one another."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
