"""How an adapter joins the conformance suite: one file `harness_NAME.py` beside this one.

The file offers `SOURCES: list[SourceHarness]` and/or `DESTINATIONS: list[DestinationHarness]`; nothing else
has to be registered. Every behaviour of `test_sources.py` and `test_destinations.py` is then asked of it, on
real sockets or files, under uvloop and under asyncio.

A source's harness builds the source on a free address, and a `Client` that speaks to it as a real sender does
and reads the wire's own answers as a Verdict. A destination's harness starts a `Partner`, the real other end
(a server, a folder), which answers as its `behaviour` says, and builds destinations that deliver to it. What
a wire cannot show at all (a folder never answers for another message) goes into `cannot` with the reason, and
is skipped with it; leaving something out because it fails is no reason. The ends must not speak through the
adapter's own code: a mistake that both sides share would not be seen.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from engine.plugin import Destination, Source

CANARY = "ZYXWVUTSRQ"
"""Content that may never be seen in a Reason: every payload holds it, and every answer of a Partner."""


class Verdict(NamedTuple):
    """What a sender heard: `closed` is the end of the connection without an answer; `text` all of it."""

    said: Literal["accepted", "refused", "closed"]
    text: str = ""


class Client(Protocol):
    """One sender, connected."""

    async def send(self, body: bytes) -> None:
        """Send without waiting for the answer."""

    async def verdict(self) -> Verdict:
        """The next answer; fails after a deadline."""

    def silent(self) -> bool:
        """Is there no answer yet?"""
        ...

    async def break_off(self, body: bytes) -> None:
        """Send the body without its end, and be gone."""

    async def leave(self) -> None: ...


class Sign(StrEnum):
    """What a wire may be unable to show."""

    CLOSED = "closed"  # that there will be no answer, or that nobody listens
    BROKEN = "broken"  # that a message lacks its end
    NO = "no"  # that a message is refused


class SourceHarness(Protocol):
    """May also have `arrived(received) -> bytes`, where the wire puts what was sent into something of its own."""

    name: str
    cannot: Mapping[Sign, str]
    garbage: bytes  # arrives whole, but is no message at all

    def source(self) -> Source:
        """With a free port of loopback, or a folder of its own."""
        ...

    def message(self, number: int) -> bytes: ...

    async def connect(self, address: str) -> Client:
        """`address` is what the source told by `ready`."""
        ...


class Behaviour(StrEnum):
    """How a partner treats what it gets from now on."""

    ACCEPT = "accept"
    REJECT = "reject"  # the content, for good
    LATER = "later"  # refuse, for now
    CLOSE = "close"  # hang up instead of an answer
    HALF = "half"  # hang up in mid-answer
    SILENT = "silent"  # never answer
    GARBAGE = "garbage"  # answer something that is no answer
    OTHER = "other"  # answer for another message
    DOWN = "down"  # not be there; used for `cannot` only
    TOGETHER = "together"  # answer nothing until two are there; then all


class Partner(Protocol):
    """The other end of a destination. `got`: in order, (the id under which it was sent, what was sent)."""

    behaviour: Behaviour
    got: list[tuple[str, bytes]]

    def destination(self, timeout: float) -> Destination:
        """One that delivers here and waits that many seconds for an answer."""
        ...

    async def arrived(self, count: int) -> None:
        """Wait until `got` holds so many; fails after a deadline."""

    async def down(self) -> None:
        """Be gone: no address, no folder, nothing listens."""

    async def up(self) -> None:
        """Be there again at the same place."""


class DestinationHarness(Protocol):
    name: str
    cannot: Mapping[Behaviour, str]

    def partner(self, directory: Path) -> AbstractAsyncContextManager[Partner]:
        """Up and accepting. `directory` is empty, for what needs one."""
        ...

    def payload(self, number: int) -> bytes:
        """With the CANARY in it."""
        ...


def harnesses(kind: Literal["SOURCES", "DESTINATIONS"]) -> list[Any]:
    """What all the harness files offer."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("harness_*.py"))
    modules = [importlib.import_module(f"tests.conformance.{name}") for name in names]
    return [harness for module in modules for harness in getattr(module, kind, [])]
