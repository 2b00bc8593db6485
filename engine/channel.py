"""What the configuration compiles to: plain frozen values that the pipeline and the runtime work from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.message import Stop
from engine.plugin import Destination, Feed, Source
from engine.settings import Seconds
from store.facts import Fact, Link
from store.identity import Identity
from store.reason import Reason

Body = Any
Step = Callable[[Body], "Body | Stop"]
Store = Callable[[Body], "Sequence[Fact | Link] | Stop | None"]
"""What the message says; None: no map says what this type means."""


@dataclass(frozen=True, slots=True)
class Route:
    """One `routes:` entry: who is told what, in which form."""

    name: str
    when: Callable[[Body], bool]
    steps: tuple[Step, ...]
    to: str
    send: Literal["message", "chart"] = "message"


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel, compiled. `mine` tells its messages from those of other channels on the same source;
    `legible` answers why a body cannot be read at all, before any step; `guard(body, received)` why it may not
    go on after the steps (test message, blank patient, ...), `received` in microseconds since the epoch."""

    name: str
    source: Source
    feed: Feed
    parse: Callable[[bytes], Body | Reason]
    mine: Callable[[Body], bool]
    legible: Callable[[Body], Reason | None]
    guard: Callable[[Body, int], Reason | None]
    order: Callable[[Body], str]
    kind: Callable[[Body], str]
    write: Callable[[Body], bytes]
    patient: Callable[[Body], bytes | None]
    ack: Literal["stored", "processed"] = "stored"
    steps: tuple[Step, ...] = ()
    store: Store | None = None
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds. `give_up` None: a destination that is down is waited for as long as it takes."""

    first: Seconds = 1.0
    max: Seconds = 60.0
    give_up: Seconds | None = None
    unknown: Literal["retry", "hold"] = "retry"


@dataclass(frozen=True, slots=True)
class Partner:
    """One `destinations:` entry: where, how often, how many at once, and what a dead head does to its lane."""

    name: str
    destination: Destination
    retry: RetryPolicy = RetryPolicy()
    connections: int = 1
    head: Literal["block", "park"] = "park"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that runs. `warnings` are risks accepted by name, listed at start."""

    channels: tuple[Channel, ...]
    partners: tuple[Partner, ...]
    identity: Identity
    warnings: tuple[str, ...] = field(default=())
