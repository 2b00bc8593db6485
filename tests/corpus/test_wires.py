"""The public SCRIPT messages and device readings end as wires.tsv says."""

from __future__ import annotations

import pytest

from tests.corpus.samples import CORPUS
from tests.corpus.wires_walk import EXPECTED, lines

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not (CORPUS / "MANIFEST.tsv").exists(), reason="../shared/corpus is not beside the project"
    ),
]


def test_every_file_ends_as_the_table_says() -> None:
    assert lines() == EXPECTED.read_text("utf-8").splitlines()


def test_no_file_shows_a_defect() -> None:
    assert "FAILED" not in EXPECTED.read_text("utf-8")
