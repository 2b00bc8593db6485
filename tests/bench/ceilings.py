"""What this machine can do without Chartwire: the same inserts, by hand."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from store.database.sqlite import Sqlite, create
from tests.bench.load import ADT

Rows = dict[str, list[tuple[Any, ...]]]


def inserts(batch: int, messages: int) -> float:
    """Bare group-committed inserts of a message and its bytes, `batch` per commit; messages per second."""
    with tempfile.TemporaryDirectory() as folder:
        database = create(Path(folder) / "bare.db")
        body = ADT % {b"id": b"0000000"}
        began = time.perf_counter()
        for start in range(1, messages + 1, batch):
            database.begin()
            for id in range(start, start + batch):
                database.run(
                    "INSERT INTO message (id, channel, received, key, digest, peer, size, state)"
                    " VALUES ($1, 'adt', 1, $2, $3, '127.0.0.1', 600, 'RECEIVED')",
                    (id, f"K{id}", id.to_bytes(16, "little")),
                )
                database.run("INSERT INTO body (message, data) VALUES ($1, $2)", (id, body))
            database.commit()
        wall = time.perf_counter() - began
        database.close()
        return messages / wall


def fsyncs(count: int) -> list[float]:
    """Seconds that an fsync of 4 kB takes, in order of length: what a commit waits for at least."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "bare").open("wb", buffering=0) as file:
        found = []
        for _ in range(count):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(time.perf_counter() - began)
    return sorted(found)


def transaction(finished: Path, batch: int = 16) -> float:
    """A hand-written transaction that inserts the rows that the engine left behind; messages per second."""
    rows = _by_message(finished)
    columns = {table: len(next(iter(some.values()))[0]) for table, some in rows.items() if some}
    messages = sorted(rows["message"])
    with tempfile.TemporaryDirectory() as folder:
        database = create(Path(folder) / "bare.db")
        began = time.perf_counter()
        for start in range(0, len(messages), batch):
            database.begin()
            for table, some in rows.items():
                if table in columns:
                    marks = ", ".join("?" * columns[table])
                    many = [row for id in messages[start : start + batch] for row in some.get(id, ())]
                    database.many(f"INSERT INTO {table} VALUES ({marks})", many)
            database.commit()
        wall = time.perf_counter() - began
        database.close()
        return len(messages) / wall


def _by_message(finished: Path) -> dict[str, dict[int, list[tuple[Any, ...]]]]:
    reader = Sqlite(finished, writes=False)
    maker = dict(reader.all("SELECT resource, min(message) FROM fact GROUP BY resource"))
    keys = {"message": 0, "body": 0, "delivery": 1, "fact": 2, "version": 3}
    result: dict[str, dict[int, list[tuple[Any, ...]]]] = {}
    for table, at in keys.items():
        result[table] = defaultdict(list)
        for row in reader.all(f"SELECT * FROM {table}"):
            result[table][row[at]].append(row)
    for table, at in (("resource", 0), ("token", 2)):
        result[table] = defaultdict(list)
        for row in reader.all(f"SELECT * FROM {table}"):
            result[table][maker[row[at]]].append(row)
    reader.close()
    return result
