"""The spool of processes on several hosts: the files of each are a cache of chunks in the database. PostgreSQL only."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from threading import Lock

from engine.journal.seal import Keys
from engine.journal.spool import CHUNK, Spool
from engine.message import Spooled
from store.database import Connection, Database, Writing
from store.database.statements import load

SQL = load("engine.journal", "chunks.sql")
CACHED = 3600.0
"""Seconds that a file which nobody asks for is kept here."""
ORPHAN = 86_400_000_000
"""Microseconds after which chunks that no row names are of a message that was never acknowledged."""


class Chunks(Spool):
    """A file is durable when its chunks are committed; one that another process wrote is fetched when it is asked for.
    `Down`: the database cannot be asked."""

    def __init__(self, directory: Path, database: Database, keys: Keys) -> None:
        super().__init__(directory, keys)
        self._database = database
        self._lock = Lock()
        self._writing: Writing | None = None
        self.sweep(())

    def keep(self, path: Path) -> Spooled:
        """As `Spool.keep`. OSError: the database does not take it."""
        spooled = super().keep(path)
        try:
            with self._lock:
                self._write(spooled)
        except Exception as e:
            spooled.path.unlink()
            raise OSError("the spool takes nothing") from e
        return spooled

    def _write(self, spooled: Spooled) -> None:
        self._writing = self._writing or self._database.writer()
        self._writing.begin()
        try:
            with spooled.path.open("rb") as file:
                position = 0
                while data := file.read(CHUNK):
                    self._writing.run(SQL.add, (spooled.name, position, time.time_ns() // 1000, data))
                    self._writing.flush()  # so that one piece at a time is in memory
                    position += 1
            self._writing.commit()
        except BaseException:
            self._writing.rollback()
            raise

    def path(self, name: str) -> Path:
        """Where the bytes of that name are, fetched if need be. There is no such file if nobody has them."""
        path = super().path(name)
        try:
            os.utime(path)
        except FileNotFoundError:
            self._fetch(name, path)
        return path

    def _fetch(self, name: str, path: Path) -> None:
        reader = self._database.reader()
        try:
            with tempfile.NamedTemporaryFile(dir=self.incoming, delete=False) as file:
                position = 0
                while rows := reader.all(SQL.chunk, (name, position)):
                    file.write(rows[0][0])
                    position += 1
        finally:
            reader.close()
        if position:
            os.rename(file.name, path)
        else:
            os.unlink(file.name)

    def trim(self) -> None:
        """Let go of what was not asked for lately; it can be fetched again."""
        for file in self._directory.glob("[0-9a-f][0-9a-f]/*"):
            try:
                if file.stat().st_mtime < time.time() - CACHED:
                    file.unlink()
            except FileNotFoundError:
                continue


def sweep(connection: Connection, now: int) -> None:
    """Remove what no row names and nobody is about to name. `now` in microseconds."""
    connection.run(SQL.sweep, (now - ORPHAN,))
