"""DICOM's upper layer and C-STORE by hand (PS3.8 9.3, PS3.7 9.3.1), so that a test can say what no library would.

Nothing of the product and of pynetdicom is used, so a mistake that both ends share is seen.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

DEADLINE = 10.0
APPLICATION = b"1.2.840.10008.3.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = "1.2.840.10008.1.2.1"
RQ, AC, RJ, DATA, RELEASE, RELEASED, ABORT = 1, 2, 3, 4, 5, 6, 7
STORE_RQ, STORE_RSP = 0x0001, 0x8001


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(called: str, calling: str, contexts: dict[int, tuple[str, list[str]]]) -> bytes:
    proposed = b"".join(
        item(
            0x20,
            bytes((number, 0, 0, 0))
            + item(0x30, sop.encode())
            + b"".join(item(0x40, t.encode()) for t in ts),
        )
        for number, (sop, ts) in contexts.items()
    )
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4"))
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    return pdu(RQ, struct.pack(">HH", 1, 0) + titles + bytes(32) + item(0x10, APPLICATION) + proposed + user)


def associate_ac(asked: bytes, limit: int = 16384, result: int = 0) -> bytes:
    """Accepts every proposed context in its first transfer syntax."""
    answers = b""
    for number, _, syntaxes in contexts_of(asked):
        answers += item(0x21, bytes((number, 0, result, 0)) + item(0x40, syntaxes[0].encode()))
    user = item(0x50, item(0x51, struct.pack(">L", limit)) + item(0x52, b"1.2.3.4"))
    return pdu(AC, asked[:68] + item(0x10, APPLICATION) + answers + user)


def items(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        kind, _, size = struct.unpack_from(">BBH", data, at)
        found.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def contexts_of(asked: bytes) -> list[tuple[int, str, list[str]]]:
    """(number, abstract syntax, transfer syntaxes) of an A-ASSOCIATE-RQ."""
    found = []
    for kind, body in items(asked[68:]):
        if kind == 0x20:
            inner = items(body[4:])
            syntaxes = [value.decode() for k, value in inner if k == 0x40]
            found.append((body[0], next(value.decode() for k, value in inner if k == 0x30), syntaxes))
    return found


def accepted(answer: bytes) -> bool:
    """Of an A-ASSOCIATE-AC: is any context accepted?"""
    return any(kind == 0x21 and body[2] == 0 for kind, body in items(answer[68:]))


def command(values: dict[int, str | int]) -> bytes:
    """A command set (PS3.7 E): implicit little endian, with its group length."""
    body = b""
    for element, value in sorted(values.items()):
        data = (
            struct.pack("<H", value) if isinstance(value, int) else value.encode() + b"\0" * (len(value) % 2)
        )
        body += struct.pack("<HHL", 0, element, len(data)) + data
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def command_of(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data):
        _, element, size = struct.unpack_from("<HHL", data, at)
        found[element] = data[at + 8 : at + 8 + size]
        at += 8 + size
    return found


def number(values: dict[int, bytes], element: int) -> int:
    return int.from_bytes(values[element], "little")


def pieces(context: int, data: bytes, *, command: bool, most: int = 8192) -> bytes:
    """P-DATA-TF PDUs of at most so many bytes."""
    out = b""
    for at in range(0, max(len(data), 1), most):
        part = data[at : at + most]
        flags = (1 if command else 0) | (2 if at + most >= len(data) else 0)
        out += pdu(DATA, struct.pack(">LBB", len(part) + 2, context, flags) + part)
    return out


def store_rq(message: int, sop_class: str, instance: str) -> bytes:
    return command(
        {0x0002: sop_class, 0x0100: STORE_RQ, 0x0110: message, 0x0700: 0, 0x0800: 1, 0x1000: instance}
    )


def store_rsp(message: int, sop_class: str, instance: str, status: int, comment: str = "") -> bytes:
    values: dict[int, str | int] = {
        0x0002: sop_class, 0x0100: STORE_RSP, 0x0120: message, 0x0800: 0x0101, 0x0900: status, 0x1000: instance
    }  # fmt: skip
    return command(values | ({0x0902: comment} if comment else {}))


class Answer(NamedTuple):
    """What came back: a C-STORE status with its comment, or the end of the association."""

    status: int | None
    comment: str = ""


async def read_pdu(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    try:
        kind, _, size = struct.unpack(">BBL", await reader.readexactly(6))
        return kind, await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def read_message(
    reader: asyncio.StreamReader,
    first: bytes,
    keep: bool = True,
    seen: Callable[[int], None] = lambda size: None,
) -> tuple[int, dict[int, bytes], bytes] | None:
    """(context, command, data set) of which `first` is the first P-DATA."""
    sets, got, context = {1: b"", 0: b""}, first, 0
    while True:
        at = 0
        seen(len(got))
        while at < len(got):
            size, context, flags = struct.unpack_from(">LBB", got, at)
            if keep or flags & 1:
                sets[flags & 1] += got[at + 6 : at + 4 + size]
            at += 4 + size
            if flags & 2 and (not flags & 1 or number(command_of(sets[1]), 0x0800) == 0x0101):
                return context, command_of(sets[1]), sets[0]
        more = await read_pdu(reader)
        if more is None or more[0] != DATA:
            return None
        got = more[1]


class Sender:
    """A storage SCU, associated."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._message = 0
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        address: str,
        called: str = "CHARTWIRE",
        calling: str = "MODALITY",
        contexts: dict[int, tuple[str, list[str]]] | None = None,
    ) -> Sender:
        """ConnectionError: nobody listens, or the association, or all that it proposes, is refused."""
        host, _, port = address.partition("://")[2].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        sender = cls(reader, writer)
        writer.write(associate_rq(called, calling, contexts or {1: (SECONDARY_CAPTURE, [EXPLICIT])}))
        found = await asyncio.wait_for(read_pdu(reader), DEADLINE)
        if found is None or found[0] != AC or not accepted(found[1]):
            await sender.leave()
            raise ConnectionError
        sender._reading = asyncio.create_task(sender._read())
        return sender

    async def _read(self) -> None:
        while found := await read_pdu(self._reader):
            kind, body = found
            if kind != DATA:
                break
            if (message := await read_message(self._reader, body)) is None:
                break
            values = message[1]
            comment = values.get(0x0902, b"").rstrip(b"\0 ").decode()
            self.answers.put_nowait(Answer(number(values, 0x0900), comment))
        self.answers.put_nowait(Answer(None))

    async def store(self, instance: str, data: bytes, sop_class: str = SECONDARY_CAPTURE) -> None:
        await self.begin(instance, data, sop_class, len(data))

    async def begin(self, instance: str, data: bytes, sop_class: str, size: int) -> None:
        """The command, and the first `size` bytes of the data set."""
        self._message += 1
        self.writer.write(pieces(1, store_rq(self._message, sop_class, instance), command=True))
        sent = pieces(1, data, command=False)
        self.writer.write(sent if size >= len(data) else sent[:size])
        with suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self) -> Answer:
        return await asyncio.wait_for(self.answers.get(), DEADLINE)

    async def abort(self) -> None:
        self.writer.write(pdu(ABORT, bytes(4)))
        await self.leave()

    async def leave(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, OSError):
            await self.writer.wait_closed()
        if self._reading:
            await asyncio.wait([self._reading], timeout=DEADLINE)


