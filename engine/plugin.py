"""What a Source, a Destination and a Transform are, and how one registers.

The signature is the schema: the fields of the class (or the keyword-only parameters of the function) are the
YAML settings, their annotations are the types, `Annotated[..., "text"]` and the docstring are the
documentation. `chartwire list`, the lint, the editor schema and the defaults are all read from them. A
parameter that would be a word of Python's own ends in an underscore: `from_` is the key `from`.
"""

from __future__ import annotations

import importlib
import pkgutil
from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar, runtime_checkable
from zoneinfo import ZoneInfo

from engine.message import Answered, Delivery, Outcome, Part, Receipt, Received, Reply, Spooled, Stop
from store.identity import Authority, Identity, Patient
from store.reason import Reason

__all__ = [
    "Answered",
    "ChartReader",
    "Destination",
    "Feed",
    "Format",
    "Intake",
    "Part",
    "Ready",
    "Reply",
    "Source",
    "Spool",
    "Spooled",
    "Stop",
    "answer",
    "destination",
    "discover",
    "format_",
    "gatherer",
    "predicate",
    "registered",
    "source",
    "splitter",
    "transform",
]


class Spool(Protocol):
    """Where bodies too big for a row are written before their row is. The calls block: make them from a thread."""

    @property
    def incoming(self) -> Path:
        """Files here are unfinished; what a dead process left is swept at the next start."""

    def create(self) -> IO[bytes]:
        """A new private file in `incoming`; its path is its `name`."""

    def open(self, path: Path) -> IO[bytes]:
        """What was written into such a file, whether or not it is sealed. OSError."""

    def keep(self, path: Path) -> Spooled:
        """Make what was written durable under a name of its own: fsync, rename, fsync of the directory."""


class Intake(Protocol):
    """The engine's side of a source. The calls return at once; the future ends when the bytes are durable."""

    @property
    def spool(self) -> Spool: ...

    def __call__(self, received: Received) -> Future[Receipt]:
        """Take a message. The answer to the sender follows from the receipt, and only from it."""

    def refuse(self, received: Received, reason: Reason) -> Future[Receipt]:
        """Keep bytes that are not a message at all, within a cap per peer; the receipt is Refused."""

    def ask(self, received: Received) -> Future[Receipt]:
        """Put a query to the channel of this source that has `ack: replied`. It is audited, not journaled:
        Accepted(0, reply) when the audit is durable, else Refused or Unavailable."""


Ready = Callable[[str], None]
"""Called once with the address (`mllp://127.0.0.1:2575`) when a source can take messages."""


@runtime_checkable
class Source(Protocol):
    """Where messages come from. Its settings are its dataclass fields; it holds no state before `run`."""

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Serve until cancelled; on cancellation stop reading, answer what is in hand, and return."""


@runtime_checkable
class Destination(Protocol):
    """Where messages go. One call, one attempt: no retries, no sleeping, every failure an Outcome."""

    async def deliver(self, delivery: Delivery) -> Outcome: ...

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a channel knows of its feed; a transform that wants it takes it as its second parameter."""

    name: str
    timezone: ZoneInfo
    identity: Identity
    authority: Authority | None = None  # whose identifiers they are when the feed does not say
    rank: int = 0
    clock: tuple[str, ...] = (
        "MSH-7.1",
        "EVN-2.1",
    )  # where the source time is: the first path that has a value


