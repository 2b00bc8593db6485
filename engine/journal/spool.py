"""The spool: bodies too big for a row are files of their own, durable before the row that names them is.

A file is written in `incoming` and renamed when it is whole and fsynced. A file that no row names is of a
message that was never acknowledged: it is swept at the next start, and so is everything in `incoming`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast
from uuid import uuid4

from engine.journal.seal import Keys, Sealing, current, opened
from engine.message import Spooled

NONE = Keys()
CHUNK = 1 << 20


class Spool:
    """Local files below one directory; 256 folders keep each of them short. All calls block."""

    def __init__(self, directory: Path, keys: Keys = NONE) -> None:
        self._directory = directory
        self._keys = keys
        self.incoming = directory / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        for n in range(256):
            (directory / f"{n:02x}").mkdir(exist_ok=True, mode=0o700)
        fsync(directory)

    def create(self) -> IO[bytes]:
        """A new private file in `incoming`; its path is its `name`. What is written is whole when it is closed."""
        file = tempfile.NamedTemporaryFile(dir=self.incoming, delete=False)  # noqa: SIM115 - the caller closes it
        return cast(IO[bytes], Sealing(file, self._keys.keys[0])) if self._keys.keys else file

    def open(self, path: Path) -> IO[bytes]:
        """What was written into a file of the spool, whether or not it is sealed. OSError."""
        return opened(path, self._keys)

    @contextmanager
    def plain(self, name: str) -> Iterator[Path]:
        """A file with the bytes of that name, for whoever needs a path: a sealed one is unsealed into memory."""
        path = self.path(name)
        if not self._keys.keys or current(path, NONE):
            yield path
            return
        handle = os.memfd_create("spool")
        try:
            with self.open(path) as sealed, os.fdopen(os.dup(handle), "wb") as copy:
                shutil.copyfileobj(sealed, copy, CHUNK)
            yield Path(f"/proc/{os.getpid()}/fd/{handle}")
        finally:
            os.close(handle)

    def keep(self, path: Path) -> Spooled:
        """Make a file of `incoming` durable under a name of its own: fsync, rename, fsync of the directory."""
        size, digest = self._fsynced(path)
        name = uuid4().hex
        final = self.path(name)
        os.rename(path, final)
        fsync(final.parent)
        return Spooled(name, size, digest, final)

    def _fsynced(self, path: Path) -> tuple[int, bytes]:
        digest, size = hashlib.blake2b(digest_size=16), 0
        with self.open(path) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
        fsync(path)
        return size, digest.digest()

    def write(self, body: bytes) -> Spooled:
        """Bytes that are in memory already."""
        file = self.create()
        try:
            file.write(body)
            file.close()
        except OSError:  # a full disk gets its space back at once
            os.unlink(file.name)
            raise
        return self.keep(Path(file.name))

    def path(self, name: str) -> Path:
        """Where the bytes of that name are."""
        return self._directory / name[:2] / name

    def forget(self, name: str) -> None:
        """Nobody names it any more."""
        Spool.path(self, name).unlink(missing_ok=True)

    def sweep(self, known: Container[str]) -> int:
        """Remove what was never finished, and what no row names. Before any source runs. How many files."""
        left = [*self.incoming.iterdir(), *self._directory.glob("[0-9a-f][0-9a-f]/*")]
        orphans = [file for file in left if file.parent == self.incoming or file.name not in known]
        for file in orphans:
            file.unlink()
        return len(orphans)


def fsync(path: Path) -> None:
    """Make a file durable, or the names in a directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
