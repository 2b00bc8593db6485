"""Implementation guides as pyx12 has them: is this transaction set what its guide says?

pyx12 brings the maps, the walk over them and the checks of single segments. What drives them is ours, so that
memory does not grow with the file, maps are read once, and nothing of a message is logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from formats import x12

VERSION = "00501"
"""The one interchange version (ISA12) that is taken."""

_GS = "/ISA_LOOP/GS_LOOP/GS"
_ST = "/ISA_LOOP/GS_LOOP/ST_LOOP/ST"
_KEPT = 4096
"""Segments whose check is remembered: much of a batch repeats (SBR, DTP, N4)."""


class Bad(NamedTuple):
    """What is wrong with one element. `code` is IK403; `element` and `component` count from 1, 0 for none."""

    element: int
    component: int
    reference: str  # IK402: the number of the data element in the dictionary
    code: str
    value: str


class Fault(NamedTuple):
    """What is wrong with one segment. `position` counts from ST = 1; `code` is IK304."""

    segment: str
    position: int
    code: str
    elements: tuple[Bad, ...] = ()


@dataclass(frozen=True, slots=True)
class Guide:
    """The map of one implementation guide, what it is called (GS08), and the ST01 that it is for."""

    map: Any
    version: str
    code: str
    checked: dict[Any, tuple[Bad, ...] | None] = field(default_factory=dict, repr=False)


@cache
def guide(functional: str, version: str) -> Guide | None:
    """The guide that GS01 and GS08 name, or None: nobody here knows it."""
    from pyx12.map_if import load_map_file  # type: ignore[import-untyped]

    name = _index().get_filename(VERSION, version, functional)
    if name is None or not version:
        return None
    map = load_map_file(name, _parameters())
    return Guide(map, version, map.getnodebypath(_ST).children[0].valid_codes[0])


@cache
def knows(functional: str) -> bool:
    """Is there any guide for this functional identifier code (GS01)?"""
    return any(m["icvn"] == VERSION and m["fic"] == functional for m in _index().maps)


@cache
def _index() -> Any:
    from pyx12.map_index import map_index  # type: ignore[import-untyped]

    return map_index()


@cache
def _parameters() -> Any:
    """pyx12's settings without its configuration files, which it would look for on the disk."""
    from pyx12.params import ParamsBase  # type: ignore[import-untyped]

    return ParamsBase()


class Check:
    """One transaction set on its way through its guide, a segment at a time."""

    def __init__(self, guide: Guide, delimiters: x12.Delimiters) -> None:
        from adapters.x12.walk import Numbers, walker

        self._guide = guide
        ends = (delimiters.terminator, delimiters.element, delimiters.component)
        self._terms = tuple(d.decode("latin-1") for d in ends)
        self._walker = walker()
        self._node = guide.map.getnodebypath(_GS)
        self._numbers = Numbers(lines=guide.code == "837")

    def segment(self, segment: x12.Segment, position: int) -> list[Fault]:
        """What is wrong with the next segment, or missing before it. `position` counts from ST = 1."""
        from pyx12.segment import Segment  # type: ignore[import-untyped]

        try:
            data = Segment(segment.text, *self._terms)
            node, faults = self._walk(data, position)
            bad = () if node is None else self._bad(node, data, segment.text)
        except Exception:  # pyx12 stumbles over some segments that are wrong in more ways than it looks for
            return [Fault(segment.name, position, "8")]
        numbers = self._numbers.bad(segment)
        if bad is None or bad or numbers:
            faults.append(Fault(segment.name, position, "8", (*(bad or ()), *numbers)))
        return faults

    def _walk(self, data: Any, position: int) -> tuple[Any, list[Fault]]:
        """Where the segment belongs, None if nowhere, and what is missing before it or too often there."""
        node, _, _, errors = self._walker.walk_errors(self._node, data, position, position, None)
        self._node = node or self._node
        about = (
            (data if e.seg_data is None else e.seg_data, e.err_cde) for e in errors
        )  # empty ones are false
        return node, [Fault(x12.segment_id(s.get_seg_id() or ""), position, code) for s, code in about]

    def _bad(self, node: Any, data: Any, text: str) -> tuple[Bad, ...] | None:
        """What is wrong with its elements; None if with the segment as a whole (relations, too many of them)."""
        checked, key = self._guide.checked, (id(node), text, self._terms)
        if key not in checked:
            if len(checked) >= _KEPT:
                checked.clear()
            checked[key] = self._examined(node, data, text)
        return checked[key]

    def _examined(self, node: Any, data: Any, text: str) -> tuple[Bad, ...] | None:
        valid, errors = node.is_valid_errors(data)
        bad = tuple(_element(e) for e in errors if e.map_node is not None)
        return bad if bad or (valid and not text.endswith(self._terms[1])) else None


def _element(error: Any) -> Bad:
    at = error.map_node
    element, component = (at.parent.seq, at.seq) if at.parent.is_composite() else (at.seq, 0)
    return Bad(element, component, at.data_ele or "", error.err_cde, error.err_val or "")
