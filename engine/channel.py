"""What the configuration compiles to: plain frozen values that the pipeline and the runtime work from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.alerts.settings import AlertsFile
from engine.message import Answered, Expect, Owed, Part, Reply, Stop
from engine.plugin import ChartReader, Destination, Feed, Source
from engine.settings import Seconds
from engine.trigger import Triggers
from store.facts import Belongs, Fact, Link, Write
from store.identity import Identity
from store.reason import Reason

Body = Any
Step = Callable[[Body], "Body | Stop"]
Store = Callable[[Body], "Sequence[Fact | Link | Belongs | Write] | Stop | None"]
"""What the message says; None: no map says what this type means."""


def nothing(body: Body) -> None:
    return None


def alone(body: Body) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Route:
    """One `routes:` entry: who is told what, in which form."""

    name: str
    when: Callable[[Body], bool]
    steps: tuple[Step, ...]
    to: str
    send: Literal["message", "chart", "answer"] = "message"
    system: str = ""
    expect: Expect | None = None
    alone: bool = False  # all of it is one lane


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel, compiled. `mine` tells its messages from those of other channels on the same source;
    `legible` answers why a body cannot be read at all, before any step; `guard(body, received)` why it may not
    go on after the steps (test message, blank patient, ...), `received` in microseconds since the epoch;
    `order(body, patient)` the order key, `also` the others that it concerns; with `head` block, what ends in
    trouble holds those of its lane that come behind it. `system` is whose word its messages are; bodies of more than
    `spool_over` bytes go into the spool; `owed` are the answers that its sender gets by exchanges of their own;
    what is said may be at most `future` microseconds ahead of the receipt."""

    name: str
    source: Source
    feed: Feed
    parse: Callable[[bytes], Body | Reason]
    mine: Callable[[Body], bool]
    legible: Callable[[Body], Reason | None]
    guard: Callable[[Body, int], Reason | None]
    order: Callable[[Body, bytes | None], str]
    kind: Callable[[Body], str]
    write: Callable[[Body], bytes]
    patient: Callable[[Body], bytes | None] | None
    also: Callable[[Body], tuple[str, ...]] = alone
    head: Literal["block", "park"] = "park"
    key: Callable[[Body], str | None] = nothing
    relates: Callable[[Body], str | None] = nothing
    owed: Callable[[Body], tuple[Owed, ...]] | None = None
    ack: Literal["stored", "processed", "replied"] = "stored"
    steps: tuple[Step, ...] = ()
    store: Store | None = None
    split: Callable[[Path, bool], Iterator[Part | Reply | Stop]] | None = None
    answer: Callable[[Body, ChartReader], Answered | Stop] | None = None
    routes: tuple[Route, ...] = ()
    system: str = ""
    spool_over: int = 1 << 20
    future: int = 1 << 62


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds, doubled from `first` to `max`, and a quarter more or less, so that lanes do not come all at once.
    `give_up` and `attempts` None: a destination that is down is waited for as long as it takes."""

    first: Seconds = 1.0
    max: Seconds = 60.0
    give_up: Seconds | None = None
    attempts: int | None = None
    unknown: Literal["retry", "hold"] = "retry"


@dataclass(frozen=True, slots=True)
class Breaker:
    """After so many failed attempts in a row, in whatever lanes, none is made for `pause` seconds (None: 10, or
    `max` of the retries if that is shorter); then one tries."""

    after: int = 5
    pause: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    """Deliveries go out together: `most` of them, or what there is when the first has waited for `every` seconds."""

    write: Callable[[Sequence[Part], str, int], bytes]
    most: int = 500
    every: Seconds = 60.0


@dataclass(frozen=True, slots=True)
class Partner:
    """One `destinations:` entry: where, how often, how many at once, what a head that cannot go does to its lane,
    how many in a second, when it is left in peace, whose system it is, whether what goes there goes in batches, or is
    counted."""

    name: str
    destination: Destination
    retry: RetryPolicy = RetryPolicy()
    connections: int = 1
    head: Literal["block", "park"] = "park"
    rate: float | None = None
    breaker: Breaker = Breaker()
    system: str = ""
    gather: Gather | None = None
    sequence: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """What each part is compiled from, as a digest by its name: equal marks, equal parts. `whole` is that of all."""

    whole: str = ""
    channels: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)


Where = tuple[str, int, int]  # a file below the configuration directory, line and column from 1


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that runs. `warnings` are risks accepted by name, listed at start. `places` say where the source of
    each channel stands. `number` is its row in the journal, once it has one."""

    channels: tuple[Channel, ...]
    partners: tuple[Partner, ...]
    identity: Identity
    warnings: tuple[str, ...] = field(default=())
    triggers: Triggers = field(default_factory=dict)
    marks: Marks = Marks()
    places: Mapping[str, Where] = field(default_factory=dict)
    alerts: AlertsFile = field(default_factory=AlertsFile)
    number: int | None = None
