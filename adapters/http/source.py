"""Where messages come from over HTTP: one body posted is one message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from adapters import tls
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds, Secret, Size

if TYPE_CHECKING:
    from adapters.http.inbound import Dialect

_NONE = Secret()


@source("http")
@dataclass(frozen=True)
class HttpSource(tls.Listening):
    """Takes messages that are posted to a path, and answers each when the engine has it.

    202: it is stored; 200: it was before. Both carry its number: `{"message": 17}`. 422, or 415 for a kind
    that nobody here takes: it is refused, with code, text and place of the reason. 413: longer than
    `max_body`. 503 with Retry-After: not now. A connection that is closed without an answer: send it again.
    The message's key is the `Idempotency-Key` header, else MSH-10 of an HL7 v2 message; the same bytes under
    the same key are stored once.
    """

    path: Annotated[str, "the path that messages are posted to"] = "/"
    token: Annotated[Secret, "bearer token that senders must show"] = _NONE
    max_body: Annotated[Size, "the longest message taken; a longer one is refused"] = 16 << 20
    timeout: Annotated[Seconds, "how long a sender may take to send one message"] = 30.0

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        bad = not self.path.startswith("/") or "?" in self.path
        return super().problems() + (['path begins with "/" and holds no "?"'] if bad else [])

    def _dialect(self) -> Dialect:
        from adapters.http.inbound import Plain

        return Plain()

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Listen until cancelled, then answer what is in hand. OSError: the address cannot be had."""
        from aiohttp import web

        from adapters.http.inbound import QUIET, Inbound

        if found := self.problems():
            raise ValueError("; ".join(found))
        secure = self.context()
        inbound = Inbound(intake, self.path, self.token, self.max_body, self.timeout, self._dialect())
        server = web.Server(
            inbound.answer, logger=QUIET, access_log=None, keepalive_timeout=_IDLE, lingering_time=_LINGER
        )
        runner = web.ServerRunner(server)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port, ssl_context=secure, backlog=_BACKLOG).start()
            host, port, *_ = runner.addresses[0]
            scheme = "https" if secure else "http"
            ready(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{self.path}")
            await asyncio.get_running_loop().create_future()
        finally:
            inbound.stop()
            await runner.cleanup()


_BACKLOG = 512
_LINGER = 2.0
"""Seconds that a sender has to take a refusal, while what it still sends is read and thrown away."""
_IDLE = 75.0
"""Seconds that a connection may be without a request: more than careful clients keep theirs."""
