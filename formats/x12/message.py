"""One transaction set (or one claim of it) in an interchange of its own, as a view that keeps every byte."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from formats.reason import Reason
from formats.x12.delimiters import Delimiters
from formats.x12.reader import segments
from formats.x12.segment import Segment

_VARIANTS = {"837": {"X222": "P", "X298": "P", "X223": "I", "X299": "I", "X224": "D", "X300": "D"}}
"""What the guide (GS08) makes of a transaction set that several guides use."""


class Where(Protocol):
    """What a path such as `CLM-5.3` says: numbers from 1, 0 where it does not say."""

    @property
    def segment(self) -> str: ...
    @property
    def field(self) -> int: ...
    @property
    def occurrence(self) -> int: ...
    @property
    def repetition(self) -> int: ...
    @property
    def component(self) -> int: ...


def parse(body: bytes, *, charset: str = "UTF-8") -> Message | Reason:
    """The message, or why these bytes are none. LookupError if Python has no such `charset`.

    It is one interchange with at most one group and one transaction set: what the splitter makes. Codes of
    the Reason: `unreadable-isa`, `segment-too-long`, `truncated`, `bad-envelope`, `undecodable`.
    """
    found: list[Segment] = []
    counts: dict[str, int] = {}
    for segment in segments(io.BytesIO(body)):
        if isinstance(segment, Reason):
            return segment
        counts[segment.name] = segment.number = counts.get(segment.name, 0) + 1
        if not segment.raw.isascii() and (reason := segment.decode(charset)):
            return reason
        found.append(segment)
    if not found:
        return Reason("unreadable-isa", "there is nothing in it", "ISA")
    if reason := _envelope([segment.name for segment in found]):
        return reason
    return Message(body, found, charset)


def _envelope(names: list[str]) -> Reason | None:
    if names[-1] != "IEA":
        return Reason("bad-envelope", "the interchange does not end with IEA", "IEA")
    several = next((name for name in ("ISA", "GS", "ST", "SE", "GE", "IEA") if names.count(name) > 1), "")
    if several:
        return Reason("bad-envelope", "more than one transaction set; the channel needs split: x12", several)
    pairs = (("GS", "GE"), ("ST", "SE"))
    torn = next((end for begin, end in pairs if (begin in names) != (end in names)), "")
    return Reason("bad-envelope", "a header or trailer of the envelope is missing", torn) if torn else None


class Message:
    """One parsed message: immutable, its bytes kept as they came. Made by `parse`."""

    __slots__ = ("_charset", "_first", "_segments", "raw")

    def __init__(self, raw: bytes, found: list[Segment], charset: str) -> None:
        self.raw = raw
        self._segments = found
        self._charset = charset
        self._first: dict[str, Segment] = {}
        for segment in found:
            self._first.setdefault(segment.name, segment)

    @property
    def segments(self) -> list[Segment]:
        """All segments in order, those of the envelope too."""
        return list(self._segments)

    @property
    def delimiters(self) -> Delimiters:
        return self._segments[0].delimiters

    def first(self, name: str) -> Segment | None:
        return self._first.get(name)

    def all(self, name: str) -> list[Segment]:
        return [segment for segment in self._segments if segment.name == name]

    def get(self, name: str, element: int, component: int = 0) -> str:
        """A value of the first segment of that name without blanks around it; `""` if there is none."""
        segment = self._first.get(name)
        return segment.get(element, component).strip() if segment else ""

    def values(self, where: Where) -> list[str]:
        """Every value at a path (`CLM-5.3`); one that does not say which segment or repetition means all."""
        found = self.all(where.segment)
        if where.occurrence:
            found = found[where.occurrence - 1 : where.occurrence]
        leaves = (leaf.strip() for segment in found for leaf in self._leaves(segment, where))
        return [leaf for leaf in leaves if leaf]

    def _leaves(self, segment: Segment, where: Where) -> Iterable[str]:
        repetitions = segment.repetitions(where.field)
        if where.repetition:
            repetitions = repetitions[where.repetition - 1 : where.repetition]
        if not where.component or segment.name == "ISA":
            return repetitions
        separator = self.delimiters.component.decode("latin-1")
        parts = (repetition.split(separator) for repetition in repetitions)
        return [p[where.component - 1] for p in parts if len(p) >= where.component]

    @property
    def guide(self) -> str:
        """The implementation guide: GS08, which ST03 repeats."""
        return self.get("GS", 8) or self.get("ST", 3)

    @property
    def kind(self) -> str:
        """`837P`, `835`, `TA1`: ST01 and, where several guides share it, which."""
        code = self.get("ST", 1) or ("TA1" if "TA1" in self._first else "")
        variant = next((v for mark, v in _VARIANTS.get(code, {}).items() if mark in self.guide), "")
        return code + variant

    @property
    def key(self) -> str:
        """The sender's own name for it: who sent it and ISA13, GS06, ST02."""
        sender = f"{self.get('ISA', 5)}:{self.get('ISA', 6)}"
        numbers = (self.get("ISA", 13), self.get("GS", 6), self.get("ST", 2))
        return "/".join(part for part in (sender, *numbers) if part)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.raw == other.raw and self._charset == other._charset

    def __hash__(self) -> int:
        return hash(self.raw)

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return partial(parse, charset=self._charset), (self.raw,)

    def __repr__(self) -> str:
        return f"<Message of {len(self.raw)} bytes>"
