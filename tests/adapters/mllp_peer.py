"""The other end of an MLLP line, for tests: a sender and a receiver that share no code with the adapter."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, Self

VT, END = b"\x0b", b"\x1c\r"
DEADLINE = 10.0


def adt(control: str = "MSG1", *, asks: str = "", version: str = "2.5.1", name: str = "EVERYMAN") -> bytes:
    """A synthetic admission. `asks` is MSH-15 and MSH-16: `AL|NE`."""
    return (
        "MSH|^~\\&|ADT1|GHH|CW|HOSPITAL|20261122101530||ADT^A01^ADT_A01|"
        f"{control}|P|{version}|||{asks or '|'}\r"
        f"EVN|A01|20261122101530\rPID|1||MRN1^^^GHH^MR||{name}^ADAM\rPV1|1|I\r"
    ).encode()


def fields(message: bytes, segment: bytes) -> list[str]:
    """The fields of the first such segment: `[n]` is field n, of MSH too."""
    line = next(line for line in message.split(b"\r") if line.startswith(segment))
    separator = line[3:4].decode()
    found = line.decode("latin-1").split(separator)
    return [found[0], separator, *found[1:]] if segment == b"MSH" else found


async def _payloads(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        while True:
            block = await reader.readuntil(END)
            assert block.startswith(VT), block
            yield block[1:-2]


class Sender:
    """A connection to a listener. `answers` fills by itself; the empty bytes mean that it was closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def connect(cls, address: str, tls: ssl.SSLContext | None = None) -> Self:
        host, _, port = address.partition("://")[2].rpartition(":")
        name = "localhost" if tls else None
        streams = await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls, server_hostname=name)
        return cls(*streams)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async for payload in _payloads(reader):
            self.answers.put_nowait(payload)
        self.answers.put_nowait(b"")

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, *messages: bytes) -> None:
        await self.write(b"".join(VT + message + END for message in messages))

    async def answer(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.answers.get()

    async def ask(self, message: bytes) -> bytes:
        await self.send(message)
        return await self.answer()

    def end(self) -> None:
        """Say that nothing more will come, and go on listening."""
        self._writer.write_eof()

    async def leave(self) -> None:
        self._writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()
        await self._listening


class Said(NamedTuple):
    """What a receiver writes, and whether it hangs up then."""

    data: bytes = b""
    close: bool = False


LIMIT = 16 << 20
"""Bytes of the longest message that the receiver takes."""
Reply = Callable[[bytes], "Said | Awaitable[Said]"]


def acknowledgement(message: bytes, code: str = "AA", rest: str = "", control: str | None = None) -> Said:
    """The block that answers the message."""
    of = fields(message, b"MSH")[10] if control is None else control
    answer = f"MSH|^~\\&|R|R|S|S|20261122||ACK|R{of}|P|2.5.1\rMSA|{code}|{of}{rest}\r"
    return Said(VT + answer.encode() + END)


class Receiver:
    """A listener that answers as `reply` says."""

    def __init__(
        self, reply: Reply = acknowledgement, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.reply = reply
        self.host = host
        self.got: list[bytes] = []
        self.port = 0
        self.connections: set[asyncio.StreamWriter] = set()
        self.served = 0  # connections, ever
        self.emptied = asyncio.Event()  # nobody is connected
        self._arrived = asyncio.Event()
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; after the first time at the same port again."""
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, ssl=self._tls, limit=LIMIT
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        self.drop()

    def drop(self) -> None:
        """Close every connection, and go on listening."""
        for writer in list(self.connections):
            writer.transport.abort()

    async def arrived(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with asyncio.timeout(DEADLINE):
            while len(self.got) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        self.served += 1
        self.emptied.clear()
        async for message in _payloads(reader):
            self.got.append(message)
            self._arrived.set()
            answer = self.reply(message)
            said = answer if isinstance(answer, Said) else await answer
            writer.write(said.data)
            if said.close:
                break
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        self.connections.discard(writer)
        if not self.connections:
            self.emptied.set()


@asynccontextmanager
async def receiver(
    reply: Reply = acknowledgement, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    made = Receiver(reply, tls, host)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
