"""The walk of a transaction set over its map: pyx12's own, with a count that costs less, and the numbers in it.

Imported where it is used only: it brings pyx12.
"""

from __future__ import annotations

from typing import Any

from pyx12.map_walker import walk_tree  # type: ignore[import-untyped]
from pyx12.nodeCounter import NodeCounter  # type: ignore[import-untyped]

from adapters.x12.guide import Bad
from formats import x12


def walker() -> Any:
    """A walk that stands at GS."""
    walk = walk_tree()
    walk.counter = Counter()
    walk.forceWalkCounterToLoopStart("/ISA_LOOP/GS_LOOP", "/ISA_LOOP/GS_LOOP/GS")
    return walk


class Counter(NodeCounter):  # type: ignore[misc]  # pyx12 has no types
    """How often each place of the map was met. The same as pyx12's, by text: it spends most of its time here."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._text: dict[int, str] = {}  # of the paths that belong to nodes, which live as long as their map

    def reset_to_node(self, xpath: Any) -> None:
        below = self._key(xpath) + "/"
        for key in [key for key in self._count if key.startswith(below)]:
            del self._count[key]

    def increment(self, xpath: Any) -> None:
        key = self._key(xpath)
        self._count[key] = self._count.get(key, 0) + 1

    def get_count(self, xpath: Any) -> int:
        return self._count.get(self._key(xpath), 0)

    def _key(self, xpath: Any) -> str:
        if isinstance(xpath, str):
            return xpath
        key = self._text.get(id(xpath))
        if key is None:
            key = self._text[id(xpath)] = xpath.format()
        return key


class Numbers:
    """HL01, HL02 and (where `lines`) LX01 must count as the standard says (X12.6, 005010X222A1 section 1.12)."""

    def __init__(self, *, lines: bool) -> None:
        self._lines = lines
        self._open: list[int] = []  # the HL that the next may be below
        self._levels = 0
        self._line = 0

    def bad(self, segment: x12.Segment) -> tuple[Bad, ...]:
        match segment.name:
            case "HL":
                return self._level(segment)
            case "CLM" if self._lines:
                self._line = 0
            case "LX" if self._lines:
                self._line += 1
                if segment.get(1) != str(self._line):
                    return (Bad(1, 0, "554", "7", segment.get(1)),)
        return ()

    def _level(self, segment: x12.Segment) -> tuple[Bad, ...]:
        self._levels += 1
        number, parent = segment.get(1), segment.get(2)
        bad = [] if number == str(self._levels) else [Bad(1, 0, "628", "7", number)]
        known = [str(n) for n in self._open]
        if parent and parent not in known:
            bad.append(Bad(2, 0, "734", "7", parent))
        else:
            del self._open[known.index(parent) + 1 if parent else 0 :]
        self._open.append(self._levels)
        return tuple(bad)
