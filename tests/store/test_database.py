"""The database: what it is set to, how its hot statements find rows, and who pays when work or a commit fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.database import Connection, Down, Uncertain, Untrusted
from store.database.commit import Committer
from store.database.sqlite import Sqlite, create
from store.database.statements import texts

KEEPS_ALL = ("append", "add_", "create", "enqueue", "set_", "withhold")  # inserts have no plan worth the name
FEW = re.compile("INDEX message_(waiting|splitting|spool)")  # what is not done yet; of a start
WHOLE = {"current", "lanes", "destinations", "setting"}  # of a test, of a start


@pytest.fixture
def database(tmp_path: Path) -> Sqlite:
    return create(tmp_path / "chart.db")


def test_a_commit_is_synced_and_pages_can_be_given_back(database: Sqlite) -> None:
    set_to = {
        name: database.all(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "auto_vacuum")
    }
    assert set_to == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2}


@pytest.mark.parametrize(("package", "file"), [("engine.journal", "journal.sql"), ("store", "chart.sql")])
def test_no_statement_reads_a_whole_table(database: Sqlite, package: str, file: str) -> None:
    for name, sql in texts(package, file).items():
        if name in WHOLE or name.startswith(KEEPS_ALL) or not re.search("WHERE", sql):
            continue
        count = len(set(re.findall(r"\$\d+", sql)))
        plan = [row[3] for row in database.all(f"EXPLAIN QUERY PLAN {sql}", (None,) * count)]
        made = {step.removeprefix("CO-ROUTINE ") for step in plan if step.startswith("CO-ROUTINE")}
        scans = [
            step
            for step in plan
            if step.startswith("SCAN") and not re.search("INDEX message_(waiting|splitting|spool)", step)
            if step.removeprefix("SCAN ") not in {*made, "CONSTANT ROW"}
        ]
        assert not scans, f"{file}: {name}: {scans}"


class Deaths(list[BaseException]):
    """What the committer died of."""


@pytest.fixture
async def deaths() -> Deaths:
    return Deaths()


@pytest.fixture
async def committer(database: Sqlite, deaths: Deaths) -> AsyncIterator[Committer]:
    made = Committer(database, deaths.append)
    yield made
    await made.stop()


def put(name: str) -> object:
    return lambda c: c.run("INSERT INTO setting (name, value) VALUES ($1, $2)", (name, b""))


def names(database: Sqlite) -> set[str]:
    return {name for (name,) in database.all("SELECT name FROM setting")}


async def test_many_pieces_of_work_share_a_commit(database: Sqlite, committer: Committer) -> None:
    await asyncio.gather(*(committer.submit(put(f"n{i}"), first=True) for i in range(200)))  # type: ignore[arg-type]
    assert len(names(database)) == 200
    assert committer.commits < 100


async def test_work_that_raises_fails_alone(database: Sqlite, committer: Committer) -> None:
    def bad(connection: Connection) -> None:
        connection.run("INSERT INTO setting (name, value) VALUES ('bad', x'00')")
        raise ZeroDivisionError

    before, broken, after = (committer.submit(w, first=True) for w in (put("a"), bad, put("b")))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        await broken
    await asyncio.gather(before, after)
    assert names(database) == {"a", "b"}


async def test_a_database_that_is_held_by_another_takes_nothing_and_recovers(
    tmp_path: Path, database: Sqlite, committer: Committer
) -> None:
    database.apsw.set_busy_timeout(50)
    other = Sqlite(tmp_path / "chart.db", writes=True)
    other.run("BEGIN IMMEDIATE")
    with pytest.raises(Down):
        await committer.submit(put("a"), first=True)  # type: ignore[arg-type]
    other.run("ROLLBACK")
    await committer.submit(put("b"), first=True)  # type: ignore[arg-type]
    assert names(database) == {"b"}


async def test_an_unknown_outcome_ends_the_committer_and_hangs_nobody(
    database: Sqlite, committer: Committer, deaths: Deaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_sync() -> None:
        raise Untrusted("the disk did not say")

    monkeypatch.setattr(database, "commit", failing_sync)
    waiting = [committer.submit(put(f"n{i}"), first=True) for i in range(3)]  # type: ignore[arg-type]
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    assert all(isinstance(r, Uncertain) for r in results)
    assert len(deaths) == 1
    with pytest.raises(Down):
        await committer.submit(put("late"))  # type: ignore[arg-type]
    database.rollback()
