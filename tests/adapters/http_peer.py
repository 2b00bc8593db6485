"""The other end of HTTP, for tests: a client and a server that share no code with the adapter."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

DEADLINE = 10.0


class Message(NamedTuple):
    """A request (`start`: `POST /path HTTP/1.1`) or an answer (`HTTP/1.1 200 OK`)."""

    start: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def status(self) -> int:
        return int(self.start.split()[1])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def read(reader: asyncio.StreamReader) -> Message | None:
    """The next one; None if the connection ended before it was whole."""
    try:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Message(start, headers, await reader.readexactly(int(headers.get("content-length", 0))))
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        return None


class Sender:
    """A connection to a listener. `answers` fills by itself; None means that it was closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self._writer = writer
        self.path = path
        self.answers: asyncio.Queue[Message | None] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def connect(cls, address: str, tls: ssl.SSLContext | None = None) -> Self:
        url = urlsplit(address)
        name = "localhost" if tls else None
        return cls(
            *await asyncio.open_connection(url.hostname, url.port, ssl=tls, server_hostname=name), url.path
        )

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (answer := await read(reader)) is not None:
            self.answers.put_nowait(answer)
        self.answers.put_nowait(None)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def request(self, body: bytes, *headers: str, method: str = "POST", length: int | None = None) -> bytes:
        size = len(body) if length is None else length
        lines = [f"{method} {self.path} HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *headers]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def send(self, body: bytes, *headers: str, method: str = "POST") -> None:
        await self.write(self.request(body, *headers, method=method))

    async def answer(self) -> Message | None:
        async with asyncio.timeout(DEADLINE):
            return await self.answers.get()

    async def told(self) -> Message:
        """The next answer, which there must be."""
        answer = await self.answer()
        assert answer is not None, "the connection was closed without an answer"
        return answer

    async def ask(self, body: bytes, *headers: str, method: str = "POST") -> Message:
        await self.send(body, *headers, method=method)
        return await self.told()

    async def leave(self) -> None:
        self._writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()
        await self._listening


class Said(NamedTuple):
    """What a server writes, and whether it hangs up then."""

    data: bytes = b""
    close: bool = False


def said(status: int, body: bytes = b"", *headers: str) -> Said:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return Said("\r\n".join([*lines, "", ""]).encode() + body)


Reply = Callable[[Message], Said]


class Server:
    """Answers as `reply` says."""

    def __init__(self, reply: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.reply = reply
        self.got: list[Message] = []
        self.port = 0
        self.connections: list[asyncio.StreamWriter] = []
        self.served = 0  # connections, ever
        self._arrived = asyncio.Event()
        self._tls = tls
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/fhir"

    async def start(self) -> None:
        """Listen; after the first time at the same port again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self.connections):
            writer.transport.abort()

    async def arrived(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.got) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        self.served += 1
        while (request := await read(reader)) is not None:
            self.got.append(request)
            self._arrived.set()
            answer = self.reply(request)
            writer.write(answer.data)
            if answer.close:
                break
        writer.close()
        self.connections.remove(writer)


@asynccontextmanager
async def server(
    reply: Reply = lambda request: said(200), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    made = Server(reply, tls)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
