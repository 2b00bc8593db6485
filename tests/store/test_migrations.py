"""A database of an earlier release is brought up to date with everything that is in it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import apsw

from engine.journal import inbox, inquiry
from engine.journal.inquiry import Filter
from engine.message import Duplicate, Received
from store.database import migrations
from store.database.sqlite import Sqlite, create


def old(path: Path) -> None:
    """The schema as the first step left it, with one message of each kind of end."""
    connection = apsw.Connection(str(path))
    first = files(migrations).joinpath("0001.sql").read_text("utf-8")
    connection.execute(first)
    connection.execute("CREATE TABLE migration (number INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO migration VALUES (1)")
    mark = inbox.digest("adt", Received(b"MSH", "C1"))
    row = (1, "adt", 10, "C1", mark, "peer", 3, "STORED", "ADT^A01", b"patient", 20, 2)
    connection.execute(
        "INSERT INTO message (id, channel, received, key, digest, peer, size, state, kind, patient, settled, repeats) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    connection.execute("INSERT INTO body VALUES (1, ?)", (b"MSH",))
    connection.execute(
        "INSERT INTO message (id, channel, received, peer, size, state) VALUES (2, 'adt', 11, 'p', 1, 'RECEIVED')"
    )
    connection.execute("INSERT INTO body VALUES (2, ?)", (b"x",))
    connection.close()


def test_what_was_journaled_before_is_there_after(tmp_path: Path) -> None:
    path = tmp_path / "chartwire.db"
    old(path)
    database = create(path)
    (second, first) = inquiry.messages(database, Filter(), None, 10).entries
    assert (first.id, first.state, first.kind, first.repeats, first.settled) == (
        1,
        "STORED",
        "ADT^A01",
        2,
        20,
    )
    assert second.state == "RECEIVED"
    assert [(w.id, w.body, w.origin, w.hops) for w in inbox.waiting(database, 5)] == [(2, b"x", "", 0)]
    database.begin()
    assert inbox.append(database, "adt", Received(b"MSH", "C1"), 30) == Duplicate(1)
    database.commit()
    database.close()
    again = Sqlite(path, writes=False)
    assert again.all("SELECT number FROM migration ORDER BY number") == [
        (1,),
        (2,),
        (3,),
        (4,),
        (5,),
        (6,),
        (7,),
        (9,),  # 8 is PostgreSQL's
        (10,),
        (11,),
        (12,),
    ]


def test_steps_only_add() -> None:
    """Processes of the release before go on beside those of the next: nothing that they know is taken away, and nothing
    is asked of them that they do not know. Until 7 there was no release."""
    column = r"ALTER TABLE \w+ ADD COLUMN (?!.*NOT NULL(?!.* DEFAULT))"
    adds = re.compile(rf"CREATE (TABLE|INDEX) |{column}", re.DOTALL)
    steps = sorted(
        f.name for f in files(migrations).iterdir() if f.name.endswith(".sql") and f.name >= "0008"
    )
    assert len(steps) >= 5
    for step in steps:
        text = re.sub(r"--[^\n]*", "", files(migrations).joinpath(step).read_text("utf-8"))
        for statement in filter(None, map(str.strip, text.split(";"))):
            assert adds.match(statement), f"{step}: {statement}"
