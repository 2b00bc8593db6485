from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.mllp.destination import MllpDestination
from adapters.mllp.source import MllpSource
from tests.adapters.mllp_peer import VT, Receiver, Said, Sender, acknowledgement, adt, fields, receiver
from tests.conformance.harness import CANARY, Behaviour, Sign, Verdict


class MllpClient:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, body: bytes) -> None:
        await self._sender.send(body)

    async def verdict(self) -> Verdict:
        answer = await self._sender.answer()
        if not answer:
            return Verdict("closed")
        positive = fields(answer, b"MSA")[1] in ("AA", "CA")
        return Verdict("accepted" if positive else "refused", answer.decode())

    def silent(self) -> bool:
        return self._sender.answers.empty()

    async def break_off(self, body: bytes) -> None:
        await self._sender.write(VT + body)
        await self._sender.leave()

    async def leave(self) -> None:
        await self._sender.leave()


class MllpListener:
    name = "mllp"
    cannot: Mapping[Sign, str] = {}
    garbage = b"<ClinicalDocument>\r</ClinicalDocument>"

    def source(self) -> MllpSource:
        return MllpSource(port=0)

    def message(self, number: int) -> bytes:
        return adt(f"MSG{number}")

    async def connect(self, address: str) -> MllpClient:
        return MllpClient(await Sender.connect(address))


REPLIES: Mapping[Behaviour, Callable[[bytes], Said]] = {
    Behaviour.ACCEPT: acknowledgement,
    Behaviour.REJECT: lambda message: acknowledgement(message, "AR", f"|{CANARY} unknown"),
    Behaviour.LATER: lambda message: acknowledgement(message, "AE", f"|{CANARY} locked"),
    Behaviour.CLOSE: lambda message: Said(close=True),
    Behaviour.HALF: lambda message: Said(acknowledgement(message).data[:-20], close=True),
    Behaviour.SILENT: lambda message: Said(),
    Behaviour.GARBAGE: lambda message: Said(VT + f"HTTP/1.1 400 {CANARY}".encode() + b"\x1c\r"),
    Behaviour.OTHER: lambda message: acknowledgement(message, control=CANARY),
}


class MllpPartner:
    behaviour = Behaviour.ACCEPT

    def __init__(self, peer: Receiver) -> None:
        self._peer = peer
        self._both = asyncio.Barrier(2)
        peer.reply = self._reply

    async def _reply(self, message: bytes) -> Said:
        if self.behaviour is not Behaviour.TOGETHER:
            return REPLIES[self.behaviour](message)
        await self._both.wait()
        return acknowledgement(message)

    @property
    def got(self) -> list[tuple[str, bytes]]:
        return [(fields(message, b"MSH")[10], message) for message in self._peer.got]

    def destination(self, timeout: float) -> MllpDestination:
        return MllpDestination(host="127.0.0.1", port=self._peer.port, timeout=timeout)

    async def arrived(self, count: int) -> None:
        await self._peer.arrived(count)

    async def down(self) -> None:
        await self._peer.stop()

    async def up(self) -> None:
        await self._peer.start()


class MllpReceiver:
    name = "mllp"
    cannot: Mapping[Behaviour, str] = {}

    @asynccontextmanager
    async def partner(self, directory: Path) -> AsyncIterator[MllpPartner]:
        async with receiver() as peer:
            yield MllpPartner(peer)

    def payload(self, number: int) -> bytes:
        return adt(f"THEIRS{number}", name=CANARY)


SOURCES = [MllpListener()]
DESTINATIONS = [MllpReceiver()]
