"""From ten thousand to a million stored messages: the hot statements do the same work, whatever lies beside.

python -m tests.bench.growth     the steps must be the same; the times are compared
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from engine.journal import SQL, inbox, outbox
from engine.message import Accepted, Received
from store.chart import SQL as CHART
from store.database.sqlite import Sqlite, create
from tests.bench.load import ADT

LANES = 1000
ROUNDS, TIMES = 7, 200
Work = Callable[[Sqlite, int], None]


FILL = """
INSERT INTO message (id, channel, received, key, digest, peer, size, state, kind, patient, settled)
SELECT n, 'adt', n, 'K' || n, CAST(n AS BLOB), '127.0.0.1', 600,
  CASE WHEN n <= :stored THEN 'STORED' ELSE 'RECEIVED' END, 'ADT^A01', CAST(n % 50000 AS BLOB), 1 FROM number;
INSERT INTO body (message, data) SELECT n, :body FROM number;
INSERT INTO delivery (message, route, destination, lane, created, state)
SELECT n, 'r', 'ward', n % :lanes, n, CASE WHEN n <= :stored THEN 'DELIVERED' ELSE 'QUEUED' END FROM number;
INSERT INTO resource (id, type, key, patient, version, live, head, updated)
SELECT n, 'Encounter', CAST(n AS BLOB), 1, 1, 1, x'00', 1 FROM number;
INSERT INTO fact (resource, message, clock, event, cancels, establishes, elements)
SELECT n, n, x'00', '', '', 1, x'7b7d' FROM number;
INSERT INTO version (resource, number, message, updated, body) SELECT n, 1, n, 1, :body FROM number;
"""


def filled(path: Path, messages: int) -> Sqlite:
    """So many messages, each with a resource; the first ones stored and delivered, the last thousand wait."""
    database = create(path)
    database.begin()
    database.run("CREATE TEMPORARY TABLE number (n INTEGER PRIMARY KEY)")
    database.many("INSERT INTO number VALUES ($1)", ((n,) for n in range(1, messages + 1)))
    values = {"stored": messages - LANES, "body": ADT % {b"id": b"0000000"}, "lanes": LANES}
    database.apsw.execute(FILL, values)
    database.commit()
    return database


def appended(database: Sqlite, n: int) -> None:
    assert isinstance(inbox.append(database, "adt", Received(b"x" * 600, f"N{n}", "127.0.0.1"), n), Accepted)


def repeated(database: Sqlite, n: int) -> None:
    database.all(SQL.same, (str(n + 1).encode(),))


def next_messages(database: Sqlite, n: int) -> None:
    assert len(inbox.waiting(database, 16)) == 16


def next_delivery(database: Sqlite, n: int) -> None:
    assert outbox.head(database, "ward", n % LANES)


def more_lanes(database: Sqlite, n: int) -> None:
    assert len(outbox.lanes(database, "ward", n % LANES - 300, 100)) == 100


def of_resource(database: Sqlite, n: int) -> None:
    database.all(CHART.read, (str(n + 1).encode(), "Encounter"))


WORK: dict[str, Work] = {
    each.__name__: each
    for each in (appended, repeated, next_messages, next_delivery, more_lanes, of_resource)
}


def steps(database: Sqlite, work: Work) -> list[tuple[str, int]]:
    """The statements of one piece of work, each with its steps (sqlite3_stmt_status)."""
    found: list[tuple[str, int]] = []

    def ran(event: dict[str, Any]) -> None:
        found.append((" ".join(event["sql"].split()), event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]))

    work(database, 0)  # so that the next one finds all statements prepared
    database.apsw.trace_v2(apsw.SQLITE_TRACE_PROFILE, ran)
    work(database, 1)
    database.apsw.trace_v2(0, None)
    return found


def seconds(database: Sqlite, work: Work, first: int) -> float:
    began = time.perf_counter()
    for n in range(first, first + TIMES):
        work(database, n)
    return (time.perf_counter() - began) / TIMES


def report(small: Sqlite, large: Sqlite) -> Iterator[str]:
    """What differs; prints the ratios of the times."""
    for name, work in WORK.items():
        for database in (small, large):
            database.begin()
        if (few := steps(small, work)) != (many := steps(large, work)):
            yield f"{name}: {few} became {many}"
        ratios = [
            seconds(large, work, 10 + round * TIMES) / seconds(small, work, 10 + round * TIMES)
            for round in range(ROUNDS)
        ]
        middle = statistics.median(ratios)
        print(
            f"{name:14} {sum(n for _, n in few):5} steps, time {middle:.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
        )
        for database in (small, large):
            database.rollback()


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    options.add_argument("--small", type=int, default=10_000)
    options.add_argument("--large", type=int, default=1_000_000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = (filled(Path(folder) / f"{n}.db", n) for n in (asked.small, asked.large))
        print(
            f"from {asked.small} to {asked.large} messages: steps of the statements, and the ratio of the times"
        )
        different = list(report(small, large))
        for each in different:
            print(each, file=sys.stderr)
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
