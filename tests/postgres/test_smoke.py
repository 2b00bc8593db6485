"""The named SQL has a shape that PostgreSQL takes too: the same schema, the same statements, the same chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from engine.journal import inbox, outbox
from engine.message import Accepted, Duplicate, Outgoing, Processed, Received, State
from engine.runtime.filing import file
from store.database import Row
from store.database.migrations import migrate
from store.database.postgres import dialect
from store.database.statements import texts
from tests.property.test_chart_order import IDENTITY, STORY, filed, open_chart
from tests.said import ready

pytestmark = pytest.mark.postgres


class Postgres:
    """store.database.Connection over psycopg, with the statements as they are."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.cursor = psycopg.RawCursor(connection)

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        return self.cursor.execute(sql, args).fetchall()  # type: ignore[arg-type]

    def run(self, sql: str, args: Sequence[Any] = ()) -> None:
        self.cursor.execute(sql, args or None)  # type: ignore[arg-type]

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self.cursor.executemany(sql, rows)  # type: ignore[arg-type]

    def begin(self) -> None:
        """psycopg begins by itself."""

    def commit(self) -> None:
        self.cursor.connection.commit()


@pytest.fixture
def database(postgres: str) -> Iterator[Postgres]:
    with psycopg.connect(postgres) as connection:
        schema = Postgres(connection)
        schema.run("DROP SCHEMA public CASCADE")
        schema.run("CREATE SCHEMA public")
        migrate(schema, dialect)
        connection.commit()
        yield schema


def test_every_named_statement_is_understood(database: Postgres) -> None:
    for package, name in (("engine.journal", "journal.sql"), ("store", "chart.sql")):
        for statement, sql in texts(package, name).items():
            database.run(f"PREPARE named_{statement} AS {sql}")
            database.run(f"DEALLOCATE named_{statement}")


def test_the_same_story_gives_the_same_chart(database: Postgres) -> None:
    order = [*reversed(range(len(STORY))), 3, 0]
    assert filed(database, STORY, order) == filed(open_chart(), STORY, order)  # type: ignore[arg-type]


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
