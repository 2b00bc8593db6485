"""SQLite: the embedded database. One connection writes; readers see the last commit.

WAL with `synchronous=FULL`: every commit is fsynced before it is reported (NORMAL may lose the last ones
after power loss). SQLite 3.51.3 or newer, because older ones can lose committed pages when two connections
write and checkpoint together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apsw

from store.database import Alone, Down, Row, Untrusted
from store.database.migrations import migrate

SHRINK = 4000
"""Pages that are given back at a time."""
OLDEST = 3_051_003


class Sqlite:
    """One connection. Not to be shared between threads at the same time."""

    def __init__(self, path: Path, *, writes: bool, key: str | None = None) -> None:
        """`key`: 64 hexadecimal digits, if the file is encrypted (AES-256, HMAC-SHA512 of each page: as SQLCipher)."""
        if apsw.SQLITE_VERSION_NUMBER < OLDEST:
            raise Down(f"SQLite {apsw.sqlite_lib_version()} can lose commits; 3.51.3 or newer is needed")
        self.sure: set[object] = set()
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writes else 0)
        try:
            self.apsw = apsw.Connection(str(path), flags=flags, statementcachesize=256)
            self.apsw.set_busy_timeout(5000)
            if key is not None:
                unlock(self.apsw, key)
            for pragma in _WRITER if writes else _READER:
                self.run(f"PRAGMA {pragma}")
        except apsw.Error as e:
            raise Down(f"the database cannot be opened: {type(e).__name__}") from e

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        return self.apsw.execute(sql, args).fetchall()

    def several(self, queries: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        return [self.all(sql, args) for sql, args in queries]

    def run(self, sql: str, args: Sequence[Any] = ()) -> None:
        self.apsw.execute(sql, args)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self.apsw.executemany(sql, rows)

    def flush(self) -> None:
        """Everything was run at once."""

    def shrink(self) -> None:
        """The file gets shorter at the next checkpoint (sqlite.org/pragma.html#pragma_incremental_vacuum)."""
        self.all(f"PRAGMA incremental_vacuum({SHRINK})")

    def alone(self, what: Alone) -> None:
        """Whoever writes is alone here."""

    def begin(self) -> None:
        """Start a write transaction. `Down` if another process holds the database or it cannot be read."""
        self.sure.clear()
        try:
            self.run("BEGIN IMMEDIATE")
        except apsw.Error as e:
            raise Down(f"the database cannot be written: {type(e).__name__}") from e

    def commit(self) -> None:
        """Commit and fsync. `Down`: rolled back for certain. `Untrusted`: the fsync itself failed."""
        try:
            self.run("COMMIT")
        except (apsw.FullError, apsw.BusyError) as e:
            self.rollback()
            raise Down(f"cannot commit: {type(e).__name__}") from e
        except apsw.Error as e:
            raise Untrusted(f"commit failed: {type(e).__name__}") from e

    def rollback(self) -> None:
        if self.apsw.in_transaction:
            self.run("ROLLBACK")

    def broken(self, error: Exception) -> bool:
        """Is this the database's failure (disk full, I/O) rather than the statement's?"""
        return isinstance(error, _BROKEN)

    def again(self, error: Exception) -> bool:
        """Nobody else writes."""
        return False

    def close(self) -> None:
        self.apsw.close()


_BROKEN = (
    apsw.FullError, apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.CorruptError, apsw.ReadOnlyError,
    apsw.NotADBError, apsw.CantOpenError, apsw.NoMemError,
)  # fmt: skip
_READER = ("query_only = ON", "cache_size = -16384", "mmap_size = 268435456")
_WRITER = (
    "page_size = 8192",
    "auto_vacuum = INCREMENTAL",  # must come before the first table
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 2000",
    "journal_size_limit = 67108864",
    "cache_size = -32768",  # what is read again soon; the rest is the page cache of the machine
    "temp_store = MEMORY",
    # If the last fsync of the process before failed, the end of its WAL may be in the page cache only, and what
    # is written behind it would be lost with it. So nothing is.
    "wal_checkpoint(TRUNCATE)",
)


class File:
    """The database of an installation, in a file."""

    def __init__(self, path: Path, key: str | None = None) -> None:
        self._path = path
        self._key = key

    def reader(self) -> Sqlite:
        return Sqlite(self._path, writes=False, key=self._key)

    def writer(self) -> Sqlite:
        return create(self._path, self._key)


def unlock(connection: apsw.Connection, key: str) -> None:
    """Before anything is read."""
    connection.execute("PRAGMA cipher = 'sqlcipher'")
    connection.execute(f"PRAGMA key = \"x'{key}'\"")


def create(path: Path, key: str | None = None) -> Sqlite:
    """Open the writing connection and bring the schema up to date."""
    connection = Sqlite(path, writes=True, key=key)
    connection.begin()
    try:
        migrate(connection)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return connection
