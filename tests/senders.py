"""Senders of real traffic over real sockets, for the tests of whole promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

START, END = b"\x0b", b"\x1c\r"


def adt(
    control: str, mrn: str, event: str = "A01", time: str = "20261122101530", family: str = "EVERYMAN"
) -> bytes:
    """A synthetic admission of one patient."""
    return (
        f"MSH|^~\\&|ADT1|GHH|CW|CW|{time}||ADT^{event}^ADT_A01|{control}|P|2.5.1\r"
        f"EVN|{event}|{time}\r"
        f"PID|1||{mrn}^^^GHH^MR||{family}^ADAM^A||19610615|M|||2222 HOME ST^^GREENSBORO^NC^27401||(555)555-2004\r"
        f"PV1|1|I|2000^2012^01||||004777^ATTEND^AARON|||SUR||||ADM|A0||||V{mrn}^^^GHH|||||||||||||||||||||||||{time}\r"
    ).encode()


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The payloads of MLLP frames until the connection ends."""
    while True:
        try:
            frame = await reader.readuntil(END)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        yield frame[1:-2]


def answer(frame: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2 of an acknowledgement."""
    msa = next(s for s in frame.split(b"\r") if s.startswith(b"MSA|")).split(b"|")
    return msa[1].decode(), msa[2].decode()


@dataclass
class Crowd:
    """Many senders at once, each with one message in flight, until the engine is gone or told to stop."""

    port: int
    prefix: str
    sent: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    some: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, senders: int, enough: int) -> None:
        """`some` is set when `enough` messages have been acknowledged; then go on until the connections drop."""
        await asyncio.gather(*(self._sender(n, enough) for n in range(senders)))

    async def _sender(self, n: int, enough: int) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return
        answers = frames(reader)
        for i in range(1_000_000):
            control = f"{self.prefix}{n:02d}{i:06d}"
            self.sent.add(control)
            try:
                writer.write(START + adt(control, control) + END)
                await writer.drain()
                code, of = answer(await anext(answers))
            except (ConnectionError, StopAsyncIteration):
                break
            assert of == control
            (self.accepted if code in ("AA", "CA") else self.refused).add(control)
            if len(self.accepted) >= enough:
                self.some.set()
        writer.close()
