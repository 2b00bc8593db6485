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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable
from zoneinfo import ZoneInfo

from engine.message import Delivery, Outcome, Receipt, Received
from store.identity import Authority, Identity
from store.reason import Reason


class Intake(Protocol):
    """The engine's side of a source. Both calls return at once; the future ends when the bytes are durable."""

    def __call__(self, received: Received) -> Future[Receipt]:
        """Take a message. The answer to the sender follows from the receipt, and only from it."""

    def refuse(self, received: Received, reason: Reason) -> Future[Receipt]:
        """Keep bytes that are not a message at all, within a cap per peer; the receipt is Refused."""


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


Kind = str  # "source" | "destination" | "transform" | "predicate"
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
    for info in pkgutil.walk_packages(package.__path__, f"{name}."):
        yield info.name
