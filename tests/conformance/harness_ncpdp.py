from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.ncpdp.destination import NcpdpDestination
from adapters.ncpdp.source import NcpdpSource
from tests.adapters.http_peer import Message, Said, Sender, Server, said, server
from tests.adapters.script_text import answer, newrx, text
from tests.conformance.harness import CANARY, Behaviour, Sign, Verdict


class ScriptClient:
    """Posts SCRIPT messages; Status is a yes, Error a no."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, body: bytes) -> None:
        await self._sender.send(body)

    async def verdict(self) -> Verdict:
        heard = await self._sender.answer()
        if heard is None:
            return Verdict("closed")
        return Verdict("accepted" if b"<Status>" in heard.body else "refused", heard.body.decode())

    def silent(self) -> bool:
        return self._sender.answers.empty()

    async def break_off(self, body: bytes) -> None:
        await self._sender.write(self._sender.request(body, length=len(body) + 100))
        await self._sender.leave()

    async def leave(self) -> None:
        await self._sender.leave()


class ScriptListener:
    name = "ncpdp"
    cannot: Mapping[Sign, str] = {}
    garbage = b"\r\n"

    def source(self) -> NcpdpSource:
        return NcpdpSource(port=0, path="/script")

    def message(self, number: int) -> bytes:
        return newrx(f"MSG{number}")

    async def connect(self, address: str) -> ScriptClient:
        return ScriptClient(await Sender.connect(address))


def _answered(request: Message, kind: str = "Status", code: str = "010", relates: str = "") -> Said:
    return said(200, answer(kind, CANARY, relates or text(request.body, "MessageID"), code))


REPLIES: Mapping[Behaviour, Callable[[Message], Said]] = {
    Behaviour.ACCEPT: _answered,
    Behaviour.REJECT: lambda request: _answered(request, "Error", "900"),
    Behaviour.LATER: lambda request: _answered(request, "Error", "600"),
    Behaviour.CLOSE: lambda request: Said(close=True),
    Behaviour.HALF: lambda request: Said(_answered(request).data[:-20], close=True),
    Behaviour.SILENT: lambda request: Said(),
    Behaviour.GARBAGE: lambda request: said(200, f"<{CANARY}".encode()),
    Behaviour.OTHER: lambda request: _answered(request, relates=CANARY),
}


class ScriptPartner:
    behaviour = Behaviour.ACCEPT

    def __init__(self, peer: Server) -> None:
        self._peer = peer
        peer.reply = self._reply

    def _reply(self, request: Message) -> Said:
        return self._together() if self.behaviour is Behaviour.TOGETHER else REPLIES[self.behaviour](request)

    def _together(self) -> Said:
        """Each connection waits for its own answer; two that wait are two connections."""
        if len(self._peer.got) >= 2:
            for request, writer in zip(self._peer.got, self._peer.connections, strict=False):
                writer.write(_answered(request).data)
        return Said()

    @property
    def got(self) -> list[tuple[str, bytes]]:
        return [(text(request.body, "MessageID"), request.body) for request in self._peer.got]

    def destination(self, timeout: float) -> NcpdpDestination:
        return NcpdpDestination(url=self._peer.url, timeout=timeout)

    async def arrived(self, count: int) -> None:
        await self._peer.arrived(count)

    async def down(self) -> None:
        await self._peer.stop()

    async def up(self) -> None:
        await self._peer.start()


class ScriptReceiver:
    name = "ncpdp"
    cannot: Mapping[Behaviour, str] = {}

    @asynccontextmanager
    async def partner(self, directory: Path) -> AsyncIterator[ScriptPartner]:
        async with server() as peer:
            yield ScriptPartner(peer)

    def payload(self, number: int) -> bytes:
        return newrx(f"THEIRS{number}", drug=CANARY)


SOURCES = [ScriptListener()]
DESTINATIONS = [ScriptReceiver()]
