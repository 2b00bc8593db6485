"""What one configuration would change of another: the plan that is shown before it is applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from engine.channel import Configuration
from engine.runtime.sources import Group, address, grouped, same

What = Literal["added", "changed", "removed", "kept"]
WAITING = "deliveries wait for a destination that is not configured"


class Change(NamedTuple):
    """One line of the plan. `kind` is channel, destination or route; `note` says what partners may notice."""

    what: What
    kind: str
    name: str
    note: str = ""


def planned(before: Configuration, after: Configuration, queued: Collection[str]) -> list[Change]:
    """Every part of both. `queued`: destinations for which deliveries wait."""
    old, new = before.marks, after.marks
    found = [
        *_compared("channel", old.channels, new.channels),
        *_compared("destination", old.destinations, new.destinations),
        *_compared("route", old.routes, new.routes),
    ]
    return [change._replace(note=_note(change, before, after, queued)) for change in found]


def _compared(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield Change("added" if name in new else "removed", kind, name)
        else:
            yield Change("kept" if old[name] == new[name] else "changed", kind, name)


def _note(change: Change, before: Configuration, after: Configuration, queued: Collection[str]) -> str:
    match change.kind, change.what:
        case "destination", "removed" if change.name in queued:
            return WAITING
        case "channel", "added":
            return f"listens on {at}" if (at := _at(after, change.name)) else ""
        case "channel", "changed":
            return _moved(change.name, before, after)
        case "channel", "removed":
            return "stops, and processes what it took"
    return ""


def _moved(name: str, before: Configuration, after: Configuration) -> str:
    """What becomes of its source."""
    if same(_group(before, name), _group(after, name)):
        return "its source goes on, with its connections"
    old, new = _at(before, name), _at(after, name)
    return f"its source stops on {old} and starts on {new}" if old != new else "its source starts anew"


def _group(configuration: Configuration, name: str) -> Group:
    return next(g for g in grouped(configuration.channels) if any(c.name == name for c in g))


def _at(configuration: Configuration, name: str) -> str:
    return address(_group(configuration, name))
