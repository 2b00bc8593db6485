"""The database under the journal and the chart: a driver, one committing thread, migrations, named SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]


class Connection(Protocol):
    """What the named SQL needs of a driver. Statements use `$1, $2, ...` in order of first appearance."""

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]: ...

    def run(self, sql: str, args: Sequence[Any] = ()) -> None: ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None: ...


class Down(Exception):
    """The database did not take the work, and it is certain that nothing of it was committed."""


class Uncertain(Exception):
    """The commit failed in a way that leaves its outcome unknown."""


def one(connection: Connection, sql: str, args: Sequence[Any] = ()) -> Row | None:
    """The first row, if there is one."""
    rows = connection.all(sql, args)
    return rows[0] if rows else None
