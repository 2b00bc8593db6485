"""A folder as a destination: one delivery is one file, whole and on disk before it can be seen.

The bytes are written and synced under a hidden name in the same folder, which is then renamed. The file is
named by the delivery's control id, so a retry finds its own file and never makes a second one. A partner that
takes the file away between an attempt and its repetition after a crash is given it again: at least once.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from adapters.files.trouble import trouble
from engine.message import Delivered, Delivery, Outcome, Retry, Unknown
from engine.plugin import destination
from formats.reason import Reason

CONTROL = "{control}"
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}  # the file system (SMB, some FUSE) does not know fsync of a folder
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@destination("files")
@dataclass(frozen=True)
class FilesDestination:
    """Writes each message into a folder as a file of its own, its body unchanged.

    Delivered: the file and its name are synced. Retry: there is no such file (no folder, no permission, disk
    full). Unknown: the file can be seen, but its name could not be synced. A file of that name with other
    content is never replaced.
    """

    directory: Annotated[Path, "the folder"]
    name: Annotated[str, "file name; {control} stands for the delivery's control id"] = "{control}.hl7"
    create: Annotated[bool, "make the folder if it is missing; not for one that a disk is mounted on"] = False

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        if CONTROL in self.name and _SAFE.fullmatch(self.name.replace(CONTROL, "CW1")):
            return []
        return ["name holds {control}, and otherwise only letters, digits, dot, hyphen and underscore"]

    async def deliver(self, delivery: Delivery) -> Outcome:
        name = self.name.replace(CONTROL, delivery.control)
        return await asyncio.to_thread(self._place, name, delivery.body)

    async def close(self) -> None:
        """Nothing is held open."""

    def _place(self, name: str, body: bytes) -> Outcome:
        final, part = self.directory / name, self.directory / f".{name}.part"
        try:
            if self.create:
                self.directory.mkdir(parents=True, exist_ok=True)
            there = _content(final)
            if there is None:
                _write(part, body)
                os.rename(part, final)
            elif there != body:
                return Retry(Reason("name-taken", "another file of that name is in the folder; take it away"))
        except OSError as error:
            return Retry(trouble(error))
        return _seal(self.directory)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(part: Path, body: bytes) -> None:
    """The hidden name is the same on every attempt, so a crash leaves at most one behind and the next attempt
    uses it up; not truncating first lets two attempts at the same bytes overlap without harm."""
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    with os.fdopen(handle, "wb") as file:
        file.write(body)
        file.truncate()
        file.flush()
        os.fsync(handle)


def _seal(folder: Path) -> Outcome:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        return Delivered() if error.errno in _NO_SYNC else Unknown(trouble(error))
    return Delivered()
