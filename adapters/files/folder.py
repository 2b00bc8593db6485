"""A watched folder, by blocking calls: what is in it, what a file holds, where it goes when it is done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from engine.plugin import Spool, Spooled

HEAD = 64 * 1024
"""Bytes kept of a file that is too long."""
CHUNK = 1 << 20


class Sight(NamedTuple):
    """A file as it was seen once. The same sight again means that nobody wrote to it in between."""

    modified: int  # nanoseconds; first, so that sights sort by age
    name: str
    size: int
    inode: int


class Content(NamedTuple):
    """A whole file, or only how it begins if it is longer than the limit. `digest`: SHA-256 of all of it.
    Of a big one `spooled` has the bytes, and `body` is empty."""

    body: bytes
    digest: str
    whole: bool = True
    spooled: Spooled | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """Only regular files count: no symbolic links, no subfolders, nothing hidden."""

    path: Path
    pattern: str

    def look(self) -> list[Sight]:
        """Every file whose name matches, oldest first; OSError if the folder cannot be read."""
        with os.scandir(self.path) as entries:
            wanted = [e for e in entries if not e.name.startswith(".") and fnmatchcase(e.name, self.pattern)]
            return sorted(seen for e in wanted if (seen := _sight(e)))

    def read(self, sight: Sight, limit: int) -> Content | None:
        """What the file holds; None if it is not (or no longer) what was seen."""
        try:
            handle = os.open(self.path / sight.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            if _of(sight.name, os.fstat(handle)) != sight:
                return None
            body = file.read(sight.size if sight.size <= limit else HEAD)
            digest = hashlib.sha256(body)
            while chunk := file.read(CHUNK):
                digest.update(chunk)
            unchanged = _of(sight.name, os.fstat(handle)) == sight
        return Content(body, digest.hexdigest(), sight.size <= limit) if unchanged else None

    def spool(self, sight: Sight, spool: Spool) -> Content | None:
        """Copy the file into the spool, a chunk at a time; None if it is not (or no longer) what was seen."""
        try:
            handle = os.open(self.path / sight.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        digest = hashlib.sha256()
        with os.fdopen(handle, "rb") as file, spool.create() as copy:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
            unchanged = _of(sight.name, os.fstat(handle)) == sight
        if not unchanged:
            os.unlink(copy.name)
            return None
        return Content(b"", digest.hexdigest(), spooled=spool.keep(Path(copy.name)))

    def move(self, sight: Sight, digest: str, to: Path, note: str = "") -> None:
        """Into `to`, with `note` beside it as NAME.reason. What is there already stays: then the name gets
        the digest, and only the very same content under the same name is replaced."""
        to.mkdir(exist_ok=True)
        plain = Path(sight.name)
        taken = (to / plain).exists() or (to / f"{plain}.reason").exists()
        target = plain.with_stem(f"{plain.stem}.{digest[:16]}") if taken else plain
        reason = to / f"{target}.reason"
        if note:
            reason.write_text(f"{note}\n")
        os.rename(self.path / plain, to / target)
        if _of(sight.name, os.stat(to / target)) != sight:  # replaced since it was read: another message
            self._return(to / target, plain)
            reason.unlink(missing_ok=True)

    def _return(self, file: Path, name: Path) -> None:
        """Back into the folder, under another name if somebody put a file there meanwhile."""
        try:
            os.link(file, self.path / name)
        except FileExistsError:
            os.link(file, self.path / name.with_stem(f"{name.stem}.{uuid4().hex[:16]}"))
        os.unlink(file)


def settled(
    sights: Iterable[Sight], since: Mapping[Sight, float], now: float, settle: float
) -> tuple[list[Sight], dict[Sight, float]]:
    """Those that have been the same for `settle` seconds, and since when each has been what it is."""
    found = {sight: since.get(sight, now) for sight in sights}
    return [sight for sight, first in found.items() if now - first >= settle], found


def _sight(entry: os.DirEntry[str]) -> Sight | None:
    try:
        regular = entry.is_file(follow_symlinks=False)
        return _of(entry.name, entry.stat(follow_symlinks=False)) if regular else None
    except FileNotFoundError:
        return None


def _of(name: str, stat: os.stat_result) -> Sight:
    return Sight(stat.st_mtime_ns, name, stat.st_size, stat.st_ino)
