"""TA1 and 999 (005010X231A1): what the sender of an interchange is told.

Everything in them comes from the interchange, so that a second run writes the same: their date and time are
those of the interchange, their control numbers a digest of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from adapters.x12.envelope import QUALIFIERS, is_date, is_time
from adapters.x12.guide import Bad, Fault
from formats import x12

if TYPE_CHECKING:
    from adapters.x12.survey import Group, Interchange

GUIDE = "005010X231A1"
_NEVER = ("000101", "0000")
"""The date and time of an answer to an interchange that has none."""

_SEGMENT_CODES = frozenset(["1", "2", "3", "4", "5", "6", "7", "8", "I4", "I6", "I7", "I8", "I9"])
_ELEMENT_CODES = frozenset(
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "13", "I10", "I11", "I12", "I13", "I6", "I9"]
)


def interchange_acknowledgement(found: Interchange) -> bytes:
    """TA1 in an interchange of its own: accepted, or the note that says why not."""
    isa = found.isa
    answer = "R" if found.refused else "A"
    date, time = x12.clean(isa.get(9)), x12.clean(isa.get(10))
    number = _number(isa, "TA1")
    ta1 = x12.segment("TA1", x12.clean(isa.get(13)), date, time, answer, found.note)
    return b"".join((_isa(isa, number), ta1, x12.segment("IEA", "0", number)))


def functional_acknowledgement(found: Interchange, group: Group) -> bytes:
    """The 999 of one group, in an interchange of its own."""
    isa, gs = found.isa, group.gs
    number = _number(isa, "999", str(found.groups.index(group)), gs.get(6))
    control = number.lstrip("0")
    body = b"".join((_ak1(gs), bytes(group.report), _ak9(group)))
    count = body.count(x12.STANDARD.terminator) + 2
    date, time = _when(isa)
    sender, receiver = (x12.clean(gs.get(n), longest=15).strip() or "UNKNOWN" for n in (3, 2))
    return b"".join(
        (
            _isa(isa, number),
            x12.segment("GS", "FA", sender, receiver, f"20{date}", time, control, "X", GUIDE),
            x12.segment("ST", "999", "0001", GUIDE),
            body,
            x12.segment("SE", str(count), "0001"),
            x12.segment("GE", "1", control),
            x12.segment("IEA", "1", number),
        )
    )


def set_report(st: x12.Segment, faults: Iterable[Fault], codes: Sequence[str]) -> bytes:
    """The AK2 loop of one transaction set. `codes` are IK502 and the following; none: accepted."""
    parts = [x12.segment("AK2", _id(st.get(1)), _id(st.get(2)), x12.clean(st.get(3), longest=35))]
    for fault in faults:
        parts += _ik3(fault)
    parts.append(x12.segment("IK5", "R" if codes else "A", *codes[:5]))
    return b"".join(parts)


def _ak1(gs: x12.Segment) -> bytes:
    return x12.segment(
        "AK1",
        _id(gs.get(1))[:2],
        _id(gs.get(6)) if gs.get(6).isdigit() else "0",
        x12.clean(gs.get(8), longest=12),
    )


def _ak9(group: Group) -> bytes:
    """AK9: A all, P some, R none of the sets accepted; how many said, found, accepted; why the group is refused."""
    received = len(group.accepted)
    accepted = 0 if group.codes else sum(group.accepted)
    answer = "R" if group.codes or not accepted else "A" if accepted == received else "P"
    declared = group.declared if group.declared.isdigit() and len(group.declared) <= 6 else str(received)
    return x12.segment("AK9", answer, declared, str(received), str(accepted), *group.codes[:5])


def _ik3(fault: Fault) -> list[bytes]:
    code = fault.code if fault.code in _SEGMENT_CODES else "8"
    elements = [bad for bad in fault.elements if bad.code in _ELEMENT_CODES]
    return [x12.segment("IK3", fault.segment or "ZZZ", str(fault.position), "", code), *map(_ik4, elements)]


def _ik4(bad: Bad) -> bytes:
    at = str(bad.element) + (f":{bad.component}" if bad.component else "")
    copy = bad.value if bad.value and x12.clean(bad.value) == bad.value else ""
    return x12.segment("IK4", at, x12.clean(bad.reference), bad.code, copy)


def _id(value: str) -> str:
    return x12.clean(value, longest=9).strip() or "0"


def _isa(isa: x12.Segment, number: str) -> bytes:
    """The way back: receiver and sender change places, ISA14 asks for nothing, the usage stays."""
    date, time = _when(isa)
    to, back = (_party(isa, n) for n in (5, 7))
    usage = isa.get(15) if isa.get(15) in ("P", "T") else "P"
    fixed = (
        "ISA",
        "00",
        " " * 10,
        "00",
        " " * 10,
        *back,
        *to,
        date,
        time,
        "^",
        "00501",
        number,
        "0",
        usage,
        ":",
    )
    return x12.segment(*fixed)


def _party(isa: x12.Segment, qualifier: int) -> tuple[str, str]:
    code = x12.clean(isa.get(qualifier), longest=2)
    return (code if code in QUALIFIERS else "ZZ", x12.clean(isa.get(qualifier + 1), longest=15).ljust(15))


def _when(isa: x12.Segment) -> tuple[str, str]:
    date, time = isa.get(9), isa.get(10)
    return (date, time) if is_date(date) and is_time(time) else _NEVER


def _number(isa: x12.Segment, *what: str) -> str:
    """Nine digits, not all zero, that this interchange and answer alone have (but for a chance of one in a billion)."""
    text = "\x1f".join((isa.raw.decode("latin-1"), *what))
    digest = hashlib.blake2b(text.encode("latin-1"), digest_size=8).digest()
    return f"{int.from_bytes(digest) % 999_999_999 + 1:09d}"
