"""A backup: the database as it was at one moment, and the spooled files that it names, in one file; and back.

The file is a tar archive with the members `chartwire.db`, `spool/NAME` and, last, `manifest.json` with the counts and
the SHA-256 of every member: one that is broken off has no manifest. Everything is streamed. All calls block.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import apsw

from engine.journal import pauses
from engine.journal.audit import Act, record
from engine.journal.pauses import Pause
from engine.journal.seal import Keys, opened
from engine.journal.spool import Spool, fsync
from engine.rekey import fits
from store.database import Down
from store.database.sqlite import Sqlite, unlock
from store.database.statements import load

SQL = load("engine.journal", "backup.sql")
DATABASE, MANIFEST = "chartwire.db", "manifest.json"
CHUNK = 1 << 20
Progress = Callable[[str], None]


class Counts(NamedTuple):
    """What is in a backup."""

    messages: int
    deliveries: int
    versions: int
    spooled: int


class Unsound(Exception):
    """The backup is not what was written; the text is for people."""


def backup(data: Path, to: Path, keys: Keys, act: Act, now: int, progress: Progress) -> tuple[Counts, str]:
    """Write a backup of a data directory, with or without a running engine: what is in it, and the SHA-256 of the
    whole file. What is encrypted stays so, under the same keys. The file is there only when it is whole. OSError,
    Down: it could not be made."""
    part = to.with_name(f"{to.name}.part")
    try:
        with _private(part) as file, tempfile.TemporaryDirectory(dir=to.parent) as folder:
            counts = _write(data, file, keys, Path(folder) / DATABASE, progress)
        _recorded(data, keys, act, now)
        os.replace(part, to)
        fsync(to.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return counts, _digest(to)


def _write(data: Path, file: IO[bytes], keys: Keys, copy: Path, progress: Progress) -> Counts:
    key = _key(data / DATABASE, keys)
    _copy(data / DATABASE, copy, key)
    database = Sqlite(copy, writes=False, key=key)
    counts = Counts(*database.all(SQL.counts)[0])
    spool, digests = Spool(data / "spool"), {}
    with tarfile.open(fileobj=file, mode="w|") as archive:
        digests[DATABASE] = _add(archive, DATABASE, copy)
        progress(f"{counts.messages} messages")
        for n, (name, _) in enumerate(database.all(SQL.spooled), start=1):
            digests[f"spool/{name}"] = _add(archive, f"spool/{name}", spool.path(name))
            progress(f"{n} of {counts.spooled} spooled files")
        _add_manifest(archive, {"counts": counts._asdict(), "sha256": digests})
    database.close()
    return counts


def _copy(database: Path, to: Path, key: str | None) -> None:
    """As it is at one moment, while others read and write it (sqlite.org/backup.html)."""
    source, target = Sqlite(database, writes=False, key=key), apsw.Connection(str(to))
    if key is not None:
        unlock(target, key)
        target.execute(f"PRAGMA page_size = {source.all('PRAGMA page_size')[0][0]}")
        target.execute(
            "CREATE TABLE made (here INTEGER)"
        )  # so that its pages are laid out as those of the other
    with target.backup("main", source.apsw, "main") as copying:
        copying.step()
    target.execute("PRAGMA journal_mode = DELETE")
    target.close()
    source.close()


def _add(archive: tarfile.TarFile, name: str, path: Path) -> str:
    member = tarfile.TarInfo(name)
    member.size, member.mode = path.stat().st_size, 0o600
    with path.open("rb") as file:
        reader = _Counted(file)
        archive.addfile(member, reader)
    return reader.digest.hexdigest()


def _add_manifest(archive: tarfile.TarFile, manifest: dict[str, Any]) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(manifest).encode())
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = file.tell(), 0o600
        file.seek(0)
        archive.addfile(member, file)


class _Counted:
    """A file whose bytes are digested as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """Only for its owner, and durable when it is closed."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _recorded(data: Path, keys: Keys, act: Act, now: int) -> None:
    """Everything was read: that is on record where it was read."""
    with _writing(data, keys) as database:
        record(database, act, now)


def _key(database: Path, keys: Keys) -> str | None:
    """With which of the keys it opens. Down: with none."""
    if not database.is_file():
        raise FileNotFoundError(f"there is no database in {database.parent}")
    held = fits(database, keys)
    if held is False:
        raise Down("the database is encrypted, and no key of CHARTWIRE_KEY_FILE fits")
    return held if isinstance(held, str) else None


@contextmanager
def _writing(data: Path, keys: Keys) -> Iterator[Sqlite]:
    """The database, in one transaction."""
    database = Sqlite(data / DATABASE, writes=True, key=_key(data / DATABASE, keys))
    try:
        database.begin()
        yield database
        database.commit()
    finally:
        database.close()


def verify(file: Path, into: Path, keys: Keys) -> Counts:
    """Unpack a backup into an empty directory and look whether everything is there as it was. Raises Unsound."""
    digests = _unpack(file, into)
    manifest = _manifest(into)
    if manifest["sha256"] != digests:
        wrong = sorted(set(manifest["sha256"].items()) ^ set(digests.items()))
        raise Unsound(f"{wrong[0][0]} is not what was written")
    try:
        database = Sqlite(into / DATABASE, writes=False, key=_key(into / DATABASE, keys))
        return _sound(database, into, keys, Counts(**manifest["counts"]))
    except (Down, apsw.Error) as error:
        raise Unsound(f"the database cannot be read: {error}") from error


def _unpack(file: Path, into: Path) -> dict[str, str]:
    spool, digests = Spool(into / "spool"), {}
    try:
        with tarfile.open(file, mode="r|") as archive:
            for member in archive:
                kind, _, name = member.name.rpartition("/")
                known = member.isreg() and (
                    member.name in (DATABASE, MANIFEST) or (kind == "spool" and name.isalnum())
                )
                if not known or (content := archive.extractfile(member)) is None:
                    raise Unsound(f"there is no place for {member.name!r}")
                digest = _out(content, spool.path(name) if kind else into / name)
                if member.name != MANIFEST:
                    digests[member.name] = digest
    except tarfile.TarError as error:
        raise Unsound(f"it is no backup, or broken off: {error}") from error
    return digests


def _out(content: IO[bytes], to: Path) -> str:
    reader = _Counted(content)
    with _private(to) as file:
        shutil.copyfileobj(reader, file, CHUNK)
    return reader.digest.hexdigest()


def _manifest(into: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((into / MANIFEST).read_bytes())
        (into / MANIFEST).unlink()
        return manifest
    except (OSError, ValueError) as error:
        raise Unsound("it has no manifest: it was broken off") from error


def _sound(database: Sqlite, into: Path, keys: Keys, told: Counts) -> Counts:
    if database.all("PRAGMA integrity_check") != [("ok",)]:
        raise Unsound("the database is damaged")
    if (counts := Counts(*database.all(SQL.counts)[0])) != told:
        raise Unsound("the counts are not those of the manifest")
    for name, size in database.all(SQL.spooled):
        path = into / "spool" / name[:2] / name
        if not path.is_file() or _length(path, keys) != size:
            raise Unsound(f"spooled file {name} is missing or too short")
    database.close()
    return counts


def restore(file: Path, data: Path, keys: Keys, act: Act, now: int) -> Counts:
    """Put a backup, verified first, in the place of a data directory. Its deliveries are held: every destination is
    paused until somebody resumes it. Raises Unsound, OSError; then what was there is as it was."""
    data.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{data.name}.restoring.", dir=data.parent))
    try:
        counts = verify(file, fresh, keys)
        _held(fresh, keys, act, now)
        if data.exists():
            data.rename(data.with_name(f"{data.name}.before.{now}"))
        fresh.rename(data)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(fresh)
        raise
    return counts


def _length(path: Path, keys: Keys) -> int:
    """Of what is in a file, sealed or not."""
    try:
        with opened(path, keys) as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise Unsound(f"spooled file {path.name} cannot be read: {error}") from error


def _held(data: Path, keys: Keys, act: Act, now: int) -> None:
    with _writing(data, keys) as database:
        for (name,) in database.all(SQL.destinations):
            pauses.pause(database, Pause("destination", name, now, act.who, "restored from a backup"))
        record(database, act, now)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
