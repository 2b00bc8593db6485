from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.ncpdp.destination import NcpdpDestination
from adapters.ncpdp.source import NcpdpSource
from tests.adapters.http_peer import Message, Said, Sender, said, server
from tests.adapters.script_text import answer, newrx, text
from tests.conformance.harness import CANARY, Behaviour, Verdict
from tests.conformance.harness_http import HttpClient, HttpListener, HttpPartner, HttpReceiver


class ScriptClient(HttpClient):
    """Posts SCRIPT messages; Status is a yes, Error a no."""

    async def verdict(self) -> Verdict:
        heard = await super().verdict()
        if heard.said == "closed":
            return heard
        return Verdict("accepted" if "<Status>" in heard.text else "refused", heard.text)


class ScriptListener(HttpListener):
    name = "ncpdp"

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


class ScriptPartner(HttpPartner):
    replies = REPLIES

    def _accepted(self, number: int) -> Said:
        return _answered(self._peer.got[number])

    @property
    def got(self) -> list[tuple[str, bytes]]:
        return [(text(request.body, "MessageID"), request.body) for request in self._peer.got]

    def destination(self, timeout: float) -> NcpdpDestination:
        return NcpdpDestination(url=self._peer.url, timeout=timeout)


class ScriptReceiver(HttpReceiver):
    name = "ncpdp"

    @asynccontextmanager
    async def partner(self, directory: Path) -> AsyncIterator[ScriptPartner]:
        async with server() as peer:
            yield ScriptPartner(peer)

    def payload(self, number: int) -> bytes:
        return newrx(f"THEIRS{number}", drug=CANARY)


SOURCES = [ScriptListener()]
DESTINATIONS = [ScriptReceiver()]
