"""Where messages come from over MLLP: a listener for any number of persistent connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from adapters import tls
from adapters.mllp.doorman import Doorman, problems
from adapters.mllp.inbound import Inbound
from adapters.mllp.taking import Taking
from engine.plugin import Intake, Ready, source


@source("mllp")
@dataclass(frozen=True)
class MllpSource(Taking, tls.Listening):
    """Listens for HL7 v2 messages over MLLP and acknowledges each when the engine has it.

    A frame that is empty, or blank, is taken for a sign of life and gets no answer.
    """

    allow: Annotated[list[str], "addresses and networks that may connect; empty: all"] = field(
        default_factory=list, hash=False
    )
    max_connections: Annotated[int, "so many at once"] = 4096
    max_per_peer: Annotated[int | None, "so many at once from one address; default: no limit"] = None
    single: Annotated[
        bool, "a partner has one connection: a new one from its address takes the place of the one before"
    ] = False

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = super().problems() + problems(self.allow, self.max_connections, self.max_per_peer)
        found += self.answering()
        return found

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        found = super().risks()
        if self.codes.get("refused") == "AA":
            found.append(f"MLLP on {self.address()} answers AA to messages that it refuses")
        return found

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Listen until cancelled, then answer what is in hand. OSError: the address cannot be had."""
        if found := self.problems():
            raise ValueError("; ".join(found))
        doorman = Doorman(self.allow, self.max_connections, self.max_per_peer)
        listener = self.listener(intake, doorman, single=self.single)
        context = self.context()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            partial(Inbound, listener), self.host, self.port, ssl=context, backlog=_BACKLOG
        )
        try:
            host, port, *_ = server.sockets[0].getsockname()
            ready(f"{'mllps' if context else 'mllp'}://{f'[{host}]' if ':' in host else host}:{port}")
            await loop.create_future()
        finally:
            server.close()
            await listener.close()


_BACKLOG = 512
