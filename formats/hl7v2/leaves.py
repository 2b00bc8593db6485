"""Every leaf of a message with its place and its bytes' span: what lineage points to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from formats.hl7v2.path import HEADERS
from formats.hl7v2.segment import Segment
from formats.hl7v2.separators import Separators


class Leaf(NamedTuple):
    """One value that is not empty: `raw[start:end]` of the message.

    `path` is the shortest path that reads it: `PID-8`, `PID-3[2].4.1`; for a line that is no segment, which
    is one leaf, it is `line 7`.
    """

    path: str
    start: int
    end: int


def leaves(segment: Segment, separators: Separators) -> Iterator[Leaf]:
    """The leaves of one segment in order. Between them lie only delimiters and the segment's name."""
    if not segment.name:
        yield Leaf(segment.place, segment.start, segment.end)
        return
    header = segment.name in HEADERS
    at = segment.start + 3
    for number, field in enumerate(segment.fields[1:], 1):
        if not (header and number == 1):
            at += 1
            place = f"{segment.place}-{number}"
            if header and number == 2:
                yield from _present(place, field, at)
            elif field:
                yield from _repetitions(place, field, at, separators)
            at += len(field)


def _repetitions(place: str, field: bytes, at: int, separators: Separators) -> Iterator[Leaf]:
    for n, repetition in enumerate(_split(field, separators.repetition), 1):
        yield from _components(place if n == 1 else f"{place}[{n}]", repetition, at, separators)
        at += len(repetition) + 1


def _components(place: str, repetition: bytes, at: int, separators: Separators) -> Iterator[Leaf]:
    components = _split(repetition, separators.component)
    for n, component in enumerate(components, 1):
        subcomponents = _split(component, separators.subcomponent)
        whole = len(components) == len(subcomponents) == 1
        below = place if whole else f"{place}.{n}"
        for m, subcomponent in enumerate(subcomponents, 1):
            yield from _present(below if len(subcomponents) == 1 else f"{below}.{m}", subcomponent, at)
            at += len(subcomponent) + 1


def _present(place: str, value: bytes, at: int) -> Iterator[Leaf]:
    if value:
        yield Leaf(place, at, at + len(value))


def _split(value: bytes, separator: bytes) -> list[bytes]:
    return value.split(separator) if separator else [value]
