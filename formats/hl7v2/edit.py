"""Writing one value into one line: everything around it keeps its bytes."""

from __future__ import annotations

from formats.hl7v2.path import HEADERS, Path
from formats.hl7v2.segment import Segment
from formats.hl7v2.separators import Separators


def replaced(segment: Segment, where: Path, value: bytes, separators: Separators) -> bytes:
    """The segment's line with `value` at the path; fields and components on the way there are added.

    ValueError if the path needs a delimiter that MSH-2 does not declare.
    """
    levels = [
        (separators.field, where.field + (segment.name not in HEADERS)),
        (separators.repetition, where.repetition or 1),
        (separators.component, where.component or 1),
        (separators.subcomponent, where.subcomponent or 1),
    ]
    depth = 4 if where.subcomponent else 3 if where.component else 2
    return _put(segment.line, levels[:depth], value, where)


def _put(old: bytes, levels: list[tuple[bytes, int]], value: bytes, where: Path) -> bytes:
    if not levels:
        return value
    (separator, number), *below = levels
    if not separator:
        if number > 1:
            raise ValueError(f"MSH-2 declares no delimiter for {where}")
        return _put(old, below, value, where)
    parts = old.split(separator)
    parts += [b""] * (number - len(parts))
    parts[number - 1] = _put(parts[number - 1], below, value, where)
    return separator.join(parts)
