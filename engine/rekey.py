"""Other keys: everything in a data directory is written again with the newest one. Nothing may run on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw

from engine.journal.audit import Act, record
from engine.journal.seal import Keys, Sealing, current, opened
from engine.journal.spool import fsync
from store.database import Down
from store.database.sqlite import Sqlite, unlock

OPEN: str | None = None  # not encrypted
PLAIN = b"SQLite format 3\0"


def unlike(path: Path, keys: Keys) -> str | None:
    """Why the engine cannot run on a database with these keys; None: it can."""
    held = fits(path, keys)
    newest = keys.database()[0] if keys.keys else OPEN
    if path.stat().st_size == 0:  # it was being made
        return None
    if held is False:
        return "the database is encrypted, and no key of CHARTWIRE_KEY_FILE fits"
    if held != newest:
        return "the database is not under the newest key of CHARTWIRE_KEY_FILE: stop everything, then `chartwire rekey`"
    return None


def fits(path: Path, keys: Keys) -> str | bool | None:
    """The key that opens the database, None if it needs none, False if none does."""
    with path.open("rb") as file:
        if file.read(len(PLAIN)) in (PLAIN, b""):
            return OPEN
    return next((key for key in keys.database() if _opens(path, key)), False)


def _opens(path: Path, key: str) -> bool:
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            unlock(connection, key)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            return True
        finally:
            connection.close()
    except apsw.Error:
        return False


def rekey(data: Path, keys: Keys, act: Act, now: int, progress: Callable[[str], None]) -> int:
    """Write the database and every spooled file with the newest key: how many files. It can be done again if it was
    broken off. Down: no key fits, or the database is in use. OSError: the disk."""
    path = data / "chartwire.db"
    held = fits(path, keys)
    if held is False:
        raise Down("no key of CHARTWIRE_KEY_FILE fits")
    newest = keys.database()[0]
    if held != newest:
        progress("the database")
        _rewrite(path, held if isinstance(held, str) else None, newest)
    files = 0
    for file in sorted((data / "spool").glob("[0-9a-f][0-9a-f]/*")):
        if not current(file, keys):
            _reseal(file, keys)
            files += 1
            progress(f"{files} files")
    connection = Sqlite(path, writes=True, key=newest)
    connection.begin()
    record(connection, act, now)
    connection.commit()
    connection.close()
    return files


def _rewrite(path: Path, held: str | None, newest: str) -> None:
    """Into a new file beside it, which then takes its place: the old one is whole until then."""
    fresh = path.with_name(f"{path.name}.rekeyed")
    fresh.unlink(missing_ok=True)
    old = Sqlite(path, writes=True, key=held)
    old.run("PRAGMA journal_mode = DELETE")
    old.close()
    shutil.copyfile(path, fresh)
    os.chmod(fresh, 0o600)
    connection = apsw.Connection(str(fresh), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if held is not None:
            unlock(connection, held)
        else:
            connection.execute("PRAGMA cipher = 'sqlcipher'")
        connection.execute(f"PRAGMA rekey = \"x'{newest}'\"")
    except apsw.Error as e:
        raise Down(f"the database cannot be written anew: {type(e).__name__} {e}") from e
    finally:
        connection.close()
    fsync(fresh)
    fresh.replace(path)
    fsync(path.parent)
    for rest in (f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(rest).unlink(missing_ok=True)


def _reseal(file: Path, keys: Keys) -> None:
    fresh = file.with_name(f"{file.name}.rekeyed")
    with opened(file, keys) as old:
        new = Sealing(fresh.open("wb"), keys.keys[0])
        shutil.copyfileobj(old, new)
        new.close()
    fsync(fresh)
    fresh.replace(file)
    fsync(file.parent)
