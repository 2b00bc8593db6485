"""Where messages come from over MLLP, from a partner who waits to be called: many analysers and interface boxes do."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog

from adapters import tls
from adapters.mllp.doorman import Doorman
from adapters.mllp.inbound import Inbound, Listener
from adapters.mllp.taking import Taking
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds

log = structlog.get_logger("mllp")
PATIENCE = 10.0
"""Seconds that a connection may take to be made."""


@source("mllp_client")
@dataclass(frozen=True, kw_only=True)
class MllpClientSource(Taking):
    """Connects to a partner, takes the HL7 v2 messages that he sends on that one connection, and acknowledges each when
    the engine has it. When the connection ends it is made again.
    """

    host: Annotated[str, "where the partner listens"]
    port: Annotated[int, "his TCP port"]
    again: Annotated[Seconds, "how long to wait before the connection is made again"] = 5.0
    tls: Annotated[bool, "encrypt, and check the partner's certificate"] = False
    ca: Annotated[Path | None, "PEM file: the authority that the partner's certificate must be of"] = None
    certificate: Annotated[
        Path | None, "PEM file with our certificate chain, if the partner asks for one"
    ] = None
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None
    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of taking messages from elsewhere without TLS"
    ] = ""

    def address(self) -> str:
        """Whom it calls: nobody else may."""
        return f"{'mllps' if self.tls else 'mllp'}://{self.host}:{self.port}"

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        return self.answering() + tls.problems(self)

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        if not tls.exposed(self):
            return []
        return [f"plaintext MLLP from {self.host}:{self.port}: {self.accept_plaintext_risk}"]

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Call until cancelled, then answer what is in hand. It is ready before the partner is."""
        if found := self.problems():
            raise ValueError("; ".join(found))
        listener = self.listener(intake, Doorman((), 1, None))
        ready(self.address())
        told = ""
        try:
            while True:
                why = await self._served(listener)
                if why != told:
                    log.warning(
                        "no connection to a partner", partner=self.address(), reason=why, retry_in=self.again
                    )
                told = why
                await asyncio.sleep(self.again)
        finally:
            await listener.close()

    async def _served(self, listener: Listener) -> str:
        """One connection, from its beginning to its end: why there is none any more."""
        loop = asyncio.get_running_loop()
        try:
            context = tls.client(self.ca, self.certificate, self.key) if self.tls else None
            async with asyncio.timeout(PATIENCE):
                _, inbound = await loop.create_connection(
                    partial(Inbound, listener), self.host, self.port, ssl=context
                )
        except (OSError, ssl.SSLError, TimeoutError) as e:
            return getattr(e, "strerror", None) or type(e).__name__
        log.info("connected to a partner", partner=self.address())
        await asyncio.shield(inbound.closed)
        return "closed"
