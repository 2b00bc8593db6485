"""The committed table of expected ends: one line for messages in a row of one file that end alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from tests.corpus.walk import Ended

EXPECTED = Path(__file__).parent / "expected.tsv"
HEAD = "path\tmessages\ttypes\tack\tstate\tcode\tplace"


def lines(ends: Iterable[Ended]) -> list[str]:
    """The table of these ends, as lines."""
    alike = groupby(ends, key=lambda e: (e.path, e.ack, e.state, e.code, e.place))
    return [HEAD, *(_line(list(group)) for _, group in alike)]


def _line(group: Sequence[Ended]) -> str:
    first, last = group[0], group[-1]
    numbers = str(first.number) if first is last else f"{first.number}-{last.number}"
    types = " ".join(sorted({e.type.replace(" ", "_") for e in group}))
    return "\t".join((first.path, numbers, types, first.ack, first.state, first.code, first.place))


def expected() -> list[str]:
    return EXPECTED.read_text("utf-8").splitlines()