class ChartReader(Protocol):
    """What the answer to a query may read: the chart as it is now."""

    def search(self, type: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Whole resources with their ids, by the search parameters of R4. ValueError: one that is not supported."""

    def read(self, type: str, id: str) -> dict[str, Any] | None:
        """The current version of one resource."""


Body = Any


def _none(body: Body) -> None:
    return None


def _nothing(body: Body, feed: Feed) -> tuple[()]:
    return ()


def unowed(body: Body, otherwise: Mapping[str, str]) -> None:
    """Messages of this standard ask for no such answer."""


def _unanswered(head: bytes, ours: bool, reason: Reason | None, now: int) -> bytes:
    raise NotImplementedError


def _alone(body: Body, feed: Feed, order_by: str) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class Format:
    """What the engine asks of a message of one standard. One file in engine/standards registers one.

    `parse` takes bytes; its keyword-only parameters are the settings below `format:`. `kind` is a short name
    without values (`ADT^A01`). `key` is the sender's own name for the message where the source does not know
    it. `legible` says why a body cannot be read. `processing` is (code, place) of what tells production from
    test. `times` are the (microseconds, place) that may not lie in the future. `patients` are all patients
    that are named, or why one is not; `patient` is the key of the one whom it is about: None, the patient of
    the first fact. `relates` is the id of the message of ours that it answers. `also` are the other order keys of
    a message that concerns several (a merge: the prior patient's), where the channel has `order_by`. `owed` says
    whether its sender asks for an answer once it is processed: (what `acknowledge` makes the answer of, after success?,
    after failure?); the mapping is what the site says otherwise. `acknowledge` is asked with that, whether a failure is
    ours, why it failed (None: it did not) and the time in microseconds.
    """

    parse: Callable[..., Body | Reason]
    kind: Callable[[Body], str]
    write: Callable[[Body], bytes]
    key: Callable[[Body], str | None] = _none
    legible: Callable[[Body], Reason | None] = _none
    processing: Callable[[Body], tuple[str, str] | None] = _none
    times: Callable[[Body, Feed], Iterable[tuple[int, str]] | Reason] = _nothing
    patients: Callable[[Body, Feed], Iterable[Patient | Reason]] = _nothing
    patient: Callable[[Body, Feed], bytes | None] | None = None
    relates: Callable[[Body], str | None] = _none
    owed: Callable[[Body, Mapping[str, str]], tuple[bytes, bool, bool] | None] = unowed
    acknowledge: Callable[[bytes, bool, Reason | None, int], bytes] = _unanswered
    also: Callable[[Body, Feed, str], Iterable[str]] = _alone


Splitter = Callable[..., Iterator[Part | Reply | Stop]]
Answer = Callable[..., "Answered | Stop"]

Kind = str  # "source" | "destination" | "transform" | "predicate" | "splitter" | "gatherer" | "answer"
_T = TypeVar("_T", bound=Callable[..., Any])
REGISTRY: dict[tuple[Kind, str], Callable[..., Any]] = {}


def _register(kind: Kind, name: str) -> Callable[[_T], _T]:
    def add(thing: _T) -> _T:
        other = REGISTRY.setdefault((kind, name), thing)
        if (other.__module__, other.__qualname__) != (thing.__module__, thing.__qualname__):
            raise ValueError(f"two {kind}s are named {name!r}: {other.__module__} and {thing.__module__}")
        REGISTRY[kind, name] = thing
        return thing

    return add


def source(name: str) -> Callable[[_T], _T]:
    """Class decorator: this frozen dataclass is the source `name`."""
    return _register("source", name)


def destination(name: str) -> Callable[[_T], _T]:
    """Class decorator: this dataclass is the destination `name`."""
    return _register("destination", name)


def transform(name: str) -> Callable[[_T], _T]:
    """Function decorator: this pure function `(body[, feed], *, settings) -> body | Stop | ...` is `name`."""
    return _register("transform", name)


def predicate(name: str) -> Callable[[_T], _T]:
    """Function decorator: this pure function `(body) -> bool` may stand as the whole of a `when:`."""
    return _register("predicate", name)


def splitter(name: str) -> Callable[[_T], _T]:
    """Function decorator: `(path, feed, seen, *, settings) -> Iterator[Part | Reply | Stop]` is `name`.

    It runs in a process of its own over a spooled file, and again from the start after a crash, so it must
    give the same each time; its memory must not grow with the file. `seen`: another accepted message of the
    channel has the same key. A Stop says why nothing, or nothing more, is taken.
    """
    return _register("splitter", name)


def gatherer(name: str) -> Callable[[_T], _T]:
    """Function decorator: `(parts, control, when, *, settings) -> bytes` is `name`: many messages become one batch.

    Each Part is a message and the control id that it goes out under; `control` is that of the batch, `when` its time in
    microseconds since the epoch. It must give the same each time: a batch whose fate is unknown is sent again.
    """
    return _register("gatherer", name)


def answer(name: str) -> Callable[[_T], _T]:
    """Function decorator: `(body, chart: ChartReader, feed, *, settings) -> Answered | Stop` is `name`."""
    return _register("answer", name)


FORMATS: dict[str, Format] = {}
SEVERAL = frozenset({"batch", "several-messages"})
"""Why a parser refuses what a splitter may take apart."""


def format_(name: str, format: Format) -> Format:
    """Register what messages of one standard are: `format: NAME` in a channel."""
    FORMATS[name] = format
    return format


def registered(kind: Kind) -> dict[str, Callable[..., Any]]:
    """Everything of one kind, by name, in order."""
    return {name: thing for (k, name), thing in sorted(REGISTRY.items()) if k == kind}


def discover(*packages: str) -> None:
    """Import every module below the packages, so that their plugins register themselves."""
    for name in packages:
        for module in _modules(name):
            importlib.import_module(module)


def _modules(name: str) -> Iterator[str]:
    package = importlib.import_module(name)
    for info in pkgutil.walk_packages(getattr(package, "__path__", []), f"{name}."):
        yield info.name
