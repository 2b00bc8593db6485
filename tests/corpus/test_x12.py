"""The public X12 files end as x12.tsv says, and pyx12 agrees about which are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.message import Part, Reply, Stop
from tests.adapters.x12_interchange import x12valid
from tests.corpus.samples import CORPUS
from tests.corpus.x12_walk import EXPECTED, READ_AS, answered, lines, paths, pieces

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]


def test_every_file_ends_as_the_table_says() -> None:
    assert lines() == EXPECTED.read_text("utf-8").splitlines()


def test_no_file_shows_a_defect() -> None:
    assert not re.search("FAILED|UNREADABLE", EXPECTED.read_text("utf-8"))


def test_pyx12_agrees_about_which_are_valid(tmp_path: Path) -> None:
    """Of the interchanges with a readable envelope of 00501 whose guides pyx12 has a map of."""
    found = {path: pieces(path) for path in paths()}
    known = [path for path, these in found.items() if _known(path, these)]
    theirs = x12valid(tmp_path, *((CORPUS / path).read_bytes() for path in known))
    ours = [
        all(isinstance(p, Reply) or (isinstance(p, Part) and not p.reason) for p in found[path])
        for path in known
    ]
    assert [path for path, mine, other in zip(known, ours, theirs, strict=True) if mine != other] == []
    assert sum(ours) > 20
    assert len(known) > 50


def _known(path: str, found: list[Part | Reply | Stop]) -> bool:
    if any(isinstance(piece, Stop) for piece in found):
        return False
    guides = set(re.findall(rb"005010X\d+(?:[A-Z]\d)?", (CORPUS / path).read_bytes()))
    codes = [
        answered(p).split("*")[4:] for p in found if isinstance(p, Reply) and answered(p).startswith("999")
    ]
    return not guides & {guide.encode() for guide in READ_AS} and not any({"1", "2"} & set(c) for c in codes)


THEIRS = rb"TA1\*\d+\*\d+\*(2[4-9]|[3-9])|\*12\*\d{10} "


def test_x12valid_accepts_every_answer(tmp_path: Path) -> None:
    """But one that repeats a time that is none, and one to a partner whose kind of id HIPAA's guides do not list."""
    found = [(path, piece.body) for path in paths() for piece in pieces(path) if isinstance(piece, Reply)]
    valid = x12valid(tmp_path, *(body for _, body in found))
    wrong = [(path, body) for (path, body), right in zip(found, valid, strict=True) if not right]
    assert [path for path, body in wrong if not re.search(THEIRS, body)] == []
