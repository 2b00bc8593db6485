"""The named SQL has a shape that PostgreSQL takes too: the same schema, the same statements, the same chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.journal import inbox, outbox
from engine.message import Accepted, Duplicate, Outgoing, Processed, Received, State
from engine.runtime.filing import file, file_all
from store import chart
from store.database import Connection, Down
from store.database.postgres import Postgres, Server
from store.database.statements import texts
from tests.engine_process import ROOT
from tests.postgres_server import PostgresServer, postgres_server
from tests.property.test_chart_order import IDENTITY, STORY, filed, open_chart
from tests.said import ready

pytestmark = pytest.mark.postgres
FILES = sorted(p for part in ("engine", "store", "web") for p in (ROOT / part).rglob("*.sql"))
NAMED = [file.relative_to(ROOT) for file in FILES if "migrations" not in file.parts]
WHOLE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")  # others are pieces; flow tests put them together


@pytest.fixture
def database(server: PostgresServer, tmp_path: Path) -> Iterator[Postgres]:
    connection = Server(server.database(tmp_path)).writer()
    connection.begin()
    yield connection
    connection.rollback()
    connection.close()


@pytest.mark.parametrize("file", NAMED, ids=str)
def test_every_named_statement_is_understood(database: Postgres, file: Path) -> None:
    for statement, sql in texts(".".join(file.parent.parts), file.name).items():
        code = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
        if code.startswith(WHOLE):
            database.run(f"PREPARE named_{statement} AS {code}")
            database.run(f"DEALLOCATE named_{statement}")


def test_the_same_story_gives_the_same_chart(database: Postgres) -> None:
    order = [*reversed(range(len(STORY))), 3, 0]
    database.commit()
    assert filed(database, STORY, order) == filed(open_chart(), STORY, order)


def test_a_message_is_taken_once_filed_and_queued(database: Postgres) -> None:
    received = Received(b"MSH|^~\\&|", "C1", "127.0.0.1")
    first = inbox.append(database, "adt", received, 1)
    assert isinstance(first, Accepted)
    assert inbox.append(database, "adt", received, 2) == Duplicate(first.message)
    assert [w.body for w in inbox.waiting(database, 10)] == [received.body]
    asked = Processed(
        first.message,
        State.STORED,
        kind="ADT^A01",
        said=ready(STORY[0]),
        outgoing=(Outgoing("r", "d", "k", None),),
    )
    ended = file(database, IDENTITY, asked, 3)
    assert outbox.lanes(database, "d", -1, 10) == [ended.lanes[0][1]]
    head = outbox.head(database, "d", ended.lanes[0][1])
    assert head is not None
    assert head.body == received.body
    assert not inbox.waiting(database, 10)


def test_what_cannot_be_filed_fails_alone(database: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error comes late, because nothing waits for it; it is found before the next one begins."""
    ids = []
    for key in ("K1", "K2", "K3"):
        taken = inbox.append(database, "adt", Received(b"MSH|^~\\&|" + key.encode(), key, "peer"), 1)
        assert isinstance(taken, Accepted)
        ids.append(taken.message)
    apply = chart.apply

    def failing(connection: Connection, message: int, now: int, said: Sequence[Any]) -> chart.Applied:
        applied = apply(connection, message, now, said)
        if message == ids[1] and said:
            connection.run("INSERT INTO fact (resource) VALUES ($1)", (1,))
        return applied

    monkeypatch.setattr(chart, "apply", failing)
    batch = [Processed(id, State.STORED, said=ready(STORY[n])) for n, id in enumerate(ids)]
    ended = file_all(database, IDENTITY, batch, 2, database.broken)
    assert [each.processed.state for each in ended] == [State.STORED, State.FAILED, State.STORED]
    database.commit()
    database.begin()
    assert database.all("SELECT state FROM message ORDER BY id") == [("STORED",), ("FAILED",), ("STORED",)]
    assert database.all("SELECT DISTINCT message FROM fact ORDER BY message") == [(ids[0],), (ids[2],)]


def test_what_is_wrong_outside_a_savepoint_is_told_at_the_commit(database: Postgres) -> None:
    database.run("INSERT INTO fact (resource) VALUES ($1)", (1,))
    with pytest.raises(psycopg.Error):
        database.commit()
    database.rollback()
    database.begin()
    database.run("INSERT INTO setting (name, value) VALUES ($1, $2)", ("after", b""))
    database.commit()
    database.begin()
    assert database.all("SELECT name FROM setting") == [("after",)]


def test_many_rows_and_few_are_all_there(database: Postgres) -> None:
    for number in (0, 1, 3, 4, 5, 16, 23):
        rows = [(f"{number}-{n}", b"x") for n in range(number)]
        database.many("INSERT INTO setting (name, value) VALUES ($1, $2)", rows)
    assert database.all("SELECT count(*) FROM setting WHERE name LIKE '%-%'") == [(52,)]


def test_a_nul_and_a_number_of_any_size_come_back(database: Postgres) -> None:
    received = Received(b"MSH|^~\\&|\0", "K\0EY", "peer")
    assert isinstance(inbox.append(database, "adt", received, (1 << 62) + 1), Accepted)
    assert database.all("SELECT key, received FROM message") == [("K\N{SYMBOL FOR NULL}EY", (1 << 62) + 1)]
    assert database.all("SELECT coalesce(sum(size), 0) FROM message") == [(10,)]


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_can_lose_a_commit_is_refused(setting: str, tmp_path: Path) -> None:
    with postgres_server(f"{setting} = off") as careless, pytest.raises(Down, match=f"{setting} = off"):
        Server(careless.database(tmp_path)).writer()
