"""Segments made by us: acknowledgements and the trailers of parts."""

from __future__ import annotations

from collections.abc import Iterable

from formats.x12.delimiters import STANDARD, Delimiters

_PRINTABLE = frozenset(chr(n) for n in range(0x20, 0x7F))


def segment(*elements: str, delimiters: Delimiters = STANDARD) -> bytes:
    """One segment with its terminator; empty elements at its end are left out. A composite is given as text."""
    last = max((n for n, value in enumerate(elements) if value), default=0)
    line = delimiters.element.decode("latin-1").join(elements[: last + 1])
    return line.encode("latin-1") + delimiters.terminator


def clean(value: str, delimiters: Delimiters = STANDARD, *, longest: int = 99) -> str:
    """A value that may stand in a segment: without delimiters and what is not printable ASCII, cut to `longest`."""
    taken = {d.decode("latin-1") for d in _all(delimiters)}
    return "".join(c for c in value if c in _PRINTABLE and c not in taken)[:longest]


def _all(delimiters: Delimiters) -> Iterable[bytes]:
    found = (delimiters.element, delimiters.component, delimiters.repetition, delimiters.terminator)
    return (d for d in found if d)