class Stored(NamedTuple):
    """One C-STORE that arrived."""

    message: int
    sop_class: str
    instance: str
    data: bytes


Reply = Callable[[Stored, asyncio.StreamWriter, int], Awaitable[None]]


async def success(stored: Stored, writer: asyncio.StreamWriter, context: int) -> None:
    answer(stored, writer, context, 0)


def answer(
    stored: Stored,
    writer: asyncio.StreamWriter,
    context: int,
    status: int,
    comment: str = "",
    message: int = 0,
) -> None:
    said = store_rsp(message or stored.message, stored.sop_class, stored.instance, status, comment)
    writer.write(pieces(context, said, command=True))


@dataclass
class Receiver:
    """A storage SCP. `reply` answers each instance; `agree` each A-ASSOCIATE-RQ."""

    reply: Reply = success
    agree: Callable[[bytes], bytes] = associate_ac
    port: int = 0
    keep: bool = True  # the data sets too
    tls: ssl.SSLContext | None = None
    longest: int = 0  # of the PDUs that came
    got: list[Stored] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    writers: list[tuple[Stored, asyncio.StreamWriter, int]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def arrived(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while found := await read_pdu(reader):
                kind, body = found
                if kind == RQ:
                    self.asked.append(body)
                    writer.write(self.agree(body))
                elif kind == RELEASE:
                    writer.write(pdu(RELEASED, bytes(4)))
                elif kind == DATA and (message := await read_message(reader, body, self.keep, self._seen)):
                    await self._stored(message, writer)
                else:
                    break
        finally:
            self._open.discard(writer)
            writer.close()

    def _seen(self, size: int) -> None:
        self.longest = max(self.longest, size)

    async def _stored(
        self, message: tuple[int, dict[int, bytes], bytes], writer: asyncio.StreamWriter
    ) -> None:
        context, values, data = message
        text = {
            element: value.rstrip(b"\0").decode()
            for element, value in values.items()
            if element in (2, 0x1000)
        }
        stored = Stored(number(values, 0x0110), text[2], text[0x1000], data)
        self.got.append(stored)
        self.writers.append((stored, writer, context))
        self._came.set()
        await self.reply(stored, writer, context)


@asynccontextmanager
async def receiver(reply: Reply = success) -> AsyncIterator[Receiver]:
    made = Receiver(reply)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
