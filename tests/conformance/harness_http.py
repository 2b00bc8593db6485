from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.http.destination import HttpDestination
from adapters.http.source import HttpSource
from tests.adapters.http_peer import Message, Said, Sender, Server, said, server
from tests.adapters.mllp_peer import adt
from tests.conformance.harness import CANARY, Behaviour, Sign, Verdict


class HttpClient:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, body: bytes) -> None:
        await self._sender.send(body)

    async def verdict(self) -> Verdict:
        answer = await self._sender.answer()
        if answer is None:
            return Verdict("closed")
        return Verdict("accepted" if answer.status in (200, 202) else "refused", answer.body.decode())

    def silent(self) -> bool:
        return self._sender.answers.empty()

    async def break_off(self, body: bytes) -> None:
        await self._sender.write(self._sender.request(body, length=len(body) + 100))
        await self._sender.leave()

    async def leave(self) -> None:
        await self._sender.leave()


class HttpListener:
    name = "http"
    cannot: Mapping[Sign, str] = {}
    garbage = b"\r\n"

    def source(self) -> HttpSource:
        return HttpSource(port=0, path="/messages")

    def message(self, number: int) -> bytes:
        return adt(f"MSG{number}")

    async def connect(self, address: str) -> HttpClient:
        return HttpClient(await Sender.connect(address))


def acknowledgement(control: str) -> bytes:
    return f"MSH|^~\\&|R|R|S|S|20261122||ACK|R1|P|2.5.1\rMSA|AA|{control}\r".encode()


REPLIES: Mapping[Behaviour, Callable[[Message], Said]] = {
    Behaviour.ACCEPT: lambda request: said(200),
    Behaviour.REJECT: lambda request: said(422, CANARY.encode()),
    Behaviour.LATER: lambda request: said(503, CANARY.encode()),
    Behaviour.CLOSE: lambda request: Said(close=True),
    Behaviour.HALF: lambda request: Said(said(200, CANARY.encode() * 9).data[:-20], close=True),
    Behaviour.SILENT: lambda request: Said(),
    Behaviour.GARBAGE: lambda request: Said(f"\x0bMSH|{CANARY}\x1c\r\n\r\n".encode(), close=True),
    Behaviour.OTHER: lambda request: said(200, acknowledgement(CANARY)),
}


class HttpPartner:
    behaviour = Behaviour.ACCEPT
    replies = REPLIES

    def __init__(self, peer: Server) -> None:
        self._peer = peer
        peer.reply = self._reply

    def _reply(self, request: Message) -> Said:
        together = self.behaviour is Behaviour.TOGETHER
        return self._together() if together else self.replies[self.behaviour](request)

    def _together(self) -> Said:
        """Each connection waits for its own answer; two that wait are two connections."""
        if len(self._peer.got) >= 2:
            for number, writer in enumerate(self._peer.connections):
                writer.write(self._accepted(number).data)
        return Said()

    def _accepted(self, number: int) -> Said:
        """The yes to the request with that number."""
        return said(200)

    @property
    def got(self) -> list[tuple[str, bytes]]:
        return [(request.headers["idempotency-key"], request.body) for request in self._peer.got]

    def destination(self, timeout: float) -> HttpDestination:
        return HttpDestination(url=self._peer.url, timeout=timeout)

    async def arrived(self, count: int) -> None:
        await self._peer.arrived(count)

    async def down(self) -> None:
        await self._peer.stop()

    async def up(self) -> None:
        await self._peer.start()


class HttpReceiver:
    name = "http"
    cannot: Mapping[Behaviour, str] = {}

    @asynccontextmanager
    async def partner(self, directory: Path) -> AsyncIterator[HttpPartner]:
        async with server() as peer:
            yield HttpPartner(peer)

    def payload(self, number: int) -> bytes:
        return adt(f"THEIRS{number}", name=CANARY)


SOURCES = [HttpListener()]
DESTINATIONS = [HttpReceiver()]
