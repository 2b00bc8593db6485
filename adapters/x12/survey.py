"""The first reading of an interchange: what is wrong with it, and which of its transaction sets are accepted.

Nothing may be taken before the whole interchange has been read: its trailer may take everything back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from adapters.x12.acknowledgement import set_report
from adapters.x12.envelope import Partner, Unique, header_note
from adapters.x12.guide import Check, Fault, Guide, guide, knows
from engine.message import NOTHING
from formats import x12
from formats.reason import Reason

FAULTS = 1000
"""Faults of one transaction set that are reported; a sender who reads that many corrects his program first."""
REPORTS = 20_000
"""Faults of one group that are reported."""


@dataclass(slots=True)
class Group:
    """One functional group. `accepted` has one byte for each transaction set; `report` are the AK2 loops."""

    gs: x12.Segment
    guide: Guide | None
    codes: list[str] = field(default_factory=list)  # AK905 to AK909
    accepted: bytearray = field(default_factory=bytearray)
    declared: str = ""  # GE01
    report: bytearray = field(default_factory=bytearray)
    reasons: dict[int, Reason] = field(default_factory=dict)  # of the first sets that are not accepted
    faults: int = 0
    numbers: Unique = field(default_factory=Unique)

    @property
    def acknowledges(self) -> bool:
        """Is it a group of acknowledgements (997, 999)? Those are never acknowledged."""
        return self.gs.get(1) == "FA"

    def takes(self, number: int) -> bool:
        """Is transaction set `number`, from 0, accepted?"""
        return not self.codes and number < len(self.accepted) and bool(self.accepted[number])


@dataclass(slots=True)
class Interchange:
    """One interchange of a file. `note` is its TA105."""

    isa: x12.Segment
    note: str
    groups: list[Group] = field(default_factory=list)
    acknowledged: bool = False  # there is a TA1 in it

    @property
    def refused(self) -> bool:
        return self.note != "000"


def survey(
    file: BinaryIO, partner: Partner, *, seen: bool, read_as: Mapping[str, str] = NOTHING
) -> Iterator[Interchange | Reason]:
    """Every interchange of the file from where it stands, each when its end was read; a Reason ends it.

    `read_as`: guides (GS08) that are checked as if they were others.
    """
    reading: _Reading | None = None
    numbers: set[tuple[str, str]] = set()
    for segment in x12.segments(file):
        if isinstance(segment, Reason):
            if reading:
                yield reading.ended("023" if segment.code == "truncated" else "022")
            if not reading or segment.code == "unreadable-isa":
                yield segment
            return
        if segment.name == "ISA":
            if reading:
                yield reading.ended("023")
            name = segment.get(5) + segment.get(6), segment.get(13)
            again = name in numbers or (seen and not numbers)
            numbers.add(name)
            reading = _Reading(segment, "025" if again else header_note(segment, partner), read_as)
        elif reading is None:
            yield Reason("after-iea", "segments stand after the end of the interchange", segment.name)
            return
        elif reading.took(segment):
            yield reading.found
            reading = None
    if reading:
        yield reading.ended("023")


class _Reading:
    """An interchange while it is being read."""

    def __init__(self, isa: x12.Segment, note: str, read_as: Mapping[str, str]) -> None:
        self.found = Interchange(isa, note)
        self._read_as = read_as
        self._numbers = Unique()
        self._group: Group | None = None
        self._set: _Set | None = None

    def ended(self, note: str) -> Interchange:
        """The interchange, though its IEA is missing."""
        self._end_group(None)
        self._note(note)
        return self.found

    def took(self, segment: x12.Segment) -> bool:
        """Read one more segment; was it the last?"""
        match segment.name:
            case "GS":
                self._end_group(None)
                self._begin_group(segment)
            case "GE" if self._group:
                self._end_group(segment)
            case "ST" if self._group:
                self._end_set(None)
                self._set = _Set(segment, self._group)
            case "SE" if self._set:
                self._end_set(segment)
            case "IEA":
                self._end_group(None)
                self._end(segment)
                return True
            case "TA1" if not self._group:
                self.found.acknowledged = True
            case _ if self._set:
                self._set.read(segment)
            case _:
                self._note("022")
        return False

    def _note(self, note: str) -> None:
        if not self.found.refused:
            self.found.note = note

    def _end(self, iea: x12.Segment) -> None:
        if iea.get(2) != self.found.isa.get(13):
            self._note("001")
        if _number(iea.get(1)) != len(self.found.groups):
            self._note("021")

    def _begin_group(self, gs: x12.Segment) -> None:
        found = guide(gs.get(1), self._read_as.get(gs.get(8), gs.get(8)))
        group = Group(gs, found)
        if found is None and not group.acknowledges:
            group.codes.append("2" if knows(gs.get(1)) else "1")
        if _number(gs.get(6)) is None or len(gs.get(6)) > 9:
            group.codes.append("6")
        elif self._numbers.again(gs.get(6)):
            group.codes.append("19")
        self.found.groups.append(group)
        self._group = group

    def _end_group(self, ge: x12.Segment | None) -> None:
        self._end_set(None)
        group, self._group = self._group, None
        if group is None:
            return
        if ge is None:
            group.codes.append("3")
            return
        group.declared = ge.get(1)
        if ge.get(2) != group.gs.get(6):
            group.codes.append("4")
        if _number(ge.get(1)) != len(group.accepted):
            group.codes.append("5")

    def _end_set(self, se: x12.Segment | None) -> None:
        if self._set:
            self._set.end(se)
            self._set = None


class _Set:
    """A transaction set while it is being read."""

    def __init__(self, st: x12.Segment, group: Group) -> None:
        self._st = st
        self._group = group
        self._check = Check(group.guide, st.delimiters) if group.guide else None
        self._position = 0
        self._faults: list[Fault] = []
        self._faulty = False
        self.read(self._as_checked())

    def _as_checked(self) -> x12.Segment:
        """ST as its guide has it: ST03 of a guide that is read as another is not the other's."""
        st, guide = self._st, self._group.guide
        if guide is None or st.get(3) in ("", guide.version) or st.get(3) != self._group.gs.get(8):
            return st
        elements = [*st.elements[:3], guide.version, *st.elements[4:]]
        text = st.delimiters.element.decode("latin-1").join(elements)
        return x12.Segment(st.raw, text, st.start, st.delimiters)

    def read(self, segment: x12.Segment) -> None:
        self._position += 1
        if self._check is None:
            return
        found = self._check.segment(segment, self._position)
        if found:
            self._faulty = True
            room = min(FAULTS - len(self._faults), REPORTS - self._group.faults)
            self._faults += found[: max(room, 0)]
            self._group.faults += len(found)

    def end(self, se: x12.Segment | None) -> None:
        """Say what became of it: into the group's report."""
        if se:
            self.read(se)
        codes = self._codes(se)
        group = self._group
        if codes and len(group.reasons) < FAULTS:
            group.reasons[len(group.accepted)] = self._reason(codes)
        group.accepted.append(not codes)
        if group.guide:
            group.report += set_report(self._st, self._faults, codes)

    def _codes(self, se: x12.Segment | None) -> list[str]:
        """IK502 to IK506: what is wrong with the set as a whole."""
        st, group = self._st, self._group
        number = st.get(2)
        checks = (
            ("6", group.guide is None or st.get(1) == group.guide.code),
            ("I6", not st.get(3) or st.get(3) == group.gs.get(8)),
            ("7", 4 <= len(number) <= 9 and number.isalnum()),
            ("23", not group.numbers.again(number)),
            ("2", se is not None),
            ("3", se is None or se.get(2) == number),
            ("4", se is None or _number(se.get(1)) == self._position),
            ("5", not self._faulty),
        )
        return [code for code, right in checks if not right]

    def _reason(self, codes: list[str]) -> Reason:
        first = next(iter(self._faults), None)
        text = f"the transaction set was refused in the 999 (IK5 {' '.join(codes)})"
        return Reason(
            "refused-set", text, f"{first.segment} at segment {first.position}".strip() if first else "ST"
        )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
