"""One transaction set (or one claim of it) in an interchange of its own, as a view that keeps every byte."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from formats.reason import Reason
from formats.x12.delimiters import ISA_LENGTH, Delimiters, read_isa
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
    """The message, or why these bytes are none: reads no further than ISA. LookupError: an unknown `charset`.

    Code of the Reason: `unreadable-isa`. Whether all of it can be read, `Message.illegible` says.
    """
    codec = codecs.lookup(charset).name
    found = read_isa(body[: ISA_LENGTH + 16].lstrip(b"\r\n \t")[:ISA_LENGTH])
    return found if isinstance(found, Reason) else Message(body, found, codec)


class Message:
    """One interchange: immutable, its bytes kept as they came. Made by `parse`.

    Of an interchange that was not split it says what its first group and transaction set are.
    """

    __slots__ = ("_charset", "_fault", "_first", "_segments", "delimiters", "raw")

    def __init__(self, raw: bytes, delimiters: Delimiters, charset: str) -> None:
        self.raw = raw
        self.delimiters = delimiters
        self._charset = charset
        self._segments: list[Segment] | None = None
        self._fault: Reason | None = None
        self._first: dict[str, Segment] = {}

    def _read(self) -> list[Segment]:
        found: list[Segment] = []
        counts: dict[str, int] = {}
        for segment in segments(io.BytesIO(self.raw), charset=self._charset):
            if isinstance(segment, Reason):
                self._fault = segment
                break
            counts[segment.name] = segment.number = counts.get(segment.name, 0) + 1
            found.append(segment)
            self._first.setdefault(segment.name, segment)
        self._segments = found
        return found

    @property
    def segments(self) -> list[Segment]:
        """All segments in order, those of the envelope too."""
        return list(self._segments if self._segments is not None else self._read())

    def illegible(self) -> Reason | None:
        """Why it is not one transaction set that can be read from ISA to IEA. Codes of the Reason:
        `truncated`, `segment-too-long`, `bad-envelope`, `undecodable`."""
        found = self.segments
        return self._fault or _envelope([s.name for s in found]) or self._undecodable(found)

    def _undecodable(self, found: list[Segment]) -> Reason | None:
        if self.raw.isascii():
            return None
        lost = next((s for s in found if any("\udc80" <= c <= "\udcff" for c in s.text)), None)
        text = f"a byte that {self._charset} does not have; format: in the channel may name another charset"
        return Reason("undecodable", text, lost.place(0).removesuffix("-0")) if lost else None

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        if self._segments is None:
            self._read()
        return self._first.get(name)

    def all(self, name: str) -> list[Segment]:
        """Every segment of that name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def get(self, name: str, element: int, component: int = 0) -> str:
        """A value of the first segment of that name without blanks around it; `""` if there is none."""
        segment = self.first(name)
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
        code = self.get("ST", 1) or ("TA1" if self.first("TA1") else "")
        variant = next((v for mark, v in _VARIANTS.get(code, {}).items() if mark in self.guide), "")
        return code + variant

    @property
    def key(self) -> str:
        """The sender's own name for the interchange: who sent it and ISA13."""
        return f"{self.get('ISA', 5)}:{self.get('ISA', 6)}/{self.get('ISA', 13)}"

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


def _envelope(names: list[str]) -> Reason | None:
    """Is there one ISA to IEA, and in it one GS to GE with one ST to SE, or no group at all?"""
    if names[-1:] != ["IEA"]:
        return Reason("bad-envelope", "the interchange does not end with IEA", "IEA")
    several = next((name for name in ("ISA", "GS", "ST", "SE", "GE", "IEA") if names.count(name) > 1), "")
    if several:
        return Reason("bad-envelope", "more than one transaction set; the channel needs split: x12", several)
    pairs = (("GS", "GE"), ("ST", "SE"))
    torn = next((end for begin, end in pairs if (begin in names) != (end in names)), "")
    return Reason("bad-envelope", "a header or trailer of the envelope is missing", torn) if torn else None
