"""The database under the journal and the chart: a driver, one committing thread, migrations, named SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Protocol

Row = tuple[Any, ...]


class Alone(IntEnum):
    """What only one transaction does at a time, in however many processes."""

    MIGRATION = 1
    CHART = 2
    AUDIT = 3


class Connection(Protocol):
    """What the named SQL needs of a driver. Statements use `$1, $2, ...` in order of first appearance."""

    sure: set[object]
    """What this transaction has made sure of, so that it need not ask again."""

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]: ...

    def several(self, queries: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        """What `all` gives of each, one after the other, in one round trip."""

    def run(self, sql: str, args: Sequence[Any] = ()) -> None: ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None: ...

    def flush(self) -> None:
        """What is wrong with what was run may be raised only here, or by the next `all` or `commit`."""

    def shrink(self) -> None:
        """Give some of what is free back to the disk, in this transaction."""

    def alone(self, what: Alone) -> None:
        """Wait for whoever does the same, and keep others from it until the end of the transaction."""


class Reading(Connection, Protocol):
    """A connection that sees what was committed, and writes nothing. `Down`: it cannot read now."""

    def close(self) -> None: ...


class Writing(Reading, Protocol):
    """A connection that writes."""

    def begin(self) -> None:
        """`Down`: nothing can be written now."""

    def commit(self) -> None:
        """Durable when it returns. Raises Down, Uncertain, Untrusted."""

    def rollback(self) -> None: ...

    def broken(self, error: Exception) -> bool:
        """Is this the database's failure rather than the statement's?"""

    def again(self, error: Exception) -> bool:
        """Is it nobody's failure, so that the same work will do in another transaction?"""


class Database(Protocol):
    """Where the journal and the chart are kept."""

    def reader(self) -> Reading: ...

    def writer(self) -> Writing:
        """With the schema as it is to be. `Down`: it cannot be had."""


class Down(Exception):
    """The database did not take the work, and it is certain that nothing of it was committed."""


class Uncertain(Exception):
    """The commit failed in a way that leaves its outcome unknown."""


class Untrusted(Uncertain):
    """And what this process sees of the database may not be what is on its disk: it must not go on."""


def one(connection: Connection, sql: str, args: Sequence[Any] = ()) -> Row | None:
    """The first row, if there is one."""
    rows = connection.all(sql, args)
    return rows[0] if rows else None
