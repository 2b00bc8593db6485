"""channels/NAME.test.yaml: what a channel must do with its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from engine.fault import Fault, Wrong
from engine.message import State
from engine.settings import Site, Written


def _stored(value: Any, site: Site) -> tuple[Mapping[str, Any], ...]:
    """`[{Type: {elements}}]`, or `[Type]`."""
    if not isinstance(value, list):
        raise Wrong(Fault("wrong-type", "stored is a list of resources", "write [{Patient: {...}}]"))
    return tuple(_resource(item, n) for n, item in enumerate(value))


def _resource(item: Any, n: int) -> Mapping[str, Any]:
    if isinstance(item, str):
        return {item: {}}
    if isinstance(item, Mapping) and len(item) == 1 and isinstance(next(iter(item.values())), Mapping):
        return item
    raise Wrong(Fault("one-key", "a stored resource has one key, its type", "write {Patient: {...}}", (n,)))


def _moment(value: Any, site: Site) -> int:
    """Microseconds since the epoch."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        text = "a moment needs a date, a time and an offset"
        raise Wrong(Fault("wrong-value", text, 'write "2026-03-01T08:00:00Z"'))
    return round(moment.timestamp() * 1_000_000)


@dataclass(frozen=True, slots=True)
class Sent:
    """What must go to one destination."""

    count: Annotated[int | None, "how many deliveries; without it at least one"] = None
    contains: Annotated[tuple[str, ...], "texts that one delivery must hold"] = ()
    equals: Annotated[str | None, "file below channels/ that the delivery must equal"] = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What must become of the message (of several: of the last) and of the chart; the rest is free."""

    ack: Annotated[Literal["AA", "AE", "AR"] | None, "what the sender is told"] = None
    state: Annotated[State | None, "where the message ends"] = None
    reason: Annotated[str | None, "the code of its reason"] = None
    place: Annotated[str | None, "the place of its reason"] = None
    stored: Annotated[
        tuple[Mapping[str, Any], ...] | None,
        Written(_stored, {"type": "array"}, "resources"),
        "resources in the chart, in part; []: none",
    ] = None
    sent: Annotated[Mapping[str, Sent], "by destination; count: 0 for nothing"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One test: samples in, what must come of it out."""

    name: str
    given: Annotated[str | tuple[str, ...], "files below channels/, one message each, in order"]
    expect: Expect
    received: Annotated[
        int | None,
        Written(_moment, {"type": "string"}, "moment"),
        "when it comes in; without it the moment that the message says",
    ] = None


@dataclass(frozen=True, slots=True)
class CasesFile:
    """channels/NAME.test.yaml, for the channel NAME."""

    tests: tuple[Case, ...]
