"""One connection to a receiver: a block goes out, its answer comes back, one at a time."""

from __future__ import annotations

import asyncio
import select
from collections import deque
from enum import StrEnum
from functools import partial
from ssl import SSLContext
from typing import NamedTuple

from adapters.mllp import answer
from adapters.mllp.answer import Answer
from adapters.mllp.framing import Frame, Framer, Noise, block
from adapters.mllp.inbound import prompt
from store.reason import Reason

LONGEST_ANSWER = 1 << 20
"""Bytes; a longer one is not an answer."""


class Failure(StrEnum):
    """Why a message that was sent has no answer. The texts are for people."""

    SILENT = "no answer in time"
    CLOSED = "the connection was closed before the answer"
    GARBLED = "the answer is not an HL7 acknowledgement"
    OTHER = "the answer is for another message (MSA-2 is not the MSH-10 that was sent)"


class Manners(NamedTuple):
    """How a receiver answers that does not answer as the standard has it: whatever MSA-2 says is taken, or `fixed`
    bytes instead of an acknowledgement mean AA (as ACK, 0x06, in MLLP release 2)."""

    any_control: bool = False
    fixed: bytes = b""


STANDARD = Manners()


class Outbound(asyncio.Protocol):
    """A persistent connection. Any Failure closes it, lest a late answer meets a later message."""

    def __init__(self, manners: Manners = STANDARD) -> None:
        self.expected: int | None = None  # the sequence number that is next, once the link was started
        self._manners = manners
        self._framer = Framer(LONGEST_ANSWER, require_final_cr=False)
        self._waiting: asyncio.Future[Answer | Failure] | None = None
        self._control = b""
        self._answered: deque[bytes] = deque(maxlen=16)
        self._transport: asyncio.Transport

    @property
    def open(self) -> bool:
        """Can it be used for the next message? Not if the receiver's goodbye waits to be read."""
        return self._waiting is None and not self._transport.is_closing() and not self._readable()

    async def exchange(self, body: bytes, control: bytes, within: float) -> Answer | Failure:
        """Send one message, whose MSH-10 is `control`, and wait that many seconds for its answer."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer | Failure] = loop.create_future()
        self._waiting = waiting
        self._control = control
        timer = loop.call_later(within, self._settle, Failure.SILENT)
        self._transport.write(block(body))
        try:
            return await waiting
        finally:
            timer.cancel()
            self._waiting = None
            if waiting.cancelled():
                self.close()

    def _readable(self) -> bool:
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def close(self) -> None:
        """Close at once; what is unsent is not sent."""
        self._transport.abort()

    # -- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = prompt(transport)

    def data_received(self, data: bytes) -> None:
        for event in self._framer.feed(data):
            if isinstance(event, Frame):
                self._read(event.body)
            elif not isinstance(event, Noise):
                self._settle(Failure.GARBLED)

    def connection_lost(self, error: Exception | None) -> None:
        self._settle(Failure.CLOSED)

    # --

    def _read(self, body: bytes) -> None:
        found = answer.read(body)
        if self._manners.fixed and body == self._manners.fixed:
            self._settle(Answer("AA", self._control, "", "", body))
        elif found is None:
            self._settle(Failure.GARBLED)
        elif (found.control == self._control or self._manners.any_control) and self._waiting:
            self._answered.append(found.control)
            self._settle(found)
        elif found.control not in self._answered:  # else the application's answer, after its commit accept
            self._settle(Failure.OTHER)

    def _settle(self, result: Answer | Failure) -> None:
        if isinstance(result, Failure):
            self._transport.abort()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(result)


async def connect(
    host: str, port: int, tls: SSLContext | None, within: float, manners: Manners = STANDARD
) -> Outbound | Reason:
    """A new connection, or why there is none; nothing was sent then."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within):
            _, connection = await loop.create_connection(partial(Outbound, manners), host, port, ssl=tls)
    except TimeoutError:
        return Reason("no-connection", f"no connection within {within:g} s")
    except OSError as error:
        return Reason("no-connection", f"no connection: {error.strerror or type(error).__name__}")
    return connection
