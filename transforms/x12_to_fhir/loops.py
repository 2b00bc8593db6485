"""The loops of a professional claim (005010X222A1), found by the segments that begin them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from formats import x12

Loop = Sequence[x12.Segment]


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim taken apart. `subscriber` and `patient` are levels (HL 22 and 23), `patient` empty where the
    subscriber is the patient; `people` the claim's own names (2310), `lines` its 2400 loops."""

    billing: Loop
    subscriber: Loop
    patient: Loop
    claim: Loop
    people: Sequence[Loop]
    lines: Sequence[Loop]

    @property
    def clm(self) -> x12.Segment:
        return self.claim[0]


def claim(message: x12.Message) -> Claim | None:
    """The claim of a message, None if there is no CLM in it."""
    levels: dict[str, list[x12.Segment]] = {}
    below: list[x12.Segment] = []
    current: list[x12.Segment] = []
    for segment in message.segments:
        if segment.name == "HL":
            current = levels.setdefault(segment.get(3), [])
        elif segment.name == "CLM":
            current = below
        elif segment.name == "SE":
            break
        current.append(segment)
    if not below:
        return None
    head, *rest = _cut(below, ("LX",))
    own, *_ = _cut(head, ("SBR",))  # what other payers did (2320) is not read yet
    first, *people = _cut(own, ("NM1",))
    return Claim(levels.get("20", []), levels.get("22", []), levels.get("23", []), first, people, rest)


def named(level: Loop, entity: str) -> Loop:
    """The loop that NM1 with this entity (NM101) begins, up to the next name; empty if there is none."""
    return next((loop for loop in _cut(level, ("NM1",)) if loop and _is(loop[0], "NM1", entity)), ())


def first(loop: Loop, name: str, qualifier: str = "") -> x12.Segment | None:
    """The first segment of that name, with that first element if one is given."""
    return next((s for s in loop if s.name == name and (not qualifier or s.get(1) == qualifier)), None)


def value(loop: Loop, name: str, element: int, qualifier: str = "") -> str:
    """A value of the first such segment without blanks around it, `""` if there is none."""
    found = first(loop, name, qualifier)
    return found.get(element).strip() if found else ""


def _is(segment: x12.Segment, name: str, qualifier: str) -> bool:
    return segment.name == name and segment.get(1) == qualifier


def _cut(loop: Loop, names: Sequence[str]) -> list[Loop]:
    """What stands before the first of these segments, then a loop from each of them on."""
    return list(_pieces(loop, names))


def _pieces(loop: Loop, names: Sequence[str]) -> Iterator[Loop]:
    piece: list[x12.Segment] = []
    for segment in loop:
        if segment.name in names:
            yield piece
            piece = []
        piece.append(segment)
    yield piece
