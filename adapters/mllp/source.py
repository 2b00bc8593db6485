"""Where messages come from over MLLP: a listener for any number of persistent connections."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

from adapters import tls
from adapters.mllp.acknowledgement import MODES, Acknowledger, Code, Verdict, parsed
from adapters.mllp.doorman import Doorman, problems
from adapters.mllp.framing import Framer
from adapters.mllp.inbound import Inbound, Listener
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds, Size


@source("mllp")
@dataclass(frozen=True)
class MllpSource(tls.Listening):
    """Listens for HL7 v2 messages over MLLP and acknowledges each when the engine has it.

    A frame that is empty, or blank, is taken for a sign of life and gets no answer.
    """

    max_frame: Annotated[Size, "the longest message taken; a longer one is refused"] = 16 << 20
    require_final_cr: Annotated[bool, "false: a block ends with FS, the CR after it may be missing"] = True
    acknowledge: Annotated[
        Literal["auto", "original"],
        "auto: MSH-15 and MSH-16 say which acknowledgement is wanted; original: always AA, AE or AR",
    ] = "auto"
    codes: Annotated[
        Mapping[Verdict, Code], "MSA-1 by what became of the message, where the default does not suit"
    ] = field(default_factory=dict, hash=False)

    combinations: Annotated[
        Mapping[str, str],
        "answers by MSH-15/MSH-16 where the table does not suit: {NE/AL: A/A}, after success and after failure "
        "C (accept), A (application) or -",
    ] = field(default_factory=dict, hash=False)
    allow: Annotated[list[str], "addresses and networks that may connect; empty: all"] = field(
        default_factory=list, hash=False
    )
    idle: Annotated[
        Seconds | None, "a connection is closed on which nothing came for so long; default: never"
    ] = None
    max_connections: Annotated[int, "so many at once"] = 4096
    max_per_peer: Annotated[int | None, "so many at once from one address; default: no limit"] = None

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = super().problems() + problems(self.allow, self.max_connections, self.max_per_peer)
        found += [f'combinations: "{k}: {v}" is none such as NE/AL: A/A' for k, v in _odd(self.combinations)]
        if self.idle is not None and self.idle <= 0:
            found.append("idle: should be more than 0")
        if self.codes.get("accepted", "AA") != "AA":
            found.append("codes: what is accepted is answered AA")
        if "AA" in (self.codes.get("unavailable"), self.codes.get("unsupported")):
            found.append("codes: AA may not be said of a message that nobody takes")
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
        listener = Listener(
            intake,
            Acknowledger(
                self.codes,
                original=self.acknowledge == "original",
                clock=_now,
                origin=_origin(),
                combinations=self.combinations,
            ),
            lambda: Framer(self.max_frame, require_final_cr=self.require_final_cr),
            Doorman(self.allow, self.max_connections, self.max_per_peer),
            self.idle,
        )
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


def _odd(combinations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in combinations.items():
        try:
            parsed(value)
        except ValueError:
            yield key, value
        else:
            if key not in MODES:
                yield key, value


_BACKLOG = 512


def _now() -> int:
    return time.time_ns() // 1000


def _origin() -> str:
    """Ten characters that no other run has, before the count in every MSH-10 of ours."""
    return secrets.token_hex(5)
