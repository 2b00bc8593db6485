"""The second reading: what was accepted becomes parts, each an interchange of its own made of the sender's bytes.

A part of an 837 is one claim with everything above it: submitter and receiver, billing provider, subscriber,
patient. Counts, and the numbers of HL, are made anew; everything else is as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from adapters.x12.survey import Group, Interchange
from engine.message import Part
from formats import x12
from formats.reason import Reason

KEPT = 1 << 20
"""Bytes of a part that is not taken: how it begins. All of it is in the interchange, which is kept whole."""

_OVERSIZED = Reason("oversized-part", "it is longer than max_part allows; only how it begins was kept here")
_REFUSED = Reason("refused-set", "the transaction set was refused in the 999", "ST")
_GROUP = "the functional group was refused in the 999 (AK9 "


def parts(file: BinaryIO, found: Interchange, longest: int) -> Iterator[Part]:
    """The parts of one interchange, in order."""
    file.seek(found.isa.start)
    cutter = _Cutter(found, longest)
    for segment in x12.segments(file):
        if isinstance(segment, Reason):
            return
        yield from cutter.take(segment)
        if segment.name == "IEA":
            return


@dataclass(slots=True)
class _Pile:
    """Segments that are kept until they are written: no more bytes of them than `room`."""

    room: int
    raw: list[bytes] = field(default_factory=list)
    size: int = 0
    full: bool = False

    def add(self, raw: bytes) -> None:
        self.full = self.full or self.size + len(raw) > self.room
        if not self.full:
            self.raw.append(raw)
            self.size += len(raw)


class _Cutter:
    def __init__(self, found: Interchange, longest: int) -> None:
        self._isa = found.isa
        self._groups = iter(found.groups)
        self._longest = longest
        self._group: Group | None = None
        self._gs: x12.Segment = found.isa
        self._number = 0  # of the transaction set in its group, from 0
        self._set: _Whole | _Claims | None = None
        self._ta1 = 0

    def take(self, segment: x12.Segment) -> Iterator[Part]:
        match segment.name:
            case "GS":
                yield from self._end()
                self._group, self._gs, self._number = next(self._groups), segment, 0
            case "ST" if self._group:
                yield from self._end()
                self._set = self._begin(segment, self._group)
                self._number += 1
            case "SE" | "GE" | "IEA":
                yield from self._end()
            case "TA1" if not self._group:
                self._ta1 += 1
                yield Part(_wrapped(self._isa, [segment.raw]), f"{self._isa.get(13)}/TA1/{self._ta1}")
            case _ if self._set:
                yield from self._set.take(segment)

    def _end(self) -> Iterator[Part]:
        if self._set:
            yield from self._set.end()
            self._set = None

    def _begin(self, st: x12.Segment, group: Group) -> _Whole | _Claims:
        envelope = _Envelope(self._isa, self._gs, st)
        if not group.takes(self._number):
            return _Whole(envelope, KEPT, _why(group, self._number))
        if st.get(1) == "837":
            return _Claims(envelope, self._longest)
        return _Whole(envelope, self._longest, None)


def _why(group: Group, number: int) -> Reason:
    if group.codes:
        return Reason("refused-group", f"{_GROUP}{' '.join(group.codes)})", "GS")
    return group.reasons.get(number, _REFUSED)


@dataclass(frozen=True, slots=True)
class _Envelope:
    isa: x12.Segment
    gs: x12.Segment
    st: x12.Segment

    @property
    def key(self) -> str:
        return "/".join((self.isa.get(13), self.gs.get(6), self.st.get(2)))

    def around(self, inner: Iterable[bytes]) -> bytes:
        """The interchange with this transaction set alone."""
        return _wrapped(self.isa, [self.st.raw, *inner], self.gs, self.st.get(2))


def _wrapped(isa: x12.Segment, inner: list[bytes], gs: x12.Segment | None = None, number: str = "") -> bytes:
    delimiters = isa.delimiters
    line_end = isa.raw[isa.raw.rfind(delimiters.terminator) + 1 :]

    def made(*elements: str) -> bytes:
        return x12.segment(*elements, delimiters=delimiters) + line_end

    if gs is None:
        return b"".join((isa.raw, *inner, made("IEA", "0", isa.get(13))))
    trailers = (
        made("SE", str(len(inner) + 1), number),
        made("GE", "1", gs.get(6)),
        made("IEA", "1", isa.get(13)),
    )
    return b"".join((isa.raw, gs.raw, *inner, *trailers))


class _Whole:
    """A transaction set that is one part."""

    def __init__(self, envelope: _Envelope, room: int, reason: Reason | None) -> None:
        self._envelope = envelope
        self._pile = _Pile(room)
        self._reason = reason

    def take(self, segment: x12.Segment) -> Iterator[Part]:
        self._pile.add(segment.raw)
        return iter(())

    def end(self) -> Iterator[Part]:
        reason = self._reason or (_OVERSIZED if self._pile.full else None)
        yield Part(self._envelope.around(self._pile.raw), self._envelope.key, reason)


class _Claims:
    """An 837: a part for each CLM."""

    def __init__(self, envelope: _Envelope, longest: int) -> None:
        self._envelope = envelope
        self._longest = longest
        self._header = _Pile(longest)
        self._levels: list[_Level] = []  # the billing provider, the subscriber, the patient
        self._claim: _Pile | None = None
        self._number = 0

    def take(self, segment: x12.Segment) -> Iterator[Part]:
        if segment.name in ("HL", "CLM"):
            yield from self.end()
        if segment.name == "HL":
            self._descend(segment)
        elif segment.name == "CLM":
            self._claim = _Pile(self._longest)
        if self._claim:
            self._claim.add(segment.raw)
        elif self._levels:
            self._levels[-1].below.add(segment.raw if segment.name != "HL" else b"")
        else:
            self._header.add(segment.raw)

    def _descend(self, hl: x12.Segment) -> None:
        while self._levels and self._levels[-1].hl.get(1) != hl.get(2):
            self._levels.pop()
        self._levels.append(_Level(hl, _Pile(self._longest)))

    def end(self) -> Iterator[Part]:
        claim, self._claim = self._claim, None
        if claim is None:
            return
        self._number += 1
        piles = (self._header, *(level.below for level in self._levels), claim)
        full = any(pile.full for pile in piles) or sum(pile.size for pile in piles) > self._longest
        inner = [*self._header.raw, *self._above(), *claim.raw]
        key = f"{self._envelope.key}/{self._number}"
        yield Part(self._envelope.around(inner), key, _OVERSIZED if full else None)

    def _above(self) -> Iterator[bytes]:
        """The levels above the claim, numbered as if there were no others (HL01, HL02, HL04)."""
        last = len(self._levels)
        for number, level in enumerate(self._levels, start=1):
            parent, child = str(number - 1 or ""), "0" if number == last else "1"
            end = level.hl.raw[level.hl.raw.rfind(level.hl.delimiters.terminator) + 1 :]
            made = ("HL", str(number), parent, level.hl.get(3), child)
            yield x12.segment(*made, delimiters=level.hl.delimiters) + end
            yield from (raw for raw in level.below.raw if raw)


@dataclass(frozen=True, slots=True)
class _Level:
    hl: x12.Segment
    below: _Pile
