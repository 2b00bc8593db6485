"""The named SQL has a shape that PostgreSQL takes too: the same schema, the same statements, the same chart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.journal import inbox, outbox
from engine.message import Accepted, Duplicate, Outgoing, Processed, Received, State
from engine.runtime.filing import file
from store.database.postgres import Postgres, Server
from store.database.statements import texts
from tests.engine_process import ROOT
from tests.postgres_server import PostgresServer
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
