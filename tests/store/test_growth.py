"""The hot statements do the same work whatever is stored beside: no timing, only what SQLite counts."""

from __future__ import annotations

from pathlib import Path

from store.database.sqlite import Sqlite
from tests.bench.growth import WORK, filled, report, steps


def test_the_hot_statements_take_the_same_steps_over_many_messages(tmp_path: Path) -> None:
    small, large = filled(tmp_path / "small.db", 3_000), filled(tmp_path / "large.db", 30_000)
    assert list(report(small, large)) == []


def test_a_statement_that_reads_more_of_a_larger_table_is_noticed(tmp_path: Path) -> None:
    def counts(database: Sqlite, n: int) -> None:
        database.all("SELECT count(*) FROM message WHERE state = 'STORED'")

    small, large = filled(tmp_path / "small.db", 3_000), filled(tmp_path / "large.db", 6_000)
    assert steps(small, counts) != steps(large, counts)
    assert steps(small, WORK["appended"])
