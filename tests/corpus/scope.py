"""Which ADT and ORU must reach the chart: those with MSH, a patient id and an authority that is declared.

Read apart from the engine on purpose: what it cannot read must not leave the count because of that.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from tests.corpus.walk import CONFIG, Ended

SHARE = 0.95
REVIEWED = Path(__file__).parent / "reviewed.tsv"


def known() -> frozenset[bytes]:
    """The names of the authorities that may identify a patient, in small letters; b"" where none is named."""
    declared = YAML(typ="safe").load(CONFIG / "authorities.yaml")["authorities"]
    names = [
        name
        for authority, said in declared.items()
        if said.get("identifies")
        for name in (authority, said["namespace"], *said.get("aliases", ()))
    ]
    return frozenset([b"", *(name.casefold().encode() for name in names)])


def counts(body: bytes, names: frozenset[bytes]) -> bool:
    """Is the message an ADT or ORU, and does a repetition of PID-3 have a value of a known authority?"""
    lines = body.removeprefix(b"\xef\xbb\xbf").replace(b"\n", b"\r").split(b"\r")
    bar = lines[0][3:4] or b"|"
    msh, *others = [line.split(bar) for line in lines]
    pid = next((fields for fields in others if fields[0] == b"PID"), [])
    if msh[0] != b"MSH" or len(msh) < 9 or len(pid) < 4:
        return False
    component, repetition, subcomponent = msh[1][:1], msh[1][1:2], msh[1][3:4] or b"&"
    if msh[8].split(component)[0] not in (b"ADT", b"ORU"):
        return False
    return any(_identifies(cx.split(component), subcomponent, names) for cx in pid[3].split(repetition))


def _identifies(cx: list[bytes], sub: bytes, names: frozenset[bytes]) -> bool:
    assigner = [name.lower() for name in (cx[3].split(sub)[:2] if len(cx) > 3 else []) if name]
    return cx[0].strip() not in (b"", b'""') and any(name in names for name in assigner or [b""])


class Review(NamedTuple):
    """Why messages of some types (patterns), with one reason, in some files (a pattern), are not in the chart."""

    types: str
    code: str
    files: str
    why: str

    def covers(self, end: Ended) -> bool:
        return (
            end.code == self.code
            and any(fnmatchcase(end.type, pattern) for pattern in self.types.split())
            and fnmatchcase(end.path, self.files)
        )


def reviews() -> list[Review]:
    with REVIEWED.open(encoding="utf-8", newline="") as lines:
        _, *rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [Review(*row) for row in rows]


def unreviewed(ends: Iterable[Ended]) -> Iterator[Ended]:
    """Those that are not in the chart and nobody has said why."""
    known = reviews()
    return (end for end in ends if end.state != "STORED" and not any(r.covers(end) for r in known))
