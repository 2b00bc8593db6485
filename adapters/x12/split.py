"""The splitter `x12`: an interchange becomes its claims and transaction sets, and its sender is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from adapters.x12.acknowledgement import functional_acknowledgement, interchange_acknowledgement
from adapters.x12.cut import parts
from adapters.x12.envelope import NOTES, Partner
from adapters.x12.survey import Interchange, survey
from engine.message import NOTHING, Part, Reply, State, Stop
from engine.plugin import Feed, splitter
from engine.settings import Size
from formats.reason import Reason

_EMPTY = Reason("unreadable-isa", "there is no interchange in it", "ISA")


@splitter("x12")
def x12(
    path: Path,
    feed: Feed,
    seen: bool,
    *,
    senders: Annotated[Sequence[str], "ISA06, or ISA05:ISA06, of those who may send; empty: all"] = (),
    receivers: Annotated[Sequence[str], "ISA08, or ISA07:ISA08, for whom it may be; empty: all"] = (),
    read_as: Annotated[
        Mapping[str, str], "guides that are checked as others: {005010X222A2: 005010X222A1}"
    ] = NOTHING,
    max_part: Annotated[Size, "longer claims and transaction sets are refused"] = 16 << 20,
) -> Iterator[Part | Reply | Stop]:
    """One part for each claim of an 837 and each other transaction set; TA1 and 999 as replies.

    TA1 is written when ISA14 asks for it or the envelope is faulty; a 999 for each group of an interchange
    that is not refused, but for groups of acknowledgements. A file in which nothing can be read as an
    interchange is quarantined; one whose interchanges are all refused is refused.
    """
    refused: list[Part] = []
    taken = False
    with path.open("rb") as reading, path.open("rb") as cutting:
        for found in survey(reading, Partner(senders, receivers), seen=seen, read_as=read_as):
            if isinstance(found, Reason):
                if not taken and not refused:
                    yield Stop(State.QUARANTINED, found)
                    return
                refused.append(Part(b"", "unreadable", found))
            elif found.refused:
                refused.append(_refused(found))
                yield from _answers(found)
            else:
                taken = True
                yield from parts(cutting, found, max_part)
                yield from _answers(found)
    if taken:
        yield from refused
    elif refused:
        yield Stop(State.REFUSED, refused[0].reason or _EMPTY)
    else:
        yield Stop(State.QUARANTINED, _EMPTY)


def _refused(found: Interchange) -> Part:
    text = f"{NOTES.get(found.note, 'the envelope is faulty')} (TA1 note {found.note})"
    return Part(found.isa.raw, found.isa.get(13), Reason("refused-interchange", text, "ISA"))


def _answers(found: Interchange) -> Iterator[Reply]:
    asked = found.isa.get(14) == "1" or found.refused
    if asked and not found.acknowledged:
        yield Reply(interchange_acknowledgement(found))
    if not found.refused:
        for group in found.groups:
            if not group.acknowledges:
                yield Reply(functional_acknowledgement(found, group))
